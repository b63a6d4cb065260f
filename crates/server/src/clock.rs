//! The machine's clocks, for the server: those that attached replicas use, too, so that a node and its replicas count
//! time alike. Everything else gets the time as an argument.

pub use tokenward_system::SystemClock;
