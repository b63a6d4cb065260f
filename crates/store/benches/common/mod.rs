//! What both benches need: a place for a store, clocks, and a store filled by bulk insert.

use futures_util::SinkExt;
use std::sync::Arc;
use tempfile::TempDir;
use tokenward_core::credential::{AccessToken, ClientSecret};
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_core::ids::{ClientId, Environment};
use tokenward_core::time::{BootInstant, Clock, Timestamp};
use tokenward_store::{Location, NodeIdentity, Options, Store, TERM, WriterHandle};
use tokenward_testkit::PgCluster;
use uuid::Uuid;

/// The real clocks.
#[derive(Debug)]
pub(crate) struct RealClock;

impl Clock for RealClock {
    fn wall(&self) -> Timestamp {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Timestamp(time.tv_sec * 1_000_000 + time.tv_nsec / 1_000)
    }
    fn boot(&self) -> BootInstant {
        BootInstant(nanos())
    }
}

/// Elapsed time in nanoseconds.
pub(crate) fn nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Bytes that look random and are the same in every run.
pub(crate) fn bytes<const N: usize>(seed: u64) -> [u8; N] {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut out = [0; N];
    for chunk in out.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(mixed ^ mixed >> 31).to_le_bytes()[..chunk.len()]);
    }
    out
}

pub(crate) fn keyring() -> Arc<Keyring> {
    let keys = vec![DigestKey::new(KeyId(1), [7; 32])];
    Arc::new(Keyring::new(keys).unwrap_or_else(|error| panic!("{error}")))
}

/// An engine and where its store is.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) location: Location,
    pub(crate) _folder: TempDir,
    pub(crate) _cluster: Option<PgCluster>,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let location = Location::Sqlite(folder.path().join("tokenward.db"));
        Self {
            name: "SQLite",
            location,
            _folder: folder,
            _cluster: None,
        }
    }

    pub(crate) fn postgres() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cluster = PgCluster::start();
        let location = Location::Postgres(cluster.url());
        Self {
            name: "PostgreSQL",
            location,
            _folder: folder,
            _cluster: Some(cluster),
        }
    }

    pub(crate) async fn open(&self) -> (Store<RealClock>, WriterHandle) {
        let options = Options {
            keys: tokenward_store::Keys::given(keyring()),
            clock: Arc::new(RealClock),
            node: NodeIdentity {
                id: Uuid::from_u128(1),
                incarnation: Uuid::from_u128(u128::from(nanos())),
            },
            fresh: (Uuid::from_u128(2), Uuid::from_u128(3)),
            seen: None,
            term: TERM,
            replicas_before: false,
        };
        Store::open(&self.location, options)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates the tables.
    pub(crate) async fn create(&self) {
        let (store, writer) = self.open().await;
        close(store, writer).await;
    }
}

pub(crate) async fn close(store: Store<RealClock>, writer: WriterHandle) {
    drop(store);
    tokio::task::spawn_blocking(|| writer.join())
        .await
        .expect("the writer ends");
}

pub(crate) fn client_id(no: u32) -> ClientId {
    ClientId(Uuid::from_bytes(bytes(u64::from(no) << 8)))
}

pub(crate) fn secret(no: u32) -> ClientSecret {
    ClientSecret::from_random(
        Environment::Production,
        client_id(no),
        bytes(u64::from(no) << 8 | 1),
    )
}

/// One client's row and its slot's, as the store would have written them: number, id, secret digest,
/// token digest.
type Filled = (u32, [u8; 16], [u8; 32], [u8; 32]);

fn filled(no: u32, keyring: &Keyring) -> Filled {
    let id = client_id(no);
    let token =
        AccessToken::from_random(Environment::Production, id, bytes(u64::from(no) << 8 | 2));
    let secret = keyring
        .secret(KeyId(1), &secret(no))
        .expect("the key is in the ring");
    let token = keyring
        .token(KeyId(1), &token)
        .expect("the key is in the ring");
    (no, *id.0.as_bytes(), secret.0, token.0)
}

const CLIENT: &str = "no, id, workspace, environment, label, live_label, products, lifetime, secret_networks,
    token_networks, emails, on_repeat, renew_before, handover_max, created_at, secret1_n, secret1_digest, secret1_key,
    secret1_at, next_secret, label_key";
