//! What stands between a node and its database, and how the database is set up.

use crate::house::{House, Who, until};
use crate::place::{Engine, Place, on, runtime};
use std::time::Duration;
use tokenward_store::{Location, StoreError};
use tokenward_testkit::{PgBouncer, PgCluster, assert_contains};

const LONG: Duration = Duration::from_secs(30);
/// Ends every session of a node, as a failover does.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'tokenward%'";

async fn refused(url: &str) -> String {
    let refused = House::refused(&Place::url(url), Who::new()).await;
    refused.to_string()
}

/// Runs a test on a server of its own.
fn on_server(test: impl AsyncFnOnce(PgCluster)) {
    let cluster = PgCluster::builder().setting("fsync", "off").start();
    runtime().block_on(test(cluster));
}

#[test]
fn a_transaction_pooler_is_refused_and_a_session_pooler_works() {
    on_server(async |cluster| {
        let mode = PgBouncer::start(&cluster, "transaction");
        let told = refused(&mode.url()).await;
        assert_contains(&told, "pool_mode=session");
        assert_contains(&told, "connection pooler");
        drop(mode);
        let mode = PgBouncer::start(&cluster, "session");
        let (house, clients) = House::populated(&Place::url(&mode.url()), 1).await;
        house.generate(&clients[0]).await.unwrap();
        assert_eq!(house.state(clients[0].0).await.slot.generation, 1);
    });
}

#[test]
fn a_database_of_another_encoding_is_refused() {
    on_server(async |cluster| {
        for encoding in ["LATIN1", "SQL_ASCII"] {
            let create =
                "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0".replace("LATIN1", encoding);
            let _ = cluster.sql("postgres", &format!("CREATE DATABASE {encoding} {create}"));
            let name = format!("/{}", encoding.to_lowercase());
            let told = refused(&cluster.url().replace("/tokenward", &name)).await;
            assert!(told.contains(encoding) && told.contains("UTF8"), "{told}");
        }
    });
}

#[test]
fn a_missing_privilege_is_refused_with_what_to_do_and_leaves_no_row() {
    on_server(async |cluster| {
        let run = |statement: &str| cluster.sql("tokenward", statement);
        run("CREATE ROLE clerk LOGIN");
        let url = cluster.url().replace("postgres@", "clerk@");
        let told = refused(&url).await;
        assert_contains(&told, "permission denied for schema public");
        assert_contains(&told, "OWNER TO");
        House::open(&Place::url(&cluster.url())).await.close();
        run("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO clerk");
        let told = refused(&url).await;
        assert_contains(&told, "DELETE on node");
        assert_contains(&told, "clerk");
        assert_eq!(run("SELECT count(*) FROM node"), "0");
        run("GRANT DELETE ON ALL TABLES IN SCHEMA public TO clerk");
        House::open(&Place::url(&url)).await.close();
    });
}

/// Tables of another role in a schema that PostgreSQL looks into first: that with the role's own name.
const PLANTED: &str =
    "CREATE SCHEMA clerk AUTHORIZATION mallory; GRANT ALL ON SCHEMA clerk TO PUBLIC;
    CREATE TABLE clerk.head (LIKE public.head); CREATE TABLE clerk.product (LIKE public.product);
    ALTER TABLE clerk.head OWNER TO mallory; ALTER TABLE clerk.product OWNER TO mallory;
    GRANT ALL ON ALL TABLES IN SCHEMA clerk TO PUBLIC;
    INSERT INTO clerk.product (no, slug, name, created_at) VALUES (7, 'planted', 'planted', 1)";

#[test]
fn tables_planted_in_a_schema_that_is_searched_first_are_not_used() {
    on_server(async |cluster| {
        let run = |statement: &str| cluster.sql("tokenward", statement);
        run("CREATE ROLE clerk LOGIN; CREATE ROLE mallory; GRANT ALL ON SCHEMA public TO clerk");
        let url = cluster.url().replace("postgres@", "clerk@");
        let place = Place::url(&url);
        let house = House::open(&place).await;
        let slugs = async |house: &House| -> Vec<String> {
            let found = house.store.reader().products().await.unwrap();
            let slugs = found.iter().map(|product| product.slug.as_str().to_owned());
            slugs.collect()
        };
        run(PLANTED);
        assert!(slugs(&house).await.is_empty());
        house.product("gst").await;
        // Another session, of the same process and of another, looks into the same schema.
        run(TERMINATE);
        until("the store to be writable", || house.store.is_writable());
        assert_eq!(slugs(&house).await, ["gst"]);
        house.close();
        let house = House::open(&place).await;
        assert_eq!(slugs(&house).await, ["gst"]);
        house.product("other").await;
        house.close();
        let count = |schema: &str| run(&format!("SELECT count(*) FROM {schema}.product"));
        assert_eq!((count("public"), count("clerk")), ("2".into(), "1".into()));
        // Where the role does not own the tables, nothing says which are the right ones.
        run(
            "REASSIGN OWNED BY clerk TO postgres; GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk",
        );
        let told = refused(&url).await;
        assert_contains(&told, "clerk, public");
        assert_contains(&told, "options=-csearch_path%3Dname");
        let named = format!("{url}?options=-csearch_path%3Dpublic");
        let house = House::open(&Place::url(&named)).await;
        assert_eq!(slugs(&house).await, ["gst", "other"]);
    });
}

