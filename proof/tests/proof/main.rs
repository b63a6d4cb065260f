//! The proofs in short: each runs the real binary for seconds where `make crash` and the binaries of
//! this crate run for minutes.

mod coherence;
mod crash;
mod failover;
mod secrets;
