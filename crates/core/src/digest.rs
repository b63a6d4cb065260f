//! Keyed digests: what is kept instead of a credential. BLAKE3 in keyed mode over one block, under a
//! key that lives outside the database (`docs/decisions/0003-keyed-blake3.md`).

use crate::client_id_codec::{ClientIdCodec, ID_RANDOM_BYTES};
use crate::credential::{AccessToken, AdminKey, ClientSecret};
use crate::hex;
use crate::ids::{ClientId, ClientNo};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The id of a digest key, stored beside every digest made with it. 0 is never used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub u8);

/// Domain of the derivation of the key for access tokens.
const TOKENS: &str = "tokenward 2026-11 key of digests of access tokens";

/// Domain of the derivation of a key's fingerprint.
const FINGERPRINT: &str = "tokenward 2026-11 fingerprint of a digest key";
/// Domain of the derivation of a credential's fingerprint.
const CREDENTIAL: &str = "tokenward 2026-11 fingerprint of a credential";
/// Bytes of a credential's fingerprint: enough to tell a few credentials apart by eye, too few to say anything of one.
const CREDENTIAL_BYTES: usize = 4;

/// Returns what people recognise a credential by, in lowercase hex: a one-way function of what is stored of it. It gives
/// away nothing of the credential, and nothing of the digest.
#[must_use]
pub fn credential_fingerprint(stored: &[u8]) -> String {
    let derived = blake3::derive_key(CREDENTIAL, stored);
    hex::encode(&derived[..CREDENTIAL_BYTES]).to_string()
}

/// Bytes of a fingerprint: two keys with the same one are not to be found.
pub const FINGERPRINT_BYTES: usize = 16;

/// Recognises a digest key without revealing it: a one-way function of the key, kept in the store so that another key
/// with the same id is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint(pub [u8; FINGERPRINT_BYTES]);

impl fmt::Display for Fingerprint {
    /// The first half as lowercase hex: enough to compare by eye.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..FINGERPRINT_BYTES / 2]))
    }
}

/// A digest key of 256 bits. Neither printable nor cloneable; wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DigestKey {
    #[zeroize(skip)]
    id: KeyId,
    /// For secrets and admin keys; none where only tokens are checked.
    root: Option<[u8; 32]>,
    /// For access tokens: derived, so that whoever only checks tokens need not hold the root
    /// (`docs/decisions/0041-replica-keys.md`).
    tokens: [u8; 32],
}

impl DigestKey {
    /// A key with its id.
    #[must_use]
    pub fn new(id: KeyId, mut key: [u8; 32]) -> Self {
        let made = Self {
            id,
            tokens: blake3::derive_key(TOKENS, &key),
            root: Some(key),
        };
        key.zeroize();
        made
    }

    /// What is left of a key where only tokens are checked.
    pub(crate) fn for_tokens(id: KeyId, tokens: [u8; 32]) -> Self {
        Self {
            id,
            root: None,
            tokens,
        }
    }

    /// The part that digests tokens.
    pub(crate) fn tokens(&self) -> &[u8; 32] {
        &self.tokens
    }

    /// The id stored beside digests.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestKey({}, redacted)", self.id.0)
    }
}

/// What a credential was hashed as, so that one kind's digest never equals another's.
#[derive(Clone, Copy)]
enum Kind {
    Token = 1,
    Secret = 2,
    Admin = 3,
}

/// The digest of a credential, 32 bytes. Not a secret, yet never shown: `Debug` gives its first bytes.
#[derive(Clone, Copy)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Compares without telling by its time where the two differ.
    #[must_use]
    #[inline]
    pub fn matches(&self, other: &Self) -> bool {
        let words = |bytes: &[u8; 32]| {
            let (chunks, _) = bytes.as_chunks::<8>();
            [0, 1, 2, 3].map(|i: usize| u64::from_le_bytes(chunks[i]))
        };
        let (a, b) = (words(&self.0), words(&other.0));
        // A fold without a branch: no early exit for the compiler to keep.
        ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])) == 0
    }

    /// The first eight bytes: enough to recognise a former token for a kinder refusal, never to
    /// permit anything. 0 means none.
    #[must_use]
    #[inline]
    pub fn prefix(&self) -> u64 {
        let mut head = [0; 8];
        head.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(head).max(1)
    }

    /// Returns what people recognise the credential by ([`credential_fingerprint`]).
    #[must_use]
    pub fn fingerprint(&self) -> String {
        credential_fingerprint(&self.0)
    }

    /// Lowercase hex, for the change log.
    #[must_use]
    pub fn to_hex(&self) -> String {
        ::hex::encode(self.0)
    }

    fn hex_digits(&self) -> [u8; 64] {
        let mut out = [0; 64];
        ::hex::encode_to_slice(self.0, &mut out).expect("two digits for each byte");
        out
    }

    /// Reads [`Digest::to_hex`] back.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::read(text).map(|bytes| Self(*bytes))
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other)
    }
}
impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.hex_digits()).expect("hex is ASCII"))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::from_hex(&text)
            .ok_or_else(|| serde::de::Error::custom("a digest is 64 hex characters"))
    }
}

