//! Sealing what the server itself must read again, such as the secret of an authenticator app or of a webhook,
//! under its digest keys: who has the database alone can't open it. Tokens and client secrets are never kept so.

use crate::digest::{KeyId, Keyring};
use crate::seal::NONCE_BYTES;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// Domain of the key derivation; changing it makes everything sealed unreadable.
const CONTEXT: &str = "tokenward 2026-11 seal of what the server reads again";

impl Keyring {
    /// Seals `plain` under the key that makes new digests: its id, the nonce, then ciphertext and tag, 41 bytes more than the
    /// plain ones. `context` names what is sealed and whose; it opens under the same context only.
    ///
    /// # Panics
    /// In a ring that only checks tokens, which no server has, and above 256 GiB of `plain`.
    #[must_use]
    pub fn seal_at_rest(&self, context: &str, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let id = self.current();
        let payload = Payload {
            msg: plain,
            aad: context.as_bytes(),
        };
        let sealed = self
            .at_rest(id)
            .expect("only a server's ring seals, and it holds whole keys")
            .encrypt(&XNonce::from(nonce), payload)
            .expect("what is sealed is far below the cipher's limit of 256 GiB");
        let mut out = vec![id.0];
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Opens what [`Keyring::seal_at_rest`] sealed under any key still in the ring.
    #[must_use]
    pub fn open_at_rest(&self, context: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (id, sealed) = sealed.split_first()?;
        let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: body,
            aad: context.as_bytes(),
        };
        let cipher = self.at_rest(KeyId(*id))?;
        let plain = cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        Some(Zeroizing::new(plain))
    }

    fn at_rest(&self, id: KeyId) -> Option<XChaCha20Poly1305> {
        let key = Zeroizing::new(blake3::derive_key(CONTEXT, self.root(id)?));
        Some(XChaCha20Poly1305::new(&Key::from(*key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestKey;

    fn ring(keys: &[(u8, u8)]) -> Keyring {
        let key = |(id, byte): &(u8, u8)| DigestKey::new(KeyId(*id), [*byte; 32]);
        Keyring::new(keys.iter().map(key).collect()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_under_its_context_and_key_only() {
        let old = ring(&[(1, 7)]);
        let sealed = old.seal_at_rest("totp of Asha", b"secret", [9; NONCE_BYTES]);
        assert_eq!(sealed.len(), 6 + 41);
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        let open = |ring: &Keyring, context: &str, sealed: &[u8]| {
            ring.open_at_rest(context, sealed)
                .map(|plain| plain.to_vec())
        };
        assert_eq!(
            open(&old, "totp of Asha", &sealed),
            Some(b"secret".to_vec())
        );
        assert_eq!(open(&old, "totp of Ravi", &sealed), None);
        // A rotation keeps what was sealed before readable, as long as the old key stays.
        let rotated = ring(&[(1, 7), (2, 8)]);
        assert_eq!(
            open(&rotated, "totp of Asha", &sealed),
            Some(b"secret".to_vec())
        );
        assert_eq!(open(&ring(&[(2, 8)]), "totp of Asha", &sealed), None);
        assert_eq!(open(&ring(&[(1, 8)]), "totp of Asha", &sealed), None);
        for at in 0..sealed.len() {
            let mut spoilt = sealed.clone();
            spoilt[at] ^= 1;
            assert_eq!(open(&rotated, "totp of Asha", &spoilt), None, "byte {at}");
            assert_eq!(open(&rotated, "totp of Asha", &sealed[..at]), None);
        }
    }
}
