//! From a client's id to its slot: open addressing over words of 32 bits of fingerprint and 32 bits of
//! slot number. The id itself is not kept: the token's digest, which covers the id, decides.

use crate::ids::{ClientId, ClientNo};
use std::sync::atomic::{AtomicU64, Ordering};

/// An index for a number of clients; replaced by a larger one when full, never changed in size.
#[derive(Debug)]
pub(super) struct Index {
    words: Box<[AtomicU64]>,
}

/// Words for each client at the fullest: 4 in 3, beyond which linear probing gets slow.
const FULL_NUMERATOR: usize = 3;
const FULL_DENOMINATOR: usize = 4;

/// The fingerprint of an id. Ids are made by us from random bits, so a plain mix will do; a caller
/// can choose what is looked up, never what is stored.
#[inline]
pub(super) fn fingerprint(id: ClientId) -> u32 {
    let (high, low) = id.0.as_u64_pair();
    let mixed = (low ^ high.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}

impl Index {
    /// An index with room for `clients`.
    pub(super) fn with_room(clients: usize) -> Self {
        let words = (clients.max(512) * FULL_DENOMINATOR).div_ceil(FULL_NUMERATOR) + 1;
        Self {
            words: bytemuck::zeroed_slice_box(words),
        }
    }

    /// How many clients it can hold.
    pub(super) fn room(&self) -> usize {
        (self.words.len() - 1) * FULL_NUMERATOR / FULL_DENOMINATOR
    }

    #[inline]
    fn start(&self, fingerprint: u32) -> usize {
        ((u64::from(fingerprint) * self.words.len() as u64) >> 32) as usize
    }

    /// The slots an id with this fingerprint may have: nearly always one or none.
    #[inline]
    pub(super) fn candidates(&self, fingerprint: u32) -> impl Iterator<Item = ClientNo> + '_ {
        let mut at = self.start(fingerprint);
        let mut left = self.words.len();
        std::iter::from_fn(move || {
            while left > 0 {
                let word = self.words[at].load(Ordering::Relaxed);
                if word == 0 {
                    return None;
                }
                at = if at + 1 == self.words.len() {
                    0
                } else {
                    at + 1
                };
                left -= 1;
                if (word >> 32) as u32 == fingerprint {
                    return Some(ClientNo((word as u32).wrapping_sub(1)));
                }
            }
            None
        })
    }

    /// Adds a client; the caller keeps the count below [`Index::room`].
    pub(super) fn insert(&self, fingerprint: u32, no: ClientNo) {
        self.place(u64::from(fingerprint) << 32 | u64::from(no.0 + 1));
    }

    /// The words in use among `count` from place `from` on, and the place behind them; none past the end.
    pub(super) fn words_from(&self, from: usize, count: usize) -> Option<(Vec<u64>, usize)> {
        let until = self.words.len().min(from + count);
        let cells = self
            .words
            .get(from..until)
            .filter(|cells| !cells.is_empty())?;
        let words = cells.iter().map(|cell| cell.load(Ordering::Relaxed));
        Some((words.filter(|word| *word != 0).collect(), until))
    }

    fn place(&self, word: u64) {
        let mut at = self.start((word >> 32) as u32);
        for _ in 0..self.words.len() {
            if self.words[at].load(Ordering::Relaxed) == 0 {
                self.words[at].store(word, Ordering::Relaxed);
                return;
            }
            at = if at + 1 == self.words.len() {
                0
            } else {
                at + 1
            };
        }
    }

    /// A larger index with the same clients and room for `clients`.
    pub(super) fn grown(&self, clients: usize) -> Self {
        let larger = Self::with_room(clients);
        for word in &self.words {
            let word = word.load(Ordering::Relaxed);
            if word != 0 {
                larger.place(word);
            }
        }
        larger
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn every_client_is_found_after_growing() {
        let id = |n: u32| {
            ClientId(Uuid::from_u128(
                u128::from(n).wrapping_mul(0x1357_9bdf_2468_ace1_0f1e_2d3c),
            ))
        };
        let mut index = Index::with_room(0);
        for n in 0..5_000 {
            if n as usize >= index.room() {
                index = index.grown(index.room() * 2);
            }
            index.insert(fingerprint(id(n)), ClientNo(n));
        }
        for n in 0..5_000 {
            assert!(
                index.candidates(fingerprint(id(n))).any(|no| no.0 == n),
                "{n}"
            );
        }
        assert_eq!(index.candidates(fingerprint(id(5_001))).count(), 0);
    }

    #[test]
    fn equal_fingerprints_are_all_candidates() {
        let index = Index::with_room(8);
        index.insert(u32::MAX, ClientNo(1));
        index.insert(u32::MAX, ClientNo(2));
        index.insert(u32::MAX - 1, ClientNo(3));
        let found: Vec<_> = index.candidates(u32::MAX).map(|no| no.0).collect();
        assert_eq!(found, [1, 2]);
    }
}
