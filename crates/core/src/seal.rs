//! Sealing a live token under its client's own secret, for clients whose policy is `return`. The key
//! is derived from the presented secret, which the server keeps only as a digest: the database and
//! the server's keys together cannot open a seal.

use crate::credential::{AccessToken, ClientSecret, RANDOM_BYTES};
use crate::ids::ClientId;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// Bytes of random nonce a seal needs.
pub const NONCE_BYTES: usize = 24;
/// Domain of the key derivation; changing it makes every seal unreadable.
const CONTEXT: &str = "tokenward 2026-11 seal of a live access token under its client secret";

/// Bytes of the secret's number, which stands before the nonce.
const NUMBER_BYTES: usize = 4;

/// Seals the token of `generation` under the client's secret number `n`: that number, the nonce, then
/// ciphertext and tag, 72 bytes.
#[must_use]
pub fn seal(
    token: &AccessToken,
    generation: u32,
    secret: &ClientSecret,
    n: u32,
    nonce: [u8; NONCE_BYTES],
) -> Vec<u8> {
    let aad = associated(token.client(), generation);
    let payload = Payload {
        msg: token.random(),
        aad: &aad,
    };
    let sealed = cipher(secret)
        .encrypt(&XNonce::from(nonce), payload)
        .expect("a message of 32 bytes is never too long to encrypt");
    let mut out = n.to_be_bytes().to_vec();
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    out
}

/// Opens a seal made for `generation` under the same secret; none for any other.
#[must_use]
pub fn open(sealed: &[u8], generation: u32, secret: &ClientSecret) -> Option<AccessToken> {
    let (_, sealed) = sealed.split_first_chunk::<NUMBER_BYTES>()?;
    let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let aad = associated(secret.client(), generation);
    let payload = Payload {
        msg: body,
        aad: &aad,
    };
    let plain = Zeroizing::new(
        cipher(secret)
            .decrypt(&XNonce::from(*nonce), payload)
            .ok()?,
    );
    let random: [u8; RANDOM_BYTES] = plain.as_slice().try_into().ok()?;
    Some(AccessToken::from_random(
        secret.environment(),
        secret.client(),
        random,
    ))
}

/// The number of the secret a seal was made under.
#[must_use]
pub fn sealed_by(sealed: &[u8]) -> Option<u32> {
    let (number, _) = sealed.split_first_chunk::<NUMBER_BYTES>()?;
    Some(u32::from_be_bytes(*number))
}

fn cipher(secret: &ClientSecret) -> XChaCha20Poly1305 {
    let key = Zeroizing::new(blake3::derive_key(CONTEXT, secret.random()));
    XChaCha20Poly1305::new(&Key::from(*key))
}

fn associated(client: ClientId, generation: u32) -> [u8; 20] {
    let mut out = [0; 20];
    out[..16].copy_from_slice(client.0.as_bytes());
    out[16..].copy_from_slice(&generation.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Environment;
    use uuid::Uuid;

    #[test]
    fn only_the_same_secret_client_and_generation_open_a_seal() {
        let client = ClientId(Uuid::from_u128(1));
        let secret = |c, r| ClientSecret::from_random(Environment::Production, c, [r; 28]);
        let token = AccessToken::from_random(Environment::Production, client, [3; 28]);
        let sealed = seal(&token, 4, &secret(client, 1), 9, [5; 24]);
        assert_eq!(sealed.len(), 72);
        assert_eq!(sealed_by(&sealed), Some(9));
        assert_eq!(
            *open(&sealed, 4, &secret(client, 1)).unwrap().expose(),
            *token.expose()
        );
        assert!(open(&sealed, 5, &secret(client, 1)).is_none());
        assert!(open(&sealed, 4, &secret(client, 2)).is_none());
        assert!(open(&sealed, 4, &secret(ClientId(Uuid::from_u128(2)), 1)).is_none());
        assert!(open(&sealed[..60], 4, &secret(client, 1)).is_none());
        assert!(open(&[], 4, &secret(client, 1)).is_none());
        let mut flipped = sealed;
        flipped[34] ^= 1;
        assert!(open(&flipped, 4, &secret(client, 1)).is_none());
    }
}
