//! Who acts, and whether they may: rights, what people prove themselves with, and limits on guessing.

pub mod acting;
pub(crate) mod attempts;
pub mod authority;
pub mod codes;
pub mod familiar;
pub mod opaque_token;
pub mod passkeys;
pub mod password;
pub(crate) mod refusals;
pub mod refused;
pub mod throttle;
