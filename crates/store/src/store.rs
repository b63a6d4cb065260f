//! Opening a store and asking it to write.

use crate::driver::Driver;
use crate::error::{Failure, StoreError};
use crate::job::{Decided, Job, Typed, View, Wants};
use crate::load::{self, read_head, read_next};
use crate::postgres::{self, PostgresDriver};
use crate::reader::Reader;
use crate::sqlite::{SqliteDriver, SqliteReaders};
use crate::value::{Row, Statement};
use crate::writer::{GROUP_MAX, Health, LeaseTerms, Writer};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokenward_core::audit::CHAIN_START;
use tokenward_core::time::Clock;
use tokenward_core::{Keyring, Replica};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use crate::load::Head;

/// Writes that may wait; past this the caller is told to come back.
const WAITING_MAX: usize = 8_192;
/// How often the lease on a shared database is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How long a renewal lets this node vouch: long enough to sit out a database restart.
const TERM_NANOS: u64 = 10_000_000_000;
/// How long a start waits before it believes a predecessor's lease to be over: (term + pause margin of
/// 2 s) x (1 + two clocks' error of 0.5 %).
const WAIT_OUT: Duration = Duration::from_millis(12_120);

/// Where a store is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file.
    Sqlite(PathBuf),
    /// A database, by its URL.
    Postgres(String),
}

/// Who this node is to a shared database.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// The name kept in the data directory, which its lock makes one process's own: a row with this
    /// name was left by a process that is certainly dead.
    pub id: Uuid,
    /// This process's own name.
    pub incarnation: Uuid,
}

/// What opening needs besides the place.
pub struct Options<C> {
    /// The keys digests are made with.
    pub keyring: Arc<Keyring>,
    /// The clocks.
    pub clock: Arc<C>,
    /// Who this node is.
    pub node: NodeIdentity,
    /// Random names for a new store and its first epoch.
    pub fresh: (Uuid, Uuid),
    /// The highest change number this data directory has seen; a store that ends before it is refused.
    pub seen: u64,
}

/// A store: one writer behind a queue, a replica, and readers. Cheap to clone.
pub struct Store<C> {
    queue: mpsc::Sender<Box<dyn Job>>,
    reader: Reader,
    replica: Arc<Replica>,
    clock: Arc<C>,
    health: Arc<Health>,
    head_at_open: Head,
    created: bool,
}

impl<C> Clone for Store<C> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            reader: self.reader.clone(),
            replica: Arc::clone(&self.replica),
            clock: Arc::clone(&self.clock),
            health: Arc::clone(&self.health),
            head_at_open: self.head_at_open.clone(),
            created: self.created,
        }
    }
}

/// Waits for the writer to end: what is queued is done, a shared database's node row removed.
pub struct WriterHandle {
    thread: Option<std::thread::JoinHandle<()>>,
}

impl WriterHandle {
    /// Blocks until the writer has ended; every [`Store`] must be dropped before.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<C: Clock + Send + Sync + 'static> Store<C> {
    /// Opens the store, creating its tables in an empty one, loads the replica and starts the writer.
    /// The replica vouches when this returns.
    pub async fn open(location: &Location, options: Options<C>) -> Result<(Self, WriterHandle), StoreError> {
        let (ready, opened) = oneshot::channel();
        let location = location.clone();
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = ready.send(Err(StoreError::Unavailable(error.to_string())));
                        return;
                    }
                };
                runtime.block_on(async move {
                    match start(&location, options).await {
                        Ok((store, writer, queue)) => {
                            if ready.send(Ok(store)).is_ok() {
                                run(writer, queue).await;
                            }
                        }
                        Err(error) => drop(ready.send(Err(error))),
                    }
                });
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let store = opened.await.map_err(|_| StoreError::Unavailable("the writer ended".into()))??;
        Ok((store, WriterHandle { thread: Some(thread) }))
    }

    /// Decides on the durable state, writes, applies, and answers what the decision answered. When
    /// this returns `Ok(Ok(_))`, the writes are durable and no check answers from before them.
    pub async fn decide<T, E, F>(&self, wants: Wants, decide: F) -> Result<Result<T, E>, Failure>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&View) -> Result<(Decided, T), E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let asked = self.clock.boot();
        let job = Typed { wants, asked, decide: Some(decide), answer: None, reply };
        self.queue.try_send(Box::new(job)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Failure::Unavailable,
        })?;
        answer.await.map_err(|_| Failure::OutcomeUnknown)?
    }

    /// Reading for people and programs.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The replica that answers checks.
    #[must_use]
    pub fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// The clocks it was opened with.
    #[must_use]
    pub fn clock(&self) -> &Arc<C> {
        &self.clock
    }

    /// Where the store stood when it was opened.
    #[must_use]
    pub fn head_at_open(&self) -> &Head {
        &self.head_at_open
    }

    /// Whether it was created by this opening.
    #[must_use]
    pub fn created(&self) -> bool {
        self.created
    }

    /// The numbers of the last change and the last audit entry.
    #[must_use]
    pub fn numbers(&self) -> (u64, u64) {
        let health = &self.health;
        (health.change_number.load(Ordering::Relaxed), health.audit_seq.load(Ordering::Relaxed))
    }

    /// Groups and changes committed since the start.
    #[must_use]
    pub fn committed(&self) -> (u64, u64) {
        (self.health.groups.load(Ordering::Relaxed), self.health.changes.load(Ordering::Relaxed))
    }

    /// Whether the last write or renewal succeeded.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.health.writable.load(Ordering::Relaxed)
    }

    /// Whether this node must stop: another one has the database, or the database is not the one it
    /// was.
    #[must_use]
    pub fn is_expelled(&self) -> bool {
        self.health.expelled.load(Ordering::SeqCst)
    }

    /// Writes waiting now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        WAITING_MAX - self.queue.capacity()
    }
}

