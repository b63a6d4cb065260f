//! The machine's clocks, for the server: those of the crate that checks inside other services, so that
//! a node and its replicas count time alike. Everything else is handed the time.

pub use tokenward_tower::SystemClock;
