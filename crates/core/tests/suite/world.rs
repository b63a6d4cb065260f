//! A small world for the tests: a replica and, beside it, the records a store would keep. Every change
//! goes through the text of the change log on its way to the replica. Nothing is judged here.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokenward_core::change::{Change, EPOCH_GENERATIONS, FORMAT};
use tokenward_core::check::denial::Refusal;
use tokenward_core::check::{Denial, Facts, Introspection, Permit, Presented, Verdict};
use tokenward_core::client::{
    ApiClient, ClientState, OnRepeat, Product, SecretRecord, Settings, Workspace,
};
use tokenward_core::credential::ClientSecret;
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_core::generate::{self, Answer, Caller, Fresh, IssueOptions, Rejection};
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
use tokenward_core::label::{Label, Name, Slug};
use tokenward_core::replica::Replica;
use tokenward_core::restrictions::Networks;
use tokenward_core::slot::{EndReason, Slot};
use tokenward_core::time::{BootInstant, Clock, MICROS_PER_SECOND, Timestamp};
use uuid::Uuid;

/// The start of every test's time: 2026-11-23T10:15:30Z.
pub(crate) const START: Timestamp = Timestamp(1_795_428_930 * MICROS_PER_SECOND);
pub(crate) const HOME: &str = "10.1.2.3";
pub(crate) const PRODUCTS: [&str; 3] = ["gst", "max-itc", "e-invoice"];

/// A clock that stands at the start.
pub(crate) const AT_START: Still = Still {
    wall: START,
    boot: 0,
};

/// A clock that stands where it is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Still {
    pub(crate) wall: Timestamp,
    pub(crate) boot: u64,
}

impl Clock for Still {
    fn wall(&self) -> Timestamp {
        self.wall
    }
    fn boot(&self) -> BootInstant {
        BootInstant(self.boot)
    }
}

/// What a check is asked for `gst` in production from home.
pub(crate) fn facts() -> Facts<'static> {
    Facts {
        environment: Environment::Production,
        product: "gst",
        address: HOME.parse().ok(),
    }
}

/// A verdict that can be compared: a permit by the parts that name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    Permit { generation: u32 },
    Deny(Denial),
    CannotVouch,
}

pub(crate) fn superseded(generation: u32, at: Timestamp) -> Denial {
    Denial::TokenSuperseded { generation, at }
}

/// The random bytes of a credential, by their hex.
pub(crate) fn random(hex: &str) -> [u8; 28] {
    *tokenward_core::hex::read(hex).unwrap()
}

/// A generation that keeps the previous token for so many seconds.
pub(crate) fn handover(seconds: u32) -> IssueOptions {
    IssueOptions {
        handover_seconds: Some(seconds),
        ..IssueOptions::default()
    }
}

pub(crate) fn keyring(ids: &[u8]) -> Arc<Keyring> {
    let keys = ids
        .iter()
        .map(|id| DigestKey::new(KeyId(*id), [*id; 32]))
        .collect();
    Arc::new(Keyring::new(keys).unwrap())
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

pub(crate) struct World {
    pub(crate) replica: Replica,
    pub(crate) keys: Vec<u8>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) products: Vec<Product>,
    pub(crate) workspaces: Vec<Workspace>,
    pub(crate) clients: BTreeMap<u32, (ApiClient, Slot)>,
    pub(crate) now: Timestamp,
    pub(crate) quota: u32,
    /// Every change so far.
    pub(crate) log: Vec<Change>,
    changes: u64,
    drawn: Cell<u64>,
}

impl World {
    /// Two workspaces, three products, one digest key, no client; a lease without end.
    pub(crate) fn new() -> Self {
        let keyring = keyring(&[1]);
        let replica = Replica::new(Arc::clone(&keyring), 0);
        replica.lease().grant_for_ever();
        let mut world = Self {
            replica,
            keys: vec![1],
            keyring,
            products: Vec::new(),
            workspaces: Vec::new(),
            clients: BTreeMap::new(),
            now: START,
            quota: generate::QUOTA_PER_DAY,
            log: Vec::new(),
            changes: 0,
            drawn: Cell::new(0),
        };
        for (no, slug) in (0..).zip(PRODUCTS) {
            let name = Name::parse(slug).unwrap();
            let slug = Slug::parse(slug).unwrap();
            world.commit(Change::ProductPut {
                product: Product {
                    no: ProductNo(no),
                    slug,
                    name,
                    created_at: START,
                },
            });
        }
        for no in 0..2 {
            let id = WorkspaceId(Uuid::from_u128(0xAAAA_0000 + u128::from(no)));
            let name = Name::parse("Acme").unwrap();
            let no = WorkspaceNo(no);
            let workspace = Workspace {
                no,
                id,
                name,
                created_at: START,
                disabled_at: None,
            };
            world.commit(Change::WorkspacePut { workspace });
        }
        world
    }

