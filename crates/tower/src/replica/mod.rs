//! A replica attached to a node: everything a check needs, in this process, valid as long as its sub-lease
//! ([`tokenward_core::sublease`]). When the node can't be heard it stops answering within seconds. To start over it
//! loads a new replica beside the old one, never in its place. With several nodes the next one is tried, and until its
//! replica is loaded the old one answers for as long as its sub-lease lasts.

mod session;
mod stream;
mod uses;

use crate::endpoint::Endpoints;
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
/// The least part of a pause, in hundredths: replicas that lost a node together do not come back in one moment.
const PAUSE_LEAST: u64 = 50;
/// Longest that leaving waits for the node to be told.
const LEAVING: Duration = Duration::from_secs(2);

/// The replica keys or the bearer token can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct AttachError(String);

/// A live copy of what a check needs, fed by a node.
///
/// Clones share it; when the last one is dropped, it detaches from its node.
#[derive(Clone)]
pub struct Replica {
    shared: Arc<Shared>,
    _leaving: Arc<Leaving>,
}

/// What checks and the stream share.
pub(crate) struct Shared {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) nodes: Endpoints,
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
        write!(f, "Replica(of {})", self.shared.nodes)
    }
}

impl Replica {
    /// Attaches a replica to a node, with the keys in the file `keys`, which `tokenward digest-key for-replicas` writes. Of
    /// several nodes of one database the first that answers is used, and the next one when it is lost or its own lease
    /// is ending. Returns at once; the replica answers checks when [`Replica::ready`] returns.
    ///
    /// # Errors
    /// When the file can't be read or holds no replica keys, and when `nodes` is empty. A node that can't be reached is no error: the replica tries
    /// again until it can.
    ///
    /// # Panics
    /// When not called on a tokio runtime. It needs one with I/O and time enabled, which runs its connection.
    pub fn attach(nodes: impl Into<Endpoints>, keys: &Path) -> Result<Self, AttachError> {
        Self::attach_with(nodes, keys, None)
    }

    /// Like [`Replica::attach`], with the file of the bearer token that the node requires (`internal_auth_file`).
    ///
    /// # Errors
    /// As [`Replica::attach`], and when the bearer token's file can't be read.
    ///
    /// # Panics
    /// As [`Replica::attach`].
    pub fn attach_with(
        nodes: impl Into<Endpoints>,
        keys: &Path,
        bearer: Option<&Path>,
    ) -> Result<Self, AttachError> {
        let nodes = nodes.into();
        if nodes.count() == 0 {
            return Err(AttachError("no node to attach to".to_owned()));
        }
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
            nodes,
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

    /// Waits until it answers checks for the first time.
    pub async fn ready(&self) {
        let mut vouched = self.shared.vouched.subscribe();
        // The sender lives as long as this.
        let _ = vouched.wait_for(|vouched| *vouched).await;
    }

    /// Returns whether it answers checks now. Use it in a readiness probe.
    #[must_use]
    pub fn is_vouching(&self) -> bool {
        let current = self.shared.current.load();
        let lease = current.as_ref().map(|replica| replica.lease().read());
        lease.is_some_and(|lease| lease.covers(|| SystemClock.boot()))
    }

    /// Detaches from the node, so that no change waits for this replica. Call it when the service ends. Every other
    /// clone stops answering checks, too.
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
    let (mut pause, mut turn, mut failed) = (PAUSE, 0, 0);
    while let Some(node) = shared.nodes.at(turn) {
        match Session::run(&shared, node, &mut leaving).await {
            Ended::Left => break,
            Ended::Lost { why, vouched } => {
                if vouched {
                    (pause, failed) = (PAUSE, 0);
                }
                tracing::warn!(%node, "lost the node: {why}; attaching anew");
            }
        }
        turn = turn.wrapping_add(1);
        // A pause that leaving cuts short.
        if tokio::time::timeout(jittered(pause), told_to_leave(&mut leaving))
            .await
            .is_ok()
        {
            break;
        }
        failed += 1;
        // All of them were tried.
        if failed % shared.nodes.count() == 0 {
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    if let Some(replica) = shared.current.load().as_ref() {
        replica.lease().end();
    }
}

/// A part of the pause by chance.
fn jittered(pause: Duration) -> Duration {
    let [chance] = tokenward_system::random_bytes::<1>().unwrap_or([u8::MAX]);
    let part = PAUSE_LEAST + (100 - PAUSE_LEAST) * u64::from(chance) / u64::from(u8::MAX);
    pause * u32::try_from(part).unwrap_or(100) / 100
}

/// Waits until the last handle is gone or said so.
async fn told_to_leave(leaving: &mut watch::Receiver<bool>) {
    let _ = leaving.wait_for(|leave| *leave).await;
}