#[test]
fn a_fault_of_the_connection_names_host_port_and_cause_but_no_password() {
    runtime().block_on(async {
        for (host, cause) in [
            ("127.0.0.1:1", "refused"),
            ("no-such-host.invalid:5432", "lookup"),
        ] {
            let told = refused(&format!("postgres://u:hunter2@{host}/t")).await;
            assert!(told.contains(host) && told.contains(cause), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
        let two = "127.0.0.1:1,127.0.0.1:2/t?target_session_attrs=read-write";
        let told = refused(&format!("postgres://u:hunter2@{two}")).await;
        assert_contains(&told, "127.0.0.1:1: ");
        assert_contains(&told, "127.0.0.1:2: ");
    });
}

#[test]
fn a_database_that_was_read_only_for_a_while_is_written_to_again() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        let client = &clients[0];
        house.product("gst").await;
        let name = place.sql("SELECT current_database()").remove(0);
        let set = |value: &str| {
            place.sql(&format!("BEGIN READ WRITE; ALTER DATABASE {name} SET default_transaction_read_only = {value}; COMMIT"));
        };
        for round in 0..3 {
            set("on");
            place.sql(TERMINATE);
            until("the store to be read-only", || !house.store.is_writable());
            assert!(house.generate(client).await.is_err());
            // Reading goes on.
            assert_eq!(house.state(client.0).await.slot.generation, round);
            // The setting takes effect in new sessions only: a session that was accepted while the database was
            // read-only would stay so.
            set("off");
            until("the store to be writable", || house.store.is_writable());
            let token = house.token(client).await;
            assert_eq!(house.check(&token), "permit");
        }
        assert!(!house.store.is_expelled());
    });
}

#[test]
fn a_server_that_is_switched_while_sessions_stay_is_written_to_again() {
    runtime().block_on(async {
        let place = Place::alone();
        let (house, clients) = House::populated(&place, 1).await;
        let session = place.session().await;
        let run = async |statement: &str| session.run(statement).await;
        run("SET default_transaction_read_only = off").await;
        run("ALTER SYSTEM SET default_transaction_read_only = on").await;
        run("SELECT pg_reload_conf()").await;
        until("the store to be read-only", || !house.store.is_writable());
        run("ALTER SYSTEM RESET default_transaction_read_only").await;
        run("SELECT pg_reload_conf()").await;
        until("the store to be writable", || house.store.is_writable());
        house.generate(&clients[0]).await.unwrap();
    });
}

#[test]
fn a_reader_whose_connections_died_asks_another() {
    on(Engine::Postgres, async |place| {
        let (house, clients) = House::populated(&place, 1).await;
        for _ in 0..5 {
            house.state(clients[0].0).await;
            place.sql(TERMINATE);
            assert_eq!(house.state(clients[0].0).await.client.id, clients[0].0);
        }
    });
}

#[test]
fn every_host_of_the_url_is_tried() {
    on(Engine::Postgres, async |place| {
        let Location::Postgres(url) = &place.location else {
            unreachable!()
        };
        let two = url.replace("@127.0.0.1", "@127.0.0.1:1,127.0.0.1");
        for more in [
            "",
            "?target_session_attrs=read-write",
            "?target_session_attrs=primary",
        ] {
            let (house, clients) = House::populated(&Place::url(&format!("{two}{more}")), 1).await;
            house.generate(&clients[0]).await.unwrap();
            house.state(clients[0].0).await;
        }
    });
}

/// Takes the next connection and reads what its caller says first, as a server does that then never answers.
fn silent(listener: &std::net::TcpListener) -> std::net::TcpStream {
    let taken = until("a connection", || listener.accept().ok());
    let (mut caller, _) = taken;
    caller.set_nonblocking(false).unwrap();
    caller.set_read_timeout(Some(LONG)).unwrap();
    let mut said = [0; 512];
    assert!(std::io::Read::read(&mut caller, &mut said).unwrap() > 0);
    caller
}

#[test]
fn a_server_that_does_not_answer_delays_no_other() {
    let listeners = [0, 1].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners
        .iter()
        .for_each(|one| one.set_nonblocking(true).unwrap());
    let [first, second] = listeners
        .each_ref()
        .map(|one| one.local_addr().unwrap().port());
    let url = format!("postgres://u@127.0.0.1:{first},127.0.0.1:{second}/d");
    let opening = std::thread::spawn(move || runtime().block_on(refused(&url)));
    let [mut first, second] = listeners.each_ref().map(silent);
    // The first is still being waited for.
    first.set_nonblocking(true).unwrap();
    let more = std::io::Read::read(&mut first, &mut [0; 8]);
    assert!(
        matches!(&more, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
        "{more:?}"
    );
    drop((first, second));
    assert_contains(&opening.join().unwrap(), "127.0.0.1:");
}

#[test]
fn a_start_that_fails_leaves_no_row() {
    on(Engine::Postgres, async |place| {
        House::populated(&place, 1).await.0.close();
        place.sql("DELETE FROM slot");
        let refused = House::refused(&place, Who::new()).await;
        assert!(matches!(refused, StoreError::Damaged(_)), "{refused}");
        assert_eq!(place.number("SELECT count(*) FROM node"), 0);
    });
}
