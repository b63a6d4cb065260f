//! The keys of attached replicas: what of the digest keys a process needs that checks tokens and does
//! nothing else. An operator carries them to it in a file; they never travel with the changes.

use crate::client_id_codec::{ClientIdCodec, PAD_KEY_BYTES};
use crate::digest::{DigestKey, KeyId, Keyring};
use crate::hex;
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// The first line of the file.
const TITLE: &str =
    "# Tokenward replica keys: with these a process checks tokens. Readable by it alone.";
/// Before the pad over client numbers.
const NUMBERS: &str = "numbers:";
/// Domain of the derivation of the key that seals frames.
const ATTACHMENT: &str = "tokenward 2026-11 attachment of replicas";

/// The keys as a file's text.
pub struct ReplicaKeys(Zeroizing<String>);

/// A file that holds no replica keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadReplicaKeys(&'static str);

impl ReplicaKeys {
    /// The replica keys of a node's ring.
    #[must_use]
    pub fn of(ring: &Keyring) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(1_024));
        let _ = writeln!(
            text,
            "{TITLE}\n{NUMBERS}{}",
            *hex::encode(ring.numbering().key())
        );
        for key in ring.keys() {
            let _ = writeln!(text, "{}:{}", key.id().0, *hex::encode(key.tokens()));
        }
        Self(text)
    }

    /// The file's text. Whoever reads it can digest tokens, and pose as a replica or as its node.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Reads a file's text: a ring that checks tokens and can do nothing with secrets or admin keys.
    pub fn ring(text: &str) -> Result<Keyring, BadReplicaKeys> {
        let mut numbering = None;
        let mut keys = Vec::new();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let bad = BadReplicaKeys(
                "this is no file of replica keys; make one with `tokenward digest-key for-replicas`",
            );
            if let Some(key) = line.strip_prefix(NUMBERS) {
                let key = hex::read::<PAD_KEY_BYTES>(key).ok_or(bad)?;
                numbering = Some(ClientIdCodec::from_key(*key));
            } else {
                let (id, key) = line.split_once(':').ok_or(bad)?;
                let id = id.parse().map_err(|_| bad)?;
                let key = hex::read::<32>(key).ok_or(bad)?;
                keys.push(DigestKey::for_tokens(KeyId(id), *key));
            }
        }
        Keyring::judge(&keys).map_err(BadReplicaKeys)?;
        let numbering = numbering.ok_or(BadReplicaKeys(
            "the file of replica keys has no line of numbers",
        ))?;
        Ok(Keyring::for_tokens(keys, numbering))
    }
}

impl Keyring {
    /// The key that an attachment's frames are sealed under is derived from this one: equal on both
    /// sides if and only if key `id` and the pad over client numbers are. None when the ring lacks the key.
    pub(super) fn attachment(&self, id: KeyId) -> Option<Zeroizing<[u8; 32]>> {
        let key = self.keys().iter().find(|key| key.id() == id)?;
        let mut material = Zeroizing::new([0; 32 + PAD_KEY_BYTES]);
        material[..32].copy_from_slice(key.tokens());
        material[32..].copy_from_slice(self.numbering().key());
        Some(Zeroizing::new(blake3::derive_key(ATTACHMENT, &*material)))
    }
}
