//! A store in use: the verbs a server would have, each through `Store::decide` with the core's own
//! decisions, and an account of every change made.

use crate::place::Place;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenward_core::audit::{Actor, Entry};
use tokenward_core::change::Change;
use tokenward_core::check::{Facts, Presented, Verdict};
use tokenward_core::client::{
    ApiClient, ClientState, OnRepeat, Product, SecretRecord, Settings, Workspace,
};
use tokenward_core::credential::ClientSecret;
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_core::generate::{self, Answer, Caller, Fresh, Rejection, Wishes};
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId};
use tokenward_core::label::{Label, Name, Slug};
use tokenward_core::restrictions::Networks;
use tokenward_core::time::{BootInstant, Clock, MICROS_PER_SECOND, Timestamp};
use tokenward_store::{
    Decided, Failure, NodeIdentity, Options, Store, StoreError, TERM, View, Wants, WriterHandle,
};
use tokenward_testkit::wait_until;
use uuid::Uuid;

pub(crate) const START: Timestamp = Timestamp(1_795_428_930 * MICROS_PER_SECOND);
pub(crate) const HOME: &str = "10.1.2.3";

/// Absolute time stands where it is set; elapsed time is real, for leases must really end.
#[derive(Debug)]
pub(crate) struct TestClock {
    wall: AtomicI64,
    /// Nanoseconds by which elapsed time is ahead of the real.
    ahead: AtomicU64,
}

impl Default for TestClock {
    fn default() -> Self {
        Self {
            wall: AtomicI64::new(START.0),
            ahead: AtomicU64::new(0),
        }
    }
}

impl TestClock {
    pub(crate) fn wait(&self, seconds: i64) {
        self.wall
            .fetch_add(seconds * MICROS_PER_SECOND, Ordering::SeqCst);
    }

    /// Lets elapsed time jump.
    pub(crate) fn skip(&self, time: Duration) {
        self.ahead
            .fetch_add(u64::try_from(time.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }
    fn boot(&self) -> BootInstant {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let real = time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned();
        BootInstant(real + self.ahead.load(Ordering::SeqCst))
    }
}

/// Bytes that never repeat in one process of tests.
pub(crate) fn draw<const N: usize>() -> [u8; N] {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let mut state = DRAWN
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut out = [0; N];
    for chunk in out.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(mixed ^ mixed >> 31).to_le_bytes()[..chunk.len()]);
    }
    out
}

pub(crate) fn uuid() -> Uuid {
    Uuid::from_bytes(draw())
}

pub(crate) fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::new(vec![DigestKey::new(KeyId(1), [7; 32])]).unwrap())
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn settings(label: &str) -> Settings {
    Settings {
        label: Label::parse(label).unwrap(),
        products: None,
        token_lifetime_seconds: Some(3600),
        secret_networks: Networks::default(),
        token_networks: Networks::default(),
        notification_emails: Vec::new(),
        on_repeat: OnRepeat::Replace,
        renew_before_seconds: 600,
        handover_max_seconds: 0,
    }
}

pub(crate) fn entry(action: &'static str, client: Option<ClientId>, now: Timestamp) -> Entry {
    let source = Some(HOME.parse().unwrap());
    let detail = r#"{"by":"a test, läßt grüßen"}"#.to_owned();
    Entry {
        at: now,
        actor: Actor::System,
        source,
        action,
        workspace: None,
        client,
        detail,
    }
}

/// What a decision writes, with the audit entry it needs.
pub(crate) fn audited(changes: Vec<Change>, now: Timestamp) -> Decided {
    let audit = if changes.is_empty() {
        vec![]
    } else {
        vec![entry("test", None, now)]
    };
    Decided {
        changes,
        audit,
        uses: vec![],
    }
}

/// Who opens the store.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) id: Uuid,
    pub(crate) term: Duration,
    pub(crate) seen: Option<(Uuid, u64)>,
}

impl Who {
    pub(crate) fn new() -> Self {
        Self {
            id: uuid(),
            term: TERM,
            seen: None,
        }
    }

    pub(crate) fn with_term(term: Duration) -> Self {
        Self {
            term,
            ..Self::new()
        }
    }
}

pub(crate) struct House {
    pub(crate) store: Store<TestClock>,
    pub(crate) handle: WriterHandle,
    pub(crate) place: Arc<Place>,
    pub(crate) who: Who,
    /// Every change known to be durable, in the order decided.
    pub(crate) made: Arc<Mutex<Vec<Change>>>,
}

