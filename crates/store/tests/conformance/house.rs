//! A store in use: the verbs a server would have, each through `Store::decide` with the core's own
//! decisions, and an account of every change made.

use crate::basics::{HOME, TestClock, draw, entry, keyring, name, settings, uuid};
use crate::place::Place;
use crate::sharer::{Held, Sharer};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenward_core::change::Change;
use tokenward_core::client::{ApiClient, ClientState, Product, SecretRecord, Settings, Workspace};
use tokenward_core::credential::ClientSecret;
use tokenward_core::digest::KeyId;
use tokenward_core::generate::{Answer, IssueOptions, Rejection};
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId};
use tokenward_core::label::Slug;
use tokenward_core::time::Timestamp;
use tokenward_core::verdict::{Facts, Presented, Verdict};
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

pub(crate) struct House {
    pub(crate) store: Store<TestClock>,
    pub(crate) handle: WriterHandle,
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
            handle,
            place: Arc::clone(place),
            who,
            incarnation,
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
    pub(crate) async fn client(
        &self,
        workspace: WorkspaceId,
        settings: Settings,
    ) -> (ClientId, String) {
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

    pub(crate) async fn generate(&self, id: ClientId, secret: &str) -> Result<Answer, Failure> {
        self.share().generate(id, secret).await
    }

    pub(crate) async fn generate_as(
        &self,
        id: ClientId,
        secret: &str,
        options: IssueOptions,
    ) -> Result<Result<Answer, Rejection>, Failure> {
        self.share().generate_as(id, secret, options).await
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

    pub(crate) fn clock(&self) -> &TestClock {
        self.store.clock()
    }

    /// One client that may use the product `gst`: its id, its secret, and its first token.
    pub(crate) async fn with_token(&self) -> (ClientId, String, String) {
        let (id, secret) = self.populate(1).await.remove(0);
        self.product("gst").await;
        let token = self.token(id, &secret).await;
        (id, secret, token)
    }

    /// A new token of a client.
    pub(crate) async fn token(&self, id: ClientId, secret: &str) -> String {
        let answer = self.generate(id, secret).await.unwrap();
        answer.token.expose().to_string()
    }

    /// Sees that no token can be made while the store is not available.
    pub(crate) async fn is_unavailable(&self, id: ClientId, secret: &str) {
        let failed = self.generate(id, secret).await.map(drop);
        assert_eq!(failed, Err(Failure::Unavailable));
    }

    /// Asks for a token of a client in a task of its own.
    pub(crate) fn ask(&self, client: &(ClientId, String)) -> JoinHandle<Result<Answer, Failure>> {
        let (share, (id, secret)) = (self.share(), client.clone());
        tokio::spawn(async move { share.generate(id, &secret).await })
    }

    pub(crate) async fn delete(&self, id: ClientId) {
        self.alter(id, |state, now| Some(delete(state.client.no, now)))
            .await;
    }

    /// Writes records, with an audit entry if `audited`.
    pub(crate) async fn write(&self, records: Vec<Record>, audited: bool) -> Result<(), Failure> {
        let decided = self
            .store
            .decide::<_, (), _>(ReadSet::default(), move |view| {
                let audit = audited.then(|| entry("member.change", None, view.now));
                let decided = Decided {
                    records,
                    audit: audit.into_iter().collect(),
                    ..Decided::default()
                };
                Ok((decided, ()))
            });
        decided.await.map(|_| ())
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