    /// A world with one client with these settings and one secret; its number and secret.
    pub(crate) fn with_client(settings: Settings) -> (Self, u32, String) {
        let mut world = Self::new();
        let (no, secret) = world.client_with_secret(settings);
        (world, no, secret)
    }

    /// Random bytes that never repeat in one world.
    fn draw<const N: usize>(&self) -> [u8; N] {
        self.drawn.set(self.drawn.get() + 1);
        let mut out = [0; N];
        for (at, byte) in out.iter_mut().enumerate() {
            *byte = blake3::hash(&self.drawn.get().to_le_bytes()).as_bytes()[at % 32];
        }
        out
    }

    pub(crate) fn fresh(&self) -> Fresh {
        Fresh {
            token: self.draw(),
            nonce: self.draw(),
        }
    }

    /// Creates a client without a secret.
    pub(crate) fn add_client(
        &mut self,
        workspace: u32,
        environment: Environment,
        settings: Settings,
    ) -> u32 {
        let no = u32::try_from(self.clients.len()).unwrap();
        // Each second id was made elsewhere and tells no number.
        let id = match no % 2 {
            0 => self.keyring.client_id(ClientNo(no), self.draw()),
            _ => ClientId(Uuid::from_bytes(self.draw())),
        };
        self.add_client_as(no, id, workspace, environment, settings)
    }

    pub(crate) fn add_client_as(
        &mut self,
        no: u32,
        id: ClientId,
        workspace: u32,
        environment: Environment,
        settings: Settings,
    ) -> u32 {
        let client = ApiClient {
            no: ClientNo(no),
            id,
            workspace: WorkspaceNo(workspace),
            environment,
            settings,
            created_at: self.now,
            disabled_at: None,
            deleted_at: None,
            secrets: [None; 2],
            next_secret: 1,
        };
        self.commit(Change::ClientCreated {
            client: Box::new(client),
        });
        no
    }

    /// A production client of workspace 0 with these settings and one secret; its number and secret.
    pub(crate) fn client_with_secret(&mut self, settings: Settings) -> (u32, String) {
        let no = self.add_client(0, Environment::Production, settings);
        let secret = self.add_secret(no, 0);
        (no, secret)
    }

    /// Puts a new secret in a position.
    pub(crate) fn add_secret(&mut self, no: u32, position: usize) -> String {
        let client = self.clients[&no].0.clone();
        let secret = ClientSecret::from_random(client.environment, client.id, self.draw());
        let key = self.keyring.current();
        let digest = self.keyring.secret(key, &secret).unwrap();
        let mut secrets = client.secrets;
        secrets[position] = Some(SecretRecord {
            n: client.next_secret,
            digest,
            key,
            created_at: self.now,
        });
        self.change_secrets(no, secrets, client.next_secret + 1);
        secret.expose().to_string()
    }

    pub(crate) fn change_secrets(
        &mut self,
        no: u32,
        secrets: [Option<SecretRecord>; 2],
        next_secret: u32,
    ) {
        self.commit(Change::SecretsChanged {
            client: ClientNo(no),
            secrets,
            next_secret,
        });
    }

    pub(crate) fn state(&self, no: u32) -> ClientState {
        let (client, slot) = self.clients[&no].clone();
        let workspace = self.workspaces[client.workspace.index()].clone();
        ClientState {
            client,
            slot,
            workspace,
        }
    }

    /// Keeps the records as a store would, and applies the change, as read back from its text.
    pub(crate) fn commit(&mut self, change: Change) {
        self.changes += 1;
        let read = Change::from_body(FORMAT, &change.to_body()).unwrap();
        self.replica.apply(&[read], self.changes).unwrap();
        self.log.push(change.clone());
        self.keep(change);
    }

