//! What is counted: metrics, checks and issuances of each client, and when clients, secrets and admin keys were last used.

pub(crate) mod admin_uses;
pub mod counts;
pub(crate) mod denials;
pub mod metrics;
pub mod reveals;
pub mod usage;
