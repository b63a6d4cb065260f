//! The law: `load(database) == fold(apply, changes)`, for random histories of real decisions, and
//! every row says what was written.

use crate::basics::{START, draw, fresh, keyring, name, settings, uuid};
use crate::house::{House, disable};
use crate::model::assert_law;
use crate::place::{Engine, Place, runtime};
use crate::steps::{LABELS, NETWORKS, Step, steps};
use proptest::prelude::*;
use std::sync::Arc;
use tokenward_core::change::Change;
use tokenward_core::client::{AdminKeyRecord, ClientState, OnRepeat, Role, SecretRecord};
use tokenward_core::credential::{AdminKey, ClientSecret};
use tokenward_core::digest::KeyId;
use tokenward_core::generate::{self, IssueOptions};
use tokenward_core::ids::{ClientId, ProductNo, WorkspaceId};
use tokenward_core::label::{Label, Slug};
use tokenward_core::restrictions::Networks;
use tokenward_core::slot::EndReason;
use tokenward_store::{ReadSet, View};

fn on_repeat(returns: bool) -> OnRepeat {
    match returns {
        true => OnRepeat::Return,
        false => OnRepeat::Replace,
    }
}

struct Run {
    house: House,
    workspaces: Vec<WorkspaceId>,
    clients: Vec<(ClientId, [Option<String>; 2])>,
    products: Vec<ProductNo>,
    products_made: u32,
}

impl Run {
    async fn new(place: &Arc<Place>) -> Self {
        let house = House::open(place).await;
        let workspaces = vec![
            house.workspace("Acme").await,
            house.workspace("Größe & Söhne").await,
        ];
        let mut run = Self {
            house,
            workspaces,
            clients: vec![],
            products: vec![],
            products_made: 0,
        };
        run.new_client(0, false).await;
        run.new_client(1, true).await;
        run
    }

