//! The audit log as people and programs read it.

pub mod csv;
pub(crate) mod detail;
pub(crate) mod text;
