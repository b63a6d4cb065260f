//! The floor of generating: an engine's own group commit of the rows a token costs, without a
//! server, a decision or a caller. The SQL is the store's.

use crate::population::{Numbers, bytes};
use crate::process;
use anyhow::{Context as _, Result};
use std::path::Path;
use tokio_postgres::NoTls;

const SLOT: &str = "UPDATE slot SET generation = $1, digest = $2, digest_key = 1, issued_at = $3, valid_till = $4,
    ended = NULL, ended_at = NULL, former1 = $5, former2 = $6, former3 = $7, former_reasons = 0, previous_digest = NULL,
    previous_key = NULL, previous_till = NULL, seal = NULL, quota1_day = $8, quota1_used = $9, quota2_day = 0,
    quota2_used = 0 WHERE client = $10";
const CHANGE: &str = "INSERT INTO change_log (number, at, format, body) VALUES ($1, $2, 1, $3)";
const AUDIT: &str =
    "INSERT INTO audit (seq, at, actor, source, action, workspace, client, detail, hash)
    VALUES ($1, $2, $3, '127.0.0.1', 'token.generate', $4, $5, $6, $7)";
const HEAD: &str = "UPDATE head SET change_number = $1, audit_seq = $2, audit_hash = $3";
/// The same over arrays, as PostgreSQL takes many rows at the least cost.
const SLOTS: &str = "UPDATE slot SET generation = n.generation, digest = n.digest, digest_key = 1, issued_at = n.issued, valid_till = n.till,
    ended = NULL, ended_at = NULL, former1 = n.f1, former2 = n.f2, former3 = n.f3, former_reasons = 0, previous_digest = NULL,
    previous_key = NULL, previous_till = NULL, seal = NULL, quota1_day = n.day, quota1_used = n.used, quota2_day = 0,
    quota2_used = 0 FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[]) AS n (generation, digest, issued, till, f1, f2, f3, day, used, client) WHERE slot.client = n.client";
const CHANGES: &str = "INSERT INTO change_log (number, at, format, body) SELECT n, a, 1, b
    FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS rows (n, a, b)";
const AUDITS: &str = "INSERT INTO audit (seq, at, actor, source, action, workspace, client, detail, hash)
    SELECT s, a, actor, '127.0.0.1', 'token.generate', w, c, d, h
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::bytea[]) AS rows (s, a, actor, w, c, d, h)";

/// What a decision about each of them reads first.
const READ: &str =
    "SELECT c.*, s.*, w.* FROM client c JOIN slot s ON s.client = c.no JOIN workspace w ON w.no = c.workspace
    WHERE c.no = $1";
const READS: &str = "SELECT answer.* FROM unnest($1::bigint[]) AS v(no), LATERAL (SELECT c.*, s.*, w.* FROM client c
    JOIN slot s ON s.client = c.no JOIN workspace w ON w.no = c.workspace WHERE c.no = v.no OFFSET 0) AS answer";
/// The lock under which PostgreSQL's writers take turns, and where they stand.
const LOCK: &str = "SELECT 1 FROM gate FOR UPDATE";
const STANDING: &str = "SELECT change_number, audit_seq, audit_hash FROM head";

/// An engine that commits groups of tokens.
pub(crate) trait Bare {
    /// Commits the rows of this many tokens, durably. When it `decides`, in the order of a server: it takes the lock and reads
    /// what it decides on, and only then writes and commits.
    fn commit(&mut self, tokens: usize, decides: bool) -> Result<()>;
}

/// The values of one token's rows.
struct Token {
    client: i64,
    digest: Vec<u8>,
    numbers: [i64; 3],
    body: String,
    actor: String,
    detail: String,
    id: Vec<u8>,
}

/// Makes values of the sizes a server writes.
struct Maker {
    random: Numbers,
    clients: u32,
    seq: i64,
}

const AT: i64 = 1_795_428_930_000_000;

impl Maker {
    fn token(&mut self) -> Token {
        self.seq += 1;
        let client = self.random.below(self.clients);
        let digest = bytes::<32>(self.random.next()).to_vec();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let id = bytes::<16>(self.random.next());
        let name = uuid::Uuid::from_bytes(id);
        let numbers = [(); 3].map(|()| self.random.next().cast_signed());
        let [a, b, c] = numbers;
        Token {
            client: client.into(),
            digest,
            numbers,
            body: format!(
                r#"{{"change":"token_issued","client":{client},"slot":{{"generation":2,"token":{{"digest":"{hex}","key":1,"issued_at":{AT},"valid_till":{AT}}},"formers":[{{"prefix":{a},"reason":"superseded"}},{{"prefix":{b},"reason":"superseded"}},{{"prefix":{c},"reason":"superseded"}}],"quota":[{{"day":20780,"used":7}},{{"day":0,"used":0}}]}}}}"#
            ),
            actor: format!("client:{name}#1"),
            detail: r#"{"generation":2,"previous_valid_till":null,"valid_till":"2026-11-23T10:15:30+00:00"}"#.to_owned(),
            id: id.to_vec(),
        }
    }
}

/// Where new numbers start, far from any that exists; as far from each other for several makers on one store.
const FIRST: i64 = 1 << 40;

/// SQLite as the store opens it.
pub(crate) struct Sqlite {
    connection: rusqlite::Connection,
    maker: Maker,
}

impl Sqlite {
    pub(crate) fn open(file: &Path, clients: u32, nth: i64) -> Result<Self> {
        let connection = rusqlite::Connection::open(file)?;
        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 10000;
            PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;";
        connection.execute_batch(settings)?;
        Ok(Self {
            connection,
            maker: Maker {
                random: Numbers(6),
                clients,
                seq: FIRST * nth,
            },
        })
    }
}