impl House {
    pub(crate) async fn open(place: &Arc<Place>) -> Self {
        Self::open_as(place, Who::new())
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn open_as(place: &Arc<Place>, who: Who) -> Result<Self, StoreError> {
        let options = Options {
            keyring: keyring(),
            clock: Arc::new(TestClock::default()),
            node: NodeIdentity {
                id: who.id,
                incarnation: uuid(),
            },
            fresh: (uuid(), uuid()),
            seen: who.seen,
            term: who.term,
        };
        let (store, handle) = Store::open(&place.location, options).await?;
        Ok(Self {
            store,
            handle,
            place: Arc::clone(place),
            who,
            made: Arc::default(),
        })
    }

    /// Ends the store in good order.
    pub(crate) async fn close(self) {
        drop(self.store);
        tokio::task::spawn_blocking(|| self.handle.join())
            .await
            .unwrap();
    }

    /// Ends it and opens it again as the same node.
    pub(crate) async fn reopened(self) -> Self {
        let (place, who, made) = (
            Arc::clone(&self.place),
            self.who.clone(),
            Arc::clone(&self.made),
        );
        self.close().await;
        let opened = Self::open_as(&place, who)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        Self { made, ..opened }
    }

    pub(crate) async fn decide<T: Send + 'static, E: Send + 'static>(
        &self,
        wants: Wants,
        decide: impl FnOnce(&View) -> Result<(Vec<Change>, T), E> + Send + 'static,
    ) -> Result<Result<T, E>, Failure> {
        self.share().decide(wants, decide).await
    }

    /// Writes changes that need no view.
    pub(crate) async fn put(
        &self,
        wants: Wants,
        make: impl FnOnce(&View) -> Change + Send + 'static,
    ) {
        let decided = self
            .decide::<_, ()>(wants, |view| Ok((vec![make(view)], ())))
            .await;
        assert_eq!(decided, Ok(Ok(())));
    }

    pub(crate) async fn workspace(&self, title: &'static str) -> WorkspaceId {
        let id = WorkspaceId(uuid());
        self.put(Wants::default(), move |view| Change::WorkspacePut {
            workspace: Workspace {
                no: view.next.workspace,
                id,
                name: name(title),
                created_at: view.now,
                disabled_at: None,
            },
        })
        .await;
        id
    }

    pub(crate) async fn product(&self, slug: &str) -> ProductNo {
        let slug = Slug::parse(slug).unwrap();
        let decided = self.decide::<_, ()>(Wants::default(), move |view| {
            let no = view.next.product;
            let product = Product {
                no,
                slug,
                name: name("Produkt №"),
                created_at: view.now,
            };
            Ok((vec![Change::ProductPut { product }], no))
        });
        decided.await.unwrap().unwrap()
    }

    /// A client with one secret, in production.
    pub(crate) async fn client(
        &self,
        workspace: WorkspaceId,
        settings: Settings,
    ) -> (ClientId, String) {
        let id = ClientId(uuid());
        let secret = ClientSecret::from_random(Environment::Production, id, draw());
        let text = secret.expose().to_string();
        let digest = keyring().secret(KeyId(1), &secret).unwrap();
        let wants = Wants {
            workspace: Some(workspace),
            ..Wants::default()
        };
        self.put(wants, move |view| {
            let record = SecretRecord {
                n: 1,
                digest,
                key: KeyId(1),
                created_at: view.now,
            };
            Change::ClientCreated {
                client: Box::new(ApiClient {
                    no: view.next.client,
                    id,
                    workspace: view.workspace.as_ref().unwrap().no,
                    environment: Environment::Production,
                    settings,
                    created_at: view.now,
                    disabled_at: None,
                    deleted_at: None,
                    secrets: [Some(record), None],
                    next_secret: 2,
                }),
            }
        })
        .await;
        (id, text)
    }

    pub(crate) async fn generate(&self, id: ClientId, secret: &str) -> Result<Answer, Failure> {
        self.share().generate(id, secret).await
    }

    pub(crate) async fn generate_as(
        &self,
        id: ClientId,
        secret: &str,
        wishes: Wishes,
    ) -> Result<Result<Answer, Rejection>, Failure> {
        self.share().generate_as(id, secret, wishes).await
    }

    /// A change of one client, decided on its state.
    pub(crate) async fn alter(
        &self,
        id: ClientId,
        alter: impl FnOnce(&ClientState, Timestamp) -> Option<Change> + Send + 'static,
    ) {
        let decided = self.decide::<_, ()>(Wants::client(id), move |view| {
            let change = view
                .client
                .as_ref()
                .and_then(|state| alter(state, view.now));
            Ok((change.into_iter().collect(), ()))
        });
        assert_eq!(decided.await, Ok(Ok(())));
    }

    pub(crate) async fn state(&self, id: ClientId) -> ClientState {
        self.store.reader().client(id).await.unwrap().unwrap().0
    }

    /// The verdict on a token at the gateway of product `gst`, in a word.
    pub(crate) fn check(&self, token: &str) -> &'static str {
        let facts = Facts {
            environment: Environment::Production,
            product: "gst",
            address: HOME.parse().unwrap(),
        };
        match self
            .store
            .replica()
            .check(Presented::One(token), &facts, self.clock())
        {
            Verdict::Permit(_) => "permit",
            Verdict::Deny(_) => "deny",
            Verdict::CannotVouch => "cannot vouch",
        }
    }

