//! Backup of a SQLite store while it runs, and restore into a new one. PostgreSQL brings its own
//! tools for the copying; the new epoch is needed there just the same.

use crate::checkpoint::log_of;
use crate::driver::Driver;
use crate::error::StoreError;
use crate::load::{Head, load_at, read_head, read_marked_head};
use crate::moving::{Mark, verify_audit};
use crate::people;
use crate::postgres::PostgresDriver;
use crate::sqlite::{BUSY, SqliteDriver, private_file};
use crate::statements as sql;
use crate::store::Location;
use crate::timer;
use crate::value::Statement;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::Change;
use tokenward_core::audit::{AuditRecord, Entry};
use tokenward_core::digest::Keyring;
use tokenward_core::time::Timestamp;
use uuid::Uuid;

/// Longest the new epoch's transaction may take: it alters every client.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(600);

/// The longest that a node which has lost its database may go on vouching, as others count it: its lease, and the pauses and
/// the drift of clocks that are allowed for.
pub const NODE_WAIT: Duration = Duration::from_millis(12_120);

/// Forgets all nodes and what they have applied.
pub(crate) fn forget_nodes() -> [Statement; 2] {
    ["DELETE FROM node", "DELETE FROM node_applied"].map(|sql| Statement::new(sql, Vec::new()))
}

/// How far the store's log may grow while a backup runs, in bytes, unless told otherwise. The backup keeps the log from
/// beginning anew, so that one to a slow disk would fill the store's own.
pub const LOG_GROWTH_MAX: u64 = 2_000_000_000;

/// Copies the SQLite store at `from` to the new file `to`, a consistent moment of it, while it may be
/// written to. `progress` is told pages left and pages in all. The backup is given up when the store's log grows by more
/// than `log_growth_max` bytes meanwhile. Answers where the copy stands: its last
/// change, and its last audit entry with the chain's hash. `to` appears only when it is whole.
pub fn backup(
    from: &Path,
    to: &Path,
    log_growth_max: u64,
    progress: impl FnMut(u32, u32),
) -> Result<(u64, u64, [u8; 32]), StoreError> {
    let trouble = |error: std::io::Error| {
        StoreError::Refused(format!("cannot write {}: {error}", to.display()))
    };
    if to.try_exists().map_err(trouble)? {
        return Err(StoreError::Refused(format!(
            "{} exists; a backup does not overwrite a file. Name another one",
            to.display()
        )));
    }
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    // Left by a backup that was cut short.
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(trouble(error)),
        _ => {}
    }
    let copied = copy(from, &part, log_growth_max, progress).and_then(|head| {
        std::fs::File::open(&part)
            .and_then(|file| file.sync_all())
            .map_err(trouble)?;
        std::fs::rename(&part, to).map_err(trouble)?;
        let folder = to
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(trouble)?;
        Ok(head)
    });
    if copied.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    copied
}

fn copy(
    from: &Path,
    to: &Path,
    log_growth_max: u64,
    mut progress: impl FnMut(u32, u32),
) -> Result<(u64, u64, [u8; 32]), StoreError> {
    /// Pages copied between two reports: about 4 MiB.
    const STEP: i32 = 1_024;
    let unavailable = |what: &Path, error: rusqlite::Error| match StoreError::from(error) {
        StoreError::Damaged(text) => StoreError::Damaged(format!("{}: {text}", what.display())),
        StoreError::Unavailable(text) => {
            StoreError::Unavailable(format!("{}: {text}", what.display()))
        }
        error => error,
    };
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| unavailable(from, error))?;
    source
        .busy_timeout(BUSY)
        .map_err(|error| unavailable(from, error))?;
    // One read transaction over all steps: without it every write in between would start the copy
    // again, and a busy store would never be backed up.
    source
        .execute_batch("BEGIN")
        .map_err(|error| unavailable(from, error))?;
    let named = "SELECT store FROM head";
    let name: Result<String, _> = source.query_row(named, [], |row| row.get(0));
    let name = name.map_err(|error| unavailable(from, error))?;
    if let Some(mark) = Mark::read(&name) {
        return Err(mark.refusal());
    }
    let head = head_of(&source).map_err(|error| unavailable(from, error))?;
    let log = || std::fs::metadata(log_of(from)).map_or(0, |file| file.len());
    let log_before = log();
    private_file(to)
        .map_err(|error| StoreError::Refused(format!("cannot write {}: {error}", to.display())))?;
    let mut target = Connection::open(to).map_err(|error| unavailable(to, error))?;
    {
        let copy = rusqlite::backup::Backup::new(&source, &mut target)?;
        loop {
            use rusqlite::backup::StepResult;
            let step = copy.step(STEP).map_err(|error| unavailable(to, error))?;
            let left = copy.progress();
            progress(
                left.remaining.cast_unsigned(),
                left.pagecount.cast_unsigned(),
            );
            if log().saturating_sub(log_before) > log_growth_max {
                return Err(StoreError::Refused(format!(
                    "the backup was given up: {} grew by more than {} MB while it ran. Copy to a faster disk and move the file \
                     from there, or allow more with --max-log-growth",
                    log_of(from).display(),
                    log_growth_max / 1_000_000
                )));
            }
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else has the copy, and the store's snapshot is held: neither can be locked.
                _ => {
                    return Err(StoreError::Unavailable(format!(
                        "{}: locked by another program",
                        to.display()
                    )));
                }
            }
        }
    }
    source.execute_batch("COMMIT")?;
    // A backup is one file: no log beside it to forget.
    target.execute_batch("PRAGMA journal_mode = DELETE")?;
    let sound: String = target.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(StoreError::Damaged(format!(
            "the copy is not sound: {sound}"
        )));
    }
    Ok(head)
}

