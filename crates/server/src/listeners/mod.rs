//! The two listeners: connections with their limits, and which request goes to which interface.

mod connection;
mod http2;
pub mod internal;
pub mod public;
mod spans;
