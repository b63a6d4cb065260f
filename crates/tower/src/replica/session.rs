//! One attachment: a snapshot into a new replica, then change after change, as its [`SubHolder`] says.

use super::Shared;
use super::stream::{self, Ear, Pen};
use crate::endpoint::Endpoint;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::Replica;
use tokenward_core::attach::{Permitted, ToNode, ToReplica, Used};
use tokenward_core::change::{Change, FORMAT};
use tokenward_core::sublease::{HolderEffect, HolderEvent, SubHolder, Terms};
use tokenward_core::time::{BootInstant, Clock};
use tokenward_system::SystemClock;
use tokio::sync::{mpsc, watch};

/// Frames heard and not yet taken in.
const HEARD_MAX: usize = 16;
/// A snapshot whose next part does not come in this time is given up.
const LOADING: Duration = Duration::from_secs(30);
/// A node that has said nothing for this long is gone, whatever the wire looks like: it answers a renewal
/// every second. In nanoseconds; by then the lease is long over.
const SILENCE: u64 = 2 * Terms::STANDARD.term;
/// Where there are other nodes, one that grants no lease for this long is given up, in nanoseconds: it may be stopped, or cut
/// off from its database, which others reach. It is noticed with the second renewal that is not answered, so that half of
/// the lease is left to attach to another node.
const PATIENCE: u64 = Terms::STANDARD.renew_every() * 3 / 2;
const _: () = assert!(PATIENCE + Terms::STANDARD.renew_every() < Terms::STANDARD.term * 3 / 4);
/// The same for a lease that is shorter than this after longer ones: the node's own one is ending.
const ENDING: u64 = Terms::STANDARD.term / 2;
/// Uses told in one message; a node reads frames of 256 KiB at most.
const USES_IN_A_MESSAGE: usize = 4_096;
/// Messages of uses in a row, four times a second; more wait for the next tick.
const USES_MESSAGES_MAX: usize = 4;
/// A node of an older version is told a token's use at most once in this time.
const USE_EVERY_SECONDS: u32 = 60;

/// How an attachment ended.
pub(super) enum Ended {
    /// As wished.
    Left,
    /// Otherwise; and whether it had vouched.
    Lost { why: String, vouched: bool },
}

/// An attachment under way.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    node: &'a Endpoint,
    replica: Arc<Replica>,
    holder: SubHolder,
    /// What was heard last, until it is applied; none for a change that a check does not ask about.
    changes: Vec<Option<Change>>,
    pen: Pen,
    vouched: bool,
    /// When the node was last heard.
    heard_at: BootInstant,
    /// When it last granted a lease, at first when the snapshot was loaded.
    granted_at: BootInstant,
    /// Whether it has granted a lease that was long enough.
    granted: bool,
    /// Set once the sub-holder has abandoned it.
    over: Option<String>,
}

