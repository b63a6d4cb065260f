//! Several servers on one PostgreSQL: any of them takes any request, and what one has answered holds at all of them.

use crate::check::forge;
use crate::command::run;
use crate::house::{House, until};
use reqwest::Method;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use tokenward_testkit::{
    Answer, Api, ApiClient, NewClient, PgCluster, Server, ServerBuilder, assert_contains,
    expect_error, expect_status, faketime, text as text_of, wait_until, write_with_mode,
};

const LONG: Duration = Duration::from_secs(60);
/// For how long changes wait for a node that was lost: its lease, twice the pause that a machine may make, and some.
const LOST_MAX: Duration = Duration::from_secs(14);

#[expect(
    clippy::disallowed_methods,
    reason = "how long a caller waited is what is told apart here"
)]
fn now() -> Instant {
    Instant::now()
}

/// A database, and the first server on it.
async fn first() -> (PgCluster, House) {
    let cluster = PgCluster::builder().setting("fsync", "off").start();
    let first = House::of(Server::builder().database(&cluster.url())).await;
    (cluster, first)
}

/// A further server beside the first one: the same database, the same digest keys.
fn beside(first: &House, cluster: &PgCluster, name: &str) -> Server {
    joining(first, cluster, name).start()
}

fn joining(first: &House, cluster: &PgCluster, name: &str) -> ServerBuilder {
    let keys = first.server.data_dir().join("digest-keys");
    Server::builder()
        .database(&cluster.url())
        .arg(&format!("--digest-keys={}", keys.display()))
        .arg(&format!("--node-name={name}"))
}

/// The same caller, of another server.
fn at(server: &Server, first: &House) -> Api {
    let key = first.server.admin_key();
    Api::new(server.public(), server.internal(), &key)
}

async fn verdict(api: &Api, token: &str) -> u16 {
    api.check("sandbox", "gst", token).await.unwrap().status
}

/// A token that must be given.
async fn token(api: &Api, erp: &ApiClient) -> String {
    let answer = api.generate(&erp.secret).await.unwrap();
    answer.token().access_token
}

async fn ask(api: &Api) -> Answer {
    expect_status(api.ask(Method::GET, "/nodes"), 200).await
}

fn names(listed: &Value) -> Vec<(String, String, bool)> {
    let items = listed["items"].as_array().unwrap().iter();
    let name = |item: &Value| {
        let own = item["own"].as_bool().unwrap();
        (text_of(item, "/name"), text_of(item, "/state"), own)
    };
    let mut names: Vec<_> = items.map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_one_server_answers_holds_at_all_of_them() {
    let cluster = PgCluster::builder().setting("fsync", "off").start();
    let named = Server::builder().args(&["--node-name", "a"]);
    let first = House::of(named.database(&cluster.url())).await;
    let (mut b, c) = (beside(&first, &cluster, "b"), beside(&first, &cluster, "c"));
    let apis = [first.api.clone(), at(&b, &first), at(&c, &first)];
    let erp = first.client(NewClient::sandbox("erp")).await;
    let mut former: Option<String> = None;
    for round in 0..12 {
        let newer = token(&apis[round % 3], &erp).await;
        for api in &apis {
            assert_eq!(verdict(api, &newer).await, 200, "round {round}");
            if let Some(former) = &former {
                assert_eq!(verdict(api, former).await, 401, "round {round}");
            }
        }
        former = Some(newer);
    }
    // Made at one, changed and deleted at others.
    let billing = NewClient::sandbox("billing");
    let made = apis[1].client(&first.acme, billing).await.unwrap();
    let held = token(&apis[2], &made).await;
    apis[0].delete(&made).await.unwrap().expect(200);
    for api in &apis {
        assert_eq!(verdict(api, &held).await, 401);
        let refused = api.generate(&made.secret).await.unwrap();
        refused.expect_error(401, "CLIENT_DELETED");
    }
    let seen = until_listed(&apis[1], 3).await;
    let of = |name: &str, own| (name.to_owned(), "active".to_owned(), own);
    let all = [of("a", false), of("b", true), of("c", false)];
    assert_eq!(names(&seen), all);
    assert_eq!(seen["coherence"], "weak", "fsync is off here");
    assert_eq!(seen["digest_key"], 1);
    // A node shows how far it has applied and what is audited, not only what it wrote itself.
    let status = async |api: &Api| api.ask(Method::GET, "/status").await.unwrap();
    let numbers = |answer: &Answer| {
        let shown = answer.json();
        (shown["change_number"].clone(), shown["audit_seq"].clone())
    };
    let first_shows = numbers(&status(&apis[0]).await);
    let same = |answer: &Answer| numbers(answer) == first_shows;
    until("the same numbers", || status(&apis[2]), same).await;
    // One that leaves in good order delays nothing.
    assert!(b.terminate().success());
    let begun = now();
    token(&apis[0], &erp).await;
    assert!(begun.elapsed() < LOST_MAX / 2, "{:?}", begun.elapsed());
    until_listed(&apis[0], 2).await;
}

/// The list, once it has so many nodes.
async fn until_listed(api: &Api, count: usize) -> Value {
    let list = || ask(api);
    let complete = |answer: &Answer| answer.json()["items"].as_array().unwrap().len() == count;
    until("the nodes to be listed", list, complete).await.json()
}

/// A node that stands still may permit for as long as its lease lasts, so changes wait for that. When it goes on it has
/// been removed, catches up, and joins again; meanwhile it permits nothing by what it knew.
#[tokio::test]
async fn a_node_that_stood_still_is_waited_for_once_and_comes_back() {
    let (cluster, first) = first().await;
    let still = beside(&first, &cluster, "still");
    let there = at(&still, &first);
    let erp = first.client(NewClient::sandbox("erp")).await;
    let old = first.token(&erp).await.access_token;
    assert_eq!(verdict(&there, &old).await, 200);
    still.freeze();
    let begun = now();
    let new = first.token(&erp).await.access_token;
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(4), "{waited:?}");
    let begun = now();
    first.token(&erp).await;
    let again = begun.elapsed();
    assert!(again < LOST_MAX / 2, "waited for it twice: {again:?}");
    still.thaw();
    let fresh = there.with_new_connections();
    let back = |answer: &Answer| answer.status == 401;
    for superseded in [&old, &new] {
        let check = async || fresh.check("sandbox", "gst", superseded).await.unwrap();
        expect_error(until("it to be back", check, back), 401, "TOKEN_SUPERSEDED").await;
    }
    until_listed(&first.api, 2).await;
    let newest = token(&there, &erp).await;
    first.permits(&newest).await;
}

