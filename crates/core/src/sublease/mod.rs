//! The sub-lease: how a replica attached to a node, one level below it, may vouch for tokens, and why a
//! change is answered only when no attached replica can still miss it. Two state machines, the node's
//! [`Grantor`] and the replica's [`SubHolder`], both `step(event, now) -> effects`.
//!
//! Nothing here sends, waits or reads a clock: the same structs run in the server, in the layer and in
//! the model checker (`proof`). Durations only; the two clocks are never compared.
//!
//! Why it is safe. An accepting check read, in this order, a lease, a slot and the clock, and the clock
//! was before the lease's end. The lease came from a renewal the replica had sent at `t0` on its own
//! clock and ends at `t0 + term`. When the node granted it, it noted a moment `wait` later on *its* clock,
//! before which it answers no later change unless the replica has said that it applied it; `wait` is longer
//! than `term` by the two clocks' error and the longest pause, and the grant came after `t0`. Changes
//! from before the grant are named in it, and the lease counts only once they are applied. So a change that
//! the slot lacked was answered after the lease had ended, or after the check was sent.

mod grantor;
mod holder;

pub use grantor::{AttachmentId, Grantor, GrantorEffect, GrantorEvent};
pub use holder::{Abandoned, HolderEffect, HolderEvent, SubHolder};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// How many renewals a sub-holder sends in one term, so that a lost one is no gap.
const RENEWALS_IN_A_TERM: u64 = 4;

/// The durations both sides live by, in nanoseconds on the boot clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Terms {
    /// How long one renewal lets a sub-holder vouch, from its own sending of it.
    pub term: u64,
    /// How long a machine's boot clock may stand still unnoticed, such as in a paused virtual machine.
    pub pause: u64,
    /// How long after a grant the node must expect the sub-holder to vouch by it.
    pub wait: u64,
}

impl Terms {
    /// Terms for a pause margin, and clocks wrong by at most 0.5 % each.
    #[must_use]
    pub const fn new(term: u64, pause: u64) -> Self {
        let both = term + pause;
        Self {
            term,
            pause,
            // 1 % is twice the error of one clock, rounded up.
            wait: both + both.div_ceil(100),
        }
    }

    /// What every node and layer uses: a replica cut off from its node vouches for at most four
    /// seconds more, and a replica that vanished without a word holds a change up by at most 6.06.
    pub const STANDARD: Self = Self::new(4 * SECOND, 2 * SECOND);

    /// How long after a renewal a sub-holder sends the next.
    #[must_use]
    pub const fn renew_every(&self) -> u64 {
        self.term / RENEWALS_IN_A_TERM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_always_waits_longer_than_the_replica_vouches() {
        for (term, pause) in [(1, 0), (2, 1), (4 * SECOND, 2 * SECOND), (SECOND, 0)] {
            let terms = Terms::new(term, pause);
            assert!(terms.wait > term + pause, "{terms:?}");
        }
        assert_eq!(Terms::STANDARD.wait, 6_060_000_000);
        assert_eq!(Terms::STANDARD.renew_every(), SECOND);
    }
}
