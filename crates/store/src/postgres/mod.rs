//! PostgreSQL: one connection that writes and holds the database's node lock, a pool that reads.
//!
//! The lock is a session's advisory lock, so it ends with the connection: every write travels on the
//! connection that holds the lock, and nobody else can write through it. A warning during a commit
//! means that its outcome is unknown (`pg_cancel_backend` can make PostgreSQL report success for a
//! commit that a standby does not have), so notices are heard, not logged and forgotten.

mod batch;
mod lock;
mod pool;
mod session;
mod suitable;

pub(crate) use pool::{read, readers};

use crate::driver::{CommitError, Each, judge_version, nothing_here};
use crate::error::StoreError;
use crate::schema;
use crate::value::{Row, Statement, Value};
use batch::{Call, in_order};
use futures_util::StreamExt;
use lock::Former;
use session::{Purpose, Session, Target, state};
use std::pin::pin;
use std::time::Duration;

/// The longest a query or commit may take; then the connection is given up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Lets single statements take as long as they need.
const CLEAR_STATEMENT_TIMEOUT: &str = "SET statement_timeout = 0";

/// Slots and the head are rewritten again and again: room on their pages keeps the new row beside the
/// old one and off the index.
const TUNE: &str = "ALTER TABLE slot SET (fillfactor = 50); ALTER TABLE head SET (fillfactor = 10);
    ALTER TABLE node SET (fillfactor = 10)";

/// The connection that writes.
pub(crate) struct PostgresDriver {
    target: Target,
    session: Option<Session>,
    /// The pool that reads, whose connections may lead to a server that is no longer the primary.
    readers: Option<deadpool_postgres::Pool>,
    /// The session this process had before, which may still hold the lock.
    former: Option<Former>,
}

/// Reads rows on a connection of its own, one query after the other with the same parameters, however long
/// that takes; blocks, so it belongs on a thread of its own. Each row comes with the position of its query.
pub(crate) fn read_alone(
    url: &str,
    queries: &[&'static str],
    params: &[Value],
    each: Each<'_>,
) -> Result<(), StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    runtime.block_on(async {
        let target = Target::parse(url, "tokenward loading")?;
        let session = Session::connect(&target, Purpose::Read).await?;
        let read = async {
            session
                .client
                .batch_execute(CLEAR_STATEMENT_TIMEOUT)
                .await?;
            for (at, sql) in queries.iter().enumerate() {
                let mut of_query = |_: usize, row: &Row<'_>| each(at, row);
                session.stream(sql, params, &mut of_query).await?;
            }
            Ok(())
        };
        let read: Result<(), StoreError> = read.await;
        session.close().await;
        read.map_err(|error| error.at(&target.place))
    })
}

fn unanswered() -> StoreError {
    StoreError::Unavailable("PostgreSQL did not answer in time".into())
}

impl PostgresDriver {
    /// Connects and takes the node lock, waiting a little for a predecessor that is just ending.
    /// `node` is the name under which other nodes see this one.
    pub(crate) async fn open(url: &str, node: &str) -> Result<Box<Self>, StoreError> {
        let target = Target::parse(url, &format!("tokenward {node}"))?;
        let session = Session::connect(&target, Purpose::Write).await?;
        suitable::pooler(&target, &session)
            .await
            .map_err(|error| error.at(&target.place))?;
        let mut driver = Box::new(Self {
            target,
            session: None,
            readers: None,
            former: None,
        });
        let suits = suitable::database(&driver.target, &session).await;
        suits.map_err(|error| error.at(&driver.target.place))?;
        driver.take_over(session).await?;
        Ok(driver)
    }

