//! SQLite: one connection that writes, a few that read. WAL with `synchronous=FULL`: an acknowledged
//! commit survives a power cut.

use crate::checkpoint::{self, Checkpointer};
use crate::driver::{CommitError, Each, judge_version, nothing_here};
use crate::error::StoreError;
use crate::schema;
use crate::value::{Row, Statement, Value};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long to wait for another process's lock, such as a backup's, before giving up.
pub(crate) const BUSY: Duration = Duration::from_secs(5);
/// Statements kept prepared.
const PREPARED: usize = 64;

/// The connection that writes.
pub(crate) struct SqliteDriver {
    connection: Connection,
    checkpointer: Checkpointer,
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
    connection.busy_timeout(BUSY)?;
    // Without this SQLite plans a query anew whenever a parameter changes, which costs more than most
    // queries here; none has a plan that should depend on a value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

/// Makes sure the file exists; a new one is its owner's alone, and SQLite gives its log the same
/// rights.
pub(crate) fn private_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path);
    made.map(drop)
}

impl SqliteDriver {
    /// Opens the file, or creates it where `create` allows; nobody but its owner may read it.
    pub(crate) fn open(path: &Path, create: bool) -> Result<Self, StoreError> {
        if create {
            private_file(path)
                .map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
        }
        let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Unavailable(format!(
                "journal mode is {mode}, not wal"
            )));
        }
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;
             PRAGMA trusted_schema = OFF;",
        )?;
        connection.execute_batch(checkpoint::SIZE_LIMIT)?;
        // Believed only when read back: NORMAL would lose acknowledged commits in a power cut.
        let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        if synchronous != 2 {
            return Err(StoreError::Unavailable(
                "SQLite did not accept synchronous=FULL".into(),
            ));
        }
        let copying = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        copying.execute_batch("PRAGMA synchronous = FULL;")?;
        copying.execute_batch(checkpoint::SIZE_LIMIT)?;
        let checkpointer = Checkpointer::start(&mut connection, copying, path)?;
        Ok(Self {
            connection,
            checkpointer,
        })
    }

    pub(crate) fn query(
        &mut self,
        sql: &str,
        lists: &[Vec<Value>],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        run(&self.connection, sql, lists, each)
    }

    /// Takes the file's lock for writing, and with it the moment that is read.
    pub(crate) fn begin(&mut self) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        Ok(())
    }

    /// Ends a transaction, if there is one, without its writes.
    pub(crate) fn undo(&self) {
        // An error of the file may have ended it already.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::debug!("nothing was rolled back: {error}");
        }
    }

    /// Carries statements out and commits; after an error the transaction is over.
    pub(crate) fn finish(&mut self, statements: &[Statement]) -> Result<(), CommitError> {
        execute(&self.connection, statements).inspect_err(|_| self.undo())?;
        let done = self.connection.prepare_cached("COMMIT");
        let done = done.and_then(|mut commit| commit.execute([]));
        if let Err(error) = done {
            self.undo();
            return Err(match error.sqlite_error_code() {
                // The last page of a transaction is written last, so one that found no room is not whole, and
                // no later start will take it for one.
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy) => {
                    CommitError::RolledBack(error.into())
                }
                // A failed flush undoes the transaction in this process, yet its pages may lie in the log and
                // be taken for good after a crash.
                _ => CommitError::Unknown(error.into()),
            });
        }
        self.checkpointer.committed(&self.connection);
        Ok(())
    }

    /// Inserts rows with one statement, in one durable transaction.
    pub(crate) fn insert(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<(), StoreError> {
        self.begin()?;
        let inserted = self.connection.prepare_cached(sql).and_then(|mut insert| {
            rows.iter()
                .try_for_each(|row| insert.execute(rusqlite::params_from_iter(row)).map(drop))
        });
        if let Err(error) = inserted {
            self.undo();
            return Err(error.into());
        }
        self.finish(&[]).map_err(CommitError::into_inner)
    }

    /// Brings everything home into the main file. SQLite does so by itself only when the connection
    /// that closes last may write, and ours may not be the last; then the log beside the file would
    /// hold the newest changes, and whoever copies the file alone would lose them.
    pub(crate) fn close(self) {
        let Self {
            connection,
            checkpointer,
        } = self;
        drop(checkpointer);
        let brought = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        match brought {
            Ok(0_i64) => {}
            Ok(_) => tracing::warn!(
                "somebody reads the database: its newest changes stay in the -wal file beside it"
            ),
            Err(error) => tracing::warn!(
                "the newest changes stay in the -wal file beside the database: {error}"
            ),
        }
    }

    /// The schema version; none in an empty file.
    pub(crate) fn version(&self) -> Result<Option<i64>, StoreError> {
        version(&self.connection)
    }

    pub(crate) fn migrate(&mut self, fresh: Option<&Statement>) -> Result<bool, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = version(&transaction)?;
        if found.is_none() {
            let fresh = fresh.ok_or_else(nothing_here)?;
            for migration in schema::MIGRATIONS {
                transaction.execute_batch(&schema::for_sqlite(migration))?;
            }
            transaction.execute(fresh.sql, rusqlite::params_from_iter(&fresh.params))?;
        } else if let Some(found) = found {
            for migration in schema::missing(found) {
                transaction.execute_batch(&schema::for_sqlite(migration))?;
            }
            if found < schema::VERSION {
                transaction.execute(schema::SET_VERSION, [schema::VERSION])?;
            }
        }
        transaction.commit()?;
        Ok(found.is_none())
    }
}

