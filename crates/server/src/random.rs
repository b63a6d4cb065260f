//! Random bytes for secrets, tokens and ids. A machine without randomness must not issue anything, so its failure ends
//! the process.

use tokenward_core::credential::RANDOM_BYTES;
use tokenward_core::generate::Fresh;
use uuid::Uuid;

/// `N` random bytes.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    // Anything else would be a guessable secret.
    tokenward_system::random_bytes().unwrap_or_else(|| std::process::abort())
}

/// A random UUID (version 4).
#[must_use]
pub fn uuid() -> Uuid {
    uuid::Builder::from_random_bytes(bytes()).into_uuid()
}

/// What one decision about a token needs.
#[must_use]
pub fn fresh() -> Fresh {
    Fresh {
        token: bytes::<RANDOM_BYTES>(),
        nonce: bytes(),
    }
}