    /// Where the database is, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.target.place
    }

    /// Sets the pool whose connections are dropped when the session is replaced.
    pub(crate) fn with_readers(&mut self, readers: deadpool_postgres::Pool) {
        self.readers = Some(readers);
    }

    /// Makes a new session if the old one is gone, and takes the lock again.
    pub(crate) async fn reconnect(&mut self) -> Result<(), StoreError> {
        if !self.is_lost() {
            return Ok(());
        }
        self.session = None;
        let session = Session::connect(&self.target, Purpose::Write).await?;
        if let Some(readers) = &self.readers {
            // They may lead to a server that is no longer the primary.
            readers.retain(|_, _| false);
        }
        self.take_over(session).await
    }

    /// Takes the node lock on a new session, which is the writer's from then on.
    async fn take_over(&mut self, session: Session) -> Result<(), StoreError> {
        lock::take(&session.client, self.former.as_ref())
            .await
            .map_err(|error| error.at(&self.target.place))?;
        self.former = Some(session.myself.clone());
        self.session = Some(session);
        Ok(())
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.session
            .as_ref()
            .is_none_or(|session| session.client.is_closed())
    }

    /// Lets single statements take as long as they need.
    pub(crate) async fn unhurried(&mut self) -> Result<(), StoreError> {
        Ok(self
            .session()?
            .client
            .batch_execute(CLEAR_STATEMENT_TIMEOUT)
            .await?)
    }

    /// Ends the session in good order.
    pub(crate) async fn close(self: Box<Self>) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        self.session
            .as_mut()
            .ok_or_else(|| StoreError::Unavailable("not connected".into()))
    }

    pub(crate) async fn query(
        &mut self,
        sql: &'static str,
        lists: &[Vec<Value>],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let session = self.session()?;
        let answer = tokio::time::timeout(STATEMENT_TIMEOUT, session.query(sql, lists)).await;
        let Ok(rows) = answer else {
            // What was asked may still be answered, to nobody; the connection is of no more use.
            self.session = None;
            return Err(unanswered());
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                self.sound_out().await;
                return Err(error);
            }
        };
        rows.iter()
            .try_for_each(|(at, row)| each(*at, &Row::Postgres(row)))
    }

    /// After a failure: gives the session up unless it still answers and may still write. A server that was made
    /// read-only, or a standby reached by the former primary's address, answers well for ever; only another session
    /// finds the way back.
    async fn sound_out(&mut self) {
        let Some(session) = &self.session else { return };
        let answer = tokio::time::timeout(STATEMENT_TIMEOUT, state(&session.client)).await;
        if !matches!(answer, Ok(Ok(state)) if state.serves(Purpose::Write).is_ok()) {
            self.session = None;
        }
    }

    pub(crate) async fn stream(
        &mut self,
        sql: &'static str,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        self.unhurried().await?;
        let session = self.session()?;
        session.stream(sql, &[], each).await?;
        Ok(session
            .client
            .batch_execute(session::SET_STATEMENT_TIMEOUT)
            .await?)
    }

    /// Sends begin and all statements in one go, reads the answers, and only then commits: COMMIT of a
    /// failed transaction would be answered with success and undo it.
    pub(crate) async fn commit(
        &mut self,
        statements: &[Statement],
        patience: Duration,
    ) -> Result<(), CommitError> {
        let session = self.session().map_err(CommitError::RolledBack)?;
        let prepared = tokio::time::timeout(patience, session.carry_out(statements)).await;
        let Ok(prepared) = prepared else {
            // COMMIT was never sent: the server undoes the transaction with the connection.
            self.session = None;
            return Err(CommitError::RolledBack(unanswered()));
        };
        if let Err(error) = prepared {
            let undone =
                tokio::time::timeout(STATEMENT_TIMEOUT, session.client.batch_execute("ROLLBACK"))
                    .await;
            if !matches!(undone, Ok(Ok(()))) {
                self.session = None;
            } else if !matches!(error, CommitError::Refused(_)) {
                self.sound_out().await;
            }
            return Err(error);
        }
        let committed =
            tokio::time::timeout(STATEMENT_TIMEOUT, session.client.batch_execute("COMMIT")).await;
        let trouble = match committed {
            Ok(Ok(())) if !session.noticed() => return Ok(()),
            Ok(Ok(())) => StoreError::Unavailable("the server warned during a commit".into()),
            Ok(Err(error)) => error.into(),
            Err(_) => unanswered(),
        };
        // Nobody knows what became of it. The new session gets the lock only when the old one has
        // ended, so what is read then is the outcome.
        self.session = None;
        Err(CommitError::Unknown(trouble))
    }

    /// The schema version; none in an empty database.
    pub(crate) async fn version(&mut self) -> Result<Option<i64>, StoreError> {
        let client = &self.session()?.client;
        let row = client
            .query_one("SELECT to_regclass('head') IS NULL", &[])
            .await?;
        if row.get(0) {
            return Ok(None);
        }
        let head = client.query_opt("SELECT schema FROM head", &[]).await?;
        let found = head.ok_or_else(|| StoreError::Damaged("the head row is missing".into()))?;
        judge_version(found.get(0))?;
        Ok(Some(found.get(0)))
    }

    pub(crate) async fn migrate(&mut self, fresh: Option<&Statement>) -> Result<bool, StoreError> {
        let found = self.version().await?;
        let client = &mut self.session()?.client;
        let transaction = client.transaction().await?;
        if found.is_none() {
            let fresh = fresh.ok_or_else(nothing_here)?;
            for migration in schema::MIGRATIONS {
                transaction
                    .batch_execute(&schema::for_postgres(migration))
                    .await?;
            }
            transaction.batch_execute(TUNE).await?;
            transaction
                .execute(fresh.sql, &session::borrow(&fresh.params))
                .await?;
        } else if let Some(found) = found {
            for migration in schema::missing(found) {
                transaction
                    .batch_execute(&schema::for_postgres(migration))
                    .await?;
            }
            if found < schema::VERSION {
                transaction
                    .execute(schema::SET_VERSION, &[&schema::VERSION])
                    .await?;
            }
        }
        transaction.commit().await?;
        Ok(found.is_none())
    }
}