    pub(crate) fn commit_all(&mut self, changes: impl IntoIterator<Item = Change>) {
        changes.into_iter().for_each(|change| self.commit(change));
    }

    /// Starts the epoch of this name now.
    pub(crate) fn start_epoch(&mut self, name: u128) {
        let (epoch, at) = (Uuid::from_u128(name), self.now);
        self.commit(Change::EpochStarted { epoch, at });
    }

    fn kept(&mut self, no: ClientNo) -> &mut (ApiClient, Slot) {
        self.clients.get_mut(&no.0).unwrap()
    }

    fn keep(&mut self, change: Change) {
        match change {
            Change::WorkspacePut { workspace } => {
                self.workspaces.retain(|known| known.no != workspace.no);
                self.workspaces.push(workspace);
                self.workspaces.sort_by_key(|workspace| workspace.no);
            }
            Change::ProductPut { product } => {
                self.products.retain(|known| known.no != product.no);
                self.products.push(product);
            }
            Change::ProductDeleted { product } => self.products.retain(|known| known.no != product),
            Change::ClientCreated { client } => {
                self.clients.insert(client.no.0, (*client, Slot::default()));
            }
            Change::ClientSettingsChanged {
                client: no,
                settings,
            } => {
                let (client, slot) = self.kept(no);
                if settings.on_repeat == OnRepeat::Replace {
                    slot.seal = None;
                }
                client.settings = *settings;
            }
            Change::ClientDisabled { client: no, at } => self.kept(no).0.disabled_at = at,
            Change::ClientDeleted { client: no, at } => self.kept(no).0.deleted_at = Some(at),
            Change::SecretsChanged {
                client: no,
                secrets,
                next_secret,
            } => {
                let client = &mut self.kept(no).0;
                client.secrets = secrets;
                client.next_secret = next_secret;
            }
            Change::TokenIssued { client: no, slot } | Change::TokenEnded { client: no, slot } => {
                self.kept(no).1 = *slot
            }
            Change::AdminKeyPut { .. } => {}
            Change::EpochStarted { at, .. } => {
                for (_, slot) in self.clients.values_mut() {
                    *slot = slot.end(EndReason::Restored, at);
                    slot.generation += EPOCH_GENERATIONS;
                }
            }
        }
    }

    /// A new replica filled from the records, under the same keys and one more.
    pub(crate) fn reloaded(&self, keys: &[u8]) -> Replica {
        let replica = Replica::new(keyring(keys), self.clients.len());
        let mut loading = replica.loading();
        self.workspaces
            .iter()
            .for_each(|workspace| loading.workspace(workspace).unwrap());
        self.products
            .iter()
            .for_each(|product| loading.product(product));
        for (client, slot) in self.clients.values() {
            loading.client(&client.into()).unwrap();
            loading.slot(client.no, slot).unwrap();
        }
        loading.finish(self.changes);
        replica
    }

    /// Goes on with a reloaded replica, and with one more digest key if told so.
    pub(crate) fn reload(&mut self, add_key: bool) {
        if add_key {
            self.keys.push(self.keys.len() as u8 + 1);
        }
        self.replica = self.reloaded(&self.keys);
        self.replica.lease().grant_for_ever();
        self.keyring = keyring(&self.keys);
    }

    pub(crate) fn decide(
        &self,
        no: u32,
        secret: &str,
        options: IssueOptions,
    ) -> Result<(Vec<Change>, Answer), Rejection> {
        self.decide_from(no, secret, options, HOME, None)
    }

    pub(crate) fn decide_from(
        &self,
        no: u32,
        secret: &str,
        options: IssueOptions,
        source: &str,
        host_environment: Option<Environment>,
    ) -> Result<(Vec<Change>, Answer), Rejection> {
        let secret = ClientSecret::parse(secret).unwrap();
        let caller = Caller {
            secret,
            source: source.parse().ok(),
            host_environment,
        };
        generate::by_secret(
            &self.state(no),
            &caller,
            options,
            self.fresh(),
            self.quota,
            &self.keyring,
            self.now,
        )
    }

    /// Generates with a secret and commits; the token and the whole answer.
    pub(crate) fn generate_as(
        &mut self,
        no: u32,
        secret: &str,
        options: IssueOptions,
    ) -> Result<(String, Answer), Rejection> {
        let (changes, answer) = self.decide(no, secret, options)?;
        self.commit_all(changes);
        Ok((answer.token.expose().to_string(), answer))
    }

