//! Rules broken on purpose. Each must be found by the checker: a model that finds none of its broken variants proves
//! nothing. The machines are the shipped ones; the world around them breaks the rule.

/// A broken rule, or a broken assumption.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broken {
    /// A lease is counted from the acknowledgement of the renewal instead of from before its sending.
    LeaseFromAcknowledgement,
    /// The lease is published before the changes that were read are applied.
    VouchBeforeApply,
    /// A check reads the slot before the lease.
    SlotBeforeLease,
    /// A check uses a clock read before it was sent.
    CachedClock,
    /// A read alone renews the lease.
    RenewalByRead,
    /// The log is read before the renewal is written.
    ReadBeforeWrite,
    /// The log is read on another server than the renewal was written on.
    ReadOnAnotherServer,
    /// A read that does not reach the end of the log grants a lease.
    TruncatedRead,
    /// A renewal whose wait for the standby was cancelled counts.
    NoticeOnRenewalIgnored,
    /// A read between renewals extends the lease.
    HotReadExtends,
    /// A node's own commit extends its lease.
    OwnCommitExtends,
    /// Changes are acknowledged before they are applied.
    AcknowledgedBeforeApplied,
    /// A number is acknowledged on a server that has another history.
    AcknowledgedWithoutMatch,
    /// A change that can't be read is skipped.
    UnreadableSkipped,
    /// A process that starts again uses its former name and counts its attempts from one.
    RestartedUnderTheOldName,
    /// Changes are answered without waiting for anybody.
    NoWait,
    /// The wait is no longer than the term.
    WaitWithoutPause,
    /// A machine stands still for longer than the pause margin (an assumption, not a rule).
    PauseBeyondMargin,
    /// Commits are acknowledged before the standby has them (an assumption, not a rule).
    AsynchronousReplication,
    /// Rows that were read before the commit was acknowledged count.
    RowsFromBeforeTheCommit,
    /// Rows of a server that lacks the change count.
    RowsFromAServerBehind,
    /// The wait is counted from the sending of the commit.
    WaitFromSending,
    /// A row is removed whatever it shows.
    RemovedBlindly,
    /// A decision that writes nothing is answered without the barrier.
    DecisionNotWaitedFor,
    /// A decision that writes nothing ends with ROLLBACK, so it does not wait for the standby.
    ReadOnlyByRollback,
    /// A join does not take the head lock, yet who holds it and sees no rows answers at once.
    JoinWithoutHeadLock,
    /// A renewal counts the row up instead of writing the attempt's own number.
    RenewalsCounted,
    /// What a new session shows is believed before a renewal on it was acknowledged.
    SessionTrustedAtOnce,
    /// A node acknowledges what it has applied instead of what its replicas have.
    AcknowledgesApplied,
    /// A replica's lease may outlast the node's.
    GrantNotBounded,
    /// A replica's lease may last as long as the node's, without a pause less.
    GrantBoundedWithoutPause,
    /// A node signs off while its replica may vouch.
    SignsOffWhileReplicasVouch,
    /// A process that starts again removes its former row although a replica was attached.
    RestartedRemovesItsRow,
}

impl Broken {
    /// Every one.
    pub const ALL: [Self; 33] = [
        Self::LeaseFromAcknowledgement,
        Self::VouchBeforeApply,
        Self::SlotBeforeLease,
        Self::CachedClock,
        Self::RenewalByRead,
        Self::ReadBeforeWrite,
        Self::ReadOnAnotherServer,
        Self::TruncatedRead,
        Self::NoticeOnRenewalIgnored,
        Self::HotReadExtends,
        Self::OwnCommitExtends,
        Self::AcknowledgedBeforeApplied,
        Self::AcknowledgedWithoutMatch,
        Self::UnreadableSkipped,
        Self::RestartedUnderTheOldName,
        Self::NoWait,
        Self::WaitWithoutPause,
        Self::PauseBeyondMargin,
        Self::AsynchronousReplication,
        Self::RowsFromBeforeTheCommit,
        Self::RowsFromAServerBehind,
        Self::WaitFromSending,
        Self::RemovedBlindly,
        Self::DecisionNotWaitedFor,
        Self::ReadOnlyByRollback,
        Self::JoinWithoutHeadLock,
        Self::RenewalsCounted,
        Self::SessionTrustedAtOnce,
        Self::AcknowledgesApplied,
        Self::GrantNotBounded,
        Self::GrantBoundedWithoutPause,
        Self::SignsOffWhileReplicasVouch,
        Self::RestartedRemovesItsRow,
    ];
}
