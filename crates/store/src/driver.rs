//! The writer's connection to either engine: a handful of verbs over SQL as data. Not a storage trait
//! with two copies of the logic; everything above this file is shared.

use crate::error::StoreError;
use crate::postgres::{More, PostgresDriver, Readers};
use crate::sqlite::SqliteDriver;
use crate::value::{Row, Statement, Value};
use std::time::Duration;

/// How a commit failed.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// Nothing was written: one of the statements makes no sense to the database, which is otherwise
    /// well and where it was believed to be.
    Refused(StoreError),
    /// Nothing was written.
    RolledBack(StoreError),
    /// Nothing was written: another transaction had a row for too long, or waited for this one in a circle.
    Contended(StoreError),
    /// It may or may not have been written.
    Unknown(StoreError),
}

impl CommitError {
    pub(crate) fn into_inner(self) -> StoreError {
        match self {
            Self::Refused(error)
            | Self::RolledBack(error)
            | Self::Contended(error)
            | Self::Unknown(error) => error,
        }
    }

    /// The same with the place where it happened.
    fn at(self, place: &str) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(error.at(place)),
            Self::RolledBack(error) => Self::RolledBack(error.at(place)),
            Self::Contended(error) => Self::Contended(error.at(place)),
            Self::Unknown(error) => Self::Unknown(error.at(place)),
        }
    }

    /// A statement touched another number of rows than it must.
    pub(crate) fn touched(statement: &Statement) -> Self {
        let error = StoreError::Damaged(format!("too few or too many rows: {}", statement.sql));
        if statement.fence {
            Self::RolledBack(error)
        } else {
            Self::Refused(error)
        }
    }
}

