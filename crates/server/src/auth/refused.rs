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
    /// The state does not allow it.
    Conflict(&'static str, String),
    /// It is another version by now than the one the caller has seen.
    Changed(&'static str),
    /// The server does this for somebody else, or has not finished.
    Busy {
        /// When to ask again.
        retry_after_seconds: u64,
        /// What is going on.
        why: String,
    },
    /// Tried too often, or too many at once.
    Throttled {
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
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
