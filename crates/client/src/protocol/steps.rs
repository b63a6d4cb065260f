//! What the renewal machine says and hears: plain values between it and its driver, and how a renewal ends.

use super::{Entry, Version};
use crate::destination::DestinationError;
use crate::issuer::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::Timestamp;

/// What a place holds, and what to name when overwriting it.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The entry; none where nothing (or nothing readable) is stored.
    pub entry: Option<Arc<Entry>>,
    /// The version seen.
    pub version: Version,
}

/// A lease in hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leased {
    /// Whether its last holder ended without giving it back: a token may exist that nobody stored.
    pub abandoned: bool,
    /// How long it lasts; none for as long as the process lives.
    pub lasts: Option<Duration>,
}

/// What to do next. The driver does it and answers with the event of the same name.
#[derive(Debug)]
pub enum Action {
    /// Read the place, past every cache.
    Read,
    /// Ask the token server for its clock and the newest generation; nothing changes there.
    AskStatus,
    /// Try to take the lock between processes of this machine.
    TakeProcessLock,
    /// Try to take the place's lease.
    TakeLease,
    /// Let time pass.
    Rest(Duration),
    /// Generate a token.
    Generate {
        /// Only if the newest token's generation is this.
        if_match: Option<u32>,
        /// How long the previous token shall live on.
        handover: Duration,
    },
    /// Store, only over the version named.
    Store(Arc<Entry>, Version),
    /// The renewal is over; locks may be given back.
    Done(Outcome),
}

/// What came of an action.
#[derive(Debug)]
pub enum Event {
    /// Of [`Action::Read`].
    Read(Result<Stored, DestinationError>),
    /// Of [`Action::AskStatus`]: the newest token's generation, 0 if there has never been one; none from a server that
    /// does not count.
    Status(Result<Option<u32>, Refusal>),
    /// Of [`Action::TakeProcessLock`]: false when somebody else has it.
    ProcessLock(Result<bool, DestinationError>),
    /// Of [`Action::TakeLease`]: none when somebody else has it.
    Lease(Result<Option<Leased>, DestinationError>),
    /// Of [`Action::Rest`].
    Rested,
    /// Of [`Action::Generate`]: the token, obtained when it was asked for by the server's clock; what is known of earlier
    /// ones is added to it.
    Generated(Result<Entry, Refusal>),
    /// Of [`Action::Store`]: true when stored, false when the place holds another version.
    Stored(Result<bool, DestinationError>),
}

/// How a renewal ended.
#[derive(Debug)]
pub enum Outcome {
    /// The place holds a token that will do.
    Fresh(Arc<Entry>),
    /// No renewal now, but this token lives still.
    Meanwhile(Arc<Entry>, TokenError),
    /// A new token, stored.
    Renewed(Arc<Entry>),
    /// A new token that could not be stored: keep it in memory and try again.
    Unstored(Arc<Entry>, DestinationError),
    /// No token.
    Failed(TokenError),
}

/// Why there is no new token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The place failed.
    #[error(transparent)]
    Place(#[from] DestinationError),
    /// The token server refused or failed.
    #[error(transparent)]
    Server(#[from] Refusal),
    /// Another holder is renewing and did not finish in time.
    #[error("another worker is renewing the token and has not finished; try again")]
    Busy,
    /// Tokens end early again and again.
    #[error(
        "another holder of this client secret exists: it generates tokens of its own and so ends ours. \
         Give each installation an API client of its own, or let all share one place. Not generating until {}", .until.iso()
    )]
    AnotherHolder {
        /// Until when nobody here generates.
        until: Timestamp,
    },
    /// The local budget of the day is spent.
    #[error(
        "the local budget of {budget} tokens a day is spent, which should never happen: find what asks for so many"
    )]
    BudgetSpent {
        /// The budget.
        budget: u32,
    },
    /// A product refuses the token that the token server calls live.
    #[error(
        "the product refuses the newest token, which the token server returns as live: \
         check that product and token belong to the same environment"
    )]
    StillRefused,
}

/// The circumstances of a step.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The server's time, as far as known.
    pub now: Timestamp,
    /// Whether a server confirmed it.
    pub clock_known: bool,
    /// Since the renewal began.
    pub elapsed: Duration,
    /// Chance from 0 to 1, for pauses.
    pub chance: f64,
}