fn head_of(connection: &Connection) -> Result<(u64, u64, [u8; 32]), rusqlite::Error> {
    let sql = "SELECT change_number, audit_seq, audit_hash FROM head";
    connection.query_row(sql, [], |row| {
        let (change, seq): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((change.cast_unsigned(), seq.cast_unsigned(), row.get(2)?))
    })
}

/// What a restore found and did.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Where the restored store stood.
    pub head: Head,
    /// The new epoch, unless the copy was proved complete.
    pub epoch: Option<Uuid>,
}

/// Ends every token of every earlier epoch in a store that was copied back, unless `proof`, the
/// number and hash of the last audit entry the lost store is known to have had, is exactly where the
/// copy ends: then nothing was lost and nothing needs to end.
///
/// On PostgreSQL this holds the database alone for `wait` after it is done: a node that worked on the lost server may vouch by
/// what that one granted it until [`NODE_WAIT`] has passed, and no change may be answered before. Nothing needs to be waited
/// for when every node was stopped.
///
/// # Errors
/// When the copy is not complete as the proof says, when the database is in use, and when it can't be read or written.
pub async fn restore(
    location: &Location,
    proof: Option<(u64, [u8; 32])>,
    epoch: Uuid,
    now: Timestamp,
    wait: Duration,
) -> Result<Restored, StoreError> {
    let mut driver = match location {
        Location::Sqlite(path) => Driver::Sqlite(SqliteDriver::open(path, false)?),
        Location::Postgres(url) => {
            Driver::Postgres(PostgresDriver::open(url, "restore", false).await?)
        }
    };
    driver.migrate(None).await?;
    driver.unhurried().await?;
    let (head, mark) = read_marked_head(&mut driver).await?;
    let lifted = mark.as_ref().map(Mark::lifted).transpose()?;
    if let Some((seq, hash)) = proof {
        if (seq, hash) == (head.audit_seq, head.audit_hash) {
            let mut statements = Vec::from_iter(lifted);
            if driver.is_shared() {
                statements.extend(forget_nodes());
            }
            driver.commit(&statements, COMMIT_TIMEOUT).await?;
            if driver.is_shared() {
                timer::pass(wait).await;
            }
            driver.close().await;
            return Ok(Restored { head, epoch: None });
        }
        return Err(StoreError::Refused(format!(
            "the copy is not complete: it ends at audit entry {}, the proof names entry {seq}. Without --complete-to every token of the copy is ended, and secrets stay good",
            head.audit_seq
        )));
    }
    let change = Change::EpochStarted { epoch, at: now };
    let number = head.change_number + 1;
    let detail = serde_json::json!({ "epoch": epoch, "restored_change": head.change_number });
    let entry = Entry::by_system(now, "store.restore", &detail);
    let entry = AuditRecord::new(&entry, head.audit_seq + 1, &head.audit_hash);
    let (seq, hash) = (entry.seq, entry.hash);
    let mut statements = vec![sql::append_audit(entry)];
    statements.extend(lifted);
    statements.extend(sql::statements(&change));
    // A session ended since the backup, or an invitation withdrawn, must not live again.
    // The rows of the copy name nodes of the time before.
    statements.extend(forget_nodes());
    let ended = [
        people::END_ALL_SESSIONS,
        people::WITHDRAW_ALL_INVITATIONS,
        people::END_ALL_CHALLENGES,
        crate::notices::END_LINKS,
    ];
    statements.extend(ended.map(|sql| Statement::new(sql, Vec::new())));
    statements.push(sql::append_change(&change, number, now, &hash));
    let from = (head.change_number, head.audit_seq);
    statements.push(sql::move_head((number, seq, &hash), from, now));
    driver.commit(&statements, COMMIT_TIMEOUT).await?;
    if driver.is_shared() {
        timer::pass(wait).await;
    }
    driver.close().await;
    Ok(Restored {
        head,
        epoch: Some(epoch),
    })
}

/// Restores the backup at `path` for a trial, which alters it: give it a copy. Commits a new epoch, verifies the audit log from
/// its first entry and loads all as a start does. `head` is where the backup must stand, as [`backup`] answered; `keyring` may
/// be any. Returns the number of API clients.
///
/// # Errors
/// When any of this fails, or when the backup stands elsewhere.
pub async fn try_restore(
    path: &Path,
    keyring: Arc<Keyring>,
    head: (u64, u64, [u8; 32]),
    epoch: Uuid,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let location = Location::Sqlite(path.to_owned());
    let found = restore(&location, None, epoch, now, Duration::ZERO)
        .await?
        .head;
    if (found.change_number, found.audit_seq, found.audit_hash) != head {
        return Err(StoreError::Damaged(format!(
            "it ends at change {}, audit entry {}, and the copy was made at change {}, audit entry {}",
            found.change_number, found.audit_seq, head.0, head.1
        )));
    }
    let mut driver = Driver::Sqlite(SqliteDriver::open(path, false)?);
    let head = read_head(&mut driver).await?;
    verify_audit(&mut driver, &head).await?;
    let (replica, position) = load_at(head.clone(), &location, &mut driver, keyring).await?;
    driver.close().await;
    match position == head.position() {
        true => Ok(replica.client_count()),
        false => Err(StoreError::Damaged(format!(
            "the change log ends at change {}, and the head names change {}",
            position.number, head.change_number
        ))),
    }
}
