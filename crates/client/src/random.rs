//! Jitter, and names of lease holders. Nothing here makes a secret, so zeros will do on a machine without randomness.

use tokenward_system::random_bytes;

/// Evenly from 0 up to, not including, 1.
pub(crate) fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(random_bytes().unwrap_or_default())) / (f64::from(u32::MAX) + 1.0)
}

/// A name that nobody else has: 32 hex characters.
#[cfg(feature = "aws")]
pub(crate) fn name() -> String {
    format!(
        "{:032x}",
        u128::from_le_bytes(random_bytes().unwrap_or_default())
    )
}
