//! The floor: the rows of a generate, written by hand on the bare driver, prepared and in groups.
//! PostgreSQL gets a group's statements without waiting in between, as its driver allows.

use crate::common::{Place, bytes, nanos};
use futures_util::future::join_all;
use std::time::Duration;
use tokenward_store::Location;
use tokio_postgres::types::ToSql;

const AUDIT: &str =
    "INSERT INTO audit (seq, at, actor, source, action, workspace, client, detail, hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const LOG: &str = "INSERT INTO change_log (number, at, format, body) VALUES ($1, $2, $3, $4)";
const SLOT: &str = "UPDATE slot SET generation = $1, digest = $2, digest_key = $3, issued_at = $4, valid_till = $5,
    ended = $6, ended_at = $7, former1 = $8, former2 = $9, former3 = $10, former_reasons = $11, previous_digest = $12,
    previous_key = $13, previous_till = $14, seal = $15, quota1_day = $16, quota1_used = $17, quota2_day = $18,
    quota2_used = $19 WHERE client = $20";
const HEAD: &str = "UPDATE head SET change_number = $1, audit_seq = $2, audit_hash = $3";

const ACTOR: &str = "client:01234567-89ab-cdef-0123-456789abcdef#1";
const DETAIL: &str = r#"{"generation":123,"valid_till":null}"#;
/// As long as a generate's.
const BODY: &str = r#"{"change":"token_issued","client":1234,"slot":{"generation":123,"token":{"digest":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","key":1,"issued_at":1795428930000000,"valid_till":1795432530000000},"formers":[{"prefix":12345678901234567890,"reason":"superseded"},{"prefix":12345678901234567890,"reason":"superseded"},{"prefix":12345678901234567890,"reason":"superseded"}],"quota":[{"day":20780,"used":12},{"day":0,"used":0}]}}"#;

pub(crate) enum Bare {
    Sqlite(rusqlite::Connection, i64, i64),
    Postgres(tokio_postgres::Client, Box<Prepared>, i64, i64),
}

type Prepared = [tokio_postgres::Statement; 4];

/// The rows of one generate.
struct Rows {
    seq: i64,
    number: i64,
    client: i64,
    generation: i64,
    digest: [u8; 32],
    former: i64,
}

impl Rows {
    fn new(seq: i64, number: i64) -> Self {
        let drawn: [u8; 48] = bytes(nanos() ^ seq.cast_unsigned());
        let mut digest = [0; 32];
        digest.copy_from_slice(&drawn[..32]);
        let client = i64::from(
            u32::from_le_bytes([drawn[32], drawn[33], drawn[34], drawn[35]]) % crate::CLIENTS,
        );
        let former = i64::from_le_bytes(bytes(seq.cast_unsigned()));
        Self {
            seq,
            number,
            client,
            generation: seq % 1_000_000,
            digest,
            former,
        }
    }
}

impl Bare {
    pub(crate) async fn open(place: &Place) -> Self {
        let at = "SELECT audit_seq, change_number FROM head";
        match &place.location {
            Location::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("the file opens");
                connection
                    .execute_batch(
                        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 10000; PRAGMA cache_size = -65536",
                    )
                    .expect("settings");
                let (seq, number) = connection
                    .query_row(at, [], |row| Ok((row.get(0)?, row.get(1)?)))
                    .expect("a head");
                Self::Sqlite(connection, seq, number)
            }
            Location::Postgres(url) => {
                let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
                    .await
                    .expect("a connection");
                tokio::spawn(connection);
                let row = client.query_one(at, &[]).await.expect("a head");
                let prepared = Box::new(prepared(&client).await);
                Self::Postgres(client, prepared, row.get(0), row.get(1))
            }
        }
    }

    /// Changes a second, and milliseconds a commit.
    pub(crate) async fn run(mut self, size: usize, duration: Duration) -> (f64, f64) {
        let start = nanos();
        let mut groups = 0_u64;
        while nanos() - start < duration.as_nanos() as u64 {
            self.commit(size).await;
            groups += 1;
        }
        let seconds = (nanos() - start) as f64 / 1e9;
        (
            groups as f64 * size as f64 / seconds,
            seconds * 1e3 / groups as f64,
        )
    }

    async fn commit(&mut self, size: usize) {
        match self {
            Self::Sqlite(connection, seq, number) => {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
                    .expect("a transaction");
                for _ in 0..size {
                    (*seq, *number) = (*seq + 1, *number + 1);
                    let rows = Rows::new(*seq, *number);
                    sqlite_rows(&transaction, &rows);
                }
                let mut head = transaction.prepare_cached(HEAD).expect("SQL");
                head.execute(rusqlite::params![*number, *seq, &[5_u8; 32][..]])
                    .expect("the head");
                drop(head);
                transaction.commit().expect("a commit");
            }
            Self::Postgres(client, prepared, seq, number) => {
                let rows: Vec<Rows> = (1..=size as i64)
                    .map(|n| Rows::new(*seq + n, *number + n))
                    .collect();
                (*seq, *number) = (*seq + size as i64, *number + size as i64);
                postgres_group(client, prepared, &rows, *seq, *number).await;
            }
        }
    }
}

