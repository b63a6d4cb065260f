//! What goes wrong inside one decision or behind the store's back: it stays with whom it belongs to,
//! and a node that can't be sure stops vouching.

use crate::basics::{START, audited, settings};
use crate::house::{Client, House, Who, disable, ended, until};
use crate::model::{assert_law, assert_same, folded};
use crate::place::{Engine, Place, on, on_both};
use std::sync::Arc;
use tokenward_core::change::Change;
use tokenward_core::ids::{ClientId, ClientNo, Environment, WorkspaceId};
use tokenward_core::label::Label;
use tokenward_store::{Decided, Failure, ReadSet, StoreError};
use tokenward_testkit::assert_contains;

/// Runs `odd` in one group with a generate for every client: it fails, and the others do not.
async fn fails_alone(
    house: &House,
    clients: &[Client],
    odd: impl Future<Output = Result<(), Failure>> + Send + 'static,
) {
    let held = house.hold();
    let odd = tokio::spawn(odd);
    house.until_waiting(1);
    let calls: Vec<_> = clients.iter().map(|client| house.ask(client)).collect();
    house.until_waiting(1 + clients.len());
    held.release().await;
    assert!(ended(calls).await.iter().all(Result::is_ok), "they suffer");
    assert_eq!(odd.await.unwrap(), Err(Failure::Unavailable));
}

async fn a_panic_in_a_decision_stays_there(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 3).await;
    let (store, id) = (house.store.clone(), clients[0].0);
    let odd = async move {
        let decide = store.decide::<(), (), _>(ReadSet::client(id), |_| panic!("on purpose"));
        decide.await.map(drop)
    };
    fails_alone(&house, &clients[1..], odd).await;
    assert_law(house).await.close();
}

async fn a_change_without_an_audit_entry_is_not_written(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 3).await;
    let before = place.bodies().len();
    let (store, id) = (house.store.clone(), clients[0].0);
    let odd = async move {
        let decide = store.decide::<_, (), _>(ReadSet::client(id), |view| {
            let state = view.client.as_ref().unwrap();
            let mut decided = Decided::nothing();
            decided.changes.push(disable(state, true, view.now));
            Ok((decided, ()))
        });
        decide.await.map(drop)
    };
    fails_alone(&house, &clients[1..], odd).await;
    assert_eq!(place.bodies().len(), before + 2);
    assert_law(house).await.close();
}

fn of_no_client() -> Change {
    Change::TokenEnded {
        client: ClientNo(77),
        slot: Box::default(),
    }
}

async fn a_change_that_makes_no_sense_is_refused_alone(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 5).await;
    let twice = Change::ClientCreated {
        client: Box::new(house.state(clients[0].0).await.client),
    };
    for change in [of_no_client(), twice] {
        let (store, id) = (house.store.clone(), clients[0].0);
        let odd = async move {
            let decide = store.decide::<_, (), _>(ReadSet::client(id), move |view| {
                Ok((audited(vec![change], view.now), ()))
            });
            decide.await.map(drop)
        };
        fails_alone(&house, &clients[1..], odd).await;
        assert!(house.store.is_writable(), "the store itself is well");
    }
    assert_law(house).await.close();
}

#[test]
fn what_touches_no_row_is_refused_alone() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 4).await;
        place.ignore_the_first_slot();
        let before = place.bodies().len();
        let (share, client) = (house.share(), clients[0].clone());
        let odd = async move { share.generate(&client).await.map(drop) };
        fails_alone(&house, &clients[1..], odd).await;
        // Nothing of it is in the log.
        assert_eq!(place.bodies().len(), before + 3);
        assert!(house.store.is_writable(), "the store itself is well");
        assert_law(house).await.close();
    });
}

async fn a_damaged_row_spoils_nobody_elses_decision(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 3).await;
    place.sql("UPDATE client SET environment = 7 WHERE no = 0");
    let (share, client) = (house.share(), clients[0].clone());
    let odd = async move { share.generate(&client).await.map(drop) };
    fails_alone(&house, &clients[1..], odd).await;
    place.sql("UPDATE client SET environment = 1 WHERE no = 0");
    house.generate(&clients[0]).await.unwrap();
    assert_law(house).await.close();
}

