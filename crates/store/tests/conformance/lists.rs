//! Lists as the console asks for them: searched, filtered by state and product, newest first, page by page.

use crate::basics::{START, draw, entry, keyring, settings, uuid};
use crate::house::{House, delete};
use crate::place::{Place, on_both};
use std::sync::Arc;
use tokenward_core::ClientSecret;
use tokenward_core::change::Change;
use tokenward_core::client::{ApiClient, Settings};
use tokenward_core::digest::{Digest, KeyId};
use tokenward_core::generate;
use tokenward_core::ids::{ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
use tokenward_core::label::Slug;
use tokenward_core::slot::{EndReason, QuotaCount, Slot, TokenRecord};
use tokenward_core::time::{MICROS_PER_SECOND, Timestamp};
use tokenward_store::counts::{Outcome, SourceUse};
use tokenward_store::people::Record;
use tokenward_store::{
    AuditFilter, ClientFilter, ClientOrder, ClientTotals, Decided, ReadSet, StateFilter, TagWrite,
    Use,
};

const DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// The clients that a filter finds, at most 100 unless it says otherwise.
async fn found(house: &House, filter: ClientFilter) -> Vec<ApiClient> {
    let limit = if filter.limit == 0 { 100 } else { filter.limit };
    let filter = ClientFilter { limit, ..filter };
    let found = house.store.reader().clients(&filter).await.unwrap();
    found.into_iter().map(|(state, _)| state.client).collect()
}

async fn labels(house: &House, filter: ClientFilter) -> Vec<String> {
    let found = found(house, filter).await;
    let labels = found.iter().map(|client| client.settings.label.to_string());
    labels.collect()
}

async fn labels_are_searched_for_what_they_hold(place: Arc<Place>) {
    let house = House::open(&place).await;
    let workspace = house.workspace("Acme").await;
    for label in ["SAP ERP", "100% sap", "a_b", "aXb", "wow!", "it's"] {
        house.client(workspace, settings(label)).await;
    }
    let check = async |search: &str, expect: &[&str]| {
        let filter = ClientFilter {
            workspace: Some(workspace),
            environment: Some(Environment::Production),
            search: Some(search.to_owned()),
            ..ClientFilter::default()
        };
        assert_eq!(labels(&house, filter).await, expect, "{search}");
    };
    check("sap", &["SAP ERP", "100% sap"]).await;
    check("Erp", &["SAP ERP"]).await;
    // What means anything in a pattern is taken as it stands.
    check("%", &["100% sap"]).await;
    check("a_b", &["a_b"]).await;
    check("!", &["wow!"]).await;
    check("'", &["it's"]).await;
    check("nothing", &[]).await;
}

async fn pages_go_from_the_newest_to_the_oldest(place: Arc<Place>) {
    let house = House::open(&place).await;
    let (acme, other) = (
        house.workspace("Acme").await,
        house.workspace("Other").await,
    );
    for n in 0..5 {
        house.client(acme, settings(&format!("c{n}"))).await;
        house.client(other, settings(&format!("o{n}"))).await;
    }
    let page = async |after: Option<ClientNo>| {
        let filter = ClientFilter {
            workspace: Some(acme),
            environment: Some(Environment::Production),
            newest_first: true,
            after,
            limit: 2,
            ..ClientFilter::default()
        };
        let last = found(&house, filter.clone())
            .await
            .last()
            .map(|last| last.no);
        (labels(&house, filter).await, last)
    };
    let (first, last) = page(None).await;
    assert_eq!(first, ["c4", "c3"]);
    let (second, last) = page(last).await;
    assert_eq!(second, ["c2", "c1"]);
    let (third, last) = page(last).await;
    assert_eq!(third, ["c0"]);
    assert_eq!(page(last).await.0, [""; 0]);
}

/// A token made some days before the tests' beginning, good for some days.
fn token(made_days_ago: i64, lives_days: Option<i64>) -> TokenRecord {
    let issued_at = Timestamp(START.0 - made_days_ago * DAY);
    TokenRecord {
        digest: Digest(draw()),
        key: KeyId(1),
        issued_at,
        valid_till: lives_days.map(|days| Timestamp(issued_at.0 + days * DAY)),
    }
}

/// A workspace with a client in each state.
async fn states(house: &House) -> WorkspaceId {
    let workspace = house.workspace("Acme").await;
    let mut no = 0;
    let mut client = async |label: &str, slot: Option<Slot>| {
        house.client(workspace, settings(label)).await;
        let client = ClientNo(no);
        no += 1;
        if let Some(slot) = slot.map(Box::new) {
            let issued = Change::TokenIssued { client, slot };
            house.put(ReadSet::default(), |_| issued).await;
        }
        client
    };
    let with = |token: TokenRecord| Some(Slot::default().issue(token, None));
    client("none", None).await;
    let live = client("live", with(token(0, Some(1)))).await;
    client("for ever", with(token(0, None))).await;
    client("expiring", with(token(24, Some(30)))).await;
    client("short", with(token(8, Some(10)))).await;
    let expired = client("expired", with(token(2, Some(1)))).await;
    let ended = Slot::default().issue(token(0, None), None);
    client("revoked", Some(ended.end(EndReason::Revoked, START))).await;
    let sleeping = client("disabled", with(token(0, None))).await;
    let gone = client("deleted", with(token(0, None))).await;
    let mut busy = Slot::default();
    busy.quota[0] = QuotaCount {
        day: START.utc_day(),
        used: 8,
    };
    client("quota", Some(busy)).await;
    let at = START;
    let disabled = Change::ClientDisabled {
        client: sleeping,
        at: Some(at),
    };
    house.put(ReadSet::default(), |_| disabled).await;
    let deleted = delete(gone, at);
    house.put(ReadSet::default(), |_| deleted).await;
    let used = Use {
        client: live,
        at,
        source: "192.0.2.7".into(),
        product: ProductNo(0),
        generation: 1,
    };
    let stale = |client, outcome| SourceUse {
        client,
        day: START.utc_day(),
        source: "192.0.2.8".into(),
        outcome,
        n: 1,
        last_at: START,
    };
    let sources = vec![
        stale(live, Outcome::Permitted),
        stale(expired, Outcome::Expired),
    ];
    let noted = house
        .store
        .note(vec![Record::SourceUses(sources)], vec![used]);
    noted.await.unwrap();
    workspace
}

async fn clients_are_ordered_counted_and_tagged(place: Arc<Place>) {
    let house = House::open(&place).await;
    let workspace = states(&house).await;
    let of = |order, offset| ClientFilter {
        workspace: Some(workspace),
        order: Some(order),
        offset,
        ..ClientFilter::default()
    };
    let ordered = async |order| labels(&house, of(order, 0)).await;
    let names = ordered(ClientOrder::Label).await;
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!((names.len(), &names), (9, &sorted));
    let rest = labels(&house, of(ClientOrder::Label, 7)).await;
    assert_eq!(rest, names[7..]);
    assert_eq!(ordered(ClientOrder::Used).await[0], "live");
    assert_eq!(ordered(ClientOrder::Unused).await[8], "live");
    let ends = ordered(ClientOrder::Ends).await;
    assert_eq!(ends[..4], ["expired", "live", "short", "expiring"]);
    let reader = house.store.reader();
    let count = async |state, most| {
        let filter = ClientFilter {
            workspace: Some(workspace),
            state,
            limit: 1,
            after: Some(ClientNo(3)),
            ..ClientFilter::default()
        };
        reader.client_count(&filter, most).await.unwrap()
    };
    assert_eq!(count(None, 100).await, 9);
    assert_eq!(count(None, 4).await, 5);
    assert_eq!(count(Some(StateFilter::Disabled), 100).await, 1);
    // A tag is there once, and is not found of others.
    let slug = |text: &str| Slug::parse(text).unwrap();
    let no = found(&house, of(ClientOrder::Label, 0)).await[0].workspace;
    let added = |client, tag| Record::Tag(TagWrite::Added(ClientNo(client), no, slug(tag)));
    let records = vec![added(1, "b"), added(1, "a"), added(1, "a"), added(2, "a")];
    house.record(records).await;
    let tags = reader.tags(&[ClientNo(1), ClientNo(3)]).await.unwrap();
    assert_eq!(tags, ["a", "b"].map(|tag| (ClientNo(1), tag.to_owned())));
    assert_eq!(reader.tags(&[]).await.unwrap(), []);
    assert_eq!(reader.tags_of_workspace(no).await.unwrap(), ["a", "b"]);
    let elsewhere = WorkspaceNo(no.0 + 1);
    assert_eq!(reader.tags_of_workspace(elsewhere).await.unwrap(), [""; 0]);
    let removed = Record::Tag(TagWrite::Removed(ClientNo(1), slug("a")));
    house.record([removed]).await;
    let tagged = ClientFilter {
        tag: Some("a".into()),
        ..of(ClientOrder::Label, 0)
    };
    assert_eq!(labels(&house, tagged).await, ["for ever"]);
}

async fn clients_are_filtered_by_their_state(place: Arc<Place>) {
    let house = House::open(&place).await;
    let workspace = states(&house).await;
    let check = async |state: StateFilter, expect: &[&str]| {
        let filter = ClientFilter {
            workspace: Some(workspace),
            state: Some(state),
            ..ClientFilter::default()
        };
        assert_eq!(labels(&house, filter).await, expect, "{state:?}");
    };
    let live = ["live", "for ever", "expiring", "short"];
    check(StateFilter::Live(START), &live).await;
    let expiring = StateFilter::Expiring {
        now: START,
        before: Timestamp(START.0 + 7 * DAY),
        lived_micros: 14 * DAY,
    };
    check(expiring, &["expiring"]).await;
    check(StateFilter::Expired(START), &["expired"]).await;
    check(StateFilter::NeverGenerated, &["none", "quota"]).await;
    let unused = [
        "none", "for ever", "expiring", "short", "expired", "revoked", "disabled", "quota",
    ];
    check(StateFilter::NeverUsed, &unused).await;
    check(StateFilter::UnusedSince(START), &unused).await;
    let soon = Timestamp(START.0 + 1);
    let mut all = vec!["none", "live"];
    all.extend(&unused[1..]);
    check(StateFilter::UnusedSince(soon), &all).await;
    check(StateFilter::Revoked, &["revoked"]).await;
    let day = START.utc_day();
    let used = |day, least| StateFilter::QuotaUsed { day, least };
    check(used(day, 8), &["quota"]).await;
    check(used(day, 9), &[]).await;
    check(used(day + 1, 1), &[]).await;
    check(StateFilter::StaleSince(day), &["expired"]).await;
    check(StateFilter::StaleSince(day + 1), &[]).await;
    check(StateFilter::Disabled, &["disabled"]).await;
    check(StateFilter::Deleted, &["deleted"]).await;
}

async fn clients_are_counted_by_their_state(place: Arc<Place>) {
    let house = House::open(&place).await;
    let workspace = states(&house).await;
    let other = house.workspace("Other").await;
    house.client(other, settings("erp")).await;
    let reader = house.store.reader();
    let numbers = reader.workspaces(None, 10).await.unwrap();
    let no = |id: WorkspaceId| numbers.iter().find(|one| one.id == id).unwrap().no;
    let before = Timestamp(START.0 + 7 * DAY);
    let totals = |workspace| reader.client_totals(workspace, START, before, 14 * DAY);
    let acme = ClientTotals {
        workspace: no(workspace),
        environment: Environment::Production,
        disabled: 1,
        no_token: 2,
        revoked: 1,
        expired: 1,
        expiring: 1,
        live: 3,
    };
    let far = ClientTotals {
        no_token: 1,
        ..ClientTotals::of(no(other), Environment::Production)
    };
    assert_eq!(totals(Some(no(workspace))).await.unwrap(), [acme]);
    assert_eq!(totals(None).await.unwrap(), [acme, far]);
    assert_eq!(acme.total(), 9);
}

async fn clients_are_filtered_by_product(place: Arc<Place>) {
    let house = House::open(&place).await;
    let workspace = house.workspace("Acme").await;
    let only = |label: &str, products: &[u32]| Settings {
        products: Some(products.iter().map(|no| ProductNo(*no)).collect()),
        ..settings(label)
    };
    house.client(workspace, settings("all")).await;
    house.client(workspace, only("one", &[1])).await;
    house.client(workspace, only("eleven", &[11])).await;
    house.client(workspace, only("both", &[1, 11])).await;
    let filter = ClientFilter {
        product: Some(ProductNo(1)),
        ..ClientFilter::default()
    };
    assert_eq!(labels(&house, filter).await, ["all", "one", "both"]);
}

async fn the_audit_log_is_read_backwards_and_without_generations(place: Arc<Place>) {
    let (house, _) = House::populated(&place, 2).await;
    let generated = house.decided(ReadSet::default(), |view| Decided {
        audit: vec![entry("token.generate", None, view.now); 3],
        ..Decided::default()
    });
    generated.await.unwrap();
    let reader = house.store.reader();
    let read = async |filter: AuditFilter| -> Vec<u64> {
        let entries = reader.audit(&filter).await.unwrap();
        entries.into_iter().map(|entry| entry.seq).collect()
    };
    let all = AuditFilter {
        limit: 100,
        ..AuditFilter::default()
    };
    let all = read(all).await;
    let backwards = |before: u64, limit: u32| AuditFilter {
        newest_before: Some(before),
        limit,
        ..AuditFilter::default()
    };
    let mut reversed = all.clone();
    reversed.reverse();
    assert_eq!(read(backwards(0, 100)).await, reversed);
    assert_eq!(read(backwards(reversed[1], 2)).await, reversed[2..4]);
    let of_nobody = AuditFilter {
        actor: Some(format!("member:{}", uuid())),
        ..backwards(0, 100)
    };
    assert!(read(of_nobody).await.is_empty());
    let generations = AuditFilter {
        action: Some("token.generate".into()),
        ..backwards(0, 100)
    };
    let generations = read(generations).await;
    let acts = AuditFilter {
        acts_only: true,
        ..backwards(0, 100)
    };
    let acts = read(acts).await;
    assert!(!acts.is_empty() && !generations.is_empty());
    assert_eq!(acts.len() + generations.len(), all.len());
    assert!(acts.iter().all(|seq| !generations.contains(seq)));
}

/// More questions than one query takes; some callers have gone before the answer.
async fn secrets_asked_for_together_are_those_of_their_clients(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 40).await;
    let unknown = keyring().client_id(ClientNo(1_000), draw());
    let ids = clients.iter().map(|(id, _)| *id).chain([unknown]);
    let asked: Vec<_> = ids
        .cycle()
        .take(1_400)
        .map(|id| {
            let reader = house.store.reader().clone();
            (id, tokio::spawn(async move { reader.secrets(id).await }))
        })
        .collect();
    for (at, (id, asked)) in asked.into_iter().enumerate() {
        if at % 7 == 0 {
            asked.abort();
            continue;
        }
        let found = asked.await.unwrap().unwrap();
        let Some((_, secret)) = clients.iter().find(|(known, _)| *known == id) else {
            assert!(found.is_none());
            continue;
        };
        let found = found.unwrap();
        let secret = ClientSecret::parse(secret).unwrap();
        let position =
            |environment| generate::position_of(&secret, &found.secrets, environment, &keyring());
        assert_eq!(position(found.environment), Some(0));
        assert_eq!(position(Environment::Sandbox), None);
    }
}

on_both!(
    secrets_asked_for_together_are_those_of_their_clients,
    labels_are_searched_for_what_they_hold,
    pages_go_from_the_newest_to_the_oldest,
    clients_are_filtered_by_their_state,
    clients_are_ordered_counted_and_tagged,
    clients_are_counted_by_their_state,
    clients_are_filtered_by_product,
    the_audit_log_is_read_backwards_and_without_generations,
);
