//! The writer's connection to either engine: a handful of verbs over SQL as data. Not a storage trait
//! with two copies of the logic; everything above this file is shared.

use crate::error::StoreError;
use crate::postgres::PostgresDriver;
use crate::sqlite::SqliteDriver;
use crate::value::{Row, Statement, Value};

/// How a commit failed.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// Nothing was written.
    RolledBack(StoreError),
    /// It may or may not have been written.
    Unknown(StoreError),
}

/// What a row becomes; called for each in order.
pub(crate) type Each<'a> = &'a mut dyn FnMut(usize, &Row<'_>) -> Result<(), StoreError>;

/// The writer's connection.
pub(crate) enum Driver {
    Sqlite(SqliteDriver),
    Postgres(PostgresDriver),
}

impl Driver {
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
            Self::Postgres(driver) => driver.query(sql, lists, each).await,
        }
    }

    /// Streams a large result without holding it.
    pub(crate) async fn stream(&mut self, sql: &'static str, each: Each<'_>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(driver) => driver.query(sql, &[Vec::new()], each),
            Self::Postgres(driver) => driver.stream(sql, each).await,
        }
    }

    /// Writes all statements in one durable transaction, or none.
    pub(crate) async fn commit(&mut self, statements: &[Statement]) -> Result<(), CommitError> {
        match self {
            Self::Sqlite(driver) => driver.commit(statements),
            Self::Postgres(driver) => driver.commit(statements).await,
        }
    }

    /// Creates or migrates the tables; answers whether they were created.
    pub(crate) async fn migrate(&mut self, fresh: &[Statement]) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(driver) => driver.migrate(fresh),
            Self::Postgres(driver) => driver.migrate(fresh).await,
        }
    }

    /// Whether other nodes could write behind this one's back, so that vouching needs a lease.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Makes sure the connection works and is still the only writer's.
    pub(crate) async fn recover(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(driver) => driver.reconnect().await,
        }
    }
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