/// After what `meddle` did to the database, the next write fails, and the node stops for good.
async fn expelled_after(place: &Arc<Place>, meddle: &str) {
    let house = House::open(place).await;
    let (client, token) = &house.with_token().await;
    assert_eq!(house.check(token), "permit");
    let before = place.bodies().len();
    place.sql(meddle);
    let refused = house.generate(client).await.map(drop);
    assert_eq!(refused, Err(Failure::Unavailable), "after {meddle}");
    until("the node to stop", || house.store.is_expelled());
    assert_eq!(house.check(token), "cannot vouch");
    house.is_unavailable(client).await;
    // Nothing was written but what the meddler wrote.
    assert!(place.bodies().len() <= before + 1);
}

async fn a_foreign_change_number_ends_the_node(place: Arc<Place>) {
    expelled_after(&place, "UPDATE head SET change_number = change_number + 1").await;
}

async fn a_foreign_audit_number_ends_the_node(place: Arc<Place>) {
    expelled_after(&place, "UPDATE head SET audit_seq = audit_seq + 1").await;
}

async fn a_database_set_back_ends_the_node(place: Arc<Place>) {
    let back = "UPDATE head SET change_number = change_number - 1, audit_seq = audit_seq - 1";
    expelled_after(&place, back).await;
}

#[test]
fn another_process_in_the_row_of_a_file_ends_this_one() {
    for meddle in ["UPDATE node SET id = 'another'", "DELETE FROM node"] {
        on(Engine::Sqlite, async |place| {
            expelled_after(&place, meddle).await;
        });
    }
}

/// What a commit of unknown outcome leaves behind when it did happen: everything but this node's
/// knowledge of it.
fn behind_its_back(place: &Place, change: &Change, format: u32, tables: &str) {
    let number = place.number("SELECT change_number + 1 FROM head");
    let body = change.to_body();
    if !tables.is_empty() {
        place.sql(tables);
    }
    place.sql(&format!(
        "INSERT INTO change_log (number, at, format, body) VALUES ({number}, 0, {format}, '{body}')"
    ));
    place.sql(&format!("UPDATE head SET change_number = {number}"));
}

async fn a_change_of_unknown_outcome_is_caught_up_from_the_log(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    house.product("gst").await;
    let token = house.token(&clients[0]).await;
    let change = Change::ClientDisabled {
        client: ClientNo(0),
        at: Some(START),
    };
    let disable = format!("UPDATE client SET disabled_at = {} WHERE no = 0", START.0);
    behind_its_back(&place, &change, 1, &disable);
    house.made.lock().unwrap().push(change);
    house.makes(&clients[1], 1).await;
    // The change that was missed is in force.
    assert_eq!(house.check(&token), "deny");
    assert_law(house).await.close();
}

async fn a_change_that_cannot_be_read_ends_the_node(place: Arc<Place>) {
    let change = Change::ClientDisabled {
        client: ClientNo(0),
        at: None,
    };
    ended_by(&place, &change, 99).await;
}

async fn a_change_that_cannot_be_applied_ends_the_node(place: Arc<Place>) {
    ended_by(&place, &of_no_client(), 1).await;
}

/// A node that finds this change, in this format, in the log stops.
async fn ended_by(place: &Arc<Place>, change: &Change, format: u32) {
    let (house, clients) = House::populated(place, 1).await;
    behind_its_back(place, change, format, "");
    let failed = house.generate(&clients[0]).await.map(drop);
    assert!(failed.is_err(), "decided before or after it was found");
    until("the node to stop", || house.store.is_expelled());
    house.is_unavailable(&clients[0]).await;
}

async fn a_newer_schema_is_refused(place: Arc<Place>) {
    House::open(&place).await.close();
    place.sql("UPDATE head SET schema = 99");
    let error = House::refused(&place, Who::new()).await;
    let newer = matches!(error, StoreError::TooNew { found: 99, .. });
    assert!(newer, "{error}");
    assert_contains(&error.to_string(), "start the newer program");
    assert_eq!(place.number("SELECT schema FROM head"), 99);
}

