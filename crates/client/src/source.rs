//! A token that is always there: the driver of the protocol, for any number of threads. It does what the
//! protocol's machine says and nothing else, and keeps what this process knows.

mod driver;
mod figures;

pub use figures::Counts;
use figures::Figures;

use crate::clock;
use crate::destination::{Destination, Home, ProcessLock};
use crate::issuer::{Issuer, Kind};
use crate::protocol::{Entry, Outcome, Policy, TokenError};
use arc_swap::ArcSwapOption;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as Gate;

/// A source of access tokens, shared by all threads of a process; clones are the same source.
#[derive(Clone, Debug)]
pub struct TokenSource {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    issuer: Issuer,
    home: Arc<dyn Home>,
    options: Options,
    /// This process's share of jitter, the same for its whole life: who renews is then not drawn anew at
    /// every look.
    jitter: f64,
    known: ArcSwapOption<Entry>,
    /// The first of the locks: one thread of this process renews.
    gate: Arc<Gate<()>>,
    /// Made but not yet stored: kept safe here and tried again before anything else is made.
    unstored: Mutex<Option<Arc<Entry>>>,
    /// New, and not yet confirmed by every further destination.
    untold: Mutex<Option<Arc<Entry>>>,
    settling: Gate<()>,
    figures: Figures,
}

/// A home is needed that workers can share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "this place cannot be read back and locked, so it cannot be the home; name it as a further destination"
)]
pub struct NotAHome;

/// How a source behaves beyond what it is made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct Options {
    /// Further destinations, to which every new token is written.
    pub copies: Vec<Arc<dyn Destination>>,
    /// Keeps the processes of this machine from crowding a home elsewhere. A file home needs none.
    pub process_lock: Option<ProcessLock>,
    /// When tokens are renewed. Whether generations count follows from the server's kind.
    pub policy: Policy,
    /// How long the home's lease lasts; at least twice the policy's `answer_limit`. It outlasts an exchange with the token
    /// server and a few attempts to store; the next holder waits this long for one that died on another machine.
    pub lease_ttl: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            copies: Vec::new(),
            process_lock: None,
            policy: Policy::default(),
            lease_ttl: Duration::from_secs(40),
        }
    }
}

impl TokenSource {
    /// A source for this server, shared through this home.
    ///
    /// # Errors
    /// When the home is a place that workers cannot share.
    pub fn new(
        issuer: Issuer,
        home: Arc<dyn Destination>,
        mut options: Options,
    ) -> Result<Self, NotAHome> {
        let policy = &mut options.policy;
        policy.counts_generations = issuer.kind() == Kind::Tokenward;
        options.lease_ttl = options.lease_ttl.max(policy.answer_limit * 2);
        let shared = Shared {
            issuer,
            home: home.into_home().ok_or(NotAHome)?,
            options,
            jitter: crate::random::fraction(),
            known: ArcSwapOption::empty(),
            gate: Arc::default(),
            unstored: Mutex::default(),
            untold: Mutex::default(),
            settling: Gate::default(),
            figures: Figures::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A token that is good now: from memory when it will do, else from the home, else a new one.
    ///
    /// # Errors
    /// When there is no living token and none can be made; the sentence says what to do.
    pub async fn token(&self) -> Result<Arc<Entry>, TokenError> {
        if let Some(entry) = self.shared.good(None) {
            return Ok(entry);
        }
        self.shared.renew(None).await.into_token()
    }

    /// After a product refused `used` with 401: another token to try once more with. A second 401 is final; ask
    /// nothing further then. Never call this for a 403, which no new token mends.
    ///
    /// # Errors
    /// When there is none; hand the caller the 401.
    pub async fn after_refusal(&self, used: &Arc<Entry>) -> Result<Arc<Entry>, TokenError> {
        self.shared.figures.add(|counts| counts.refused += 1);
        // A thread that came late: the token it speaks of has been replaced here already.
        if let Some(entry) = self.shared.good(Some(used)) {
            return Ok(entry);
        }
        self.shared.renew(Some(used.clone())).await.into_token()
    }

    /// What [`TokenSource::token`] does, past memory, told in full: for a daemon that plans its next step.
    pub async fn refresh(&self) -> Outcome {
        self.shared.renew(None).await
    }

    /// Brings a new token to every further destination, then ends the hand-over's previous one. Renewals start this
    /// in the background; a program about to end, and a daemon after a failure, call it and wait. Nothing to do is
    /// success.
    ///
    /// # Errors
    /// What did not confirm; the previous token then ends by itself. Call again later.
    pub async fn settle(&self) -> Result<(), Vec<TokenError>> {
        self.shared.settle().await
    }

    /// Has [`TokenSource::settle`] bring this token to every further destination, new or not: a process that died
    /// may have left one behind.
    pub fn unsettle(&self, entry: &Arc<Entry>) {
        *self.shared.untold() = Some(entry.clone());
    }

    /// When this process renews the token it knows; none when it knows none, or one that never expires.
    #[must_use]
    pub fn renews_in(&self) -> Option<Duration> {
        let entry = self.shared.known.load_full()?;
        let at = self
            .shared
            .options
            .policy
            .renew_at(&entry, self.shared.jitter)?;
        Some(clock::until(self.shared.issuer.clock().now(), at))
    }

    /// The token this process knows, good or not.
    #[must_use]
    pub fn known(&self) -> Option<Arc<Entry>> {
        self.shared.known.load_full()
    }

    /// The token server.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.shared.issuer
    }

    /// The home.
    #[must_use]
    pub fn home(&self) -> &Arc<dyn Home> {
        &self.shared.home
    }

    /// The further destinations.
    #[must_use]
    pub fn copies(&self) -> &[Arc<dyn Destination>] {
        &self.shared.options.copies
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.shared.options.policy
    }

    /// What has happened so far in this process.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.figures.counts()
    }

    /// The token that [`TokenSource::token`] would give without making one: none means that one would have to be made.
    ///
    /// # Errors
    /// When the home cannot be read.
    pub async fn peek(&self) -> Result<Option<Arc<Entry>>, TokenError> {
        if let Some(entry) = self.shared.good(None) {
            return Ok(Some(entry));
        }
        let stored = self.shared.read().await?;
        let now = self.shared.issuer.clock().now();
        Ok(stored.entry.filter(|entry| !entry.is_over(now)))
    }

    /// Gives back what the places and the secret's source have taken elsewhere, such as sessions of Vault. Call it at the
    /// end of a program; what is used afterwards is taken anew.
    pub async fn close(&self) {
        self.shared.home.close().await;
        for copy in &self.shared.options.copies {
            copy.close().await;
        }
        self.shared.issuer.secret().close().await;
    }

    /// Forgets what this process knows, so that the next call reads the home.
    pub fn forget_memory(&self) {
        self.shared.known.store(None);
    }
}

impl Shared {
    fn unstored(&self) -> MutexGuard<'_, Option<Arc<Entry>>> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn untold(&self) -> MutexGuard<'_, Option<Arc<Entry>>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    /// The token, however it came about.
    ///
    /// # Errors
    /// When there is none.
    pub fn into_token(self) -> Result<Arc<Entry>, TokenError> {
        match self {
            Self::Fresh(entry)
            | Self::Renewed(entry)
            | Self::Unstored(entry, _)
            | Self::Meanwhile(entry, _) => Ok(entry),
            Self::Failed(stop) => Err(stop),
        }
    }
}
