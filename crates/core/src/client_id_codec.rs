//! Client ids that know their number: the id holds the client's dense number under a pad, so that a
//! check goes straight to the slot without asking an index (`docs/decisions/0005-ids-know-their-slot.md`).
//!
//! The pad keeps the number from outsiders, who could else count our clients. It proves nothing: a
//! wrong number leads to a slot whose digest does not match.

use crate::ids::{ClientId, ClientNo};
use siphasher::sip::SipHasher13;
use uuid::{Builder, Uuid};

/// Random bytes a new id needs; six of their bits give way to the UUID's version and variant.
pub const ID_RANDOM_BYTES: usize = 12;
/// Bytes of the hidden number, the first of the id.
const NUMBER_BYTES: usize = 4;
/// Domain of the derivation of the pad's key.
const CONTEXT: &str = "tokenward 2026-11 pad over client numbers in client ids";

/// The pad's key, and the bytes it was made from, for handing it on.
pub(crate) struct ClientIdCodec(SipHasher13, [u8; PAD_KEY_BYTES]);

/// Bytes of the pad's key.
pub(crate) const PAD_KEY_BYTES: usize = 16;

impl ClientIdCodec {
    /// Derived from a digest key: it needs no keeping of its own.
    pub(crate) fn derive(key: &[u8; 32]) -> Self {
        let derived = blake3::derive_key(CONTEXT, key);
        let mut half = [0; PAD_KEY_BYTES];
        half.copy_from_slice(&derived[..PAD_KEY_BYTES]);
        Self::from_key(half)
    }

    /// The pad of a key handed on.
    pub(crate) fn from_key(key: [u8; PAD_KEY_BYTES]) -> Self {
        Self(SipHasher13::new_with_key(&key), key)
    }

    /// The key, for handing it on.
    pub(crate) fn key(&self) -> &[u8; PAD_KEY_BYTES] {
        &self.1
    }

    /// The id of client `no`: a UUID of version 8, 90 of its bits random.
    pub(crate) fn id(&self, no: ClientNo, random: [u8; ID_RANDOM_BYTES]) -> ClientId {
        let mut bytes = [0; 16];
        bytes[NUMBER_BYTES..].copy_from_slice(&random);
        let mut bytes = Builder::from_custom_bytes(bytes).into_uuid().into_bytes();
        let hidden = no.0 ^ self.pad(&bytes);
        bytes[..NUMBER_BYTES].copy_from_slice(&hidden.to_be_bytes());
        ClientId(Uuid::from_bytes(bytes))
    }

    /// The number an id made by [`ClientIdCodec::id`] under the same key holds; of any other id, any number.
    #[inline]
    pub(crate) fn no(&self, id: ClientId) -> ClientNo {
        let bytes = id.0.as_bytes();
        let mut hidden = [0; NUMBER_BYTES];
        hidden.copy_from_slice(&bytes[..NUMBER_BYTES]);
        ClientNo(u32::from_be_bytes(hidden) ^ self.pad(bytes))
    }

    #[inline]
    fn pad(&self, id: &[u8; 16]) -> u32 {
        self.0.hash(&id[NUMBER_BYTES..]) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_tells_its_number_to_its_own_key_only(no: u32, random: [u8; 12], key: [u8; 32]) {
            let numbering = ClientIdCodec::derive(&key);
            let id = numbering.id(ClientNo(no), random);
            prop_assert_eq!(numbering.no(id), ClientNo(no));
            prop_assert_eq!(id.0.get_version_num(), 8);
            let mut other = key;
            other[0] ^= 1;
            // Once in four thousand million another key tells the same by chance.
            prop_assert_ne!(ClientIdCodec::derive(&other).no(id), ClientNo(no));
        }
    }

    #[test]
    fn neighbours_have_nothing_in_common() {
        let numbering = ClientIdCodec::derive(&[1; 32]);
        let ids: Vec<_> = (0..4)
            .map(|no| numbering.id(ClientNo(no), [no as u8; 12]))
            .collect();
        for pair in ids.windows(2) {
            let heads = [pair[0], pair[1]].map(|id| id.0.as_fields().0);
            assert!((heads[0] ^ heads[1]).count_ones() > 4, "{heads:x?}");
        }
    }
}
