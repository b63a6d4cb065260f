//! Moving a store to the other engine and back: what arrives is all there was, and never do two stores serve.

use crate::basics::{START, keyring, uuid};
use crate::house::{Client, House, Who, until};
use crate::model::assert_folded;
use crate::place::{Engine, Place, on, on_both};
use futures_util::FutureExt as _;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokenward_store::{LOG_GROWTH_MAX, Move, Moved, Step, StoreError, backup, move_store};
use tokenward_testkit::assert_contains;

fn other(engine: Engine) -> Engine {
    match engine {
        Engine::Sqlite => Engine::Postgres,
        Engine::Postgres => Engine::Sqlite,
    }
}

async fn moved(
    from: &Place,
    to: &Place,
    progress: &mut dyn FnMut(Step, &str, u64),
) -> Result<Moved, StoreError> {
    let wanted = Move {
        from: &from.location,
        to: &to.location,
        keyring: keyring(),
        id: uuid(),
        now: START,
        wait: Duration::ZERO,
    };
    move_store(&wanted, progress).await
}

async fn refused(from: &Place, to: &Place, words: &str) {
    let refused = moved(from, to, &mut |_, _, _| {}).await.unwrap_err();
    assert_contains(&refused.to_string(), words);
}

/// A move that ends in the middle of a step.
async fn interrupted(from: &Place, to: &Place, stage: (Step, &str)) {
    let mut progress = |step: Step, table: &str, _| {
        if (step, table) == stage {
            std::panic::resume_unwind(Box::new("interrupted"));
        }
    };
    let moving = AssertUnwindSafe(moved(from, to, &mut progress)).catch_unwind();
    assert!(moving.await.is_err(), "{stage:?}");
}

/// A start on this place is refused with these words.
async fn does_not_start(place: &Arc<Place>, words: &str) {
    let refused = House::refused(place, Who::new()).await;
    assert_contains(&refused.to_string(), words);
}

