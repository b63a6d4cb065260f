//! A slot as twelve words, eight hot and four cold, and its label as three. The packing is here and
//! nowhere else.

use super::table::{COLD_WORDS, HOT_WORDS, LABEL_WORDS};
use crate::check::LabelText;
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
/// The client's id tells this very number, so a check may come straight here.
pub(super) const DIRECT: u32 = 1 << 15;
const KEY_SHIFT: u32 = 16;
/// The flags that the slot of a token decides; the others are the client's.
const SLOT_FLAGS: u32 = HAS_TOKEN
    | ENDED
    | 0b11 << END_REASON_SHIFT
    | HAS_PREVIOUS
    | 0b11_1111 << FORMER_REASON_SHIFT
    | 0xFF << KEY_SHIFT;

/// A copy of a slot's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Words {
    /// What every check reads.
    pub(super) hot: [u64; HOT_WORDS],
    /// What refusals and introspection read besides; zeros where only a check's part was read.
    pub(super) cold: [u64; COLD_WORDS],
}

// Where the parts are: four words of digest come first.
const UNTIL: usize = 4;
const GENERATION_WORKSPACE: usize = 5;
const RESTRICTIONS: usize = 6;
pub(super) const FLAGS_USED: usize = 7;
// And in the cold words.
const ISSUED_AT: usize = 0;
const FIRST_FORMER: usize = 1;

/// Two bits as the reason they were written for; the one number that no reason has is written by nothing.
fn reason_of(bits: u32) -> EndReason {
    EndReason::from_number((bits & 3) as u8).unwrap_or(EndReason::Restored)
}

impl Words {
    pub(super) fn new(flags: u32, workspace: u32, restrictions: u32) -> Self {
        let mut hot = [0; HOT_WORDS];
        hot[GENERATION_WORKSPACE] = u64::from(workspace) << 32;
        hot[RESTRICTIONS] = u64::from(restrictions);
        hot[FLAGS_USED] = u64::from(flags);
        Self {
            hot,
            cold: [0; COLD_WORDS],
        }
    }

    /// Writes a slot into the words, leaving the client's own parts.
    pub(super) fn put_slot(&mut self, slot: &Slot) {
        let mut flags = self.flags() & !SLOT_FLAGS;
        if let Some(token) = &slot.token {
            flags |= HAS_TOKEN | u32::from(token.key.0) << KEY_SHIFT;
            for (word, bytes) in self.hot[..4]
                .iter_mut()
                .zip(token.digest.0.as_chunks::<8>().0)
            {
                *word = u64::from_le_bytes(*bytes);
            }
            self.cold[ISSUED_AT] = token.issued_at.0.cast_unsigned();
            self.hot[UNTIL] = token
                .valid_till
                .map_or(NEVER, |till| till.0)
                .cast_unsigned();
        }
        if let Some(ended) = &slot.ended {
            // The end that was planned is of no interest once there is a real one.
            flags |= ENDED | u32::from(ended.reason.number()) << END_REASON_SHIFT;
            self.hot[UNTIL] = ended.at.0.cast_unsigned();
        }
        if slot.previous.is_some() {
            flags |= HAS_PREVIOUS;
        }
        for (at, former) in slot.formers.iter().enumerate() {
            self.cold[FIRST_FORMER + at] = former.map_or(0, |former| former.prefix);
            let bits = former.map_or(0, |former| u32::from(former.reason.number()));
            flags |= bits << (FORMER_REASON_SHIFT + 2 * at as u32);
        }
        self.hot[GENERATION_WORKSPACE] =
            u64::from(slot.generation) | u64::from(self.workspace()) << 32;
        self.set_flags(flags);
    }

    /// Ends the token for a new epoch and raises the generation.
    pub(super) fn start_epoch(&mut self, at: Timestamp, raise: u32) {
        let mut flags = self.flags() & !HAS_PREVIOUS;
        if self.has_token() && flags & ENDED == 0 {
            flags |= ENDED | u32::from(EndReason::Restored.number()) << END_REASON_SHIFT;
            self.hot[UNTIL] = at.0.cast_unsigned();
        }
        let generation = self.generation().saturating_add(raise);
        self.hot[GENERATION_WORKSPACE] = u64::from(generation) | u64::from(self.workspace()) << 32;
        self.set_flags(flags);
    }

