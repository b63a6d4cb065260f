//! Black-box proofs over a running Tokenward: each part drives the real binary over HTTP, with
//! faults, and judges what came back against what was promised.
//!
//! Nothing here may depend on the server's crates or trust what the server says about itself.

pub mod cluster;
pub mod coherence;
pub mod crash;
pub mod driver;
pub mod failover;
pub mod history;
pub mod secrets;
