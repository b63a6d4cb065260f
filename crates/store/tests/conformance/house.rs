//! A store in use: the verbs a server would have, each through `Store::decide` with the core's own
//! decisions, and an account of every change made.

use crate::basics::{HOME, TestClock, draw, entry, keyring, name, settings, uuid};
use crate::place::Place;
use crate::sharer::{Held, Sharer};
use futures_util::future::join_all;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenward_core::change::Change;
use tokenward_core::check::{Facts, Presented, Verdict};
use tokenward_core::client::{ApiClient, ClientState, Product, SecretRecord, Settings, Workspace};
use tokenward_core::credential::ClientSecret;
use tokenward_core::digest::KeyId;
use tokenward_core::generate::Answer;
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId};
use tokenward_core::label::Slug;
use tokenward_core::time::{BootInstant, Clock, Timestamp};
use tokenward_store::people::Record;
use tokenward_store::{
    About, Decided, Failure, Keys, NodeIdentity, Options, ReadSet, Store, StoreError, TERM, View,
    WriterHandle,
};
use tokenward_testkit::{Look, PROGRAM_LIMIT, wait_until};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Who opens the store.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) id: Uuid,
    pub(crate) term: Duration,
    pub(crate) seen: Option<(Uuid, u64)>,
    pub(crate) replicas_before: bool,
    pub(crate) sharing: bool,
    /// Whether its data directory proves that an earlier process on it has ended.
    pub(crate) proof: bool,
}

impl Who {
    pub(crate) fn new() -> Self {
        Self {
            id: uuid(),
            term: TERM,
            seen: None,
            replicas_before: false,
            sharing: false,
            proof: true,
        }
    }

    pub(crate) fn with_term(term: Duration) -> Self {
        Self {
            term,
            ..Self::new()
        }
    }

    /// One of several nodes.
    pub(crate) fn sharing() -> Self {
        Self {
            sharing: true,
            ..Self::new()
        }
    }

    /// One of several nodes, with such a term.
    pub(crate) fn sharing_for(term: Duration) -> Self {
        Self {
            term,
            ..Self::sharing()
        }
    }
}

/// An API client and its first secret.
pub(crate) type Client = (ClientId, String);

/// Waits for the end of a store's writer when it is dropped, unless a test has failed.
pub(crate) struct Ending(Option<WriterHandle>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take().filter(|_| !std::thread::panicking()) {
            tokio::task::block_in_place(|| handle.join());
        }
    }
}