fn version(connection: &Connection) -> Result<Option<i64>, StoreError> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(None);
    }
    let found = connection
        .query_row("SELECT schema FROM head", [], |row| row.get(0))
        .map_err(|error| StoreError::Damaged(error.to_string()))?;
    judge_version(found)?;
    Ok(Some(found))
}

fn execute(connection: &Connection, statements: &[Statement]) -> Result<(), CommitError> {
    for run in statements.chunk_by(|a, b| a.sql == b.sql) {
        let mut prepared = connection.prepare_cached(run[0].sql).map_err(refused)?;
        for statement in run {
            check_numbering(&prepared, statement.params.len());
            let touched = prepared
                .execute(rusqlite::params_from_iter(&statement.params))
                .map_err(refused)? as u64;
            if statement
                .touches
                .is_some_and(|expected| expected != touched)
            {
                return Err(CommitError::touched(statement));
            }
        }
    }
    Ok(())
}

/// Whether a statement failed for what it says, or because the store is in trouble.
fn refused(error: rusqlite::Error) -> CommitError {
    use rusqlite::Error::{InvalidColumnType, SqliteFailure, ToSqlConversionFailure};
    match &error {
        SqliteFailure(failure, _) => match failure.code {
            ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => {
                CommitError::Refused(error.into())
            }
            _ => CommitError::RolledBack(error.into()),
        },
        InvalidColumnType(..) | ToSqlConversionFailure(_) => CommitError::Refused(error.into()),
        _ => CommitError::RolledBack(error.into()),
    }
}

/// SQLite numbers `$1` by its first appearance; this holds the SQL to that order.
fn check_numbering(prepared: &rusqlite::Statement<'_>, count: usize) {
    for number in 1..=count {
        debug_assert_eq!(
            prepared.parameter_name(number),
            Some(format!("${number}").as_str())
        );
    }
}

fn run(
    connection: &Connection,
    sql: &str,
    lists: &[Vec<Value>],
    each: Each<'_>,
) -> Result<(), StoreError> {
    // One read transaction over all lists; alone, each would take and leave the file's locks.
    let transaction = (lists.len() > 1 && connection.is_autocommit())
        .then(|| connection.unchecked_transaction())
        .transpose()?;
    let mut prepared = connection.prepare_cached(sql)?;
    for (at, params) in lists.iter().enumerate() {
        check_numbering(&prepared, params.len());
        let mut rows = prepared.query(rusqlite::params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            each(at, &Row::Sqlite(row))?;
        }
    }
    drop(prepared);
    Ok(transaction.map_or(Ok(()), rusqlite::Transaction::commit)?)
}

/// Reads rows on a connection of its own, one query after the other with the same parameters; the file must
/// exist. Each row comes with the position of its query.
pub(crate) fn read_alone(
    path: &Path,
    queries: &[&str],
    params: &[Value],
    each: Each<'_>,
) -> Result<(), StoreError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    for (at, sql) in queries.iter().enumerate() {
        let mut of_query = |_: usize, row: &Row<'_>| each(at, row);
        run(&connection, sql, &[params.to_vec()], &mut of_query)?;
    }
    Ok(())
}

/// A few connections that read, each used by one caller at a time.
pub(crate) struct SqliteReaders {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

/// Readers of one file: enough for the console beside the machine's two cores.
const READERS: usize = 4;

impl SqliteReaders {
    /// Opens the readers; the file must exist.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let idle = (0..READERS)
            .map(|_| open(path, flags))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            idle: Mutex::new(idle),
            returned: Condvar::new(),
        })
    }

    /// Reads rows, for each parameter list; blocks, so it belongs on a blocking thread.
    pub(crate) fn query(
        &self,
        sql: &str,
        lists: &[Vec<Value>],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let connection = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                match idle.pop() {
                    Some(connection) => break connection,
                    None => {
                        idle = self
                            .returned
                            .wait(idle)
                            .unwrap_or_else(PoisonError::into_inner)
                    }
                }
            }
        };
        let lent = Lent {
            readers: self,
            connection: Some(connection),
        };
        lent.connection
            .as_ref()
            .map_or(Ok(()), |connection| run(connection, sql, lists, each))
    }
}

/// A connection on loan; it comes back even when its borrower panics.
struct Lent<'a> {
    readers: &'a SqliteReaders,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.readers
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(self.connection.take());
        self.readers.returned.notify_one();
    }
}
