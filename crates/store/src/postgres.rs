//! PostgreSQL: one connection that writes and holds the database's node lock, a pool that reads.
//!
//! The lock is a session's advisory lock, so it ends with the connection: every write travels on the
//! connection that holds the lock, and nobody else can write through it. A warning during a commit
//! means that its outcome is unknown (`pg_cancel_backend` can make PostgreSQL report success for a
//! commit that a standby does not have), so notices are heard, not logged and forgotten.

use crate::driver::{CommitError, Each, judge_version};
use crate::error::StoreError;
use crate::schema;
use crate::value::{Row, Statement, Value};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, NoTls};

/// The key of the node lock: "Tokenwrd" in ASCII.
const NODE_LOCK: i64 = 0x546f_6b65_6e77_7264;
/// How long a start waits for a predecessor's session to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How often it asks meanwhile.
const LOCK_RETRY: Duration = Duration::from_millis(100);
/// The longest a query or commit may take; then the connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The connection that writes.
pub(crate) struct PostgresDriver {
    config: tokio_postgres::Config,
    session: Option<Session>,
}

struct Session {
    client: Client,
    /// Set when the server sent a notice since it was last cleared.
    noticed: Arc<AtomicBool>,
    prepared: HashMap<&'static str, tokio_postgres::Statement>,
}

impl PostgresDriver {
    /// Connects and takes the node lock, waiting a little for a predecessor that is just ending.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let mut driver = Self { config: config(url)?, session: None };
        driver.reconnect().await?;
        Ok(driver)
    }

    /// Makes a new session if the old one is gone, and takes the lock again.
    pub(crate) async fn reconnect(&mut self) -> Result<(), StoreError> {
        if self.session.as_ref().is_some_and(|session| !session.client.is_closed()) {
            return Ok(());
        }
        self.session = None;
        let session = tokio::time::timeout(PATIENCE, connect(&self.config))
            .await
            .map_err(|_| StoreError::Unavailable("PostgreSQL did not answer in time".into()))??;
        take_lock(&session.client).await?;
        self.session = Some(session);
        Ok(())
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        self.session.as_mut().ok_or_else(|| StoreError::Unavailable("not connected".into()))
    }

    pub(crate) async fn query(
        &mut self,
        sql: &'static str,
        lists: &[Vec<Value>],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let session = self.session()?;
        let statement = session.prepare(sql).await?;
        let calls = lists.iter().map(|params| {
            let (client, statement) = (&session.client, &statement);
            async move { client.query(statement, &borrow(params)).await }
        });
        let answers = in_order(calls).await?;
        for (at, rows) in answers.into_iter().enumerate() {
            for row in rows? {
                each(at, &Row::Postgres(&row))?;
            }
        }
        Ok(())
    }

    pub(crate) async fn stream(&mut self, sql: &'static str, each: Each<'_>) -> Result<(), StoreError> {
        let session = self.session()?;
        let params: [&(dyn ToSql + Sync); 0] = [];
        let mut rows = pin!(session.client.query_raw(sql, params).await?.ready_chunks(256));
        while let Some(chunk) = rows.next().await {
            for row in chunk {
                each(0, &Row::Postgres(&row?))?;
            }
        }
        Ok(())
    }

    /// Sends begin, all statements and commit in one go and reads the answers afterwards.
    pub(crate) async fn commit(&mut self, statements: &[Statement]) -> Result<(), CommitError> {
        let session = self.session().map_err(CommitError::RolledBack)?;
        let mut prepared = Vec::with_capacity(statements.len());
        for statement in statements {
            prepared.push(session.prepare(statement.sql).await.map_err(CommitError::RolledBack)?);
        }
        session.noticed.store(false, Ordering::SeqCst);
        let client = &session.client;
        type Answer<'a> = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send + 'a>>;
        let mut calls: Vec<Answer<'_>> = vec![Box::pin(async { client.batch_execute("BEGIN").await.map(|()| 0) })];
        for (statement, prepared) in statements.iter().zip(&prepared) {
            calls.push(Box::pin(async move { client.execute(prepared, &borrow(&statement.params)).await }));
        }
        let answers = in_order(calls).await.map_err(|error| self.lose(error));
        let mut trouble = None;
        let mut expected = [None].into_iter().chain(statements.iter().map(|statement| statement.touches));
        for answer in answers? {
            let expected = expected.next().flatten();
            match answer {
                Ok(touched) if expected.is_none_or(|expected| expected == touched) => {}
                Ok(touched) => {
                    trouble.get_or_insert(StoreError::Damaged(format!("{touched} rows touched, {expected:?} expected")));
                }
                Err(error) => {
                    trouble.get_or_insert(error.into());
                }
            }
        }
        // COMMIT is sent only once every statement is known to have done what it should: a COMMIT of
        // a failed transaction is answered with success and undoes it.
        let session = self.session().map_err(CommitError::RolledBack)?;
        if let Some(trouble) = trouble {
            if session.client.batch_execute("ROLLBACK").await.is_err() {
                self.session = None;
            }
            return Err(CommitError::RolledBack(trouble));
        }
        let committed = tokio::time::timeout(PATIENCE, session.client.batch_execute("COMMIT")).await;
        let noticed = session.noticed.load(Ordering::SeqCst);
        match committed {
            Ok(Ok(())) if !noticed => Ok(()),
            Ok(Ok(())) => Err(self.lose(StoreError::Unavailable("the server warned during a commit".into()))),
            Ok(Err(error)) => Err(self.lose(error.into())),
            Err(_) => Err(self.lose(StoreError::Unavailable("a commit was not answered in time".into()))),
        }
    }

    /// Gives the connection up after an outcome that nobody knows.
    fn lose(&mut self, error: StoreError) -> CommitError {
        self.session = None;
        CommitError::Unknown(error)
    }

    pub(crate) async fn migrate(&mut self, fresh: &[Statement]) -> Result<bool, StoreError> {
        let client = &mut self.session()?.client;
        let transaction = client.transaction().await?;
        let row = transaction.query_one("SELECT to_regclass('head') IS NULL", &[]).await?;
        let created: bool = row.get(0);
        if created {
            for migration in schema::MIGRATIONS {
                transaction.batch_execute(&schema::for_postgres(migration)).await?;
            }
            transaction.batch_execute(TUNE).await?;
            for statement in fresh {
                transaction.execute(statement.sql, &borrow(&statement.params)).await?;
            }
        } else {
            let head = transaction.query_opt("SELECT schema FROM head", &[]).await?;
            let found = head.ok_or_else(|| StoreError::Damaged("the head row is missing".into()))?;
            judge_version(found.get(0))?;
        }
        transaction.commit().await?;
        Ok(created)
    }
}

