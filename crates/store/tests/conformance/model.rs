//! The plainest account of what changes mean: records in maps. Whatever the database says must be
//! what this says.

use crate::house::{Client, House};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokenward_core::Replica;
use tokenward_core::change::{Change, EPOCH_GENERATIONS, FORMAT};
use tokenward_core::client::{AdminKeyRecord, ApiClient, OnRepeat, Product, Workspace};
use tokenward_core::slot::{EndReason, Slot};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) workspaces: BTreeMap<u32, Workspace>,
    pub(crate) products: BTreeMap<u32, Product>,
    pub(crate) clients: BTreeMap<u32, (ApiClient, Slot)>,
    pub(crate) keys: BTreeMap<Uuid, AdminKeyRecord>,
}

impl Model {
    pub(crate) fn of(changes: &[Change]) -> Self {
        let mut model = Self::default();
        changes.iter().for_each(|change| model.keep(change.clone()));
        model
    }

    fn keep(&mut self, change: Change) {
        let clients = &mut self.clients;
        match change {
            Change::WorkspacePut { workspace } => {
                drop(self.workspaces.insert(workspace.no.0, workspace))
            }
            Change::ProductPut { product } => drop(self.products.insert(product.no.0, product)),
            Change::ProductDeleted { product } => drop(self.products.remove(&product.0)),
            Change::ClientCreated { client } => {
                drop(clients.insert(client.no.0, (*client, Slot::default())))
            }
            Change::ClientSettingsChanged { client, settings } => {
                let (kept, slot) = clients.get_mut(&client.0).unwrap();
                if settings.on_repeat == OnRepeat::Replace {
                    slot.seal = None;
                }
                kept.settings = *settings;
            }
            Change::ClientDisabled { client, at } => {
                clients.get_mut(&client.0).unwrap().0.disabled_at = at
            }
            Change::ClientDeleted { client, at } => {
                let (kept, slot) = clients.get_mut(&client.0).unwrap();
                kept.deleted_at = Some(at);
                slot.seal = None;
            }
            Change::SecretsChanged {
                client,
                secrets,
                next_secret,
            } => {
                let (kept, _) = clients.get_mut(&client.0).unwrap();
                kept.secrets = secrets;
                kept.next_secret = next_secret;
            }
            Change::TokenIssued { client, slot } | Change::TokenEnded { client, slot } => {
                clients.get_mut(&client.0).unwrap().1 = *slot;
            }
            Change::AdminKeyPut { key } => drop(self.keys.insert(key.id, *key)),
            Change::EpochStarted { at, .. } => {
                for (_, slot) in clients.values_mut() {
                    *slot = slot.end(EndReason::Restored, at);
                    slot.generation += EPOCH_GENERATIONS;
                }
            }
        }
    }
}

/// A replica folded from the bodies of a change log.
pub(crate) fn folded(bodies: &[String]) -> Replica {
    let replica = Replica::new(crate::basics::keyring(), 0);
    for (number, body) in (1..).zip(bodies) {
        let change = Change::from_body(FORMAT, body).unwrap();
        replica.apply(&[change], number).unwrap();
    }
    replica
}

/// Whether two replicas hold the same of every client and product.
pub(crate) fn assert_same(what: &str, clients: &[ApiClient], a: &Replica, b: &Replica) {
    for client in clients {
        let (a, b) = (a.view(client), b.view(client));
        assert!(a.is_some(), "{what}: client {} is missing", client.no.0);
        assert_eq!(a, b, "{what}: client {}", client.no.0);
    }
    assert_eq!(a.product_numbers(), b.product_numbers(), "{what}");
    assert_eq!(a.applied(), b.applied(), "{what}");
    assert_eq!(a.client_count(), b.client_count(), "{what}");
}

/// The law for a store as it stands: what is loaded from the tables, what was applied while it ran,
/// and what its change log folds to are one, and the rows say what was written. Answers the store,
/// reopened.
pub(crate) async fn assert_law(house: House) -> House {
    let model = Model::of(&house.made.lock().unwrap());
    let clients = model.clients.values().map(|(client, _)| client.clone());
    let clients: Vec<ApiClient> = clients.collect();
    let live = Arc::clone(house.store.replica());
    let fold = folded(&house.place.bodies());
    assert_same("applied and folded", &clients, &live, &fold);
    let house = house.reopened().await;
    assert_same("loaded and folded", &clients, house.store.replica(), &fold);
    let reader = house.store.reader();
    for (client, slot) in model.clients.values() {
        let state = house.state(client.id).await;
        assert_eq!((&state.client, &state.slot), (client, slot));
        assert_eq!(&state.workspace, &model.workspaces[&client.workspace.0]);
    }
    let mut products: Vec<Product> = model.products.into_values().collect();
    products.sort_by(|a, b| a.slug.cmp(&b.slug));
    assert_eq!(reader.products().await.unwrap(), products);
    let workspaces: Vec<Workspace> = model.workspaces.into_values().collect();
    assert_eq!(reader.workspaces(None, 1_000).await.unwrap(), workspaces);
    let mut keys = reader.admin_keys().await.unwrap();
    keys.sort_by_key(|key| key.id);
    assert_eq!(keys, model.keys.into_values().collect::<Vec<_>>());
    house
}

/// The law for the replica and some clients, where not every change is known here.
pub(crate) async fn assert_folded(house: House, clients: &[Client]) -> House {
    let records = house.records(clients).await;
    let fold = folded(&house.place.bodies());
    assert_same("applied", &records, house.store.replica(), &fold);
    let house = house.reopened().await;
    assert_same("loaded", &records, house.store.replica(), &fold);
    house
}