/// Columns of each table, and whether they hold text, bytes or numbers.
type Tables = BTreeMap<String, Vec<(String, &'static str)>>;

fn tables_of(file: &Place) -> Tables {
    let named = file.sql("SELECT name FROM sqlite_schema WHERE type = 'table'");
    let of = |table: &String| {
        let columns = file.sql(&format!(
            "SELECT name || ' ' || type FROM pragma_table_info('{table}')"
        ));
        let columns = columns
            .iter()
            .map(|line| match line.split_once(' ').unwrap() {
                (name, "TEXT") => (name.to_owned(), "text"),
                (name, "BLOB") => (name.to_owned(), "bytes"),
                (name, _) => (name.to_owned(), "number"),
            });
        (table.clone(), columns.collect())
    };
    named.iter().map(of).collect()
}

/// Every row of every table but that of the processes, by each engine's own words.
fn rows_of(place: &Place, tables: &Tables) -> BTreeMap<String, Vec<String>> {
    let value = |(name, kind): &(String, &str)| {
        let shown = match (place.engine, *kind) {
            (Engine::Sqlite, "bytes") => format!("lower(hex(\"{name}\"))"),
            (Engine::Postgres, "bytes") => format!("encode(\"{name}\", 'hex')"),
            _ => format!("CAST(\"{name}\" AS TEXT)"),
        };
        let there = format!("CASE WHEN \"{name}\" IS NULL THEN '-' ELSE '=' || {shown} END");
        format!("replace({there}, '\n', '~')")
    };
    let rows = |(table, columns): (&String, &Vec<(String, &str)>)| {
        let values: Vec<String> = columns.iter().map(value).collect();
        let mut rows = place.sql(&format!(
            "SELECT {} FROM {table}",
            values.join(" || '|' || ")
        ));
        rows.sort();
        (table.clone(), rows)
    };
    tables
        .iter()
        .filter(|(table, _)| !["node", "node_applied"].contains(&table.as_str()))
        .map(rows)
        .collect()
}

/// A store with at least one row of every kind, and a live token.
async fn full(place: &Arc<Place>) -> (House, Client, String) {
    let (house, clients) = House::populated(place, 3).await;
    house.product("gst").await;
    let token = house.token(&clients[0]).await;
    house.generate(&clients[1]).await.unwrap();
    house.delete(clients[2].0).await;
    let bytes = |hex: &str| match place.engine {
        Engine::Sqlite => format!("x'{hex}'"),
        Engine::Postgres => format!("'\\x{hex}'"),
    };
    let (one, two) = (bytes("000102030405060708090a0b0c0d0e0f"), bytes("ff00fe01"));
    for insert in [
        format!("INSERT INTO audit (seq, at, actor, source, action, workspace, client, detail, hash)
            SELECT 1, 1, 'system', '', 'x', NULL, NULL, '{{}}', {two} WHERE NOT EXISTS (SELECT 1 FROM audit)"),
        format!("INSERT INTO admin_key VALUES ({one}, 'Schlüssel', 'operator', {two}, 1, 5, NULL, 7)"),
        "INSERT INTO client_use (client, at, source, product, generation) VALUES (0, 8, '2001:db8::1', 0, 2)".to_owned(),
        format!("INSERT INTO member VALUES ({one}, 'a@example.com', 'Zoë \u{1F511}', 'operator', '{{\"a\": \"b\nc\"}}', -3, NULL)"),
        format!("INSERT INTO invitation VALUES ({one}, {two}, 'b@example.com', 'auditor', 1, 2, 'x')"),
        format!("INSERT INTO session VALUES ({one}, {two}, {one}, 1, 2, 3, '10.0.0.1', '')"),
        format!("INSERT INTO credential_note VALUES ({one}, 1, 'für ERP', 'x')"),
        "INSERT INTO client_tag (client, tag) VALUES (0, 'größe')".to_owned(),
        "INSERT INTO check_count VALUES (0, 20000, 1, 2, 9223372036854775807)".to_owned(),
        "INSERT INTO check_hour VALUES (0, 480001, -1, 1, 7)".to_owned(),
        "INSERT INTO stale_use VALUES (0, 20000, '10.0.0.1', 3, 4, 5)".to_owned(),
        format!("INSERT INTO webhook VALUES ({one}, {two}, 'https://example.com/', {two}, NULL, NULL, 1, NULL, 'client.unused=off')"),
        format!("INSERT INTO notice (no, id, key, target, recipient, workspace, client, kind, body, created_at, attempts, due_at,
            done_at, last_error) VALUES (41, {one}, 'k', 'mail', 'a@example.com', {one}, NULL, 'x', '{{}}', 1, 0, 9, NULL, '')"),
        format!("INSERT INTO admin_key_use VALUES ({one}, 3, '::1')"),
        format!("INSERT INTO notice_address VALUES ({one}, 'a@example.com', NULL, {two}, 5, 1, NULL, NULL, 'token.generated=off')"),
        format!("INSERT INTO confirmation_mail VALUES ({one}, 'a@example.com', 3)"),
        format!("INSERT INTO passkey_challenge VALUES ({one}, {two}, 5, '{{}}')"),
        "INSERT INTO notice_cursor SELECT 1, 3 WHERE NOT EXISTS (SELECT 1 FROM notice_cursor)".to_owned(),
    ] {
        place.sql(&insert);
    }
    (house, clients[0].clone(), token)
}

#[test]
fn everything_goes_to_postgresql_and_back() {
    on(Engine::Sqlite, async |place| {
        let (house, client, token) = full(&place).await;
        let head = house.store.reader().head().await.unwrap();
        let change = house.store.numbers().0;
        house.close();
        let tables = tables_of(&place);
        let before = rows_of(&place, &tables);
        let empty: Vec<_> = before.iter().filter(|(_, rows)| rows.is_empty()).collect();
        assert!(empty.is_empty(), "nothing to see in {empty:?}");

        let database = Place::new(Engine::Postgres);
        let mut steps = Vec::new();
        let mut progress = |step: Step, table: &str, _| steps.push((step, table.to_owned()));
        let there = moved(&place, &database, &mut progress).await.unwrap();
        assert_eq!(rows_of(&database, &tables), before);
        assert_eq!(there.head.audit_seq, head.0);
        assert_eq!(there.head.audit_hash, head.1);
        assert_eq!((there.head.change_number, there.folded), (change, change));
        assert_eq!(there.clients, 3);
        let told = |name: &str| there.tables.iter().find(|told| told.name == name).unwrap();
        for (table, rows) in &before {
            assert_eq!(told(table).rows, rows.len() as u64, "{table}");
            for step in [Step::Copying, Step::Comparing] {
                assert!(steps.contains(&(step, table.clone())), "{step:?} {table}");
            }
        }
        // Nothing but the name was changed in the source.
        let mut after = rows_of(&place, &tables);
        let name = before["head"][0].split('|').nth(2).unwrap();
        let marked = after["head"][0].split('|').nth(2).unwrap().to_owned();
        assert_contains(&marked, "moved");
        assert_contains(&marked, &name[1..]);
        after.get_mut("head").unwrap()[0] = after["head"][0].replace(&marked, name);
        assert_eq!(after, before);
        does_not_start(&place, "was moved to the database").await;

        let house = House::open(&database).await;
        assert_eq!(house.check(&token), "permit");
        let house = assert_folded(house, std::slice::from_ref(&client)).await;
        let newer = house.token(&client).await;
        assert_eq!(house.check(&token), "deny");
        house.close();
        let sequence = "SELECT nextval(pg_get_serial_sequence('notice', 'no'))";
        // Notices go on after those copied.
        assert_eq!(database.number(sequence), 42);

        let before = rows_of(&database, &tables);
        let back = Place::new(Engine::Sqlite);
        let here = moved(&database, &back, &mut |_, _, _| {}).await.unwrap();
        assert_eq!(rows_of(&back, &tables), before);
        for table in &here.tables {
            let same = ["client", "member", "notice", "webhook", "gate"].contains(&&*table.name);
            assert!(!same || table == told(&table.name), "{table:?}");
        }
        does_not_start(&database, "was moved to the file").await;
        let house = House::open(&back).await;
        let checks = (house.check(&newer), house.check(&token));
        assert_eq!(checks, ("permit", "deny"));
        house.generate(&client).await.unwrap();
    });
}

async fn an_interrupted_move_is_refused_by_servers_and_made_again(place: Arc<Place>) {
    let (house, client, _) = full(&place).await;
    house.close();
    let target = Place::new(other(place.engine));
    for stage in [
        (Step::Copying, "client"),
        (Step::Copying, "head"),
        (Step::Comparing, "slot"),
        (Step::Verifying, "audit"),
    ] {
        interrupted(&place, &target, stage).await;
        does_not_start(&target, "is an unfinished copy of").await;
        let restored = target.restore(None).await.unwrap_err();
        assert_contains(&restored.to_string(), "unfinished");
        // The source is as it was, and goes on.
        let house = House::open(&place).await;
        house.generate(&client).await.unwrap();
    }
    let foreign = Place::new(place.engine);
    House::open(&foreign).await.close();
    refused(&foreign, &target, "an unfinished copy of another store").await;
    moved(&place, &target, &mut |_, _, _| {}).await.unwrap();
    let house = House::open(&target).await;
    house.generate(&client).await.unwrap();
    assert_folded(house, &[client]).await;
}

/// The last two steps are in two databases: after the first of them neither serves, and the command finishes the move.
async fn a_move_that_ended_before_its_last_step_is_finished(place: Arc<Place>) {
    let (house, ..) = full(&place).await;
    house.close();
    let target = Place::new(other(place.engine));
    moved(&place, &target, &mut |_, _, _| {}).await.unwrap();
    let mark = place.sql("SELECT store FROM head").remove(0);
    let unfinished = mark.replace("\"moved\"", "\"unfinished\"");
    target.sql(&format!("UPDATE head SET store = '{unfinished}'"));
    does_not_start(&place, "was moved").await;
    does_not_start(&target, "unfinished").await;
    let elsewhere = Place::new(other(place.engine));
    refused(&place, &elsewhere, "was moved").await;
    moved(&place, &target, &mut |_, _, _| {}).await.unwrap();
    House::open(&target).await.close();
    refused(&place, &target, "was moved").await;
}

async fn a_used_target_is_refused_and_keeps_what_it_has(place: Arc<Place>) {
    let (house, ..) = full(&place).await;
    house.close();
    let used = Place::new(other(place.engine));
    House::populated(&used, 1).await.0.close();
    refused(&place, &used, "already holds a store").await;
    let house = House::open(&used).await;
    assert_eq!(house.store.replica().client_count(), 1);
    house.close();
    House::open(&place).await.close();
}

/// A store that was moved away comes back as a backup does: in a new epoch, or with the proof that nothing is lost.
async fn a_store_that_was_moved_away_is_restored_only(place: Arc<Place>) {
    let (house, client, token) = full(&place).await;
    let (seq, hash, _) = house.store.reader().head().await.unwrap();
    house.close();
    let target = Place::new(other(place.engine));
    moved(&place, &target, &mut |_, _, _| {}).await.unwrap();
    if place.engine == Engine::Sqlite {
        let copy = place.folder.path().join("copy");
        let refused = backup(&place.path(), &copy, LOG_GROWTH_MAX, |_, _| {}).unwrap_err();
        assert_contains(&refused.to_string(), "was moved to");
    }
    let mark = place.sql("SELECT store FROM head").remove(0);
    place.restore(Some((seq, hash))).await.unwrap();
    let house = House::open(&place).await;
    assert_eq!(house.check(&token), "permit");
    house.close();
    place.sql(&format!("UPDATE head SET store = '{mark}'"));
    place.restore(None).await.unwrap();
    let house = House::open(&place).await;
    assert_eq!(house.check(&token), "deny");
    house.generate(&client).await.unwrap();
}

#[test]
fn a_database_that_is_in_use_is_not_moved() {
    on(Engine::Postgres, async |place| {
        let _house = House::open(&place).await;
        let target = Place::new(Engine::Sqlite);
        refused(&place, &target, "in use by another Tokenward process").await;
    });
}

/// Something in the target's database alters rows.
#[test]
fn a_copy_that_differs_is_never_used() {
    on(Engine::Sqlite, async |place| {
        let (house, ..) = full(&place).await;
        house.close();
        let target = Place::new(Engine::Postgres);
        interrupted(&place, &target, (Step::Copying, "client")).await;
        target.sql(
            "CREATE FUNCTION alter_one() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.handover_max := NEW.handover_max + 1; RETURN NEW; END $$",
        );
        target.sql("CREATE TRIGGER alter_one BEFORE INSERT ON client FOR EACH ROW EXECUTE FUNCTION alter_one()");
        refused(&place, &target, "the table client of the copy differs").await;
        does_not_start(&target, "unfinished").await;
        House::open(&place).await.close();
    });
}

/// What a node that lost its connection before the move would go on with.
#[test]
fn a_node_that_comes_back_after_a_move_ends() {
    on(Engine::Postgres, async |place| {
        let house = House::open(&place).await;
        let mark = r#"{"store":"x","id":"x","state":"moved","other":"elsewhere","at":"now"}"#;
        let restore = format!("UPDATE head SET store = '{mark}'; DELETE FROM node");
        place.sql(&restore);
        until("the node to end", || house.store.is_expelled());
    });
}

on_both!(
    an_interrupted_move_is_refused_by_servers_and_made_again,
    a_move_that_ended_before_its_last_step_is_finished,
    a_used_target_is_refused_and_keeps_what_it_has,
    a_store_that_was_moved_away_is_restored_only,
);
