//! Opening a store and asking it to write.

use crate::applier::Applier;
use crate::attachments::{Attachments, Others};
use crate::driver::{Driver, Each};
use crate::error::{Failure, StoreError};
use crate::handle::{WriterHandle, runtime, thread};
use crate::job::{Decided, Job, ReadSet, Typed, View};
use crate::keys::{self, Keys};
use crate::load::{self, read_head};
use crate::member::{self, Joining, Member};
use crate::nodes::{self, About, List, Nodes};
use crate::people::Record;
use crate::postgres::{self, MemberSession, PostgresDriver};
use crate::queue::{Queue, WAITING_MAX};
use crate::reader::{Reader, Use};
use crate::sqlite::{self, SqliteDriver, SqliteReaders};
use crate::upgrade;
use crate::value::{Statement, Value};
use crate::writer::{Health, Membership, Standing, Writer};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokenward_core::audit::{CHAIN_START, Entry};
use tokenward_core::digest::KeyId;
use tokenward_core::sublease::Terms;
use tokenward_core::time::{Clock, Timestamp};
use tokenward_core::{Keyring, Replica};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use crate::load::Head;

/// How long a renewal lets this node vouch, unless a test asks for less: long enough to sit
/// out a database restart.
pub const TERM: Duration = Duration::from_secs(10);

/// Longest a step of the opening may take.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often in a term the writer looks whether its connection is still there.
const RENEWALS_IN_A_TERM: u32 = 5;

/// Changes the log keeps at least.
pub(crate) const LOG_KEPT: u64 = 100_000;
/// For how long a change stays in the log of a shared database at least, in microseconds: ten minutes, several times what
/// the load of ten million clients takes.
pub(crate) const LOG_KEPT_MICROS: i64 = 600_000_000;

/// Where a store is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file.
    Sqlite(PathBuf),
    /// A database, by its URL.
    Postgres(String),
}

impl Location {
    /// Reads on a connection of its own, each row with the place of its query. Blocks.
    pub(crate) fn read_alone(
        &self,
        queries: &[&str],
        params: &[Value],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(path) => sqlite::read_alone(path, queries, params, each),
            Self::Postgres(url) => postgres::read_alone(url, queries, params, each),
        }
    }
}

/// Who this node is to a database.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// This process's own name, used once.
    pub incarnation: Uuid,
    /// What only one process at a time can have, on all machines: a row that has it was left by a process that is certainly
    /// dead. None when nothing proves that; then such a row is waited for like any other node's.
    pub place: Option<String>,
    /// What it says of itself to other nodes and to people.
    pub about: About,
}

/// What opening needs besides the place.
pub struct Options<C> {
    /// The keys digests are made with, judged against those that the store was written with.
    pub keys: Keys,
    /// The clocks.
    pub clock: Arc<C>,
    /// Who this node is.
    pub node: NodeIdentity,
    /// Random names for a new store and for an epoch that may begin.
    pub fresh: (Uuid, Uuid),
    /// The epoch and the highest change number this data directory has seen; the same epoch ending
    /// before it is refused.
    pub seen: Option<(Uuid, u64)>,
    /// How long a renewal lets this node vouch on a shared database: [`TERM`].
    pub term: Duration,
    /// Whether other nodes may use the database at the same time; each of them must say so, too.
    pub sharing: bool,
    /// Whether an earlier process on this data directory may have let attached replicas vouch: then no
    /// change is answered until that is over.
    pub replicas_before: bool,
}

/// A store: one writer behind a queue, a replica, and readers. Cheap to clone.
pub struct Store<C> {
    queue: mpsc::Sender<Box<dyn Job>>,
    reader: Reader,
    replica: Arc<Replica>,
    keyring: Arc<Keyring>,
    clock: Arc<C>,
    health: Arc<Health>,
    attachments: Arc<Attachments<C>>,
    list: Arc<List>,
    head_at_open: Head,
    /// Whether other nodes could be there.
    shared: bool,
}

