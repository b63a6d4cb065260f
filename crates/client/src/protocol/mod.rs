//! The one protocol by which any number of threads, processes and machines share one access token and renew it
//! once. Pure: time, chance and messages are arguments, so that a test can play any interleaving.
//!
//! [`Entry`] is what a place holds; [`Policy::judge`] says whether it will do; [`Renewal`] is one holder's way
//! from "it will not do" to a token, as a machine that says what to do next and is told what came of it. The
//! driver ([`crate::TokenSource`]) does those things and nothing else.
//!
//! What must hold, and why each part is there:
//! - Nobody generates without the lease, and nobody keeps the lease without having read again under it: otherwise
//!   the second in the queue kills the token of the first.
//! - What a holder knows of a refused token is that token, never "the current one": a late 401 must not end the
//!   token that another thread has just fetched.
//! - A store never goes back: not to a lower generation, nor over what it has not seen.
//! - A clock that no server has confirmed renews nothing.
//! - Who dies between generating and storing leaves its mark on the lease, and is not mistaken for a stranger.

mod entry;
mod limits;
mod policy;
mod renewal;
#[cfg(test)]
mod simulation_tests;
mod steps;

pub use entry::{Entry, Origin, Unreadable};
pub(crate) use entry::{Notes, parse_iso};
pub use limits::{Tally, backoff};
pub use policy::{Policy, Reason};
pub use renewal::Renewal;
pub use steps::{Action, Event, Leased, Moment, Outcome, Stored, TokenError};

/// What a place is at, as the place itself names it: a number, a digest, an id. Empty where nothing is stored.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Version(pub String);
