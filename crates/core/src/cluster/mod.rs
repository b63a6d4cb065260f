//! Several nodes on one database: how a node keeps the right to vouch for tokens ([`Holder`]), and when a node may
//! answer a change ([`AckBarrier`]). Two state machines, `step(event, now) -> effects`, like [`crate::sublease`].
//!
//! Nothing here sends, waits or reads a clock: the same structs run in the server and in the model checker
//! (`proof/model`). Times are durations on one machine's boot clock; the clocks of two machines are never compared.
//!
//! # Why it is safe
//!
//! An accepting check read, in this order, a lease, a slot and the clock, and the clock was before the lease's end. The
//! lease came from a renewal attempt: its time `t0` was taken before its row was written, the write was acknowledged
//! as durable, the change log was read after that on the same session, and everything read was applied before the lease
//! was published. The lease ends at `t0 + term`.
//!
//! Suppose a change was answered before the check was sent and the slot lacked it. Then the read of the renewal did
//! not show the change, so the change became visible after the renewal's row. The node that answered asked for the
//! rows after its own commit was acknowledged, on a server that has the change, so it saw the holder's row with that
//! attempt or a later one. It answered because the row acknowledged the change (then the slot has it), or because
//! [`Terms::wait`] had passed since the commit, or since that attempt was first seen. Both moments are after `t0`, and
//! `wait` is longer than `term` by the error of two clocks and the longest pause: the lease was over.
//!
//! # Nesting
//!
//! A node acknowledges what its own attached replicas have applied ([`crate::sublease::Grantor::answered`]), not what
//! it has applied itself, and grants sub-leases shorter than its own lease by one pause. That is all that is needed
//! for a change answered on one node to be known to a replica attached to another.

mod barrier;
mod holder;

pub use crate::sublease::Terms;
pub use barrier::{AckBarrier, BarrierEffect, BarrierEvent, Row};
pub use holder::{Ended, Holder, HolderEffect, HolderEvent};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Renewals in one term, so that a lost renewal leaves no gap.
const RENEWALS_IN_A_TERM: u64 = 5;

/// The terms of a node unless it is configured otherwise: a lease of 10 s, a pause of at most 2 s, hence a wait of
/// 12.12 s.
pub const STANDARD: Terms = Terms::new(10 * SECOND, 2 * SECOND);

/// Nanoseconds from one renewal to the next.
#[must_use]
pub const fn renew_every(terms: &Terms) -> u64 {
    terms.term / RENEWALS_IN_A_TERM
}

/// One membership of one process, made from random bits and never used twice: a process that was removed joins again
/// under a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Incarnation(pub u128);

/// A point in the shared history of changes. Two equal positions have the same changes before them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Position {
    /// The number of the last change.
    pub number: u64,
    /// The tag written beside that change: 64 bits of the audit chain's hash after it.
    pub tag: u64,
}

#[cfg(test)]
mod tests;
