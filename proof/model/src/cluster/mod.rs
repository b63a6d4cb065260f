//! Several nodes on one replicated database, in a small world: a primary and a standby server, a node that commits and
//! answers, one or two nodes that hold leases, perhaps a replica attached to one of them, and one check.
//!
//! The first promise: the state that a vouching check read contains every change that was answered before the check was
//! sent, whether it was answered by who made it or by a decision that wrote nothing and rested on it. Whether the check
//! accepts or denies makes no difference: a slot that lacks a revocation accepts, one that lacks a token's generation
//! denies. The others are in `promises`.

mod actions;
mod broken;
mod promises;
mod scope;
mod world;

pub use broken::Broken;
pub use scope::Scope;
