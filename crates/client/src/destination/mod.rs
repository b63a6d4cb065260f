//! Places where the token is kept: one interface for all of them.
//!
//! A [`Destination`] can be told to hold a token ([`Destination::put`]) or none. A [`Home`] can be read back as
//! well, compares and swaps when written, and lends a lease: workers that share a home share one token. A client
//! has one home and any number of further destinations, to which every new token is written.
//!
//! # How to add one
//!
//! 1. A file in this folder with a type that implements [`Place`]: how it is called for people, without anything
//!    secret.
//! 2. A place that can be read back with certainty and be locked implements [`Home`], and is a [`Destination`] by
//!    that alone. A place that cannot (such as one whose passwords are write-only) implements `Destination`: `put`
//!    returns only when readers of the place get this token, and must not replace a newer one where the place can
//!    tell ([`Entry::newer_than`]); `forget` leaves no token behind, and nothing there is success.
//! 3. Failures are [`DestinationError`]s: sentences of our own about status codes and system errors, never a body or a
//!    value that came from the place, for either may hold the token.
//! 4. Its written form as a variant of `Destination` in `config/written.rs`, its making in `resolved.rs`
//!    beside it.
//! 5. A line in `crates/agent/tests/agent/conformance.rs`: the suite runs the same expectations against every destination,
//!    on the real thing.
//! 6. A page in `docs/guide/client/`, each command tried.

mod atomic_file;
#[cfg(feature = "aws")]
pub mod aws;
pub mod cpi;
pub mod credentials_folder;
pub mod dotenv;
mod error;
pub mod file;
mod file_lock;
#[cfg(feature = "keyring")]
pub mod keyring;
mod lease_note;
pub(crate) mod mounts;
pub mod plugin;
pub mod vault;

pub(crate) use atomic_file::read as read_file;
pub use error::{DestinationError, Kind};
pub(crate) use file_lock::Held;
pub use file_lock::ProcessLock;

use crate::issuer::Refusal;
use crate::protocol::{Entry, Leased, Stored, Version};
use async_trait::async_trait;
use reqwest::Response;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Rounds of compare-and-swap when putting a token beside others who write; each lost round means that somebody
/// else's write succeeded.
const MOST_ROUNDS: u32 = 8;

/// Where a token is kept.
pub trait Place: Send + Sync + fmt::Debug {
    /// What and where it is, for people: `file /var/lib/erp/token.json`. Never anything secret.
    fn place(&self) -> String;
}

/// A place that can be told to hold a token.
#[async_trait]
pub trait Destination: Place {
    /// Makes the place hold this token, unless it holds a newer one; returns when readers get it.
    async fn put(&self, entry: &Entry) -> Result<(), DestinationError>;

    /// Makes the place hold no token.
    async fn forget(&self) -> Result<(), DestinationError>;

    /// Tries whether the place could take a token, and changes nothing there. Answers with what its use costs, where
    /// that is worth a word.
    async fn check(&self) -> Result<Option<&'static str>, DestinationError> {
        Ok(None)
    }

    /// Gives back what using the place has taken elsewhere, such as a session.
    async fn close(&self) {}

    /// Itself, when it can be a home.
    fn into_home(self: Arc<Self>) -> Option<Arc<dyn Home>> {
        None
    }
}

/// A place that workers can share.
#[async_trait]
pub trait Home: Destination {
    /// Reads past every cache. Content that is no entry is reported as none, so that it can be replaced.
    async fn read(&self) -> Result<Stored, DestinationError>;

    /// Writes only over the version named (compare and swap); none as the entry empties the place. Answers
    /// whether it was written: false when the place holds another version.
    async fn write(&self, entry: Option<&Entry>, over: &Version) -> Result<bool, DestinationError>;

    /// Tries once, without waiting, to get the right to renew; none when somebody else has it.
    async fn lease(&self, wish: &LeaseRequest) -> Result<Option<Lease>, DestinationError>;

    /// Gives the lease back. A lease that is dropped instead counts as abandoned.
    async fn release(&self, lease: Lease) -> Result<(), DestinationError>;

    /// As [`Destination::close`], of which it is the home's part.
    async fn close_home(&self) {}

    /// As [`Destination::check`], of which it is the home's part.
    async fn check_home(&self) -> Result<Option<&'static str>, DestinationError> {
        self.read().await.map(|_| None)
    }
}

/// Told to hold a token, a home reads, compares and swaps, so that it keeps the newer of two.
#[async_trait]
impl<H: Home + 'static> Destination for H {
    async fn put(&self, entry: &Entry) -> Result<(), DestinationError> {
        for _ in 0..MOST_ROUNDS {
            let stored = self.read().await?;
            if let Some(other) = &stored.entry
                && (other.token.is(&entry.token) || other.newer_than(entry))
            {
                return Ok(());
            }
            if self.write(Some(entry), &stored.version).await? {
                return Ok(());
            }
        }
        Err(others_write(self))
    }

    async fn forget(&self) -> Result<(), DestinationError> {
        for _ in 0..MOST_ROUNDS {
            let stored = self.read().await?;
            if stored.entry.is_none() || self.write(None, &stored.version).await? {
                return Ok(());
            }
        }
        Err(others_write(self))
    }

    async fn check(&self) -> Result<Option<&'static str>, DestinationError> {
        self.check_home().await
    }

    async fn close(&self) {
        self.close_home().await;
    }

    fn into_home(self: Arc<Self>) -> Option<Arc<dyn Home>> {
        Some(self)
    }
}

/// What a lease is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseRequest {
    /// How long others shall respect it.
    pub ttl: Duration,
    /// The queue of processes the asker is at the head of (it holds that queue's lock): whoever has the lease and
    /// stood in the same queue is dead.
    pub queue: Option<String>,
}

/// The right to renew, in hand.
pub struct Lease {
    /// Whether the last holder ended without giving it back.
    pub abandoned: bool,
    /// How long it lasts; none for as long as the process lives.
    pub lasts: Option<Duration>,
    /// What the place needs to give it back.
    pub(crate) proof: Box<dyn Any + Send + Sync>,
}

impl Lease {
    /// A lease with what the place needs to know it again.
    pub fn new(abandoned: bool, lasts: Option<Duration>, proof: impl Any + Send + Sync) -> Self {
        Self {
            abandoned,
            lasts,
            proof: Box::new(proof),
        }
    }

    /// The place's own proof.
    pub fn into_proof<T: Any>(self) -> Option<T> {
        let proof: Box<dyn Any> = self.proof;
        proof.downcast().ok().map(|proof| *proof)
    }

    /// The lease as the protocol sees it.
    #[must_use]
    pub fn leased(&self) -> Leased {
        Leased {
            abandoned: self.abandoned,
            lasts: self.lasts,
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("abandoned", &self.abandoned)
            .field("lasts", &self.lasts)
            .finish_non_exhaustive()
    }
}

/// The body of a place's answer.
async fn body_of(response: Response, place: &str) -> Result<Zeroizing<Vec<u8>>, DestinationError> {
    let read = crate::issuer::read(response, false).await;
    read.map_err(|refusal| match refusal {
        Refusal::Later { what, .. } | Refusal::Unreadable { what } => {
            DestinationError::unreachable(place, what)
        }
        other => DestinationError::unreachable(place, other.to_string()),
    })
}

fn others_write(home: &dyn Place) -> DestinationError {
    DestinationError::unreachable(&home.place(), "others keep writing to it")
}