impl Session<'_> {
    /// Attaches, and stays so as long as it can.
    pub(super) async fn run(
        shared: &Shared,
        node: &Endpoint,
        leaving: &mut watch::Receiver<bool>,
    ) -> Ended {
        let lost = |why| Ended::Lost {
            why,
            vouched: false,
        };
        let loaded = tokio::select! {
            loaded = load(shared, node) => loaded,
            () = super::told_to_leave(leaving) => return Ended::Left,
        };
        let (replica, number, pen, ear) = match loaded {
            Ok(loaded) => loaded,
            Err(why) => return lost(why),
        };
        let mut session = Session {
            shared,
            node,
            replica: Arc::new(replica),
            holder: SubHolder::new(Terms::STANDARD),
            changes: Vec::new(),
            pen,
            vouched: false,
            heard_at: SystemClock.boot(),
            granted_at: SystemClock.boot(),
            granted: false,
            over: None,
        };
        session.step(HolderEvent::Loaded { number }).await;
        session.follow(ear, leaving).await
    }

    /// Hears, renews, until it is over.
    async fn follow(mut self, mut ear: Ear, leaving: &mut watch::Receiver<bool>) -> Ended {
        let (heard, mut hearing) = mpsc::channel(HEARD_MAX);
        let listening = tokio::spawn(async move {
            loop {
                let frame = ear.hear().await;
                let end = frame.is_err();
                if heard.send(frame).await.is_err() || end {
                    return;
                }
            }
        });
        while self.over.is_none() {
            let next = self.holder.next_tick().unwrap_or(SystemClock.boot());
            let left = Duration::from_nanos(next.0.saturating_sub(SystemClock.boot().0));
            tokio::select! {
                frame = hearing.recv() => self.take(frame).await,
                () = super::told_to_leave(leaving) => {
                    // Before the release, which ends the stream.
                    self.tell_uses().await;
                    self.step(HolderEvent::Leave).await;
                    listening.abort();
                    return Ended::Left;
                }
                _ = tokio::time::timeout(left, std::future::pending::<()>()) => {
                    self.step(HolderEvent::Tick).await;
                    self.tell_uses().await;
                    let since = |at: BootInstant| SystemClock.boot().0.saturating_sub(at.0);
                    if since(self.heard_at) > SILENCE {
                        self.cut("it says nothing any more".into()).await;
                    } else if self.may_move() && since(self.granted_at) > PATIENCE {
                        self.cut("it grants no lease any more".into()).await;
                    }
                }
            }
        }
        listening.abort();
        Ended::Lost {
            why: self.over.unwrap_or_default(),
            vouched: self.vouched,
        }
    }

    /// Takes in one frame, or the end of them.
    async fn take(&mut self, frame: Option<Result<Vec<u8>, String>>) {
        let frame = match frame {
            Some(Ok(frame)) => {
                self.heard_at = SystemClock.boot();
                frame
            }
            Some(Err(why)) => return self.cut(why).await,
            None => return self.cut("the stream ended".into()).await,
        };
        match ToReplica::from_bytes(&frame) {
            Ok(ToReplica::Changes { first, bodies }) => match read(&bodies) {
                Some(changes) if !changes.is_empty() => {
                    let last = first + changes.len() as u64 - 1;
                    self.changes = changes;
                    self.step(HolderEvent::Changes { first, last }).await;
                    self.changes.clear();
                }
                Some(_) => {}
                None => self.step(HolderEvent::Unreadable).await,
            },
            Ok(ToReplica::Granted {
                round,
                through,
                term,
            }) => {
                let event = HolderEvent::Granted {
                    round,
                    through,
                    term,
                };
                self.step(event).await;
                self.granted_at = SystemClock.boot();
                if self.may_move() && self.granted && term < ENDING {
                    self.cut("its own lease is ending".into()).await;
                }
                self.granted |= term >= ENDING;
            }
            Ok(ToReplica::Expelled(why)) => self.cut(why.to_owned()).await,
            Ok(ToReplica::Snapshot { .. } | ToReplica::Part(_) | ToReplica::Loaded) | Err(_) => {
                self.step(HolderEvent::Unreadable).await;
            }
        }
    }

    /// Whether there are other nodes.
    fn may_move(&self) -> bool {
        self.shared.nodes.count() > 1
    }

    async fn cut(&mut self, why: String) {
        self.step(HolderEvent::Cut).await;
        self.over = Some(why);
    }

    /// One step of the sub-holder. The clock is read before it, so a renewal counts from before its
    /// sending. What it wants is done in order; what fails ends the rest.
    async fn step(&mut self, event: HolderEvent) {
        let effects = self.holder.step(event, SystemClock.boot());
        for effect in effects {
            let done = match effect {
                HolderEffect::Renew { round } => self.pen.say(&ToNode::Renew { round }).await,
                HolderEffect::Apply { skip } => self.apply(skip),
                HolderEffect::Acknowledge { number } => {
                    self.pen.say(&ToNode::Acknowledge { number }).await
                }
                HolderEffect::Vouch { until } => {
                    self.replica.lease().extend(until);
                    self.show();
                    Ok(())
                }
                HolderEffect::StopVouching => {
                    self.replica.lease().end();
                    Ok(())
                }
                HolderEffect::Release => {
                    // Nobody to tell is no fault: then the node waits.
                    let _ = self.pen.say(&ToNode::Release).await;
                    Ok(())
                }
                HolderEffect::Abandon(why) => {
                    self.over = Some(format!("{why:?}"));
                    Ok(())
                }
            };
            if let Err(why) = done {
                // Nothing was said after this, so nothing was promised.
                self.holder.step(HolderEvent::Cut, SystemClock.boot());
                self.over = Some(why);
                return;
            }
        }
    }

    /// Applies changes; one that can't be applied has ended the lease.
    fn apply(&mut self, skip: u64) -> Result<(), String> {
        let number = self.holder.applied().unwrap_or(0);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let changes = std::mem::take(&mut self.changes).into_iter();
        let changes: Vec<Change> = changes.skip(skip).flatten().collect();
        self.replica
            .apply(&changes, number)
            .map_err(|error| error.to_string())
    }

    /// Lets checks see this session's replica, now that it vouches.
    fn show(&mut self) {
        if !self.vouched {
            self.vouched = true;
            self.shared.current.store(Some(Arc::clone(&self.replica)));
            self.shared.vouched.send_replace(true);
            tracing::info!(node = %self.node, clients = self.replica.client_count(), "the replica vouches");
        }
    }

    /// Tells the node which checks were permitted here.
    async fn tell_uses(&mut self) {
        let today = SystemClock.wall().utc_day();
        for _ in 0..USES_MESSAGES_MAX {
            let (uses, lost) = self.shared.uses.take(today, USES_IN_A_MESSAGE);
            if lost > 0 {
                tracing::warn!(
                    checks = lost,
                    "permitted checks were not reported: too many clients and addresses at once"
                );
            }
            if uses.is_empty() || self.over.is_some() {
                return;
            }
            let message = match self.pen.reads_permitted() {
                true => ToNode::Permitted(uses),
                false => ToNode::Used(last_uses(&self.replica, &uses)),
            };
            // Only statistics: lost ones are not told again.
            if let Err(why) = self.pen.say(&message).await {
                return self.cut(why).await;
            }
        }
    }
}