impl Bare for Sqlite {
    fn commit(&mut self, tokens: usize, decides: bool) -> Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut slot = transaction.prepare_cached(SLOT)?;
            let mut change = transaction.prepare_cached(CHANGE)?;
            let mut audit = transaction.prepare_cached(AUDIT)?;
            let mut head = transaction.prepare_cached(HEAD)?;
            let group: Vec<_> = (0..tokens).map(|_| self.maker.token()).collect();
            if decides {
                let mut read = transaction.prepare_cached(READ)?;
                for token in &group {
                    let mut rows = read.query([token.client])?;
                    while let Some(row) = rows.next()? {
                        row.get_ref(0)?;
                    }
                }
                transaction
                    .prepare_cached(STANDING)?
                    .query_row([], |row| row.get_ref(0).map(|_| ()))?;
            }
            let last = self.maker.seq;
            let first = last - tokens as i64 + 1;
            for (seq, token) in (first..).zip(&group) {
                audit.execute((
                    seq,
                    AT,
                    &token.actor,
                    &token.id,
                    &token.id,
                    &token.detail,
                    &token.digest,
                ))?;
            }
            for token in &group {
                let [a, b, c] = token.numbers;
                slot.execute((2, &token.digest, AT, AT, a, b, c, 20_780, 7, token.client))?;
            }
            for (seq, token) in (first..).zip(&group) {
                change.execute((seq, AT, &token.body))?;
            }
            head.execute((last, last, [7_u8; 32]))?;
        }
        transaction.commit().context("SQLite did not commit")
    }
}

/// The parameters of a statement.
type Params<'a> = &'a [&'a (dyn tokio_postgres::types::ToSql + Sync)];

/// PostgreSQL over one connection, every statement of a group sent before the first answer.
pub(crate) struct Postgres {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
    statements: [tokio_postgres::Statement; 4],
    reads: [tokio_postgres::Statement; 3],
    maker: Maker,
}

impl Postgres {
    pub(crate) fn open(url: &str, clients: u32, nth: i64) -> Result<Self> {
        let runtime = process::runtime()?;
        let opened = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(async move { drop(connection.await) });
            let statements = [
                client.prepare(AUDITS).await?,
                client.prepare(SLOTS).await?,
                client.prepare(CHANGES).await?,
                client.prepare(HEAD).await?,
            ];
            let reads = [
                client.prepare(LOCK).await?,
                client.prepare(STANDING).await?,
                client.prepare(READS).await?,
            ];
            Ok::<_, tokio_postgres::Error>((client, statements, reads))
        });
        let (client, statements, reads) = opened.context("no PostgreSQL")?;
        Ok(Self {
            runtime,
            client,
            statements,
            reads,
            maker: Maker {
                random: Numbers(7),
                clients,
                seq: FIRST * nth,
            },
        })
    }
}

impl Bare for Postgres {
    fn commit(&mut self, tokens: usize, decides: bool) -> Result<()> {
        let mut group: Vec<_> = (0..tokens).map(|_| self.maker.token()).collect();
        // One row an UPDATE, as a server's group has one decision a client.
        group.sort_by_key(|token| token.client);
        group.dedup_by_key(|token| token.client);
        let last = self.maker.seq;
        let seqs: Vec<i64> = (0..group.len() as i64).map(|back| last - back).collect();
        let of = |number: i64| vec![number; group.len()];
        let (at, generation, day, used) = (of(AT), of(2), of(20_780), of(7));
        let texts = |of: fn(&Token) -> &String| group.iter().map(of).collect::<Vec<_>>();
        let blobs = |of: fn(&Token) -> &Vec<u8>| group.iter().map(of).collect::<Vec<_>>();
        let numbers = group.iter().map(|token| token.numbers);
        let former = |nth: usize| numbers.clone().map(|of| of[nth]).collect::<Vec<_>>();
        let (actors, details) = (texts(|t| &t.actor), texts(|t| &t.detail));
        let bodies = texts(|t| &t.body);
        let (ids, digests) = (blobs(|t| &t.id), blobs(|t| &t.digest));
        let clients: Vec<i64> = group.iter().map(|token| token.client).collect();
        let (f1, f2, f3) = (former(0), former(1), former(2));
        let hash = vec![7_u8; 32];
        let [audit, slot, change, head] = &self.statements;
        let client = &self.client;
        let audits: Params<'_> = &[&seqs, &at, &actors, &ids, &ids, &details, &digests];
        let slots: Params<'_> = &[
            &generation,
            &digests,
            &at,
            &at,
            &f1,
            &f2,
            &f3,
            &day,
            &used,
            &clients,
        ];
        let changes: Params<'_> = &[&seqs, &at, &bodies];
        let heads: Params<'_> = &[&last, &last, &hash];
        let [lock, standing, read] = &self.reads;
        let named: Params<'_> = &[&clients];
        let done: Result<_, tokio_postgres::Error> = self.runtime.block_on(async {
            if decides {
                tokio::try_join!(
                    client.batch_execute("BEGIN"),
                    client.execute(lock, &[]),
                    client.query(standing, &[]),
                    client.query(read, named),
                )?;
            }
            let begin = if decides { "" } else { "BEGIN" };
            tokio::try_join!(
                client.batch_execute(begin),
                client.execute(audit, audits),
                client.execute(slot, slots),
                client.execute(change, changes),
                client.execute(head, heads),
                client.batch_execute("COMMIT"),
            )
        });
        done.map(drop).context("PostgreSQL did not commit")
    }
}
