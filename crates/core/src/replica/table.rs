//! Memory that grows without moving: chunks behind a fixed directory, so that readers need no lock
//! while the writer adds. All values are atomics or set once; there is nothing unsafe here.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Words of 64 bits in a slot; 96 bytes.
pub(super) const SLOT_WORDS: usize = 12;
/// Slots in one chunk: 6 MiB of slots.
const SLOTS_PER_CHUNK: usize = 1 << 16;
/// Chunks a directory can hold: a thousand million slots.
const CHUNKS: usize = 1 << 14;
/// Bytes in one chunk of labels.
const LABEL_CHUNK: usize = 1 << 20;
/// Chunks of labels: 4 GiB, what 32 bits can name.
const LABEL_CHUNKS: usize = 1 << 12;

/// Chunks of `T`, each made at its first use and never moved.
#[derive(Debug)]
struct Chunked<T> {
    directory: Box<[OnceLock<Box<[T]>>]>,
}

impl<T> Chunked<T> {
    fn new(chunks: usize) -> Self {
        Self { directory: std::iter::repeat_with(OnceLock::new).take(chunks).collect() }
    }
}

/// The slots of all clients.
#[derive(Debug)]
pub(super) struct Slots {
    chunks: Chunked<AtomicU64>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { chunks: Chunked::new(CHUNKS) }
    }

    /// The words of slot `no`, if its chunk exists.
    #[inline]
    pub(super) fn words(&self, no: usize) -> Option<&[AtomicU64; SLOT_WORDS]> {
        let chunk = self.chunks.directory.get(no / SLOTS_PER_CHUNK)?.get()?;
        let start = no % SLOTS_PER_CHUNK * SLOT_WORDS;
        chunk.get(start..start + SLOT_WORDS)?.try_into().ok()
    }

    /// The words of slot `no`, its chunk made if need be; none past the last chunk.
    pub(super) fn words_mut(&self, no: usize) -> Option<&[AtomicU64; SLOT_WORDS]> {
        let chunk = self.chunks.directory.get(no / SLOTS_PER_CHUNK)?;
        chunk.get_or_init(|| bytemuck::zeroed_slice_box(SLOTS_PER_CHUNK * SLOT_WORDS));
        self.words(no)
    }
}

/// All labels, one after the other, each with its length before it. A changed label is added anew;
/// the old one's bytes are given up until the next load.
#[derive(Debug)]
pub(super) struct Labels {
    chunks: Chunked<AtomicU8>,
}

impl Labels {
    pub(super) fn new() -> Self {
        Self { chunks: Chunked::new(LABEL_CHUNKS) }
    }

    /// Adds a label at `end`, the place behind the last one; answers its place and the new end.
    /// None when 4 GiB are full.
    pub(super) fn push(&self, end: u64, text: &[u8]) -> Option<(u32, u64)> {
        let need = text.len() + 1;
        let room = LABEL_CHUNK - (end as usize) % LABEL_CHUNK;
        let at = if need > room { end + room as u64 } else { end };
        let place = u32::try_from(at).ok()?;
        let cell = self.chunks.directory.get(at as usize / LABEL_CHUNK)?;
        let chunk = cell.get_or_init(|| bytemuck::zeroed_slice_box(LABEL_CHUNK));
        let start = at as usize % LABEL_CHUNK;
        chunk[start].store(u8::try_from(text.len()).ok()?, Ordering::Relaxed);
        for (cell, byte) in chunk[start + 1..].iter().zip(text) {
            cell.store(*byte, Ordering::Relaxed);
        }
        Some((place, at + need as u64))
    }

    /// The label at `place`.
    #[inline]
    pub(super) fn text(&self, place: u32) -> crate::check::LabelText {
        let start = place as usize % LABEL_CHUNK;
        let chunk = self.chunks.directory.get(place as usize / LABEL_CHUNK).and_then(OnceLock::get);
        let Some(chunk) = chunk else {
            return crate::check::LabelText::fill(0, |_| 0);
        };
        let len = chunk[start].load(Ordering::Relaxed);
        let bytes = &chunk[start + 1..];
        crate::check::LabelText::fill(len, |at| bytes[at].load(Ordering::Relaxed))
    }
}

/// Entries set once and read without a lock, by dense number.
#[derive(Debug)]
pub(super) struct Entries<T> {
    chunks: Chunked<OnceLock<T>>,
}

/// Entries in one chunk of [`Entries`].
const ENTRIES_PER_CHUNK: usize = 1 << 12;

impl<T> Entries<T> {
    pub(super) fn new() -> Self {
        Self { chunks: Chunked::new(CHUNKS) }
    }

    #[inline]
    pub(super) fn get(&self, no: u32) -> Option<&T> {
        let chunk = self.chunks.directory.get(no as usize / ENTRIES_PER_CHUNK)?.get()?;
        chunk[no as usize % ENTRIES_PER_CHUNK].get()
    }

    /// Sets entry `no` unless it is set; answers it. None past the last chunk.
    pub(super) fn set(&self, no: u32, value: T) -> Option<&T> {
        let chunk = self.chunks.directory.get(no as usize / ENTRIES_PER_CHUNK)?;
        let chunk = chunk.get_or_init(|| {
            std::iter::repeat_with(OnceLock::new).take(ENTRIES_PER_CHUNK).collect()
        });
        Some(chunk[no as usize % ENTRIES_PER_CHUNK].get_or_init(|| value))
    }
}