    async fn new_client(&mut self, workspace: usize, returns: bool) {
        let n = self.clients.len();
        let mut wanted = settings(&format!("{} {n}", LABELS[n % 3]));
        wanted.handover_max_seconds = 60;
        wanted.notification_emails = vec!["a@example.com".into(), "ü@example.com".into()];
        wanted.on_repeat = on_repeat(returns);
        let (id, secret) = self.house.client(self.workspaces[workspace], wanted).await;
        self.clients.push((id, [Some(secret), None]));
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
    async fn take(&mut self, step: Step) {
        let chosen = |wanted: usize| wanted % self.clients.len();
        let house = &self.house;
        match step {
            Step::NewClient { workspace, returns } => self.new_client(workspace, returns).await,
            Step::Generate {
                client,
                force,
                handover,
            } => {
                let (id, secrets) = &self.clients[chosen(client)];
                let options = IssueOptions {
                    if_match: None,
                    force,
                    handover_seconds: Some(handover),
                };
                for secret in secrets.iter().flatten() {
                    // Refused when deleted, disabled or by another setting; that writes nothing.
                    let client = (*id, secret.clone());
                    let _ = house.share().generate_as(&client, options).await.unwrap();
                }
            }
            Step::ByAdmin { client } => {
                let id = self.clients[chosen(client)].0;
                let by_admin = house.decide(ReadSet::client(id), |view| {
                    let state = view.client.as_ref().unwrap();
                    generate::by_admin(state, fresh(), &keyring(), view.now)
                });
                let _ = by_admin.await.unwrap();
            }
            Step::Revoke { client } => {
                let id = self.clients[chosen(client)].0;
                house.alter(id, generate::revoke).await;
            }
            Step::EndPrevious { client } => {
                let end = |state: &ClientState, _| generate::end_previous(state);
                house.alter(self.clients[chosen(client)].0, end).await;
            }
            Step::Disable { client, on } => {
                let id = self.clients[chosen(client)].0;
                let change = move |state: &ClientState, now| Some(disable(state, on, now));
                house.alter(id, change).await;
            }
            Step::Workspace {
                workspace,
                disabled,
            } => {
                let wants = ReadSet {
                    workspace: Some(self.workspaces[workspace]),
                    ..ReadSet::default()
                };
                let put = move |view: &View| {
                    let mut workspace = view.workspace.clone().unwrap();
                    workspace.disabled_at = disabled.then_some(view.now);
                    workspace.name = name(if disabled { "Zu" } else { "Offen — 開" });
                    Change::WorkspacePut { workspace }
                };
                house.put(wants, put).await;
            }
            Step::Delete { client } => {
                house.delete(self.clients[chosen(client)].0).await;
            }
            Step::Settings {
                client,
                products,
                networks,
                lifetime,
                returns,
            } => {
                let change = move |state: &ClientState, _| {
                    let mut settings = state.client.settings.clone();
                    let label = settings.label.as_str().trim_end_matches(" anders");
                    settings.label = Label::parse(&format!("{label} anders")).unwrap();
                    settings.products =
                        products.map(|list| list.into_iter().map(ProductNo).collect());
                    settings.token_networks = Networks::parse(NETWORKS[networks]).unwrap();
                    settings.secret_networks = Networks::parse(NETWORKS[1]).unwrap();
                    settings.token_lifetime_seconds = lifetime;
                    settings.on_repeat = on_repeat(returns);
                    Some(Change::ClientSettingsChanged {
                        client: state.client.no,
                        settings: Box::new(settings),
                    })
                };
                house.alter(self.clients[chosen(client)].0, change).await;
            }
            Step::Rotate {
                client,
                position,
                drop,
            } => {
                let at = chosen(client);
                let id = self.clients[at].0;
                let state = house.state(id).await;
                let secret = ClientSecret::from_random(state.client.environment, id, draw());
                self.clients[at].1[position] = (!drop).then(|| secret.expose().to_string());
                let digest = keyring().secret(KeyId(1), &secret).unwrap();
                let rotate = move |state: &ClientState, now| {
                    let (mut secrets, n) = (state.client.secrets, state.client.next_secret);
                    let record = SecretRecord {
                        n,
                        digest,
                        key: KeyId(1),
                        created_at: now,
                    };
                    secrets[position] = (!drop).then_some(record);
                    let client = state.client.no;
                    Some(Change::SecretsChanged {
                        client,
                        secrets,
                        next_secret: n + u32::from(!drop),
                    })
                };
                house.alter(id, rotate).await;
            }
            Step::Product { number, delete } => self.product(number, delete).await,
            Step::AdminKey { revoked, scoped } => {
                let key = AdminKey::from_random(uuid(), draw());
                let digest = keyring().admin(KeyId(1), &key).unwrap();
                let workspace = self.workspaces[0];
                let role = match scoped {
                    true => Role::ProductAdmin {
                        workspace,
                        products: vec![Slug::parse("gst").unwrap()],
                    },
                    false => Role::Operator,
                };
                let id = key.id();
                let put = move |view: &View| Change::AdminKeyPut {
                    key: Box::new(AdminKeyRecord {
                        id,
                        name: name("Schlüssel"),
                        role,
                        digest,
                        key: KeyId(1),
                        created_at: view.now,
                        expires_at: revoked.then(|| view.now.plus_seconds(60)),
                        revoked_at: revoked.then_some(view.now),
                    }),
                };
                let reads = ReadSet {
                    admin_keys: true,
                    ..ReadSet::default()
                };
                house.put(reads, put).await;
            }
            Step::EndAndIssue { client } => self.end_and_issue(chosen(client)).await,
            Step::Wait { seconds } => house.clock().wait(seconds),
            Step::Reopen => self.again(false).await,
            Step::Epoch => self.again(true).await,
        }
    }

    async fn product(&mut self, number: usize, delete: bool) {
        match self.products.get(number).copied() {
            None => {
                let slug = format!("product-{}", self.products_made);
                let no = self.house.product(&slug).await;
                // A product's number is never given out again.
                assert_eq!(no.0, self.products_made);
                self.products_made += 1;
                self.products.push(no);
            }
            Some(no) if delete => {
                self.products.remove(number);
                let deleted = Change::ProductDeleted { product: no };
                self.house.put(ReadSet::default(), |_| deleted).await;
            }
            Some(no) => {
                let rename = move |view: &View| {
                    let mut products = view.products.iter();
                    let found = products.find(|product| product.no == no);
                    let mut product = found.unwrap().clone();
                    product.name = name("Umbenannt");
                    Change::ProductPut { product }
                };
                let wants = ReadSet {
                    products: true,
                    ..ReadSet::default()
                };
                self.house.put(wants, rename).await;
            }
        }
    }

    /// Two changes of one slot in one decision: the later one stands.
    async fn end_and_issue(&self, client: usize) {
        let decided = self
            .house
            .decide::<_, ()>(ReadSet::client(self.clients[client].0), |view| {
                let state = view.client.as_ref().unwrap();
                let ended = Box::new(state.slot.end(EndReason::Revoked, view.now));
                let mut changes = vec![Change::TokenEnded {
                    client: state.client.no,
                    slot: ended.clone(),
                }];
                let state = ClientState {
                    slot: *ended,
                    ..state.clone()
                };
                let issued = generate::by_admin(&state, fresh(), &keyring(), view.now);
                changes.extend(issued.into_iter().flat_map(|(issued, _)| issued));
                Ok((changes, ()))
            });
        decided.await.unwrap().unwrap();
    }

    /// Ends the store and opens it again, after a restore if wanted.
    async fn again(&mut self, restored: bool) {
        let (place, made) = (self.house.place.clone(), self.house.made.clone());
        let placeholder = House::open(&Place::new(Engine::Sqlite)).await;
        drop(std::mem::replace(&mut self.house, placeholder));
        if restored {
            let epoch = place.restore(None).await.unwrap().epoch.unwrap();
            let begun = Change::EpochStarted { epoch, at: START };
            made.lock().unwrap().push(begun);
        }
        let opened = House::open(&place).await;
        self.house = House { made, ..opened };
    }
}

fn holds(engine: Engine, cases: u32) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let runtime = runtime();
    proptest!(config, |(steps in steps())| {
        runtime.block_on(async {
            let mut run = Run::new(&Place::new(engine)).await;
            for step in steps {
                run.take(step).await;
            }
            assert_law(run.house).await.close();
        });
    });
}

#[test]
fn load_is_fold_on_sqlite() {
    holds(Engine::Sqlite, 48);
}

#[test]
fn load_is_fold_on_postgres() {
    holds(Engine::Postgres, 16);
}
