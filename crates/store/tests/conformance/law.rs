//! The law: `load(database) == fold(apply, changes)`, for random histories of real decisions, and
//! every row says what was written.

use crate::basics::{START, draw, keyring, name, settings, uuid};
use crate::house::{House, disable};
use crate::model::assert_law;
use crate::place::{Engine, Place, runtime};
use crate::steps::{LABELS, NETWORKS, Step, steps};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::change::Change;
use tokenward_core::client::{AdminKeyRecord, OnRepeat, Product, Role, SecretRecord};
use tokenward_core::credential::{AdminKey, ClientSecret};
use tokenward_core::digest::KeyId;
use tokenward_core::generate::{self, Fresh, IssueOptions};
use tokenward_core::ids::{ClientId, ProductNo, WorkspaceId};
use tokenward_core::label::{Label, Slug};
use tokenward_core::restrictions::Networks;
use tokenward_core::slot::EndReason;
use tokenward_store::{ReadSet, restore};

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
        wanted.on_repeat = if returns {
            OnRepeat::Return
        } else {
            OnRepeat::Replace
        };
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
                    let _ = house.generate_as(*id, secret, options).await.unwrap();
                }
            }
            Step::ByAdmin { client } => {
                let id = self.clients[chosen(client)].0;
                let by_admin = house.decide(ReadSet::client(id), |view| {
                    let fresh = Fresh {
                        token: draw(),
                        nonce: draw(),
                    };
                    generate::by_admin(view.client.as_ref().unwrap(), fresh, &keyring(), view.now)
                });
                let _ = by_admin.await.unwrap();
            }
            Step::Revoke { client } => {
                house
                    .alter(self.clients[chosen(client)].0, generate::revoke)
                    .await
            }
            Step::EndPrevious { client } => {
                house
                    .alter(self.clients[chosen(client)].0, |state, _| {
                        generate::end_previous(state)
                    })
                    .await;
            }
            Step::Disable { client, on } => {
                let id = self.clients[chosen(client)].0;
                house
                    .alter(id, move |state, now| Some(disable(state, on, now)))
                    .await;
            }
            Step::Workspace {
                workspace,
                disabled,
            } => {
                let wants = ReadSet {
                    workspace: Some(self.workspaces[workspace]),
                    ..ReadSet::default()
                };
                let put = move |view: &tokenward_store::View| {
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
                let change = move |state: &tokenward_core::client::ClientState, _| {
                    let mut settings = state.client.settings.clone();
                    let label = format!(
                        "{} anders",
                        settings.label.as_str().trim_end_matches(" anders")
                    );
                    settings.label = Label::parse(&label).unwrap();
                    settings.products =
                        products.map(|list| list.into_iter().map(ProductNo).collect());
                    settings.token_networks = Networks::parse(NETWORKS[networks]).unwrap();
                    settings.secret_networks = Networks::parse(NETWORKS[1]).unwrap();
                    settings.token_lifetime_seconds = lifetime;
                    settings.on_repeat = if returns {
                        OnRepeat::Return
                    } else {
                        OnRepeat::Replace
                    };
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
                let rotate = move |state: &tokenward_core::client::ClientState, now| {
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
                let put = move |view: &tokenward_store::View| Change::AdminKeyPut {
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
                house
                    .put(
                        ReadSet {
                            admin_keys: true,
                            ..ReadSet::default()
                        },
                        put,
                    )
                    .await;
            }
            Step::EndAndIssue { client } => self.end_and_issue(chosen(client)).await,
            Step::Wait { seconds } => house.clock().wait(seconds),
            Step::Reopen => self.again(None).await,
            Step::Epoch => self.again(Some(uuid())).await,
        }
    }

    async fn product(&mut self, number: usize, delete: bool) {
        match self.products.get(number).copied() {
            None => {
                let no = self
                    .house
                    .product(&format!("product-{}", self.products_made))
                    .await;
                assert_eq!(
                    no.0, self.products_made,
                    "a product's number is never given out again"
                );
                self.products_made += 1;
                self.products.push(no);
            }
            Some(no) if delete => {
                self.products.remove(number);
                self.house
                    .put(ReadSet::default(), move |_| Change::ProductDeleted {
                        product: no,
                    })
                    .await;
            }
            Some(no) => {
                let rename = move |view: &tokenward_store::View| {
                    let product = view
                        .products
                        .iter()
                        .find(|product| product.no == no)
                        .unwrap();
                    Change::ProductPut {
                        product: Product {
                            name: name("Umbenannt"),
                            ..product.clone()
                        },
                    }
                };
                self.house
                    .put(
                        ReadSet {
                            products: true,
                            ..ReadSet::default()
                        },
                        rename,
                    )
                    .await;
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
                let state = tokenward_core::client::ClientState {
                    slot: *ended,
                    ..state.clone()
                };
                let fresh = Fresh {
                    token: draw(),
                    nonce: draw(),
                };
                if let Ok((issued, _)) = generate::by_admin(&state, fresh, &keyring(), view.now) {
                    changes.extend(issued);
                }
                Ok((changes, ()))
            });
        decided.await.unwrap().unwrap();
    }

    /// Ends the store and opens it again, after a restore if an epoch is given.
    async fn again(&mut self, epoch: Option<uuid::Uuid>) {
        let (place, who, made) = (
            self.house.place.clone(),
            self.house.who.clone(),
            self.house.made.clone(),
        );
        let placeholder = House::open(&Place::new(Engine::Sqlite)).await;
        std::mem::replace(&mut self.house, placeholder)
            .close()
            .await;
        if let Some(epoch) = epoch {
            restore(&place.location, None, epoch, START, Duration::ZERO)
                .await
                .unwrap();
            made.lock()
                .unwrap()
                .push(Change::EpochStarted { epoch, at: START });
        }
        let opened = House::open_as(&place, who)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
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
            assert_law(run.house).await.close().await;
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