/// An open store. It ends in good order when it is dropped, or by [`House::close`].
pub(crate) struct House {
    /// Dropped first, which ends the writer.
    pub(crate) store: Store<TestClock>,
    pub(crate) ending: Ending,
    pub(crate) place: Arc<Place>,
    pub(crate) who: Who,
    /// The name of its process towards the database.
    pub(crate) incarnation: Uuid,
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
        Self::open_with(place, who, Keys::given(keyring())).await
    }

    pub(crate) async fn open_with(
        place: &Arc<Place>,
        who: Who,
        keys: Keys,
    ) -> Result<Self, StoreError> {
        let incarnation = uuid();
        let options = Options {
            keys,
            clock: Arc::new(TestClock::default()),
            node: NodeIdentity {
                incarnation,
                place: who.proof.then(|| who.id.to_string()),
                about: About::default(),
            },
            fresh: (uuid(), uuid()),
            seen: who.seen,
            term: who.term,
            replicas_before: who.replicas_before,
            sharing: who.sharing,
        };
        let (store, handle) = Store::open(&place.location, options).await?;
        Ok(Self {
            store,
            ending: Ending(Some(handle)),
            place: Arc::clone(place),
            who,
            incarnation,
            made: Arc::default(),
        })
    }

    /// Why a start is refused.
    pub(crate) async fn refused(place: &Arc<Place>, who: Who) -> StoreError {
        match Self::open_as(place, who).await {
            Ok(_) => panic!("it opened"),
            Err(error) => error,
        }
    }

    /// Ends the store in good order.
    pub(crate) fn close(self) {
        drop(self);
    }

    /// Ends it and opens it again as the same node.
    pub(crate) async fn reopened(self) -> Self {
        let (place, who) = (Arc::clone(&self.place), self.who.clone());
        let made = Arc::clone(&self.made);
        self.close();
        let opened = Self::open_as(&place, who).await;
        let opened = opened.unwrap_or_else(|error| panic!("{error}"));
        Self { made, ..opened }
    }

    pub(crate) async fn decide<T: Send + 'static, E: Send + 'static>(
        &self,
        wants: ReadSet,
        decide: impl FnOnce(&View) -> Result<(Vec<Change>, T), E> + Send + 'static,
    ) -> Result<Result<T, E>, Failure> {
        self.share().decide(wants, decide).await
    }

    /// Writes changes that need no view.
    pub(crate) async fn put(
        &self,
        wants: ReadSet,
        make: impl FnOnce(&View) -> Change + Send + 'static,
    ) {
        let decided = self
            .decide::<_, ()>(wants, |view| Ok((vec![make(view)], ())))
            .await;
        assert_eq!(decided, Ok(Ok(())));
    }

    pub(crate) async fn workspace(&self, title: &'static str) -> WorkspaceId {
        let id = WorkspaceId(uuid());
        self.put(ReadSet::default(), move |view| Change::WorkspacePut {
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
        let decided = self.decide::<_, ()>(ReadSet::default(), move |view| {
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
    pub(crate) async fn client(&self, workspace: WorkspaceId, settings: Settings) -> Client {
        // As the server makes them: with the number the client is about to get.
        let no = u32::try_from(self.store.replica().client_count()).unwrap();
        let id = keyring().client_id(ClientNo(no), draw());
        let secret = ClientSecret::from_random(Environment::Production, id, draw());
        let text = secret.expose().to_string();
        let digest = keyring().secret(KeyId(1), &secret).unwrap();
        let wants = ReadSet {
            workspace: Some(workspace),
            ..ReadSet::default()
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

    pub(crate) async fn generate(&self, client: &Client) -> Result<Answer, Failure> {
        self.share().generate(client).await
    }

    /// What a decision about `wants` sees.
    pub(crate) async fn view(&self, wants: ReadSet) -> View {
        let look = |view: &View| Ok::<_, Infallible>((Decided::nothing(), view.clone()));
        let Ok(view) = self.store.decide(wants, look).await.unwrap();
        view
    }

    /// Writes what needs no answer.
    pub(crate) async fn decided(
        &self,
        wants: ReadSet,
        decide: impl FnOnce(&View) -> Decided + Send + 'static,
    ) -> Result<(), Failure> {
        let decide = |view: &View| Ok::<_, Infallible>((decide(view), ()));
        self.store.decide(wants, decide).await.map(drop)
    }

    /// A change of one client, decided on its state.
    pub(crate) async fn alter(
        &self,
        id: ClientId,
        alter: impl FnOnce(&ClientState, Timestamp) -> Option<Change> + Send + 'static,
    ) {
        let decided = self.decide::<_, ()>(ReadSet::client(id), move |view| {
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
            address: HOME.parse().ok(),
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
            let held = store.decide::<_, (), _>(ReadSet::default(), move |_| {
                begun.send(()).unwrap();
                // Ends when the other side is dropped, too.
                let _ = wait.recv();
                Ok((Decided::nothing(), ()))
            });
            held.await.unwrap().unwrap();
        });
        let begun = tokio::task::block_in_place(|| inside.recv_timeout(PROGRAM_LIMIT));
        begun.expect("the decision is taken");
        Held { go, task }
    }

    /// Waits until so many decisions wait.
    pub(crate) fn until_waiting(&self, count: usize) {
        let what = format!("{count} decisions to wait");
        until(&what, || self.store.waiting() >= count);
    }

    /// A second handle on the same store, for a task.
    pub(crate) fn share(&self) -> Sharer {
        Sharer {
            store: self.store.clone(),
            made: Arc::clone(&self.made),
        }
    }

    /// Whether checks are answered.
    pub(crate) fn vouches(&self) -> bool {
        let lease = self.store.replica().lease().read();
        lease.covers(|| self.clock().boot())
    }

    /// How long it is since then.
    pub(crate) fn since(&self, then: BootInstant) -> Duration {
        Duration::from_nanos(self.clock().boot().0 - then.0)
    }

    pub(crate) fn clock(&self) -> &TestClock {
        self.store.clock()
    }

    /// One client that may use the product `gst`, and its first token.
    pub(crate) async fn with_token(&self) -> (Client, String) {
        let client = self.populate(1).await.remove(0);
        self.product("gst").await;
        let token = self.token(&client).await;
        (client, token)
    }

    /// A new token of a client.
    pub(crate) async fn token(&self, client: &Client) -> String {
        let answer = self.generate(client).await.unwrap();
        answer.token.expose().to_string()
    }

    /// Makes a token, which must be the first, the second, and so on.
    #[track_caller]
    pub(crate) fn makes(&self, client: &Client, generation: u32) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let made = self.generate(client).await.unwrap().generation;
            assert_eq!(made, generation, "{caller}");
        }
    }

    /// Sees that no token can be made while the store is not available.
    pub(crate) async fn is_unavailable(&self, client: &Client) {
        let failed = self.generate(client).await.map(drop);
        assert_eq!(failed, Err(Failure::Unavailable));
    }

    /// Asks for a token of a client in a task of its own.
    pub(crate) fn ask(&self, client: &Client) -> JoinHandle<Result<Answer, Failure>> {
        let (share, client) = (self.share(), client.clone());
        tokio::spawn(async move { share.generate(&client).await })
    }

    /// Asks for tokens of each client in a task of its own until told to stop.
    pub(crate) fn flood(&self, clients: &[Client]) -> Flood {
        let stop = Arc::new(AtomicBool::new(false));
        let flood = clients.iter().map(|client| {
            let (share, client, stop) = (self.share(), client.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    share.generate(&client).await.unwrap();
                }
            })
        });
        Flood {
            tasks: flood.collect(),
            stop,
        }
    }

    /// The records of these clients.
    pub(crate) async fn records(&self, clients: &[Client]) -> Vec<ApiClient> {
        let states = clients.iter().map(|(id, _)| self.state(*id));
        let states = join_all(states).await.into_iter();
        states.map(|state| state.client).collect()
    }

    pub(crate) async fn delete(&self, id: ClientId) {
        self.alter(id, |state, now| Some(delete(state.client.no, now)))
            .await;
    }

    /// Writes records, with an audit entry if `audited`.
    pub(crate) async fn write(&self, records: Vec<Record>, audited: bool) -> Result<(), Failure> {
        let decide = move |view: &View| {
            let audit = audited.then(|| entry("member.change", None, view.now));
            Decided {
                records,
                audit: audit.into_iter().collect(),
                ..Decided::default()
            }
        };
        self.decided(ReadSet::default(), decide).await
    }

    /// Writes records with an audit entry; they must be taken.
    pub(crate) async fn record(&self, records: impl Into<Vec<Record>>) {
        self.write(records.into(), true).await.unwrap();
    }

    /// Writes records without an audit entry; they must be taken.
    pub(crate) async fn note(&self, records: impl Into<Vec<Record>>) {
        self.write(records.into(), false).await.unwrap();
    }

    /// One workspace and so many clients.
    pub(crate) async fn populated(place: &Arc<Place>, count: usize) -> (Self, Vec<Client>) {
        let house = Self::open(place).await;
        let clients = house.populate(count).await;
        (house, clients)
    }

    pub(crate) async fn populate(&self, count: usize) -> Vec<Client> {
        let workspace = self.workspace("Acme GmbH & Söhne").await;
        let mut clients = Vec::new();
        for n in 0..count {
            clients.push(self.client(workspace, settings(&format!("erp-{n}"))).await);
        }
        clients
    }
}

/// Tasks that ask for tokens.
pub(crate) struct Flood {
    pub(crate) tasks: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Flood {
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        ended(self.tasks).await;
    }
}

/// What tasks answer, in their order.
pub(crate) async fn ended<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let ended = join_all(tasks).await.into_iter();
    ended.map(|answer| answer.unwrap()).collect()
}

/// Waits until something is so, with the runtime going on.
pub(crate) fn until<L: Look>(what: &str, so: impl FnMut() -> L) -> L::Value {
    tokio::task::block_in_place(|| wait_until(what, Duration::from_secs(60), so))
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