async fn a_database_older_than_this_node_knows_is_refused(place: Arc<Place>) {
    let (house, _) = House::populated(&place, 2).await;
    let head = house.store.head_at_open().clone();
    let (mut who, last) = (house.who.clone(), house.store.numbers().0);
    house.close();
    who.seen = Some((head.epoch, last + 1));
    let refused = House::refused(&place, who.clone()).await;
    assert!(matches!(refused, StoreError::Older { .. }), "{refused}");
    who.seen = Some((head.epoch, last));
    House::open_as(&place, who).await.unwrap().close();
}

async fn a_database_without_its_head_is_refused(place: Arc<Place>) {
    House::open(&place).await.close();
    place.sql("DELETE FROM head");
    let refused = House::refused(&place, Who::new()).await;
    assert!(matches!(refused, StoreError::Damaged(_)), "{refused}");
}

/// Whether a client has this label, other than the one that wants it.
async fn is_taken(house: &House, of: WorkspaceId, label: &str, client: Option<ClientId>) -> bool {
    let label = Label::parse(label).unwrap();
    let wants = ReadSet {
        client,
        label: Some((of, Environment::Production, label)),
        ..ReadSet::default()
    };
    house.view(wants).await.label_taken
}

async fn a_deleted_clients_label_is_free_and_stays_free(place: Arc<Place>) {
    let house = House::open(&place).await;
    let workspace = house.workspace("Acme").await;
    let (first, _) = house.client(workspace, settings("erp")).await;
    let taken = async || is_taken(&house, workspace, "erp", None).await;
    assert!(taken().await);
    house.delete(first).await;
    assert!(!taken().await);
    // A change of settings that was decided late must not take the label again.
    let late = Change::ClientSettingsChanged {
        client: ClientNo(0),
        settings: Box::new(settings("erp")),
    };
    house.put(ReadSet::default(), move |_| late).await;
    assert!(!taken().await);
    house.client(workspace, settings("erp")).await;
    assert_law(house).await.close();
}

async fn labels_of_an_older_store_stay_and_get_a_key(place: Arc<Place>) {
    let house = House::open(&place).await;
    let workspace = house.workspace("Acme").await;
    let (first, _) = house.client(workspace, settings("erp")).await;
    let (second, _) = house.client(workspace, settings("crm")).await;
    house.close();
    place.back_to_version_6();
    // What an older version accepted side by side, a soft hyphen included.
    let old = ["Billing", "bil\u{ad}ling"];
    for (no, label) in old.iter().enumerate() {
        place.sql(&format!(
            "UPDATE client SET label = '{label}', live_label = '{label}' WHERE no = {no}"
        ));
    }
    let house = House::open(&place).await;
    for (client, label) in [first, second].into_iter().zip(old) {
        let kept = house.state(client).await.client.settings.label;
        assert_eq!(kept.as_str(), label);
    }
    let taken = async |client| is_taken(&house, workspace, "BILLING", client).await;
    assert!(taken(None).await);
    assert!(taken(Some(first)).await, "by the second");
    house.delete(second).await;
    assert!(!taken(Some(first)).await, "its own label is free to it");
}

async fn a_replica_that_missed_nothing_equals_a_fresh_one(place: Arc<Place>) {
    // The comparison itself must be able to fail.
    let (house, clients) = House::populated(&place, 2).await;
    let records = house.records(&clients[..1]).await;
    let live = Arc::clone(house.store.replica());
    let bodies = place.bodies();
    house.generate(&clients[0]).await.unwrap();
    let behind = folded(&bodies);
    let differs = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_same("on purpose", &records, &live, &behind);
    }));
    assert!(differs.is_err());
}

on_both!(
    a_panic_in_a_decision_stays_there,
    a_change_without_an_audit_entry_is_not_written,
    a_change_that_makes_no_sense_is_refused_alone,
    a_damaged_row_spoils_nobody_elses_decision,
    a_foreign_change_number_ends_the_node,
    a_foreign_audit_number_ends_the_node,
    a_database_set_back_ends_the_node,
    a_change_of_unknown_outcome_is_caught_up_from_the_log,
    a_change_that_cannot_be_read_ends_the_node,
    a_change_that_cannot_be_applied_ends_the_node,
    a_newer_schema_is_refused,
    a_database_older_than_this_node_knows_is_refused,
    a_database_without_its_head_is_refused,
    a_deleted_clients_label_is_free_and_stays_free,
    labels_of_an_older_store_stay_and_get_a_key,
    a_replica_that_missed_nothing_equals_a_fresh_one,
);
