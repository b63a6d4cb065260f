//! The sub-lease protocol in a small world: one node, one or two attached replicas, one check.
//!
//! The promise: the state an accepting check read contains every change answered before the check was
//! sent. One check is enough: it changes nothing, and it may begin at any moment of any behaviour.

mod actions;
mod broken;
mod moves;
mod promises;
mod scope;
mod world;

pub use broken::Broken;
pub use scope::Scope;