    pub(crate) fn generate(&mut self, no: u32, secret: &str) -> String {
        self.generate_as(no, secret, IssueOptions::default())
            .unwrap()
            .0
    }

    pub(crate) fn generate_by_admin(&mut self, no: u32) -> String {
        let (changes, answer) =
            generate::by_admin(&self.state(no), self.fresh(), &self.keyring, self.now).unwrap();
        self.commit_all(changes);
        answer.token.expose().to_string()
    }

    pub(crate) fn revoke(&mut self, no: u32) {
        self.commit(generate::revoke(&self.state(no), self.now).unwrap());
    }

    pub(crate) fn change_settings(&mut self, no: u32, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.clients[&no].0.settings.clone();
        change(&mut settings);
        self.commit(Change::ClientSettingsChanged {
            client: ClientNo(no),
            settings: Box::new(settings),
        });
    }

    pub(crate) fn disable_workspace(&mut self, no: usize, disabled: bool) {
        let disabled_at = disabled.then_some(self.now);
        self.commit(Change::WorkspacePut {
            workspace: Workspace {
                disabled_at,
                ..self.workspaces[no].clone()
            },
        });
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus_seconds(seconds);
    }

    /// What introspection says of a token.
    pub(crate) fn introspect(&self, token: &str) -> Result<Introspection, Refusal> {
        self.replica.introspect(token, &self.clock())
    }

    /// A product by its number.
    pub(crate) fn product(&self, no: u32) -> Product {
        let found = self.products.iter().find(|product| product.no.0 == no);
        found.unwrap().clone()
    }

    pub(crate) fn clock(&self) -> Still {
        Still {
            wall: self.now,
            boot: 0,
        }
    }

    pub(crate) fn verdict(
        &self,
        presented: Presented<'_>,
        environment: Environment,
        product: &str,
        from: &str,
    ) -> Verdict {
        let facts = Facts {
            environment,
            product,
            address: from.parse().ok(),
        };
        self.replica.check(presented, &facts, &self.clock())
    }

    pub(crate) fn seen(
        &self,
        presented: Presented<'_>,
        environment: Environment,
        product: &str,
        from: &str,
    ) -> Seen {
        match self.verdict(presented, environment, product, from) {
            Verdict::Permit(permit) => Seen::Permit {
                generation: permit.generation(),
            },
            Verdict::Deny(denial) => Seen::Deny(denial),
            Verdict::CannotVouch => Seen::CannotVouch,
        }
    }

    /// The answer to a production token used for `gst` from home.
    pub(crate) fn check(&self, token: &str) -> Seen {
        self.seen(Presented::One(token), Environment::Production, "gst", HOME)
    }

    /// Sees a production token permitted for `gst` from home.
    #[track_caller]
    pub(crate) fn permits(&self, token: &str, generation: u32) {
        assert_eq!(self.check(token), Seen::Permit { generation });
    }

    /// Sees a production token denied for `gst` from home.
    #[track_caller]
    pub(crate) fn denies(&self, token: &str, denial: Denial) {
        assert_eq!(self.check(token), Seen::Deny(denial));
    }

    /// Disables a client since a time, or enables it.
    pub(crate) fn disable(&mut self, no: u32, at: Option<Timestamp>) {
        let client = ClientNo(no);
        self.commit(Change::ClientDisabled { client, at });
    }

    pub(crate) fn delete(&mut self, no: u32) {
        let (client, at) = (ClientNo(no), self.now);
        self.commit(Change::ClientDeleted { client, at });
    }

    /// Why no token is generated.
    #[track_caller]
    pub(crate) fn refusal(&self, no: u32, secret: &str, options: IssueOptions) -> Rejection {
        self.decide(no, secret, options).map(|_| ()).unwrap_err()
    }

    /// The permit a production token gets for `gst` from home.
    pub(crate) fn permit(&self, token: &str) -> Permit {
        match self.verdict(Presented::One(token), Environment::Production, "gst", HOME) {
            Verdict::Permit(permit) => permit,
            other => panic!("not permitted: {other:?}"),
        }
    }
}

/// A world with one plain client, its secret and its live token.
pub(crate) fn one() -> (World, u32, String, String) {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    let token = world.generate(no, &secret);
    (world, no, secret, token)
}
