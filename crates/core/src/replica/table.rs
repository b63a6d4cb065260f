//! Memory that grows without moving: chunks behind a fixed directory, so that readers need no lock
//! while the writer adds. All values are atomics or set once; there is nothing unsafe here.

use prefetch_index::prefetch_index;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Words of a slot that every check reads: one cache line.
pub(super) const HOT_WORDS: usize = 8;
/// Words of a slot that only refusals and introspection read.
pub(super) const COLD_WORDS: usize = 4;
/// Words of a label's cell: a length and 23 bytes, or a place among the long labels.
pub(super) const LABEL_WORDS: usize = 3;
/// Bytes of a cache line, which a slot's hot words must not straddle.
const LINE: usize = 64;
/// Slots in one chunk: 4 MiB of hot words.
const SLOTS_PER_CHUNK: usize = 1 << 16;
/// Chunks a directory can hold: a thousand million slots.
const CHUNKS: usize = 1 << 14;
/// Bytes in one chunk of long labels.
const LONG_CHUNK: usize = 1 << 20;
/// Chunks of long labels: 4 GiB, what 32 bits can name.
const LONG_CHUNKS: usize = 1 << 12;

/// Chunks of `T`, each made at its first use and never moved.
type Directory<T> = Box<[OnceLock<T>]>;

fn directory<T>(chunks: usize) -> Directory<T> {
    std::iter::repeat_with(OnceLock::new).take(chunks).collect()
}

/// A chunk of words that begins on a cache line.
#[derive(Debug)]
struct Chunk {
    words: Box<[AtomicU64]>,
    /// Words before the first cache line's beginning.
    skip: usize,
}

impl Chunk {
    fn new(words: usize) -> Self {
        let words: Box<[AtomicU64]> = bytemuck::zeroed_slice_box(words + LINE / size_of::<u64>());
        let skip = words.as_ptr().align_offset(LINE);
        Self { words, skip }
    }
}

/// Cells of `WORDS` words each, by dense number.
#[derive(Debug)]
pub(super) struct Cells<const WORDS: usize> {
    chunks: Directory<Chunk>,
}

impl<const WORDS: usize> Cells<WORDS> {
    pub(super) fn new() -> Self {
        Self {
            chunks: directory(CHUNKS),
        }
    }

    /// The words of cell `no`, if its chunk exists.
    #[inline]
    pub(super) fn get(&self, no: usize) -> Option<&[AtomicU64; WORDS]> {
        let chunk = self.chunks.get(no / SLOTS_PER_CHUNK)?.get()?;
        let start = chunk.skip + no % SLOTS_PER_CHUNK * WORDS;
        chunk.words.get(start..start + WORDS)?.try_into().ok()
    }

    /// The words of cell `no`, its chunk made if need be; none past the last chunk.
    pub(super) fn make(&self, no: usize) -> Option<&[AtomicU64; WORDS]> {
        self.chunks
            .get(no / SLOTS_PER_CHUNK)?
            .get_or_init(|| Chunk::new(SLOTS_PER_CHUNK * WORDS));
        self.get(no)
    }

    /// Asks the memory for cell `no`, without waiting: it will be read soon.
    #[inline]
    pub(super) fn expect(&self, no: usize) {
        if let Some(chunk) = self
            .chunks
            .get(no / SLOTS_PER_CHUNK)
            .and_then(OnceLock::get)
        {
            let start = chunk.skip + no % SLOTS_PER_CHUNK * WORDS;
            prefetch_index(&chunk.words, start);
            if !LINE.is_multiple_of(WORDS * size_of::<u64>()) {
                // Such a cell may lie on two lines.
                prefetch_index(&chunk.words, start + WORDS - 1);
            }
        }
    }
}

/// A copy of words; whole only within the sequence lock.
#[inline]
pub(super) fn copy<const WORDS: usize>(cells: &[AtomicU64; WORDS]) -> [u64; WORDS] {
    let mut out = [0; WORDS];
    for (word, cell) in out.iter_mut().zip(cells) {
        *word = cell.load(Ordering::Relaxed);
    }
    out
}

/// Writes words, inside the writer's step.
pub(super) fn store<const WORDS: usize>(cells: &[AtomicU64; WORDS], words: &[u64; WORDS]) {
    for (cell, word) in cells.iter().zip(words) {
        cell.store(*word, Ordering::Relaxed);
    }
}

/// The labels too long for their cell, one after the other, each with its length before it. A changed
/// label is added anew; the old one's bytes are given up until the next load.
#[derive(Debug)]
pub(super) struct LongLabels {
    chunks: Directory<Box<[AtomicU8]>>,
}

impl LongLabels {
    pub(super) fn new() -> Self {
        Self {
            chunks: directory(LONG_CHUNKS),
        }
    }

    /// Adds a label at `end`, the place behind the last one; answers its place and the new end.
    /// None when 4 GiB are full.
    pub(super) fn push(&self, end: u64, text: &[u8]) -> Option<(u32, u64)> {
        let need = text.len() + 1;
        let room = LONG_CHUNK - (end as usize) % LONG_CHUNK;
        let at = if need > room { end + room as u64 } else { end };
        let place = u32::try_from(at).ok()?;
        let cell = self.chunks.get(at as usize / LONG_CHUNK)?;
        let chunk = cell.get_or_init(|| bytemuck::zeroed_slice_box(LONG_CHUNK));
        let start = at as usize % LONG_CHUNK;
        chunk[start].store(u8::try_from(text.len()).ok()?, Ordering::Relaxed);
        for (cell, byte) in chunk[start + 1..].iter().zip(text) {
            cell.store(*byte, Ordering::Relaxed);
        }
        Some((place, at + need as u64))
    }

    /// The label at `place`. Its bytes are never changed once they are named.
    pub(super) fn text(&self, place: u32) -> Box<str> {
        let start = place as usize % LONG_CHUNK;
        let chunk = self
            .chunks
            .get(place as usize / LONG_CHUNK)
            .and_then(OnceLock::get);
        let Some((len, rest)) = chunk.and_then(|chunk| chunk[start..].split_first()) else {
            return Box::default();
        };
        let bytes = rest.iter().take(len.load(Ordering::Relaxed).into());
        // Only ASCII was pushed.
        bytes
            .map(|byte| char::from(byte.load(Ordering::Relaxed)))
            .collect::<String>()
            .into()
    }
}

/// Entries set once and read without a lock, by dense number.
#[derive(Debug)]
pub(super) struct Entries<T> {
    chunks: Directory<Box<[OnceLock<T>]>>,
}

/// Entries in one chunk of [`Entries`].
const ENTRIES_PER_CHUNK: usize = 1 << 12;

impl<T> Entries<T> {
    pub(super) fn new() -> Self {
        Self {
            chunks: directory(CHUNKS),
        }
    }

    #[inline]
    pub(super) fn get(&self, no: u32) -> Option<&T> {
        let chunk = self.chunks.get(no as usize / ENTRIES_PER_CHUNK)?.get()?;
        chunk[no as usize % ENTRIES_PER_CHUNK].get()
    }

    /// Sets entry `no` unless it is set; answers it. None past the last chunk.
    pub(super) fn set(&self, no: u32, value: T) -> Option<&T> {
        let chunk = self.chunks.get(no as usize / ENTRIES_PER_CHUNK)?;
        let chunk = chunk.get_or_init(|| directory(ENTRIES_PER_CHUNK));
        Some(chunk[no as usize % ENTRIES_PER_CHUNK].get_or_init(|| value))
    }
}
