//! A live replica of its own: everything a check needs, in this process, fed by a node, vouching by a
//! sub-lease ([`tokenward_core::sublease`]). When its node can't be heard it stops vouching within
//! seconds; when it must start anew it loads a new replica beside the old one, never in its place.

mod session;
mod stream;
mod uses;

use crate::endpoint::Endpoint;
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use session::{Ended, Session};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::attach::ReplicaKeys;
use tokenward_core::check::{Facts, Presented};
use tokenward_core::time::Clock;
use tokenward_core::{Keyring, Verdict};
use tokenward_system::SystemClock;
use tokio::sync::watch;
use uses::Uses;

/// The pause before attaching anew, doubled with every failure up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Longest that leaving waits for the node to be told.
const LEAVING: Duration = Duration::from_secs(2);

/// Why no replica can be attached.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AttachError(String);

/// A replica attached to a node. Cheap to clone; when the last clone is dropped, it leaves.
#[derive(Clone)]
pub struct Replica {
    shared: Arc<Shared>,
    _leaving: Arc<Leaving>,
}

/// What checks and the stream share.
pub(crate) struct Shared {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) endpoint: Endpoint,
    pub(crate) bearer: String,
    /// The replica that checks are answered from, with its own lease; replaced whole.
    pub(crate) current: ArcSwapOption<tokenward_core::Replica>,
    pub(crate) uses: Uses,
    pub(crate) vouched: watch::Sender<bool>,
}

/// Tells the stream to leave when the last handle is dropped.
struct Leaving {
    leave: watch::Sender<bool>,
    left: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let _ = self.leave.send(true);
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replica(of {})", self.shared.endpoint)
    }
}

impl Replica {
    /// Attaches a replica to the node at `endpoint`, with the keys in the file `keys` (made by `tokenward
    /// digest-key for-replicas`). Returns at once; it vouches when [`Replica::ready`] does. Must be called on a
    /// tokio runtime, which runs its stream.
    pub fn attach(endpoint: Endpoint, keys: &Path) -> Result<Self, AttachError> {
        Self::attach_with(endpoint, keys, None)
    }

    /// The same, with a file that holds the bearer token of a node that demands one (`internal_auth_file`).
    pub fn attach_with(
        endpoint: Endpoint,
        keys: &Path,
        bearer: Option<&Path>,
    ) -> Result<Self, AttachError> {
        let told = |path: &Path, error: &dyn std::fmt::Display| {
            AttachError(format!("{}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(keys).map_err(|error| told(keys, &error))?;
        let keyring = ReplicaKeys::ring(&text).map_err(|error| told(keys, &error))?;
        let bearer =
            bearer.map(|path| std::fs::read_to_string(path).map_err(|error| told(path, &error)));
        let bearer = bearer.transpose()?.unwrap_or_default().trim().to_owned();
        let shared = Arc::new(Shared {
            keyring: Arc::new(keyring),
            endpoint,
            bearer,
            current: ArcSwapOption::empty(),
            uses: Uses::default(),
            vouched: watch::channel(false).0,
        });
        let (leave, leaving) = watch::channel(false);
        let task = tokio::spawn(keep(Arc::clone(&shared), leaving));
        Ok(Self {
            shared,
            _leaving: Arc::new(Leaving {
                leave,
                left: Mutex::new(Some(task)),
            }),
        })
    }

    /// Waits until it has vouched for the first time.
    pub async fn ready(&self) {
        let mut vouched = self.shared.vouched.subscribe();
        // The sender lives as long as this.
        let _ = vouched.wait_for(|vouched| *vouched).await;
    }

    /// Whether it vouches now: what a readiness probe asks.
    #[must_use]
    pub fn is_vouching(&self) -> bool {
        let current = self.shared.current.load();
        let lease = current.as_ref().map(|replica| replica.lease().read());
        lease.is_some_and(|lease| lease.covers(|| SystemClock.boot()))
    }

    /// Stops vouching and tells the node, so that no change waits for this replica: the end of a
    /// service in good order. Every other clone stops vouching, too.
    pub async fn leave(self) {
        let _ = self._leaving.leave.send(true);
        let task = self._leaving.left.lock().take();
        if let Some(task) = task {
            let _ = tokio::time::timeout(LEAVING, task).await;
        }
    }

    /// Decides one request. It cannot wait.
    #[inline]
    pub(crate) fn check(&self, presented: Presented<'_>, facts: &Facts<'_>) -> Verdict {
        // Pinned: a replica that takes this one's place meanwhile has a lease of its own.
        let current = self.shared.current.load();
        let Some(replica) = current.as_ref() else {
            return Verdict::CannotVouch;
        };
        let verdict = replica.check(presented, facts, &SystemClock);
        if let Verdict::Permit(permit) = &verdict {
            let (client, generation) = (permit.client_no(), permit.generation());
            let (product, at) = (permit.product(), permit.checked_at());
            self.shared
                .uses
                .note((client, generation), product, facts.address, at);
        }
        verdict
    }
}

/// Keeps a replica attached until told to leave.
async fn keep(shared: Arc<Shared>, mut leaving: watch::Receiver<bool>) {
    let mut pause = PAUSE;
    loop {
        match Session::run(&shared, &mut leaving).await {
            Ended::Left => break,
            Ended::Lost { why, vouched } => {
                if vouched {
                    pause = PAUSE;
                }
                tracing::warn!(node = %shared.endpoint, "lost the node: {why}; attaching anew");
            }
        }
        // A pause that leaving cuts short.
        if tokio::time::timeout(pause, told_to_leave(&mut leaving))
            .await
            .is_ok()
        {
            break;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    if let Some(replica) = shared.current.load().as_ref() {
        replica.lease().end();
    }
}

/// Waits until the last handle is gone or said so.
async fn told_to_leave(leaving: &mut watch::Receiver<bool>) {
    let _ = leaving.wait_for(|leave| *leave).await;
}