impl<C> Clone for Store<C> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            reader: self.reader.clone(),
            replica: Arc::clone(&self.replica),
            keyring: Arc::clone(&self.keyring),
            clock: Arc::clone(&self.clock),
            health: Arc::clone(&self.health),
            attachments: Arc::clone(&self.attachments),
            list: Arc::clone(&self.list),
            head_at_open: self.head_at_open.clone(),
            shared: self.shared,
        }
    }
}

impl<C: Clock + Send + Sync + 'static> Store<C> {
    /// Opens the store, creating its tables in an empty one, loads the replica and starts the writer.
    /// The replica vouches when this returns.
    pub async fn open(
        location: &Location,
        options: Options<C>,
    ) -> Result<(Self, WriterHandle), StoreError> {
        let (ready, opened) = oneshot::channel();
        let location = location.clone();
        let callers = tokio::runtime::Handle::try_current().ok();
        let thread = thread("writer", move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error.into()))),
            };
            runtime.block_on(async move {
                match start(&location, options, callers).await {
                    // Nobody may be there to take the store any more: then this ends at once, in good order.
                    Ok((store, writer, queue)) => {
                        let attachments = Arc::clone(&writer.attachments);
                        let timing = tokio::spawn(async move { attachments.run().await });
                        drop(ready.send(Ok(store)));
                        writer.run(queue).await;
                        timing.abort();
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        })?;
        let ended = |_| StoreError::Unavailable("the writer ended".into());
        let store = opened.await.map_err(ended)??;
        Ok((store, WriterHandle(thread)))
    }

    /// Decides on the durable state, writes, applies, and answers what the decision answered. When
    /// this returns `Ok(Ok(_))`, the writes are durable and no check answers from before them.
    pub async fn decide<T, E, F>(&self, wants: ReadSet, decide: F) -> Result<Result<T, E>, Failure>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&View) -> Result<(Decided, T), E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let asked = self.clock.boot();
        let job = Typed {
            wants,
            asked,
            decide: Some(decide),
            answer: None,
            reply,
        };
        self.queue
            .try_send(Box::new(job))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Failure::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Failure::Unavailable,
            })?;
        answer.await.map_err(|_| Failure::OutcomeUnknown)?
    }

    /// Writes rows that no check asks for and that need no look at what is there.
    pub async fn note(&self, records: Vec<Record>, uses: Vec<Use>) -> Result<(), Failure> {
        let decided = Decided {
            records,
            uses,
            ..Decided::default()
        };
        let wants = ReadSet {
            aside: true,
            ..ReadSet::default()
        };
        let noted = self.decide(wants, move |_| {
            Ok::<_, std::convert::Infallible>((decided, ()))
        });
        noted.await.map(|_| ())
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

    /// The keys digests are made with.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// The replicas attached to this one.
    #[must_use]
    pub fn attachments(&self) -> &Arc<Attachments<C>> {
        &self.attachments
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

    /// The numbers of the last change that is applied here, and of the last audit entry that is known here.
    #[must_use]
    pub fn numbers(&self) -> (u64, u64) {
        let own = self.health.change_number.load(Ordering::Relaxed);
        let audit = self.health.audit_seq.load(Ordering::Relaxed);
        (
            own.max(self.replica.applied()),
            audit.max(self.list.audit_seq()),
        )
    }

    /// The last change that this node knows to survive a failover: an own one whose commit was acknowledged, or one that was
    /// applied here before a renewal that succeeded. A data directory may remember it; one that remembered more would refuse
    /// the database after a failover.
    #[must_use]
    pub fn proven(&self) -> u64 {
        let own = self.health.change_number.load(Ordering::Relaxed);
        own.max(self.health.proven.load(Ordering::Relaxed))
    }

    /// The nodes of the database as this one sees them. With a file there is one.
    #[must_use]
    pub fn nodes(&self) -> Nodes {
        self.list.latest(self.numbers().0)
    }

    /// How many nodes use the database, at least this one.
    #[must_use]
    pub fn nodes_seen(&self) -> usize {
        self.list.count()
    }

    /// Makes new digests with the key that was added last, once every node has it: chosen in the database, for all nodes at
    /// once. Answers the key when this call chose it. With a file that key is used from the start.
    ///
    /// # Errors
    /// As [`Store::decide`].
    pub async fn choose_newest_key(&self) -> Result<Option<KeyId>, Failure> {
        let newest = self.keyring.newest();
        if self.keyring.current() == newest || self.nodes().key_of_all() != Some(newest) {
            return Ok(None);
        }
        let keyring = Arc::clone(&self.keyring);
        let chosen = self.decide(ReadSet::default(), move |view| {
            // Under the lock: another node may have chosen it meanwhile.
            if keyring.current() == newest {
                return Err(());
            }
            let entry = Entry::by_system(
                view.now,
                "digest_key.use",
                &serde_json::json!({ "digest_key": newest.0 }),
            );
            let decided = Decided {
                records: vec![Record::DigestKeyChosen(newest)],
                audit: vec![entry],
                ..Decided::default()
            };
            Ok((decided, ()))
        });
        match chosen.await? {
            Ok(()) => {
                self.keyring.choose(newest);
                Ok(Some(newest))
            }
            Err(()) => Ok(None),
        }
    }

    /// Groups and changes committed since the start.
    #[must_use]
    pub fn committed(&self) -> (u64, u64) {
        (
            self.health.groups.load(Ordering::Relaxed),
            self.health.changes.load(Ordering::Relaxed),
        )
    }

    /// Whether the last write or renewal succeeded.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.health.writable.load(Ordering::Relaxed) && self.health.renewed.load(Ordering::Relaxed)
    }

    /// Whether this node must stop: another one has the database, or the database is not the one it
    /// was.
    #[must_use]
    pub fn is_expelled(&self) -> bool {
        self.health.expelled.load(Ordering::SeqCst)
    }

    /// Whether this node is the one that makes and delivers notices and deletes old rows. Two may be for a moment, so what
    /// depends on it must bear that.
    #[must_use]
    pub fn is_housekeeper(&self) -> bool {
        let vouches = || self.replica.lease().read().covers(|| self.clock.boot());
        self.health.housekeeper.load(Ordering::SeqCst) && vouches()
    }

    /// Whether other nodes may use the database at the same time.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Forgets some of the oldest changes of the log. The latest 100,000 stay, and on a shared database all of the last
    /// ten minutes: a node that starts applies those that were made while it loaded.
    pub async fn trim_log(&self) -> Result<(), Failure> {
        let through = self.replica.applied().saturating_sub(LOG_KEPT);
        if through == 0 {
            return Ok(());
        }
        let before = match self.shared {
            true => Timestamp(self.clock.wall().0 - LOG_KEPT_MICROS),
            false => Timestamp(i64::MAX),
        };
        let trimmed = Record::LogTrimmed { through, before };
        self.note(vec![trimmed], Vec::new()).await
    }

    /// Writes waiting now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        WAITING_MAX - self.queue.capacity() + self.health.waiting.load(Ordering::Relaxed)
    }
}