/// Slots are rewritten at every generation: room on their pages keeps the new row beside the old one
/// and off the index.
const TUNE: &str = "ALTER TABLE slot SET (fillfactor = 50); ALTER TABLE head SET (fillfactor = 10)";

impl Session {
    async fn prepare(&mut self, sql: &'static str) -> Result<tokio_postgres::Statement, StoreError> {
        if let Some(prepared) = self.prepared.get(sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(sql).await?;
        self.prepared.insert(sql, prepared.clone());
        Ok(prepared)
    }
}

pub(crate) fn config(url: &str) -> Result<tokio_postgres::Config, StoreError> {
    // The parser's own error may repeat the password.
    let mut config: tokio_postgres::Config = url
        .parse()
        .map_err(|_| StoreError::Unavailable("the database URL is not of the form postgres://user:password@host:port/name".into()))?;
    config.application_name("tokenward").connect_timeout(Duration::from_secs(5));
    Ok(config)
}

async fn connect(config: &tokio_postgres::Config) -> Result<Session, StoreError> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let noticed = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&noticed);
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) => {
                    tracing::warn!(code = notice.code().code(), "PostgreSQL: {}", notice.message());
                    heard.store(true, Ordering::SeqCst);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("the connection to PostgreSQL ended: {error}");
                    break;
                }
            }
        }
    });
    client
        .batch_execute("SET synchronous_commit = on; SET statement_timeout = '8s'; SET client_min_messages = warning")
        .await?;
    Ok(Session { client, noticed, prepared: HashMap::new() })
}

async fn take_lock(client: &Client) -> Result<(), StoreError> {
    let mut waited = Duration::ZERO;
    loop {
        let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&NODE_LOCK]).await?;
        if row.get(0) {
            return Ok(());
        }
        if waited >= LOCK_PATIENCE {
            let holder = "SELECT coalesce(host(a.client_addr), 'local') || ', since ' || a.backend_start::text
                FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = 'tokenward' LIMIT 1";
            let row = client.query_opt(holder, &[]).await?;
            let holder = row.and_then(|row| row.try_get::<_, String>(0).ok());
            return Err(StoreError::InUse(holder.unwrap_or_else(|| "holder unknown".into())));
        }
        tokio::time::sleep(LOCK_RETRY).await;
        waited += LOCK_RETRY;
    }
}

fn borrow(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

/// Runs futures together, each first polled in the order given: what they send goes out in that
/// order, without waiting for the answers in between.
async fn in_order<F: Future>(futures: impl IntoIterator<Item = F>) -> Result<Vec<F::Output>, StoreError> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = std::iter::repeat_with(|| None).take(futures.len()).collect();
    let mut done = 0;
    let all = poll_fn(|cx| {
        // Answers come in order too, so everything before `done` is finished.
        for at in done..futures.len() {
            if outputs[at].is_none()
                && let Poll::Ready(output) = futures[at].as_mut().poll(cx)
            {
                outputs[at] = Some(output);
            }
            if at == done && outputs[at].is_some() {
                done += 1;
            }
        }
        if done == futures.len() { Poll::Ready(()) } else { Poll::Pending }
    });
    tokio::time::timeout(PATIENCE, all)
        .await
        .map_err(|_| StoreError::Unavailable("PostgreSQL did not answer in time".into()))?;
    Ok(outputs.into_iter().flatten().collect())
}

/// The pool that reads.
pub(crate) fn readers(url: &str) -> Result<deadpool_postgres::Pool, StoreError> {
    let manager = deadpool_postgres::Manager::new(config(url)?, NoTls);
    deadpool_postgres::Pool::builder(manager)
        .max_size(4)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Reads rows through the pool.
pub(crate) async fn read(
    pool: &deadpool_postgres::Pool,
    sql: &str,
    params: &[Value],
    each: &mut (dyn FnMut(&Row<'_>) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let client = pool.get().await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let statement = client.prepare_cached(sql).await?;
    let mut rows = pin!(client.query_raw(&statement, borrow(params)).await?);
    while let Some(row) = rows.try_next().await? {
        each(&Row::Postgres(&row))?;
    }
    Ok(())
}
