//! Why an administrator's verb did nothing, for all of them.

use tokenward_store::Failure;

/// Why an administrator's verb did nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There is no such thing, or not for this administrator: the two look the same.
    NotFound(&'static str),
    /// The administrator's role does not allow it.
    Forbidden(&'static str),
    /// What was sent can't be taken; where, and why.
    Invalid(&'static str, String),
    /// The administrator's credential ended after it was admitted: the answer is the door's.
    NotAdmitted,
    /// The state does not allow it; a sentence without its full stop.
    Conflict(Conflict, String),
    /// It is another version by now than the one the caller has seen.
    Changed(&'static str),
    /// The server does this for somebody else, or has not finished: seconds to wait, and what is going on.
    Busy(u64, String),
    /// Tried too often, or too many at once: seconds to wait.
    Throttled(u64),
    /// The server could not do it.
    Failed(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<tokenward_store::StoreError> for Refused {
    fn from(error: tokenward_store::StoreError) -> Self {
        crate::logs::read_failed(&error);
        Self::Failed(Failure::Unavailable)
    }
}

/// What of the state does not allow an act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conflict {
    /// The address is confirmed already.
    AddressConfirmed,
    /// The owner of the address stopped notices to it.
    AddressStopped,
    /// Another request changed it at the same time.
    ChangedMeanwhile,
    /// The client was deleted.
    ClientDeleted,
    /// The client, or its workspace, is disabled.
    ClientDisabled,
    /// The server cannot ask an address to confirm itself.
    ConfirmationUnavailable,
    /// The newest token is not the one that the caller has seen.
    GenerationMismatch,
    /// The label typed to confirm is not that of the client.
    LabelMismatch,
    /// Another client of the workspace has the label.
    LabelTaken,
    /// It would leave no operator.
    LastOperator,
    /// There is a member with this address.
    MemberExists,
    /// The member has no second proof.
    NoSecondProof,
    /// A member may not do it to their own membership.
    OwnMembership,
    /// Clients or roles name the product.
    ProductInUse,
    /// There are as many members as there may be.
    TooManyMembers,
    /// The member has as many passkeys as there may be.
    TooManyPasskeys,
    /// The client has as many secrets as there may be.
    TooManySecrets,
    /// There are as many webhooks as there may be.
    TooManyWebhooks,
    /// The webhook is disabled.
    WebhookDisabled,
}
