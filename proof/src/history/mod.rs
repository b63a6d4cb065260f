//! Histories: what one observer saw of a running server, and whether any honest server could have
//! shown it.
//!
//! An [`Event`] is one call: when it was sent, when it was answered, and with what, all on one
//! monotonic clock in the observing process. The checker ([`check`]) never looks into the server
//! and trusts none of its numbers but the generation in a generate's answer, which is the name the
//! client is told.

mod checker;
mod client;
mod event;
mod intervals;
mod violation;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use checker::{Report, check};
pub use event::{Clock, Event, Nanos, Operation, Outcome, Product, ProductSet, TokenId};
pub use violation::{Violation, ViolationKind};