/// All keys a node can verify with. The last one added makes new digests, unless the nodes of a database have chosen another
/// one ([`Keyring::choose`]).
pub struct Keyring {
    keys: Vec<DigestKey>,
    numbering: ClientIdCodec,
    /// The place of the key that makes new digests.
    current: AtomicUsize,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}

/// The most keys a ring may hold: a former token is tried under each.
pub const KEYS_MAX: usize = 8;

impl Keyring {
    /// A ring of at least one and at most [`KEYS_MAX`] keys with different ids above 0.
    pub fn new(keys: Vec<DigestKey>) -> Result<Self, &'static str> {
        Self::judge(&keys)?;
        let oldest = keys[0].root.as_ref();
        let numbering = ClientIdCodec::derive(oldest.ok_or("the oldest digest key is not whole")?);
        Ok(Self::with(keys, numbering))
    }

    fn with(keys: Vec<DigestKey>, numbering: ClientIdCodec) -> Self {
        let current = AtomicUsize::new(keys.len().saturating_sub(1));
        Self {
            keys,
            numbering,
            current,
        }
    }

    /// A ring that checks tokens and does nothing else; the keys have been judged.
    pub(crate) fn for_tokens(keys: Vec<DigestKey>, numbering: ClientIdCodec) -> Self {
        Self::with(keys, numbering)
    }

    /// The keys, oldest first.
    pub(crate) fn keys(&self) -> &[DigestKey] {
        &self.keys
    }

    /// The pad over client numbers.
    pub(crate) fn numbering(&self) -> &ClientIdCodec {
        &self.numbering
    }

    /// What every ring must keep to.
    pub(crate) fn judge(keys: &[DigestKey]) -> Result<(), &'static str> {
        if keys.is_empty() {
            return Err("the digest key file holds no key");
        }
        if keys.len() > KEYS_MAX {
            return Err("the digest key file holds more than 8 keys");
        }
        for (at, key) in keys.iter().enumerate() {
            if key.id.0 == 0 || keys[..at].iter().any(|earlier| earlier.id == key.id) {
                return Err("digest key ids must be different and above 0");
            }
        }
        Ok(())
    }

    /// A new id for client `no`, from fresh random bytes. It tells the number to whoever holds the
    /// ring's oldest key; once that key is gone, the client is found by an index instead.
    #[must_use]
    pub fn client_id(&self, no: ClientNo, random: [u8; ID_RANDOM_BYTES]) -> ClientId {
        self.numbering.id(no, random)
    }

    /// The number an id of [`Keyring::client_id`] tells; of any other id, any number.
    #[inline]
    pub(crate) fn client_no(&self, id: ClientId) -> ClientNo {
        self.numbering.no(id)
    }

    /// The id new digests are made under.
    #[must_use]
    pub fn current(&self) -> KeyId {
        self.chosen().id
    }

    fn chosen(&self) -> &DigestKey {
        &self.keys[self.current.load(Ordering::Relaxed)]
    }

    /// The key that was added last: it makes new digests once every node has it.
    #[must_use]
    pub fn newest(&self) -> KeyId {
        self.keys.last().expect("a ring holds at least one key").id
    }

    /// Makes new digests under this key from now on; false when the ring does not hold it.
    pub fn choose(&self, id: KeyId) -> bool {
        let place = self.keys.iter().position(|key| key.id == id);
        if let Some(place) = place {
            self.current.store(place, Ordering::Relaxed);
        }
        place.is_some()
    }

    /// The ids of every key, oldest first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(|key| key.id)
    }

    /// The fingerprint of every whole key, oldest first; none in a ring that only checks tokens.
    pub fn fingerprints(&self) -> impl Iterator<Item = (KeyId, Fingerprint)> + '_ {
        self.keys.iter().filter_map(|key| {
            let derived = blake3::derive_key(FINGERPRINT, key.root.as_ref()?);
            let mut out = [0; FINGERPRINT_BYTES];
            out.copy_from_slice(&derived[..FINGERPRINT_BYTES]);
            Some((key.id, Fingerprint(out)))
        })
    }

    /// Whether `id` is one that this ring gives client `no`. True for every client made while the ring's oldest key was
    /// the oldest; for any other key once in four thousand million.
    #[must_use]
    pub fn numbers(&self, id: ClientId, no: ClientNo) -> bool {
        self.client_no(id) == no
    }

    #[inline]
    fn key(&self, id: KeyId) -> Option<&DigestKey> {
        self.keys.iter().rev().find(|key| key.id == id)
    }

    /// The whole of key `id`; none in a ring that only checks tokens.
    pub(crate) fn root(&self, id: KeyId) -> Option<&[u8; 32]> {
        self.key(id)?.root.as_ref()
    }

    /// The digest of an access token under key `id`; none when the ring lacks that key.
    #[must_use]
    #[inline]
    pub fn token(&self, id: KeyId, token: &AccessToken) -> Option<Digest> {
        self.key(id).map(|key| token_digest(key, token))
    }

    /// The digest of a new access token, and the id of the key that made it.
    #[must_use]
    pub fn new_token(&self, token: &AccessToken) -> (KeyId, Digest) {
        let key = self.chosen();
        (key.id, token_digest(key, token))
    }

    /// The digest of a client secret under key `id`; none in a ring that only checks tokens.
    #[must_use]
    pub fn secret(&self, id: KeyId, secret: &ClientSecret) -> Option<Digest> {
        let key = self.key(id)?.root.as_ref()?;
        Some(digest(
            key,
            Kind::Secret,
            secret.environment().number(),
            secret.client().0,
            secret.random(),
        ))
    }

    /// The digest of an admin key under key `id`; none in a ring that only checks tokens.
    #[must_use]
    pub fn admin(&self, id: KeyId, admin: &AdminKey) -> Option<Digest> {
        let key = self.key(id)?.root.as_ref()?;
        Some(digest(key, Kind::Admin, 0, admin.id(), admin.random()))
    }
}

