//! A slot as twelve words. The packing is here and nowhere else.

use super::table::SLOT_WORDS;
use crate::digest::{Digest, KeyId};
use crate::slot::{EndReason, FORMERS, Slot};
use crate::time::Timestamp;

/// Never: the end of a token without an end.
const NEVER: i64 = i64::MAX;

// Bits of the flags, the low half of the last word; the high half is the time of last use.
pub(super) const EXISTS: u32 = 1;
pub(super) const PRODUCTION: u32 = 1 << 1;
const HAS_TOKEN: u32 = 1 << 2;
const ENDED: u32 = 1 << 3;
const END_REASON_SHIFT: u32 = 4;
pub(super) const DISABLED: u32 = 1 << 6;
pub(super) const DELETED: u32 = 1 << 7;
pub(super) const HAS_PREVIOUS: u32 = 1 << 8;
const FORMER_REASON_SHIFT: u32 = 9;
const KEY_SHIFT: u32 = 16;
/// The flags that the slot of a token decides; the others are the client's.
const SLOT_FLAGS: u32 = HAS_TOKEN | ENDED | 0b11 << END_REASON_SHIFT | HAS_PREVIOUS | 0b11_1111 << FORMER_REASON_SHIFT | 0xFF << KEY_SHIFT;

/// A copy of a slot's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Words(pub(super) [u64; SLOT_WORDS]);

/// Where the parts are.
pub(super) const GENERATION_WORKSPACE: usize = 9;
pub(super) const RESTRICTIONS_LABEL: usize = 10;
pub(super) const FLAGS_USED: usize = 11;

fn reason_bits(reason: EndReason) -> u32 {
    match reason {
        EndReason::Superseded => 0,
        EndReason::Revoked => 1,
        EndReason::Restored => 2,
    }
}

fn reason_of(bits: u32) -> EndReason {
    match bits & 3 {
        0 => EndReason::Superseded,
        1 => EndReason::Revoked,
        _ => EndReason::Restored,
    }
}

impl Words {
    pub(super) fn new(flags: u32, workspace: u32, restrictions: u32, label: u32) -> Self {
        let mut words = [0; SLOT_WORDS];
        words[GENERATION_WORKSPACE] = u64::from(workspace) << 32;
        words[RESTRICTIONS_LABEL] = u64::from(restrictions) | u64::from(label) << 32;
        words[FLAGS_USED] = u64::from(flags);
        Self(words)
    }

    /// Writes a slot into the words, leaving the client's own parts.
    pub(super) fn put_slot(&mut self, slot: &Slot) {
        let mut flags = self.flags() & !SLOT_FLAGS;
        if let Some(token) = &slot.token {
            flags |= HAS_TOKEN | u32::from(token.key.0) << KEY_SHIFT;
            for (word, bytes) in self.0[..4].iter_mut().zip(token.digest.0.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            self.0[4] = token.issued_at.0.cast_unsigned();
            self.0[5] = token.valid_till.map_or(NEVER, |till| till.0).cast_unsigned();
        }
        if let Some(ended) = &slot.ended {
            // The end that was planned is of no interest once there is a real one.
            flags |= ENDED | reason_bits(ended.reason) << END_REASON_SHIFT;
            self.0[5] = ended.at.0.cast_unsigned();
        }
        if slot.previous.is_some() {
            flags |= HAS_PREVIOUS;
        }
        for (at, former) in slot.formers.iter().enumerate() {
            self.0[6 + at] = former.map_or(0, |former| former.prefix);
            let bits = former.map_or(0, |former| reason_bits(former.reason));
            flags |= bits << (FORMER_REASON_SHIFT + 2 * at as u32);
        }
        self.0[GENERATION_WORKSPACE] = u64::from(slot.generation) | u64::from(self.workspace()) << 32;
        self.set_flags(flags);
    }

    /// Ends the token for a new epoch and raises the generation.
    pub(super) fn start_epoch(&mut self, at: Timestamp, raise: u32) {
        let mut flags = self.flags() & !HAS_PREVIOUS;
        if self.has_token() && flags & ENDED == 0 {
            flags |= ENDED | reason_bits(EndReason::Restored) << END_REASON_SHIFT;
            self.0[5] = at.0.cast_unsigned();
        }
        let generation = self.generation().saturating_add(raise);
        self.0[GENERATION_WORKSPACE] = u64::from(generation) | u64::from(self.workspace()) << 32;
        self.set_flags(flags);
    }

    #[inline]
    pub(super) fn digest(&self) -> Digest {
        let mut out = [0; 32];
        for (bytes, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(&self.0[..4]) {
            *bytes = word.to_le_bytes();
        }
        Digest(out)
    }

    #[inline]
    pub(super) fn flags(&self) -> u32 {
        self.0[FLAGS_USED] as u32
    }

    pub(super) fn set_flags(&mut self, flags: u32) {
        self.0[FLAGS_USED] = self.0[FLAGS_USED] & 0xFFFF_FFFF_0000_0000 | u64::from(flags);
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags() & flag != 0
    }

    #[inline]
    pub(super) fn has_token(&self) -> bool {
        self.has(HAS_TOKEN)
    }

    /// Why and since when the newest token is ended, if somebody ended it.
    pub(super) fn ended(&self) -> Option<(EndReason, Timestamp)> {
        let reason = reason_of(self.flags() >> END_REASON_SHIFT);
        self.has(ENDED).then_some((reason, Timestamp(self.0[5].cast_signed())))
    }

    #[inline]
    pub(super) fn valid_till(&self) -> Option<Timestamp> {
        let until = self.0[5].cast_signed();
        (until != NEVER).then_some(Timestamp(until))
    }

    pub(super) fn issued_at(&self) -> Timestamp {
        Timestamp(self.0[4].cast_signed())
    }

    #[inline]
    pub(super) fn key(&self) -> KeyId {
        KeyId((self.flags() >> KEY_SHIFT) as u8)
    }

    /// Why the former token with this prefix ended, if it is one of those remembered.
    pub(super) fn former(&self, prefix: u64) -> Option<EndReason> {
        let at = (0..FORMERS).find(|at| self.0[6 + at] == prefix)?;
        Some(reason_of(self.flags() >> (FORMER_REASON_SHIFT + 2 * at as u32)))
    }

    #[inline]
    pub(super) fn generation(&self) -> u32 {
        self.0[GENERATION_WORKSPACE] as u32
    }

    #[inline]
    pub(super) fn workspace(&self) -> u32 {
        (self.0[GENERATION_WORKSPACE] >> 32) as u32
    }

    #[inline]
    pub(super) fn restrictions(&self) -> u32 {
        self.0[RESTRICTIONS_LABEL] as u32
    }

    #[inline]
    pub(super) fn label(&self) -> u32 {
        (self.0[RESTRICTIONS_LABEL] >> 32) as u32
    }

    pub(super) fn set_restrictions_label(&mut self, restrictions: u32, label: u32) {
        self.0[RESTRICTIONS_LABEL] = u64::from(restrictions) | u64::from(label) << 32;
    }
}