/// A wrong secret makes a node tell guesses from right secrets by what it reads beside the writer.
#[tokio::test]
async fn secrets_made_and_ended_at_one_node_are_so_where_somebody_guesses() {
    let (cluster, first) = first().await;
    let other = beside(&first, &cluster, "other");
    let there = at(&other, &first);
    let erp = first.client(NewClient::sandbox("erp")).await;
    let wrong = forge(&erp.secret);
    let mut own = (1, erp.secret.clone());
    for _ in 0..20 {
        let guessed = there.generate(&wrong).await.unwrap();
        assert!([401, 429].contains(&guessed.status));
        let newer = first.rotate(&erp).await;
        there.generate(&newer.1).await.unwrap().expect(200);
        let path = format!("/clients/{}/secrets/{}", erp.id, own.0);
        first.ask(Method::DELETE, &path).await.expect(200);
        let ended = there.generate(&own.1).await.unwrap();
        assert!([401, 429].contains(&ended.status), "{}", ended.status);
        own = newer;
    }
}

#[tokio::test]
async fn a_killed_node_that_starts_again_in_its_place_delays_nothing() {
    let (cluster, first) = first().await;
    let mut other = beside(&first, &cluster, "other");
    let erp = first.client(NewClient::sandbox("erp")).await;
    first.token(&erp).await;
    other.kill9();
    other.restart();
    let begun = now();
    let newer = first.token(&erp).await.access_token;
    assert!(begun.elapsed() < LOST_MAX / 2, "{:?}", begun.elapsed());
    assert_eq!(verdict(&at(&other, &first), &newer).await, 200);
}

