//! The one home of randomness: the operating system's generator. A machine that has none must not
//! issue anything, so its failure ends the process.

use tokenward_core::credential::RANDOM_BYTES;
use tokenward_core::generate::Fresh;
use uuid::Uuid;

/// `N` random bytes.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one home of randomness"
    )]
    if getrandom::fill(&mut out).is_err() {
        // Anything else would be a guessable secret.
        std::process::abort();
    }
    out
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
