//! The audit log as people and programs read it.

pub(crate) mod detail;
