//! What can be done, each verb once: the wire dialects in `http` are adapters onto these. Nothing here
//! knows a status code.

pub mod issuance;