type Started<C> = (Store<C>, Writer<C>, Queue);

async fn start<C: Clock + Send + Sync + 'static>(
    location: &Location,
    options: Options<C>,
    callers: Option<tokio::runtime::Handle>,
) -> Result<Started<C>, StoreError> {
    let mut driver = match location {
        Location::Sqlite(path) => Driver::Sqlite(SqliteDriver::open(path, true)?),
        Location::Postgres(url) => {
            let name = options.node.incarnation.to_string();
            Driver::Postgres(PostgresDriver::open(url, &name, options.sharing).await?)
        }
    };
    let now = options.clock.wall();
    // Several may start at once on an empty database: one of them makes the tables and the first key.
    driver.starting(true).await?;
    // Before keys are made for it.
    if options.seen.is_some() && driver.version().await?.is_none() {
        let why = "the database is empty, but this data directory has held a store. Move a store that is in a file with \
                   `tokenward move`, restore a lost one with `tokenward restore`, or name another --data-dir for a new one";
        return Err(StoreError::Refused(why.into()));
    }
    let settled = keys::settle(location, &mut driver, options.keys, now).await?;
    if settled.replaced && options.sharing {
        return Err(StoreError::Refused(
            "the digest keys cannot be replaced while other nodes may use the database: start one node alone".into(),
        ));
    }
    let (store, epoch) = options.fresh;
    let fresh = new_head(&store.to_string(), epoch, now);
    driver.migrate(Some(&fresh)).await?;
    let head = read_head(&mut driver).await?;
    if let Some((epoch, seen)) = options.seen
        && epoch == head.epoch
        && head.change_number < seen
    {
        return Err(StoreError::Older {
            found: head.change_number,
            seen,
        });
    }
    let reader = match location {
        Location::Sqlite(path) => Reader::sqlite(SqliteReaders::open(path)?),
        Location::Postgres(url) => {
            let pool = postgres::Readers::new(url)?;
            driver.with_readers(&pool);
            Reader::postgres(pool)
        }
    };
    keys::keep(&mut driver, &settled, options.fresh.1, now).await?;
    // A replaced key begins a new epoch.
    let head = read_head(&mut driver).await?;
    let keyring = settled.keyring;
    upgrade::label_keys(&mut driver).await?;
    driver.starting(false).await?;
    let own = nodes::Node {
        incarnation: options.node.incarnation,
        own: true,
        about: options.node.about.clone(),
        newest_key: Some(keyring.newest()),
        joined_at: now,
        ..nodes::Node::default()
    };
    let opening = Opening {
        node: options.node,
        term: options.term,
        sharing: options.sharing,
        clock: options.clock,
        replicas_before: options.replicas_before || settled.replaced,
        callers,
        head,
        keyring,
        reader,
        list: Arc::new(List::new(own)),
    };
    opening.finish(location, driver).await
}