/// What a row becomes; called for each in order.
pub(crate) type Each<'a> = &'a mut dyn FnMut(usize, &Row<'_>) -> Result<(), StoreError>;

/// The writer's connection.
pub(crate) enum Driver {
    Sqlite(SqliteDriver),
    Postgres(Box<PostgresDriver>),
}

impl Driver {
    /// The rows that one query answers, each as what `decode` makes of it.
    pub(crate) async fn rows<T>(
        &mut self,
        sql: &'static str,
        params: Vec<Value>,
        decode: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        let mut each = |_: usize, row: &Row<'_>| {
            rows.push(decode(row)?);
            Ok(())
        };
        self.query(sql, &[params], &mut each).await?;
        Ok(rows)
    }

    /// Runs one query a parameter list, all at once where the engine can; `each` learns which list a
    /// row answers.
    pub(crate) async fn query(
        &mut self,
        sql: &'static str,
        lists: &[Vec<Value>],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(driver) => driver.query(sql, lists, each),
            Self::Postgres(driver) => {
                let read = driver.query(sql, lists, each).await;
                read.map_err(|error| error.at(driver.place()))
            }
        }
    }

    /// Streams a large result without holding it.
    pub(crate) async fn stream(&mut self, sql: &str, each: Each<'_>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(driver) => driver.query(sql, &[Vec::new()], each),
            Self::Postgres(driver) => {
                let read = driver.stream(sql, each).await;
                read.map_err(|error| error.at(driver.place()))
            }
        }
    }

    /// Begins a transaction in which nobody else decides: until its end no other writer reads or moves the head. The
    /// head is read under the lock by `ahead`, which is best asked for after the first other question: then one journey
    /// brings both.
    pub(crate) fn begin(&mut self, ahead: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(driver) => driver.begin(),
            Self::Postgres(driver) => {
                driver.begin(Some(ahead));
                Ok(())
            }
        }
    }

    /// Takes the lock that [`Driver::begin`] asked for, where it may have to be waited for, and asks a question with it: `more`
    /// gives further parameter lists of it meanwhile. The rows of all lists are kept until they are asked for.
    pub(crate) async fn ask_ahead(
        &mut self,
        sql: &'static str,
        lists: &[Vec<Value>],
        more: More<'_>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(driver) => {
                let asked = driver.ask_ahead(sql, lists, more).await;
                asked.map_err(|error| error.at(driver.place()))
            }
        }
    }

    /// Carries statements out within the transaction and makes it durable. When one fails, or touches another number of rows
    /// than it must, nothing is written. When there is no answer within `patience`, the outcome is not known. Without statements the
    /// transaction ends so, too: on a replicated database that waits until everything it has read is replicated.
    pub(crate) async fn finish(
        &mut self,
        statements: &[Statement],
        patience: Duration,
    ) -> Result<(), CommitError> {
        match self {
            Self::Sqlite(driver) => driver.finish(statements),
            Self::Postgres(driver) => {
                let finished = driver.finish(statements, patience).await;
                finished.map_err(|error| error.at(driver.place()))
            }
        }
    }

    /// Ends a transaction, if there is one, without its writes.
    pub(crate) async fn undo(&mut self) {
        match self {
            Self::Sqlite(driver) => driver.undo(),
            Self::Postgres(driver) => driver.undo().await,
        }
    }

    /// Writes all statements in one durable transaction, or none, without the head lock.
    pub(crate) async fn commit(
        &mut self,
        statements: &[Statement],
        patience: Duration,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(driver) => driver.begin()?,
            Self::Postgres(driver) => driver.begin(None),
        }
        let finished = self.finish(statements, patience).await;
        finished.map_err(CommitError::into_inner)
    }

    /// The same for rows that no decision reads: others have precedence, so this is [`CommitError::Contended`] when one of
    /// them has a row for too long. `figures` says that the loss of these rows in a crash of the server does no harm.
    pub(crate) async fn commit_aside(
        &mut self,
        statements: &[Statement],
        patience: Duration,
        figures: bool,
    ) -> Result<(), CommitError> {
        match self {
            Self::Sqlite(driver) => driver.begin().map_err(CommitError::RolledBack)?,
            Self::Postgres(driver) => driver.begin_aside(figures),
        }
        self.finish(statements, patience).await
    }

    /// Migrates the tables, or creates them with what `fresh` puts in; answers whether they were
    /// created. Without `fresh` an empty database is an error and stays empty.
    pub(crate) async fn migrate(&mut self, fresh: Option<&Statement>) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(driver) => driver.migrate(fresh),
            Self::Postgres(driver) => {
                let done = driver.migrate(fresh).await;
                done.map_err(|error| error.at(driver.place()))
            }
        }
    }

    /// Keeps other starts waiting until this one has made or upgraded the tables and settled the digest keys. A lock that ends
    /// with the session; a file is kept by its own lock.
    pub(crate) async fn starting(&mut self, begins: bool) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(driver) => {
                let done = driver.starting(begins).await;
                done.map_err(|error| error.at(driver.place()))
            }
        }
    }

    /// Drops the pool's connections whenever the writer's connection is replaced.
    pub(crate) fn with_readers(&mut self, readers: &Readers) {
        if let Self::Postgres(driver) = self {
            driver.with_readers(readers.clone());
        }
    }

    /// The schema version of the database; none when it is empty.
    pub(crate) async fn version(&mut self) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite(driver) => driver.version(),
            Self::Postgres(driver) => driver.version().await,
        }
    }

    /// Whether other nodes could write behind this one's back, so that vouching needs a lease.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Whether the connection is gone; whatever was not committed on it never will be.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(driver) => driver.is_lost(),
        }
    }

    /// Makes sure the connection works and is still the only writer's.
    pub(crate) async fn recover(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(driver) => driver.reconnect().await,
        }
    }

    /// Gives the connection up: it leads to a server that is not what it should be.
    pub(crate) fn give_up(&mut self) {
        if let Self::Postgres(driver) = self {
            driver.give_session_up();
        }
    }

    /// Lets single statements take as long as they need, for work that nobody waits behind.
    pub(crate) async fn unhurried(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(driver) => driver.unhurried().await,
        }
    }

    /// Ends the connection in good order, so that a successor finds the lock free.
    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(driver) => driver.close(),
            Self::Postgres(driver) => driver.close().await,
        }
    }
}

/// An empty database where one with tables was promised.
pub(crate) fn nothing_here() -> StoreError {
    StoreError::Damaged("it is empty: copy the backup into it first".into())
}

/// The schema version found in the head row, judged.
pub(crate) fn judge_version(found: i64) -> Result<(), StoreError> {
    let known = crate::schema::VERSION;
    match found {
        _ if found > known => Err(StoreError::TooNew { found, known }),
        _ if found < 1 => Err(StoreError::Damaged(format!("schema version {found}"))),
        _ => Ok(()),
    }
}
