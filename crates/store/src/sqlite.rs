//! SQLite: one connection that writes, a few that read. WAL with `synchronous=FULL`: an acknowledged
//! commit survives a power cut.

use crate::driver::{CommitError, Each, judge_version};
use crate::error::StoreError;
use crate::schema;
use crate::value::{Row, Statement, Value};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long to wait for another process's lock, such as a backup's, before giving up.
const BUSY: Duration = Duration::from_secs(5);
/// Pages in the log before it is copied into the main file: few long pauses rather than many.
const CHECKPOINT_PAGES: u32 = 10_000;
/// Statements kept prepared.
const PREPARED: usize = 64;

/// The connection that writes.
pub(crate) struct SqliteDriver {
    connection: Connection,
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

impl SqliteDriver {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Unavailable(format!("journal mode is {mode}, not wal")));
        }
        connection.execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -65536; PRAGMA trusted_schema = OFF;"
        ))?;
        // Believed only when read back: NORMAL would lose acknowledged commits in a power cut.
        let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        if synchronous != 2 {
            return Err(StoreError::Unavailable("SQLite did not accept synchronous=FULL".into()));
        }
        Ok(Self { connection })
    }

    pub(crate) fn query(&mut self, sql: &str, lists: &[Vec<Value>], each: Each<'_>) -> Result<(), StoreError> {
        run(&self.connection, sql, lists, each)
    }

    pub(crate) fn commit(&mut self, statements: &[Statement]) -> Result<(), CommitError> {
        let transaction = || -> Result<(), StoreError> {
            let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            for statement in statements {
                let mut prepared = transaction.prepare_cached(statement.sql)?;
                check_numbering(&prepared, statement.params.len());
                let touched = prepared.execute(rusqlite::params_from_iter(&statement.params))?;
                let expected = statement.touches;
                if expected.is_some_and(|expected| expected != touched as u64) {
                    return Err(StoreError::Damaged(format!("{touched} rows touched by: {}", statement.sql)));
                }
            }
            transaction.commit()?;
            Ok(())
        };
        // A failed COMMIT of SQLite leaves the transaction undone: dropping it rolls back.
        let mut transaction = transaction;
        transaction().map_err(CommitError::RolledBack)
    }

    pub(crate) fn migrate(&mut self, fresh: &[Statement]) -> Result<bool, StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let created = tables == 0;
        if created {
            for migration in schema::MIGRATIONS {
                transaction.execute_batch(&schema::for_sqlite(migration))?;
            }
            for statement in fresh {
                transaction.execute(statement.sql, rusqlite::params_from_iter(&statement.params))?;
            }
        } else {
            let found = transaction
                .query_row("SELECT schema FROM head", [], |row| row.get(0))
                .map_err(|error| StoreError::Damaged(error.to_string()))?;
            judge_version(found)?;
        }
        transaction.commit()?;
        Ok(created)
    }
}

/// SQLite numbers `$1` by its first appearance; this holds the SQL to that order.
fn check_numbering(prepared: &rusqlite::Statement<'_>, count: usize) {
    for number in 1..=count {
        debug_assert_eq!(prepared.parameter_name(number), Some(format!("${number}").as_str()));
    }
}

fn run(connection: &Connection, sql: &str, lists: &[Vec<Value>], each: Each<'_>) -> Result<(), StoreError> {
    let mut prepared = connection.prepare_cached(sql)?;
    for (at, params) in lists.iter().enumerate() {
        check_numbering(&prepared, params.len());
        let mut rows = prepared.query(rusqlite::params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            each(at, &Row::Sqlite(row))?;
        }
    }
    Ok(())
}

/// A few connections that read, each used by one caller at a time.
pub(crate) struct SqliteReaders {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

/// Readers of one file: enough for the console beside the machine's two cores.
const READERS: usize = 4;

impl SqliteReaders {
    /// Opens the readers; the file must exist.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let idle = (0..READERS).map(|_| open(path, flags)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { path: path.to_owned(), idle: Mutex::new(idle), returned: Condvar::new() })
    }

    /// Reads rows; blocks, so it belongs on a blocking thread.
    pub(crate) fn query(&self, sql: &str, params: Vec<Value>, each: Each<'_>) -> Result<(), StoreError> {
        let connection = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                match idle.pop() {
                    Some(connection) => break connection,
                    None => idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner),
                }
            }
        };
        let out = run(&connection, sql, &[params], each);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.returned.notify_one();
        out
    }

    /// The database file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