    /// Holds the writer within a decision until told to go on, so that what is asked for meanwhile
    /// waits.
    pub(crate) fn hold(&self) -> Held {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (begun, inside) = std::sync::mpsc::channel();
        let store = self.store.clone();
        let task = tokio::spawn(async move {
            let held = store.decide::<_, (), _>(Wants::default(), move |_| {
                begun.send(()).unwrap();
                // Ends when the other side is dropped, too.
                let _ = wait.recv();
                Ok((Decided::nothing(), ()))
            });
            held.await.unwrap().unwrap();
        });
        tokio::task::block_in_place(|| inside.recv()).unwrap();
        Held { go, task }
    }

    /// Waits until so many decisions wait.
    pub(crate) fn until_waiting(&self, count: usize) {
        let what = format!("{count} decisions to wait");
        let enough = || (self.store.waiting() >= count).then_some(());
        tokio::task::block_in_place(|| wait_until(&what, Duration::from_secs(20), enough));
    }

    /// A second handle on the same store, for a task.
    pub(crate) fn share(&self) -> Sharer {
        Sharer {
            store: self.store.clone(),
            made: Arc::clone(&self.made),
        }
    }

    pub(crate) fn clock(&self) -> &TestClock {
        self.store.clock()
    }

    /// One workspace and so many clients.
    pub(crate) async fn populated(
        place: &Arc<Place>,
        count: usize,
    ) -> (Self, Vec<(ClientId, String)>) {
        let house = Self::open(place).await;
        let clients = house.populate(count).await;
        (house, clients)
    }

    pub(crate) async fn populate(&self, count: usize) -> Vec<(ClientId, String)> {
        let workspace = self.workspace("Acme GmbH & Söhne").await;
        let mut clients = Vec::new();
        for n in 0..count {
            clients.push(self.client(workspace, settings(&format!("erp-{n}"))).await);
        }
        clients
    }
}

pub(crate) fn disable(state: &ClientState, on: bool, now: Timestamp) -> Change {
    Change::ClientDisabled {
        client: state.client.no,
        at: on.then_some(now),
    }
}

pub(crate) fn delete(client: ClientNo, now: Timestamp) -> Change {
    Change::ClientDeleted { client, at: now }
}

/// The writer, held within a decision.
pub(crate) struct Held {
    go: std::sync::mpsc::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Held {
    pub(crate) async fn release(self) {
        drop(self.go);
        self.task.await.unwrap();
    }
}

/// A store and the account of its changes, for a task of its own.
#[derive(Clone)]
pub(crate) struct Sharer {
    pub(crate) store: Store<TestClock>,
    made: Arc<Mutex<Vec<Change>>>,
}

impl Sharer {
    /// Decides, and keeps account of the changes once they are durable.
    pub(crate) async fn decide<T: Send + 'static, E: Send + 'static>(
        &self,
        wants: Wants,
        decide: impl FnOnce(&View) -> Result<(Vec<Change>, T), E> + Send + 'static,
    ) -> Result<Result<T, E>, Failure> {
        let decided = self.store.decide(wants, move |view| {
            let (changes, answer) = decide(view)?;
            Ok((audited(changes.clone(), view.now), (changes, answer)))
        });
        Ok(decided.await?.map(|(changes, answer)| {
            self.made.lock().unwrap().extend(changes);
            answer
        }))
    }

    pub(crate) async fn generate(&self, id: ClientId, secret: &str) -> Result<Answer, Failure> {
        let answer = self.generate_as(id, secret, Wishes::default()).await?;
        Ok(answer.unwrap_or_else(|rejection| panic!("{rejection:?}")))
    }

    pub(crate) async fn generate_as(
        &self,
        id: ClientId,
        secret: &str,
        wishes: Wishes,
    ) -> Result<Result<Answer, Rejection>, Failure> {
        let secret = ClientSecret::parse(secret).unwrap();
        let caller = Caller {
            secret,
            source: HOME.parse().unwrap(),
            host_environment: None,
        };
        self.decide(Wants::client(id), move |view| {
            let state = view.client.as_ref().ok_or(Rejection::SecretInvalid)?;
            let fresh = Fresh {
                token: draw(),
                nonce: draw(),
            };
            generate::by_secret(
                state,
                &caller,
                wishes,
                fresh,
                1_000_000,
                &keyring(),
                view.now,
            )
        })
        .await
    }
}