    #[inline]
    pub(super) fn digest(&self) -> Digest {
        let mut out = [0; 32];
        for (bytes, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(&self.hot[..4]) {
            *bytes = word.to_le_bytes();
        }
        Digest(out)
    }

    #[inline]
    pub(super) fn flags(&self) -> u32 {
        self.hot[FLAGS_USED] as u32
    }

    pub(super) fn set_flags(&mut self, flags: u32) {
        self.hot[FLAGS_USED] = self.hot[FLAGS_USED] & 0xFFFF_FFFF_0000_0000 | u64::from(flags);
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
        self.has(ENDED)
            .then_some((reason, Timestamp(self.hot[UNTIL].cast_signed())))
    }

    #[inline]
    pub(super) fn valid_till(&self) -> Option<Timestamp> {
        let until = self.hot[UNTIL].cast_signed();
        (until != NEVER).then_some(Timestamp(until))
    }

    pub(super) fn issued_at(&self) -> Timestamp {
        Timestamp(self.cold[ISSUED_AT].cast_signed())
    }

    #[inline]
    pub(super) fn key(&self) -> KeyId {
        KeyId((self.flags() >> KEY_SHIFT) as u8)
    }

    /// Why the former token with this prefix ended, if it is one of those remembered.
    pub(super) fn former(&self, prefix: u64) -> Option<EndReason> {
        let at = (0..FORMERS).find(|at| self.cold[FIRST_FORMER + at] == prefix)?;
        Some(reason_of(
            self.flags() >> (FORMER_REASON_SHIFT + 2 * at as u32),
        ))
    }

    #[inline]
    pub(super) fn generation(&self) -> u32 {
        self.hot[GENERATION_WORKSPACE] as u32
    }

    #[inline]
    pub(super) fn workspace(&self) -> u32 {
        (self.hot[GENERATION_WORKSPACE] >> 32) as u32
    }

    #[inline]
    pub(super) fn restrictions(&self) -> u32 {
        self.hot[RESTRICTIONS] as u32
    }

    pub(super) fn set_restrictions(&mut self, restrictions: u32) {
        self.hot[RESTRICTIONS] = u64::from(restrictions);
    }

    /// The hot words less the time of last use, which is each replica's own.
    pub(super) fn without_use(&self) -> [u64; HOT_WORDS] {
        let mut hot = self.hot;
        hot[FLAGS_USED] &= 0xFFFF_FFFF;
        hot
    }

    /// The words less what differs between replicas that agree: where restrictions are kept, whether
    /// an index was needed, when the client was last seen.
    pub(super) fn comparable(mut self) -> Self {
        self.set_restrictions(0);
        self.hot[FLAGS_USED] &= u64::from(!DIRECT);
        self
    }
}

/// In a label's cell, instead of a length: the label is a long one, at the place behind.
const LONG: u8 = 0xFF;

/// A label's cell: the length and the label itself, or the place of a long one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LabelCell(pub(super) [u64; LABEL_WORDS]);

impl LabelCell {
    const BYTES: usize = LABEL_WORDS * size_of::<u64>();

    /// The cell of a label short enough to be kept in it.
    pub(super) fn short(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::BYTES];
        bytes[1..]
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        bytes[0] = u8::try_from(text.len()).ok()?;
        Some(Self::from_bytes(bytes))
    }

    /// The cell of a long label kept at `place`.
    pub(super) fn long(place: u32) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = LONG;
        bytes[4..8].copy_from_slice(&place.to_le_bytes());
        Self::from_bytes(bytes)
    }

    /// The label, asking `long` for one that is not in the cell.
    #[inline]
    pub(super) fn text(&self, long: impl FnOnce(u32) -> Box<str>) -> LabelText {
        let mut bytes = [0; Self::BYTES];
        for (part, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *part = word.to_le_bytes();
        }
        if bytes[0] == LONG {
            let [_, _, _, _, a, b, c, d, ..] = bytes;
            return LabelText::Long(long(u32::from_le_bytes([a, b, c, d])));
        }
        LabelText::Short(bytes)
    }

    fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let mut words = [0; LABEL_WORDS];
        for (word, part) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*part);
        }
        Self(words)
    }
}