const SLOT: &str =
    "client, generation, digest, digest_key, issued_at, valid_till, former1, former2, former3,
    former_reasons, quota1_day, quota1_used, quota2_day, quota2_used";

/// Fills an empty store with clients that each have a secret and a live token; every tenth has
/// restrictions of its own kind.
pub(crate) async fn fill(place: &Place, clients: u32) {
    match &place.location {
        Location::Sqlite(path) => fill_sqlite(path, clients),
        Location::Postgres(url) => fill_postgres(url, clients).await,
    }
}

fn restrictions(no: u32) -> (Option<String>, String) {
    match no % 10 {
        0 => (
            Some(format!(",0,{},", 1 + no / 10 % 3)),
            format!("10.{}.0.0/16", no / 10 % 32),
        ),
        _ => (None, String::new()),
    }
}

const WORKSPACE: &str =
    "INSERT INTO workspace (no, id, name, created_at) VALUES (0, $1, 'Acme', 0)";
const ISSUED: i64 = 1_795_428_930_000_000;

fn fill_sqlite(path: &std::path::Path, clients: u32) {
    let keyring = keyring();
    let mut connection = rusqlite::Connection::open(path).expect("the file opens");
    let transaction = connection.transaction().expect("a transaction");
    transaction
        .execute(WORKSPACE, [&[9_u8; 16][..]])
        .expect("a workspace");
    {
        let sql = format!(
            "INSERT INTO client ({CLIENT}) VALUES ($1, $2, 0, 1, $3, $3, $4, 3600, '', $5, '', 0, 600, 0, 0, 1, $6, 1, 0, 2, $3)"
        );
        let mut client = transaction.prepare(&sql).expect("SQL");
        let sql = format!(
            "INSERT INTO slot ({SLOT}) VALUES ($1, 7, $2, 1, {ISSUED}, {}, 11, 12, 13, 0, 0, 0, 0, 0)",
            ISSUED + 3_600_000_000
        );
        let mut slot = transaction.prepare(&sql).expect("SQL");
        for no in 0..clients {
            let (no, id, secret, token) = filled(no, &keyring);
            let (products, networks) = restrictions(no);
            let label = format!("erp-{no}");
            let row = rusqlite::params![no, &id[..], label, products, networks, &secret[..]];
            client.execute(row).expect("a client");
            slot.execute(rusqlite::params![no, &token[..]])
                .expect("a slot");
        }
    }
    transaction.commit().expect("a commit");
}

async fn fill_postgres(url: &str, clients: u32) {
    let keyring = keyring();
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .expect("a connection");
    tokio::spawn(connection);
    client
        .execute(WORKSPACE, &[&&[9_u8; 16][..]])
        .await
        .expect("a workspace");
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::from(r"\\x"), |text, byte| {
            format!("{text}{byte:02x}")
        })
    };
    for (table, columns) in [("client", CLIENT), ("slot", SLOT)] {
        let copy = client
            .copy_in(&format!("COPY {table} ({columns}) FROM STDIN"))
            .await
            .expect("a copy");
        let mut copy = std::pin::pin!(copy);
        let mut lines = String::new();
        for no in 0..clients {
            let (no, id, secret, token) = filled(no, &keyring);
            let (products, networks) = restrictions(no);
            let products = products.unwrap_or_else(|| r"\N".to_owned());
            let line = match table {
                "client" => format!(
                    "{no}\t{}\t0\t1\terp-{no}\terp-{no}\t{products}\t3600\t\t{networks}\t\t0\t600\t0\t0\t1\t{}\t1\t0\t2\terp-{no}\n",
                    hex(&id),
                    hex(&secret)
                ),
                _ => format!(
                    "{no}\t7\t{}\t1\t{ISSUED}\t{}\t11\t12\t13\t0\t0\t0\t0\t0\n",
                    hex(&token),
                    ISSUED + 3_600_000_000
                ),
            };
            lines.push_str(&line);
            if lines.len() > 1 << 20 || no + 1 == clients {
                copy.send(bytes::Bytes::from(std::mem::take(&mut lines)))
                    .await
                    .expect("rows");
            }
        }
        copy.finish().await.expect("rows");
    }
    client
        .batch_execute("VACUUM ANALYZE")
        .await
        .expect("statistics");
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
