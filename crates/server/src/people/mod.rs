//! What proves a person: passwords, one-time codes, recovery codes, and the secrets that links and cookies carry.
//! This room compares and makes; what is kept, and what follows from it, is `verbs::sign_in` and `verbs::members`.

pub mod codes;
pub mod familiar;
pub mod opaque_token;
pub mod passkeys;
pub mod password;