fn sqlite_rows(connection: &rusqlite::Connection, rows: &Rows) {
    let (none, day): (Option<i64>, i64) = (None, 20_780);
    let blob: Option<&[u8]> = None;
    let mut audit = connection.prepare_cached(AUDIT).expect("SQL");
    let id = &[6_u8; 16][..];
    audit
        .execute(rusqlite::params![
            rows.seq,
            rows.seq,
            ACTOR,
            "10.1.2.3",
            "token.generate",
            id,
            id,
            DETAIL,
            &rows.digest[..]
        ])
        .expect("an audit entry");
    let mut slot = connection.prepare_cached(SLOT).expect("SQL");
    slot.execute(rusqlite::params![
        rows.generation,
        &rows.digest[..],
        1,
        rows.seq,
        rows.seq,
        none,
        none,
        rows.former,
        rows.former,
        rows.former,
        0,
        blob,
        none,
        none,
        blob,
        day,
        12,
        0,
        0,
        rows.client
    ])
    .expect("a slot");
    let mut log = connection.prepare_cached(LOG).expect("SQL");
    log.execute(rusqlite::params![rows.number, rows.seq, 1, BODY])
        .expect("a log entry");
}

async fn postgres_group(
    client: &tokio_postgres::Client,
    [audit, slot, log, head]: &Prepared,
    rows: &[Rows],
    seq: i64,
    number: i64,
) {
    let (one, zero, day, used) = (1_i64, 0_i64, 20_780_i64, 12_i64);
    let (none, blob): (Option<i64>, Option<&[u8]>) = (None, None);
    let id = &[6_u8; 16][..];
    let digests: Vec<&[u8]> = rows.iter().map(|rows| &rows.digest[..]).collect();
    let mut params: Vec<(&tokio_postgres::Statement, Vec<&(dyn ToSql + Sync)>)> = Vec::new();
    for (rows, digest) in rows.iter().zip(&digests) {
        params.push((
            audit,
            vec![
                &rows.seq,
                &rows.seq,
                &ACTOR,
                &"10.1.2.3",
                &"token.generate",
                &id,
                &id,
                &DETAIL,
                digest,
            ],
        ));
        params.push((
            slot,
            vec![
                &rows.generation,
                digest,
                &one,
                &rows.seq,
                &rows.seq,
                &none,
                &none,
                &rows.former,
                &rows.former,
                &rows.former,
                &zero,
                &blob,
                &none,
                &none,
                &blob,
                &day,
                &used,
                &zero,
                &zero,
                &rows.client,
            ],
        ));
        params.push((log, vec![&rows.number, &rows.seq, &one, &BODY]));
    }
    let hash = &[5_u8; 32][..];
    params.push((head, vec![&number, &seq, &hash]));
    let begin = client.batch_execute("BEGIN");
    let calls = join_all(
        params
            .iter()
            .map(|(statement, params)| client.execute(*statement, params)),
    );
    let (begun, answers) = tokio::join!(begin, calls);
    begun.expect("begun");
    answers.into_iter().for_each(|answer| {
        answer.expect("a row");
    });
    client.batch_execute("COMMIT").await.expect("a commit");
}

async fn prepared(client: &tokio_postgres::Client) -> Prepared {
    let prepare = async |sql| client.prepare(sql).await.expect("SQL");
    [
        prepare(AUDIT).await,
        prepare(SLOT).await,
        prepare(LOG).await,
        prepare(HEAD).await,
    ]
}
