//! The one home of randomness: jitter and names of lease holders. Nothing here makes a secret.

/// `N` random bytes; zeros on a machine that has none, where only jitter suffers.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the client's one home of randomness"
    )]
    let _ = getrandom::fill(&mut out);
    out
}

/// Evenly from 0 up to, not including, 1.
pub(crate) fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(bytes())) / (f64::from(u32::MAX) + 1.0)
}

/// A name that nobody else has: 32 hex characters.
#[cfg(feature = "aws")]
pub(crate) fn name() -> String {
    format!("{:032x}", u128::from_le_bytes(bytes()))
}
