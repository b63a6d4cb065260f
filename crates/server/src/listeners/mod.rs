//! The two listeners: connections with their limits, and which request goes to which interface.

mod connection;
pub mod internal;
pub mod public;