type Started<C> = (Store<C>, Writer<C>, mpsc::Receiver<Box<dyn Job>>);

async fn start<C: Clock + Send + Sync>(location: &Location, options: Options<C>) -> Result<Started<C>, StoreError> {
    let mut driver = match location {
        Location::Sqlite(path) => Driver::Sqlite(SqliteDriver::open(path)?),
        Location::Postgres(url) => Driver::Postgres(PostgresDriver::open(url).await?),
    };
    let created = driver.migrate(&[new_head(options.fresh)]).await?;
    let head = read_head(&mut driver).await?;
    if head.change_number < options.seen {
        return Err(StoreError::Older { found: head.change_number, seen: options.seen });
    }
    if driver.is_shared() {
        register(&mut driver, &options.node).await?;
    }
    let next = read_next(&mut driver).await?;
    let asked = options.clock.boot();
    let replica = Arc::new(load::load(&mut driver, Arc::clone(&options.keyring)).await?);
    let health = Arc::new(Health::default());
    let mut writer = Writer {
        lease: LeaseTerms { term_nanos: TERM_NANOS },
        incarnation: options.node.incarnation.to_string(),
        replica: Arc::clone(&replica),
        clock: Arc::clone(&options.clock),
        head: head.clone(),
        next,
        health: Arc::clone(&health),
        trusted: true,
        driver,
    };
    if writer.driver.is_shared() {
        // A long load may have outlived the lease of its start; the renewal is what lets it vouch.
        let _ = asked;
        writer.renew().await;
    } else {
        replica.lease().grant_for_ever();
    }
    health.writable.store(writer.trusted, Ordering::Relaxed);
    writer.publish_head();
    let reader = match location {
        Location::Sqlite(path) => Reader::sqlite(SqliteReaders::open(path)?),
        Location::Postgres(url) => Reader::postgres(postgres::readers(url)?),
    };
    let (queue, waiting) = mpsc::channel(WAITING_MAX);
    let clock = options.clock;
    Ok((Store { queue, reader, replica, clock, health, head_at_open: head, created }, writer, waiting))
}

fn new_head((store, epoch): (Uuid, Uuid)) -> Statement {
    let sql = "INSERT INTO head (one, schema, store, epoch, change_number, audit_seq, audit_hash)
        VALUES (1, $1, $2, $3, 0, 0, $4)";
    let params = vec![
        crate::schema::VERSION.into(),
        store.to_string().into(),
        epoch.to_string().into(),
        CHAIN_START.as_slice().into(),
    ];
    Statement::one(sql, params)
}

/// Enters this process as the database's node. Holding the lock proves that no other process can
/// write; it does not prove that none still answers checks from memory, so a predecessor's lease is
/// waited out, unless the data directory's lock proves it dead.
async fn register(driver: &mut Driver, node: &NodeIdentity) -> Result<(), StoreError> {
    let mut predecessor: Option<String> = None;
    let mut each = |_: usize, row: &Row<'_>| {
        predecessor = Some(row.text(0)?.to_owned());
        Ok(())
    };
    driver.query("SELECT id FROM node", &[vec![]], &mut each).await?;
    if predecessor.is_some_and(|id| id != node.id.to_string()) {
        tracing::warn!(
            seconds = WAIT_OUT.as_secs(),
            "another node used this database and did not sign off; waiting until it can no longer answer checks"
        );
        tokio::time::sleep(WAIT_OUT).await;
    }
    let sql = "INSERT INTO node (one, id, incarnation, renewals) VALUES (1, $1, $2, 0)
        ON CONFLICT (one) DO UPDATE SET id = excluded.id, incarnation = excluded.incarnation, renewals = 0";
    let params = vec![node.id.to_string().into(), node.incarnation.to_string().into()];
    let committed = driver.commit(&[Statement::one(sql, params)]).await;
    committed.map_err(|error| match error {
        crate::driver::CommitError::RolledBack(error) | crate::driver::CommitError::Unknown(error) => error,
    })
}

/// The writer's life: groups as they come, a renewal every two seconds, and a sign-off at the end.
async fn run<C: Clock + Send + Sync>(mut writer: Writer<C>, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    let mut waiting: VecDeque<Box<dyn Job>> = VecDeque::new();
    let mut incoming = Vec::with_capacity(GROUP_MAX);
    let mut renewal = tokio::time::interval(RENEW_EVERY);
    renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if waiting.is_empty() {
            tokio::select! {
                received = queue.recv_many(&mut incoming, GROUP_MAX) => if received == 0 { break },
                _ = renewal.tick() => {
                    writer.renew().await;
                    continue;
                }
            }
        } else {
            while let Ok(job) = queue.try_recv() {
                incoming.push(job);
                if incoming.len() >= GROUP_MAX {
                    break;
                }
            }
        }
        waiting.extend(incoming.drain(..));
        let group = writer.next_group(&mut waiting);
        writer.run_group(group).await;
    }
    writer.replica.lease().end();
    if writer.driver.is_shared() && writer.trusted {
        let sql = "DELETE FROM node WHERE incarnation = $1";
        let params = vec![writer.incarnation.as_str().into()];
        if writer.driver.commit(&[Statement::new(sql, params)]).await.is_err() {
            tracing::warn!("could not sign off from the database; the next node waits until this one's lease is over");
        }
    }
}