/// One block of 46 bytes: kind, environment, id, random.
#[inline]
fn token_digest(key: &DigestKey, token: &AccessToken) -> Digest {
    digest(
        &key.tokens,
        Kind::Token,
        token.environment().number(),
        token.client().0,
        token.random(),
    )
}

fn digest(key: &[u8; 32], kind: Kind, environment: u8, id: Uuid, random: &[u8; 28]) -> Digest {
    // Words, so that wiping takes few steps.
    let mut words = [0_u64; 6];
    let block = &mut bytemuck::bytes_of_mut(&mut words)[..46];
    block[0] = kind as u8;
    block[1] = environment;
    block[2..18].copy_from_slice(id.as_bytes());
    block[18..].copy_from_slice(random);
    let out = Digest(*blake3::keyed_hash(key, block).as_bytes());
    words.zeroize();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Environment;

    fn ring() -> Keyring {
        Keyring::new(vec![
            DigestKey::new(KeyId(1), [1; 32]),
            DigestKey::new(KeyId(2), [2; 32]),
        ])
        .unwrap()
    }

    #[test]
    fn digests_differ_by_key_kind_environment_client_and_random() {
        let ring = ring();
        let client = ClientId(Uuid::from_u128(5));
        let token = |e, c, r| AccessToken::from_random(e, c, [r; 28]);
        let base = ring
            .token(KeyId(1), &token(Environment::Sandbox, client, 0))
            .unwrap();
        let others = [
            ring.token(KeyId(2), &token(Environment::Sandbox, client, 0))
                .unwrap(),
            ring.token(KeyId(1), &token(Environment::Production, client, 0))
                .unwrap(),
            ring.token(
                KeyId(1),
                &token(Environment::Sandbox, ClientId(Uuid::from_u128(6)), 0),
            )
            .unwrap(),
            ring.token(KeyId(1), &token(Environment::Sandbox, client, 1))
                .unwrap(),
            ring.secret(
                KeyId(1),
                &ClientSecret::from_random(Environment::Sandbox, client, [0; 28]),
            )
            .unwrap(),
            ring.admin(KeyId(1), &AdminKey::from_random(client.0, [0; 28]))
                .unwrap(),
        ];
        for other in others {
            assert!(!base.matches(&other));
        }
        assert!(
            ring.token(KeyId(3), &token(Environment::Sandbox, client, 0))
                .is_none()
        );
        assert_eq!(Digest::from_hex(&base.to_hex()), Some(base));
    }

    #[test]
    fn fingerprints_differ_by_key_not_by_id() {
        let of = |id: u8, byte: u8| {
            let ring = Keyring::new(vec![DigestKey::new(KeyId(id), [byte; 32])]).unwrap();
            ring.fingerprints().next().unwrap().1
        };
        assert_eq!(of(1, 7), of(2, 7));
        assert_ne!(of(1, 7), of(1, 8));
        assert_eq!(of(1, 7).to_string().len(), 16);
        let ring = ring();
        let id = ring.client_id(ClientNo(5), [3; ID_RANDOM_BYTES]);
        assert!(ring.numbers(id, ClientNo(5)) && !ring.numbers(id, ClientNo(6)));
    }

    #[test]
    fn every_byte_counts_in_a_comparison() {
        let base = Digest([0; 32]);
        for at in 0..32 {
            let mut other = base;
            other.0[at] = 1;
            assert!(!base.matches(&other));
        }
    }

    #[test]
    fn a_ring_refuses_what_it_could_not_tell_apart() {
        let key = |id| DigestKey::new(KeyId(id), [id; 32]);
        assert!(Keyring::new(vec![]).is_err());
        assert!(Keyring::new(vec![key(0)]).is_err());
        assert!(Keyring::new(vec![key(1), key(1)]).is_err());
        assert!(Keyring::new((1..=9).map(key).collect()).is_err());
        assert_eq!(ring().current(), KeyId(2));
    }
}