/// A copy has the name of the original, and is another node all the same.
#[tokio::test]
async fn a_copied_data_directory_is_a_node_of_its_own() {
    let (cluster, first) = first().await;
    let erp = first.client(NewClient::sandbox("erp")).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    copied(first.server.data_dir(), &copy);
    let twin = Server::builder().database(&cluster.url());
    let twin = twin.data_dir(&copy).start();
    let there = at(&twin, &first);
    let mut former = first.token(&erp).await.access_token;
    for api in [&there, &first.api, &there] {
        let newer = token(api, &erp).await;
        for place in [&first.api, &there] {
            assert_eq!(verdict(place, &newer).await, 200);
            assert_eq!(verdict(place, &former).await, 401);
        }
        former = newer;
    }
    until_listed(&there, 2).await;
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn a_node_that_cannot_belong_is_refused_with_a_sentence() {
    let (cluster, first) = first().await;
    // Without the keys, and with others.
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    let builder = Server::builder().database(&cluster.url()).data_dir(&own);
    builder.refused(&["digest-keys", "copy it from another node"]);
    assert!(!own.join("digest-keys").exists(), "no key was made");
    let other = folder.path().join("other-keys");
    write_with_mode(&other, &format!("1:{}\n", "07".repeat(32)), 0o600);
    let builder = Server::builder().database(&cluster.url());
    let builder = builder.arg(&format!("--digest-keys={}", other.display()));
    builder.refused(&["is not the one that the database was written with"]);
    // One of a version that reads other changes.
    drop(cluster.sql("tokenward", "UPDATE node SET reads = 99"));
    let newer = joining(&first, &cluster, "newer");
    newer.refused(&["format 99", "run one version on all nodes"]);
}

/// A setting that differs is told: in the log of the node, in the list and on the page.
#[tokio::test]
async fn settings_that_differ_are_told() {
    let (cluster, first) = first().await;
    let odd = joining(&first, &cluster, "odd")
        .arg("--quota-per-day=100")
        .start();
    let there = at(&odd, &first);
    until_listed(&there, 2).await;
    let differs =
        "quota_per_day differs between the nodes of this database: \"100\" here, \"288\" on";
    wait_until(differs, LONG, || odd.output().contains(differs));
    let seen = until_listed(&first.api, 2).await;
    let items = seen["items"].as_array().unwrap();
    let odd = items.iter().find(|item| item["name"] == "odd").unwrap();
    let differing = serde_json::json!({ "quota_per_day": "100" });
    assert_eq!(odd["differing_settings"], differing);
}

/// A key is added on one node after the other while both issue and check.
#[tokio::test]
async fn a_new_digest_key_goes_from_node_to_node_and_no_token_is_refused() {
    let (cluster, mut first) = first().await;
    let mut other = beside(&first, &cluster, "other");
    let erp = first.client(NewClient::sandbox("erp")).await;
    let keys = first.server.data_dir().join("digest-keys");
    let before = first.token(&erp).await.access_token;
    run(&format!("digest-key add --digest-keys {}", keys.display()));
    assert!(other.terminate().success());
    other.restart();
    let there = at(&other, &first);
    let between = token(&there, &erp).await;
    first.permits(&between).await;
    first.denies(&before, "TOKEN_SUPERSEDED").await;
    assert_eq!(ask(&there).await.json()["digest_key"], 1);
    first.restart();
    let uses_it = |answer: &Answer| answer.json()["digest_key"] == 2;
    until("the new key to be used", || ask(&first.api), uses_it).await;
    // The other node reads it with the next change that it makes.
    token(&there, &erp).await;
    assert!(uses_it(&ask(&there).await));
    let after = first.token(&erp).await.access_token;
    assert_eq!(verdict(&there, &after).await, 200);
}

/// What it reads may be older than what another node has answered: a revoked admin key, an ended session.
#[tokio::test]
async fn without_a_lease_nobody_is_admitted() {
    let (cluster, first) = first().await;
    let set = |value: &str| {
        let statement = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        drop(cluster.sql("postgres", &statement));
        drop(cluster.sql("postgres", "SELECT pg_reload_conf()"));
    };
    ask(&first.api).await;
    // It can be read all the time; only renewals fail.
    set("on");
    let asking = async || first.api.ask(Method::GET, "/nodes").await.unwrap();
    let over = |answer: &Answer| answer.status == 503;
    until("the lease to be over", asking, over).await;
    set("off");
    let back = |answer: &Answer| answer.status == 200;
    until("the lease to be back", asking, back).await;
}

/// Tokens end and quota days begin by each node's own clock: one that is far from the database's gets no requests.
#[tokio::test]
async fn a_node_with_another_clock_is_not_ready() {
    let (cluster, first) = first().await;
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    faketime::set(&clock, 0);
    let mut other = joining(&first, &cluster, "other").clock(&clock).start();
    let there = at(&other, &first);
    let ready = async || {
        let request = there.internal(Method::GET, "/health/ready");
        there.send(request).await.unwrap()
    };
    faketime::set(&clock, 3_600);
    let refused = |answer: &Answer| answer.status == 503;
    let told = until("it not to be ready", ready, refused).await;
    assert_contains(&told.body, "clock differs from the database's");
    wait_until("a line in the log", LONG, || {
        other.output().contains("clock is not the database's")
    });
    let listed = ask(&there).await.json();
    let seconds = listed["clock_difference_seconds"].as_f64().unwrap();
    assert!((3_590.0..3_700.0).contains(&seconds), "{seconds}");
    let difference = there.figure("tokenward_clock_difference_seconds").await;
    assert!(difference > Some(3_000.0), "{difference:?}");
    // The others do not begin at that time when they start again.
    let erp = first.client(NewClient::sandbox("erp")).await;
    token(&there, &erp).await;
    let near = "SELECT clock - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint < 25000000 FROM head";
    assert_eq!(cluster.sql("tokenward", near).trim(), "t");
    faketime::set(&clock, 0);
    assert!(other.terminate().success());
    other.restart();
}

/// The next step of somebody who began with a file: it must neither begin an empty store nor replace the admin key of the full one.
#[tokio::test]
async fn an_empty_database_does_not_take_the_place_of_the_file_that_a_server_began_with() {
    let cluster = PgCluster::builder().setting("fsync", "off").start();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut began = Server::builder().data_dir(&data).start();
    let workspace = began.api().workspace("Kept").await.unwrap();
    assert!(began.terminate().success());
    let key = std::fs::read(data.join("admin-key")).unwrap();
    let empty = Server::builder().data_dir(&data).database(&cluster.url());
    let told = empty.refused(&["the database is empty", "tokenward move"]);
    assert!(!told.contains("   "), "a gap in a sentence: {told}");
    assert_eq!(std::fs::read(data.join("admin-key")).unwrap(), key);
    began.restart();
    let path = format!("/workspaces/{workspace}");
    expect_status(began.api().ask(Method::GET, &path), 200).await;
}
