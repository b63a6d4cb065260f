//! Rules broken on purpose. Each must be found by the checker: a model that finds none of its broken
//! variants proves nothing. The machines are the shipped ones; the world around them breaks the rule.

/// A broken rule, or a broken assumption.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, clap::ValueEnum)]
pub enum Broken {
    /// Changes are answered without waiting for anybody.
    NoWait,
    /// The node waits no longer than the replica vouches.
    TermNotBelowWait,
    /// A machine stands still for longer than the pause margin (an assumption, not a rule).
    FreezeBeyondMargin,
    /// A lease is counted from the grant's arrival instead of the renewal's sending.
    LeaseFromReceipt,
    /// A lease is counted from the last renewal sent instead of the one granted.
    LeaseFromLatestSending,
    /// A check reads the slot before the lease.
    SlotBeforeLease,
    /// A check uses a clock read a while before it was sent.
    CachedClock,
    /// The lease is published before the changes it names are applied.
    VouchBeforeApply,
    /// Changes are acknowledged before they are applied.
    AcknowledgeBeforeApply,
    /// The node is told of the lease's end before the lease is ended.
    ReleaseBeforeStop,
    /// A grant counts whatever it names.
    ThroughIgnored,
    /// Changes are applied although some before them are missing.
    GapIgnored,
    /// A change that can't be read is skipped.
    UnreadableSkipped,
    /// A new attachment empties and reloads the replica that checks read.
    ResetInPlace,
    /// A new attachment's lease covers the old replica, too.
    LeaseSharedByReplicas,
    /// The snapshot is older than the changes fed after it.
    SnapshotGap,
    /// A node started again answers although its predecessor's grants may live.
    RestartWithoutQuiet,
    /// A cut stream is taken for the end of the lease.
    CutForgets,
    /// An expelled replica is forgotten at once.
    ExpelledForgotten,
}
