//! What the server and callers of its admin API share. It must hold no type of the server, and do no I/O.

pub mod audit_csv;
pub mod audit_text;

/// The name of the admin key that the first start makes.
pub const FIRST_KEY: &str = "First operator";
