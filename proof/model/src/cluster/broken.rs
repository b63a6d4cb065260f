//! Rules broken on purpose. Each must be found by the checker: a model that finds none of its broken variants proves
//! nothing. The machines are the shipped ones; the world around them breaks the rule.
//!
//! # What is not here
//!
//! Rules of the first design that have gone, so that they can't be broken:
//! - *A suspended row is removed at once*: there is no suspension. A node whose replicas do not catch up stops renewing by
//!   itself.
//! - *A waiter ends a session that waits for the standby*: no node ends another's session. The server ends one that is idle
//!   within a transaction, and one that waits for the standby in COMMIT is not idle.
//! - *Rows are taken from a server that was not renewed on*: the barrier takes rows from any server that has the change, and the
//!   scopes with a failover look at either. Attempts that are never used twice made that rule unnecessary. What a new session
//!   shows of the log is another matter: [`Broken::SessionTrustedAtOnce`].
//! - *A read-only answer without the rule for read-only answers*: that rule was replaced by COMMIT,
//!   [`Broken::ReadOnlyByRollback`].
//!
//! Rules that `core::cluster` does not know: a change of a format that not every node reads, a digest key that not every node
//! has, and what concerns administrators alone (readers left on an old primary). They belong to the store and the server.
//!
//! *A late renewal shows its attempt* is no broken rule, although the statement of a renewal keeps to later attempts (`attempt
//! < $1`). Without that the scope with a late renewal holds as well, whole: a statement is carried out once, so an attempt that
//! a look showed cannot come back after another one, and a later attempt that comes to lie beneath it was sent before the look.
//! The condition spares others a wait that a row of the past would make longer.

/// A broken rule, or a broken assumption.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, clap::ValueEnum)]
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
    /// A renewal that was given up is answered late, and the answer is taken for that of the renewal under way.
    LateAnswerCounts,
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
    /// A node that did not renew for long when the rows were last read is taken for lapsed, without a look after the commit.
    LapsedWithoutALook,
    /// The same, and its row is removed, whatever it shows now: by rows seen before the machine stood still.
    RemovedByAnOldRow,
    /// A decision that writes nothing is answered without the barrier.
    DecisionNotWaitedFor,
    /// A commit whose wait for the standby was cancelled is taken for acknowledged.
    NoticeOnCommitIgnored,
    /// What a decision sees is read before it has the head lock.
    ViewBeforeLock,
    /// A change takes its number without the head lock.
    NumberWithoutLock,
    /// A decision that writes nothing ends with ROLLBACK, so it does not wait for the standby.
    ReadOnlyByRollback,
    /// A join does not take the head lock, yet who holds it and sees no rows answers at once.
    JoinWithoutHeadLock,
    /// A renewal counts the row up instead of writing the attempt's own number.
    RenewalsCounted,
    /// What a new session shows is believed before a renewal on it was acknowledged.
    SessionTrustedAtOnce,
    /// A data directory remembers a change as soon as it is applied, before a durable write showed that the standby has it.
    GhostRemembered,
    /// Whether a client may exist is asked before the lease is read.
    MayKnowBeforeLease,
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
