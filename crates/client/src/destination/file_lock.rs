//! Locks between processes of one machine, held by the kernel: a holder that dies lets go at once. The lock file
//! is never removed (removing one lets two processes lock two files of one name) and holds a mark while somebody
//! renews, so that the next holder sees that the last one did not finish.

use super::{DestinationError, Lease};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What stands in the lock file while its holder renews.
const MARK: &[u8] = b"renewing\n";

/// Opens the lock file, made with mode 0600 where there is none. A link is refused: following one somebody else
/// planted would lock, and mark, a file of their choosing.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)
}

/// Looks at the lock of a write, and the rest between two: a write takes the time of two syncs.
const WRITE_LOCK_LOOKS: u32 = 1_000;
const WRITE_LOCK_REST: Duration = Duration::from_millis(5);

/// Waits for the lock that makes comparing and swapping one step.
pub(crate) async fn write_lock(lock: &ProcessLock, place: &str) -> Result<Held, DestinationError> {
    for _ in 0..WRITE_LOCK_LOOKS {
        if let Some(held) = lock.try_take()? {
            return Ok(held);
        }
        crate::timer::rest(WRITE_LOCK_REST).await;
    }
    Err(DestinationError::unreachable(
        place,
        "another process keeps writing to it",
    ))
}

/// Leases a file, if storing a token there can be prepared.
pub(crate) async fn lease_prepared(
    path: &Path,
    place: &str,
    prepared: impl Future<Output = Result<Held, DestinationError>>,
) -> Result<Option<Lease>, DestinationError> {
    let Some(lease) = try_lease(path, place)? else {
        return Ok(None);
    };
    match prepared.await {
        Ok(_) => Ok(Some(lease)),
        Err(trouble) => {
            release(lease, place)?;
            Err(trouble)
        }
    }
}

/// Tries to lock the `.lock` beside a file and to mark it as a lease.
pub(crate) fn try_lease(path: &Path, place: &str) -> Result<Option<Lease>, DestinationError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let path = &path.with_file_name(name);
    let attempt = || -> io::Result<Option<(File, bool)>> {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut found = Vec::new();
        (&mut file).take(64).read_to_end(&mut found)?;
        let abandoned = !found.is_empty();
        if !abandoned {
            file.write_all(MARK)?;
            file.sync_data()?;
        }
        Ok(Some((file, abandoned)))
    };
    let taken = attempt().map_err(|error| DestinationError::io(place, "locking", &error))?;
    Ok(taken.map(|(file, abandoned)| Lease::new(abandoned, None, file)))
}

/// Takes the mark away and unlocks.
pub(crate) fn release(lease: Lease, place: &str) -> Result<(), DestinationError> {
    let Some(mut file) = lease.into_proof::<File>() else {
        return Ok(());
    };
    let mut unmark = || -> io::Result<()> {
        file.rewind()?;
        file.set_len(0)?;
        file.unlock()
    };
    unmark().map_err(|error| DestinationError::io(place, "unlocking", &error))
}

/// A lock between the processes of this machine that share a home elsewhere: all but one wait here instead of
/// crowding the home.
#[derive(Clone, Debug)]
pub struct ProcessLock {
    path: PathBuf,
}

/// The process lock in hand; dropping it unlocks.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
}

impl ProcessLock {
    /// A lock on this file, which is made if need be.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Tries once.
    pub(crate) fn try_take(&self) -> Result<Option<Held>, DestinationError> {
        let place = format!("lock file {}", self.path.display());
        let file =
            open(&self.path).map_err(|error| DestinationError::io(&place, "opening", &error))?;
        let owner = file
            .metadata()
            .map_err(|error| DestinationError::io(&place, "looking at", &error))?
            .uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(DestinationError::misconfigured(
                &place,
                "it belongs to another user: choose a folder that only this user can write to",
            ));
        }
        match file.try_lock() {
            Ok(()) => Ok(Some(Held { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(DestinationError::io(&place, "locking", &error)),
        }
    }
}

impl Held {
    /// The name of this queue: no other lock file of any machine that runs now has it.
    pub(crate) fn queue(&self) -> Option<String> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let file = self.file.metadata().ok()?;
        Some(format!("{} {} {}", boot.trim(), file.dev(), file.ino()))
    }
}