impl Session {
    /// Rows as they come: there may be millions.
    async fn stream(
        &self,
        sql: &'static str,
        params: &[Value],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let rows = self.client.query_raw(sql, session::borrow(params)).await?;
        let mut rows = pin!(rows.ready_chunks(256));
        while let Some(chunk) = rows.next().await {
            for row in chunk {
                each(0, &Row::Postgres(&row?))?;
            }
        }
        Ok(())
    }

    /// One answer a parameter list; all lists travel at once.
    async fn query(
        &mut self,
        sql: &'static str,
        lists: &[Vec<Value>],
    ) -> Result<Vec<(usize, tokio_postgres::Row)>, StoreError> {
        if lists.len() > 1 {
            return self.query_many(sql, lists).await;
        }
        let Some(params) = lists.first() else {
            return Ok(Vec::new());
        };
        let statement = self.prepare(sql).await?;
        let rows = self
            .client
            .query(&statement, &session::borrow(params))
            .await?;
        Ok(rows.into_iter().map(|row| (0, row)).collect())
    }

    /// BEGIN and the statements, to the end of the last answer.
    async fn carry_out(&mut self, statements: &[Statement]) -> Result<(), CommitError> {
        let mut calls: Vec<Call<'_>> = Vec::new();
        for run in batch::runs(statements) {
            calls.extend(self.calls(run).await.map_err(CommitError::RolledBack)?);
        }
        self.clear_notice();
        let client = &self.client;
        let begin = async { client.batch_execute("BEGIN").await.map(|()| 0) };
        let first: batch::Answer<'_> = Box::pin(begin);
        let rest = calls.iter().map(|call| call.execute(client));
        let answers = in_order(std::iter::once(first).chain(rest)).await;
        let mut answers = answers.into_iter();
        if let Some(Err(error)) = answers.next() {
            return Err(CommitError::RolledBack(error.into()));
        }
        for (call, answer) in calls.iter().zip(answers) {
            call.judge(answer)?;
        }
        Ok(())
    }
}