/// A start that has still to load.
struct Opening<C> {
    node: NodeIdentity,
    term: Duration,
    sharing: bool,
    clock: Arc<C>,
    replicas_before: bool,
    callers: Option<tokio::runtime::Handle>,
    head: Head,
    keyring: Arc<Keyring>,
    reader: Reader,
    list: Arc<List>,
}

impl<C: Clock + Send + Sync + 'static> Opening<C> {
    /// Loads, joins and takes up the work.
    async fn finish(
        self,
        location: &Location,
        mut driver: Driver,
    ) -> Result<Started<C>, StoreError> {
        let (replica, position) =
            match load::load(location, &mut driver, Arc::clone(&self.keyring)).await {
                Ok(loaded) => loaded,
                Err(error) => {
                    driver.close().await;
                    return Err(error);
                }
            };
        let replica = Arc::new(replica);
        let health = Arc::new(Health::default());
        let others = match (driver.is_shared(), self.sharing) {
            (false, _) => Others::Never,
            (true, false) => Others::KeptOut,
            (true, true) => Others::Expected,
        };
        let attachments = Arc::new(Attachments::new(
            Terms::STANDARD,
            Arc::clone(&self.clock),
            Arc::clone(&replica),
            position.number,
            self.replicas_before,
            others,
        ));
        let applier = Applier::new(Arc::clone(&replica), Arc::clone(&attachments), position);
        let applier = Arc::new(applier);
        let shared = driver.is_shared();
        health.housekeeper.store(!shared, Ordering::SeqCst);
        let entered = match location {
            Location::Sqlite(_) => enter(&mut driver, &self.node.incarnation.to_string())
                .await
                .map(|()| {
                    health.renewed.store(true, Ordering::Relaxed);
                    replica.lease().grant_for_ever();
                    None
                }),
            Location::Postgres(url) => self.join(url, &applier, &health).await.map(Some),
        };
        let membership = match entered {
            Ok(membership) => membership,
            Err(error) => {
                driver.close().await;
                return Err(error);
            }
        };
        let writer = Writer {
            attachments: Arc::clone(&attachments),
            list: Arc::clone(&self.list),
            applier,
            membership,
            me: self.node.incarnation.to_string(),
            look_every: self.term / RENEWALS_IN_A_TERM,
            replica: Arc::clone(&replica),
            clock: Arc::clone(&self.clock),
            store: (self.head.store, self.head.epoch),
            health: Arc::clone(&health),
            standing: Standing::Sure,
            faults: 0,
            told: Vec::new(),
            callers: self.callers,
            alone: true,
            put_back: false,
            moved: Some(0),
            driver,
        };
        writer.publish(position.number, self.head.audit_seq);
        let (queue, arriving) = mpsc::channel(WAITING_MAX);
        let arriving = Queue::new(arriving, Arc::clone(&health.waiting));
        Ok((
            Store {
                queue,
                reader: self.reader,
                replica,
                keyring: self.keyring,
                clock: self.clock,
                health,
                attachments,
                list: self.list,
                head_at_open: self.head,
                shared,
            },
            writer,
            arriving,
        ))
    }

    /// Joins the nodes of a shared database, on a thread of its own, and waits until this one vouches: only a renewal after
    /// the load lets it, for the load may have taken longer than any lease.
    async fn join(
        &self,
        url: &str,
        applier: &Arc<Applier<C>>,
        health: &Arc<Health>,
    ) -> Result<Membership, StoreError> {
        let (ready, vouching) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let member = Member::new(Joining {
            session: MemberSession::new(url, &format!("tokenward {}", self.node.incarnation))?,
            applier: Arc::clone(applier),
            clock: Arc::clone(&self.clock),
            health: Arc::clone(health),
            store: (self.head.store, self.head.epoch),
            incarnation: self.node.incarnation,
            place: self.node.place.clone().unwrap_or_default(),
            about: self.node.about.to_json(),
            keyring: Arc::clone(&self.keyring),
            list: Arc::clone(&self.list),
            readers: self.reader.shared(),
            sharing: self.sharing,
            terms: member::terms(self.term),
            ready: Some(ready),
        });
        let runtime = runtime()?;
        let thread = thread("member", move || runtime.block_on(member.run(stopped)))?;
        let membership = Membership { stop, thread };
        let ended = |_| Err(StoreError::Unavailable("the membership ended".into()));
        match vouching.await.unwrap_or_else(ended) {
            Ok(()) => Ok(membership),
            Err(error) => {
                membership.end();
                Err(error)
            }
        }
    }
}

/// Enters this process as the one that writes a file: any other that still does finds its own row gone.
async fn enter(driver: &mut Driver, incarnation: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO node (incarnation, id, attempt, acked, wait) VALUES ($1, $1, 0, 0, 0)";
    let statements = [
        Statement::new("DELETE FROM node", Vec::new()),
        Statement::one(sql, vec![incarnation.into()]),
    ];
    driver.commit(&statements, COMMIT_TIMEOUT).await
}

/// The first head row of a store with this name.
pub(crate) fn new_head(store: &str, epoch: Uuid, now: Timestamp) -> Statement {
    let sql = "INSERT INTO head (one, schema, store, epoch, change_number, audit_seq, audit_hash, next_product, clock)
        VALUES (1, $1, $2, $3, 0, 0, $4, 0, $5)";
    let params = vec![
        crate::schema::VERSION.into(),
        store.into(),
        epoch.to_string().into(),
        CHAIN_START.as_slice().into(),
        now.into(),
    ];
    Statement::one(sql, params)
}
