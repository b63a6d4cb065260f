//! Brings SQLite's log home beside the writer. SQLite would do so inside a commit, and whoever waits
//! for that commit would wait for thousands of pages; here a thread with a connection of its own copies
//! them while commits go on. It never decides what is durable: a commit is, before any of this.

use crate::error::StoreError;
use crate::handle::thread;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// When the log is brought home, in pages.
#[derive(Clone, Copy)]
struct Limits {
    /// Added to the log since the thread was last sent.
    send: u32,
    /// In the log, from which on the writer itself copies what is left, a little, so that the log
    /// begins anew: beside commits that never pause, the thread alone is never quite done.
    wrap: u32,
    /// Longest log that is left on the disk once all of it is home, in bytes. A reader that holds on to an old state, such
    /// as a backup, lets the log grow; afterwards nothing but this makes it short again.
    keep: u64,
    /// How often the thread looks whether the log is longer than that.
    look: Duration,
}

/// The longest log that SQLite itself leaves when it begins anew, in bytes: `keep`, for each connection that writes.
pub(crate) const SIZE_LIMIT: &str = "PRAGMA journal_size_limit = 100000000;";

/// The thread is sent at 32 MB, in which most pages of a busy store stand several times and are copied
/// once; the log stays below 100 MB unless a reader holds on to an old state.
const LIMITS: Limits = Limits {
    send: 8_000,
    wrap: 20_000,
    keep: 100_000_000,
    look: Duration::from_secs(5),
};

/// The thread, and how long the log is.
pub(crate) struct Checkpointer {
    limits: Limits,
    /// Pages in the log, as of the last commit.
    pages: Arc<AtomicU32>,
    /// Their number when the thread was last sent, and when the log was last wrapped in vain.
    sent_at: u32,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Takes over from SQLite on the writer's connection; `own` is the thread's.
    pub(crate) fn start(
        writer: &mut Connection,
        own: Connection,
        store: &Path,
    ) -> Result<Self, StoreError> {
        Self::with(LIMITS, writer, own, store)
    }

    fn with(
        limits: Limits,
        writer: &mut Connection,
        own: Connection,
        store: &Path,
    ) -> Result<Self, StoreError> {
        // What this thread does can wait; nobody may wait for it.
        own.busy_timeout(Duration::ZERO)?;
        let log = log_of(store);
        let pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&pages);
        // This also ends SQLite's own checkpoints inside commits.
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let (wake, woken) = sync_channel(1);
        let thread = thread("checkpoint", move || work(&own, &woken, &log, limits))?;
        Ok(Self {
            limits,
            pages,
            sent_at: 0,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// After a commit on the writer's connection: sends the thread when there is enough to do.
    pub(crate) fn committed(&mut self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.sent_at {
            // The log began anew.
            self.sent_at = 0;
        }
        if pages - self.sent_at < self.limits.send {
            return;
        }
        self.sent_at = pages;
        if pages >= self.limits.wrap {
            // Busy while the thread is at it, or a reader is in the way: then a later one will do.
            let _ = checkpoint(writer);
        } else if let Some(wake) = &self.wake {
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The log beside a store's file.
pub(crate) fn log_of(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

fn work(own: &Connection, woken: &Receiver<()>, log: &Path, limits: Limits) {
    loop {
        match woken.recv_timeout(limits.look) {
            Ok(()) => drop(checkpoint(own)),
            Err(RecvTimeoutError::Timeout) => {
                let bytes = std::fs::metadata(log).map_or(0, |file| file.len());
                // Cutting it keeps the writer out, so that is done only when there is nothing left to copy.
                if bytes > limits.keep && checkpoint(own) {
                    cut(own);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Cuts the log, which is all home, unless a reader still needs it.
fn cut(connection: &Connection) {
    if let Err(error) = connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::TRUNCATE) {
        tracing::debug!("the log was not cut: {error}");
    }
}

/// Copies what can be copied without anybody waiting; whether that was all of it. A fault is not this room's to judge: the
/// next commit meets it too.
fn checkpoint(connection: &Connection) -> bool {
    match connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE) {
        Ok((pages, copied)) => pages == copied,
        Err(error) => {
            tracing::debug!("the log was not brought home: {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")
            .unwrap();
        connection
    }

    fn commit(writer: &Connection, number: u32) {
        writer
            .execute("INSERT INTO t VALUES (zeroblob(2000) || ?1)", [number])
            .unwrap();
    }

    #[test]
    fn beside_commits_that_never_pause_the_log_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let open = || open(&path);
        let mut writer = open();
        writer.execute_batch("CREATE TABLE t (a)").unwrap();
        let limits = Limits {
            send: 50,
            wrap: 150,
            ..LIMITS
        };
        let mut checkpointer = Checkpointer::with(limits, &mut writer, open(), &path).unwrap();
        let mut longest = 0;
        for number in 0..4_000 {
            commit(&writer, number);
            checkpointer.committed(&writer);
            longest = longest.max(checkpointer.pages.load(Ordering::Relaxed));
        }
        // Left alone, the log would hold two pages of each commit.
        assert!((150..3_000).contains(&longest), "{longest} pages");
        drop((checkpointer, writer));
        let rows: i64 = open()
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 4_000);
    }

    #[test]
    fn a_log_that_a_reader_let_grow_is_cut_when_the_reader_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let open = || open(&path);
        let mut writer = open();
        writer.execute_batch("CREATE TABLE t (a)").unwrap();
        let limits = Limits {
            send: 50,
            wrap: 150,
            keep: 1_000_000,
            look: Duration::from_millis(20),
        };
        let mut checkpointer = Checkpointer::with(limits, &mut writer, open(), &path).unwrap();
        let reader = open();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM t;")
            .unwrap();
        for number in 0..2_000 {
            commit(&writer, number);
            checkpointer.committed(&writer);
        }
        let bytes = || std::fs::metadata(log_of(&path)).unwrap().len();
        assert!(
            bytes() > 4_000_000,
            "the reader lets the log grow: {}",
            bytes()
        );
        reader.execute_batch("COMMIT").unwrap();
        // Nobody writes any more.
        tokenward_testkit::wait_until("the log to be cut", Duration::from_secs(20), || {
            (bytes() <= limits.keep).then_some(())
        });
        drop(checkpointer);
    }
}