/// What a node of an older version reads of permitted checks: the last use of each token, once in
/// [`USE_EVERY_SECONDS`].
fn last_uses(replica: &Replica, uses: &[Permitted]) -> Vec<Used> {
    let due = |one: &&Permitted| {
        let seconds = u32::try_from(one.last_at.unix_seconds()).unwrap_or(0);
        replica.note_use(one.client.0, one.generation, seconds, USE_EVERY_SECONDS)
    };
    let used = |one: &Permitted| Used {
        client: one.client,
        at: one.last_at,
        address: one.address,
        product: one.product,
    };
    uses.iter().filter(due).map(used).collect()
}

/// Reads changes; none for those a check does not ask about. A whole None when one can't be read, or
/// changes everything in a way that a running replica can't follow.
fn read(bodies: &[&str]) -> Option<Vec<Option<Change>>> {
    let one = |body: &&str| match body {
        &"" => Some(None),
        body => match Change::from_body(FORMAT, body) {
            Ok(Change::EpochStarted { .. }) | Err(_) => None,
            Ok(change) => Some(Some(change)),
        },
    };
    bodies.iter().map(one).collect()
}

/// Opens a stream and loads the snapshot into a new replica.
async fn load(shared: &Shared, node: &Endpoint) -> Result<(Replica, u64, Pen, Ear), String> {
    let (pen, mut ear) = stream::open(shared, node).await?;
    let mut loading: Option<(Replica, u64)> = None;
    loop {
        let frame = tokio::time::timeout(LOADING, ear.hear()).await;
        let frame = frame.map_err(|_| "its snapshot does not go on")??;
        let message = ToReplica::from_bytes(&frame).map_err(|error| error.to_string())?;
        match (message, &mut loading) {
            (ToReplica::Snapshot { base, clients }, None) => {
                tracing::info!(%node, clients, change = base, "loading a snapshot");
                let room = usize::try_from(clients).unwrap_or(0);
                loading = Some((Replica::new(Arc::clone(&shared.keyring), room), base));
            }
            (ToReplica::Part(part), Some((replica, _))) => {
                let taken = replica.loading().part(part);
                taken.map_err(|error| error.to_string())?;
            }
            (ToReplica::Loaded, Some(_)) => {
                if let Some((replica, base)) = loading.take() {
                    replica.loading().finish(base);
                    return Ok((replica, base, pen, ear));
                }
            }
            (ToReplica::Expelled(why), _) => return Err(why.to_owned()),
            _ => return Err("it says things out of order".into()),
        }
    }
}
