//! The locks of a shared database. The head lock, which each group takes, orders the writes of all nodes. The node lock is an
//! advisory lock that a session holds and that ends with it; nothing about safety rests on it. It keeps operators from what they
//! do not mean: a second server beside one that is alone, a restore under a running one.

use crate::error::StoreError;
use crate::timer;
use std::time::Duration;
use tokio_postgres::{Client, Row};

/// The head lock: a row that is never updated, so that waiting for it costs no versions of the row. Locking it is a write,
/// hence COMMIT waits for the standby even when nothing else was written; that of an advisory lock would not. The level is
/// named, whatever the role or the database has as its default: under a higher one, what is read after waiting for the lock
/// would be of the time before the wait.
pub(super) const BEGIN_LOCKED: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT 1 FROM gate FOR UPDATE";

/// The node lock's key: "Tokenwrd" in ASCII.
const NODE_LOCK: i64 = 0x546f_6b65_6e77_7264;
/// The key of the lock of the node that cleans up.
pub(super) const HOUSEKEEPER_LOCK: i64 = NODE_LOCK + 1;
/// The key of the lock under which a start makes tables: "Tokenwst" in ASCII.
const START_LOCK: i64 = 0x546f_6b65_6e77_7374;
/// Longest a start waits for another one: that one may upgrade the tables of a large store.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a start waits for a predecessor's session to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// The same when the holder is a session this process gave up: its server may take a while to notice.
const OWN_LOCK_TIMEOUT: Duration = Duration::from_secs(15);
/// How often it asks meanwhile.
const RETRY: Duration = Duration::from_millis(50);
/// The longest one question may take.
const ANSWER: Duration = Duration::from_secs(10);

const TRY: &str = "SELECT pg_try_advisory_lock($1)";
const TRY_SHARED: &str = "SELECT pg_try_advisory_lock_shared($1)";
/// The session that holds the lock of this database; a lock's key is shown as two halves.
const HOLDER: &str =
    "SELECT a.pid, coalesce(a.backend_start::text, ''), coalesce(a.application_name, ''),
    coalesce(host(a.client_addr), 'this machine')
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint = $1::bigint >> 32 AND l.objid::bigint = $1::bigint & 4294967295
    ORDER BY a.backend_start LIMIT 1";

/// A session of this process: which server process served it, and since when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Former {
    pub(super) pid: i32,
    pub(super) started: String,
}

/// Takes the lock, alone or shared with others that share it. A session that this process itself gave up is ended, if the server still keeps it;
/// anybody else's is respected.
pub(super) async fn take(
    client: &Client,
    former: Option<&Former>,
    sharing: bool,
) -> Result<(), StoreError> {
    let lock = if sharing { TRY_SHARED } else { TRY };
    let mut waited = Duration::ZERO;
    let mut ended = false;
    loop {
        if ask(client, lock).await?.is_some_and(|row| row.get(0)) {
            return Ok(());
        }
        // None when the holder ended just now.
        let holder = ask(client, HOLDER).await?;
        let own = match (&holder, former) {
            (Some(row), Some(former)) => {
                former.pid == row.get::<_, i32>(0) && former.started == row.get::<_, &str>(1)
            }
            _ => false,
        };
        if own && !ended {
            ended = true;
            client
                .execute(
                    "SELECT pg_terminate_backend($1)",
                    &[&former.map_or(0, |former| former.pid)],
                )
                .await?;
        }
        if waited >= if own { OWN_LOCK_TIMEOUT } else { LOCK_TIMEOUT } {
            return Err(match holder {
                Some(row) if !own => StoreError::InUse(describe(&row)),
                _ => StoreError::Unavailable(
                    "the node lock is held by a session that does not end".into(),
                ),
            });
        }
        timer::pass(RETRY).await;
        waited += RETRY;
    }
}

/// Waits until no other process starts on this database, and keeps further ones waiting.
pub(super) async fn start(client: &Client) -> Result<(), StoreError> {
    let mut waited = Duration::ZERO;
    loop {
        let taken = client.query_one(TRY, &[&START_LOCK]).await?;
        if taken.get(0) {
            return Ok(());
        }
        if waited >= START_TIMEOUT {
            return Err(StoreError::Unavailable(format!(
                "another process has been starting on this database for {} s",
                START_TIMEOUT.as_secs()
            )));
        }
        timer::pass(RETRY).await;
        waited += RETRY;
    }
}

/// Lets others start.
pub(super) async fn started(client: &Client) -> Result<(), StoreError> {
    client
        .query_one("SELECT pg_advisory_unlock($1)", &[&START_LOCK])
        .await?;
    Ok(())
}

async fn ask(client: &Client, sql: &str) -> Result<Option<Row>, StoreError> {
    let answer = tokio::time::timeout(ANSWER, client.query_opt(sql, &[&NODE_LOCK])).await;
    let late = StoreError::Unavailable("PostgreSQL did not answer in time".into());
    Ok(answer.map_err(|_| late)??)
}

fn describe(row: &Row) -> String {
    let (started, name, from): (&str, &str, &str) = (row.get(1), row.get(2), row.get(3));
    format!("{name:?}, connected from {from} since {started}")
}
