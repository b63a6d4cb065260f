//! The data directory: one process at a time, files only their owner can read, written whole or not
//! at all.

use crate::random;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_core::hex;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The data directory when none is named, in the current folder.
pub const DEFAULT: &str = "tokenward-data";
/// The SQLite file's name.
pub const DATABASE: &str = "tokenward.sqlite";
/// The digest keys' file: one `id:64 hex` a line, the last one in use.
pub const DIGEST_KEYS: &str = "digest-keys";
/// The first admin key's file.
pub const ADMIN_KEY: &str = "admin-key";
/// The link that makes the console's first operator.
pub const CONSOLE_LINK: &str = "console-link";
/// Where the running server tells its addresses.
pub const LISTENING: &str = "listening.json";
/// There while replicas may be vouching by this node's word.
pub const REPLICAS: &str = "replicas-attached";
/// The folder of what was ordered by ACME: account keys, certificates and their keys.
pub const ACME: &str = "acme";
/// When the last backup of this store was made, in seconds since 1970.
pub const LAST_BACKUP: &str = "last-backup";
/// Where Linux tells which run of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const LOCK: &str = "lock";
const NODE_ID: &str = "node-id";
const SEEN: &str = "last-change";

/// Why the data directory can't be used; a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DataDirError(String);

/// The data directory, held by this process until dropped.
pub struct DataDir {
    path: PathBuf,
    lock: File,
}

fn told(path: &Path, what: &str) -> impl FnOnce(std::io::Error) -> DataDirError {
    let text = format!("cannot {what} {}", path.display());
    move |error| DataDirError(format!("{text}: {error}"))
}

/// Files of the data directory that the database engine opens by itself.
const DATABASE_FILES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Opens a file for reading, without waiting for anybody to write to it.
///
/// # Errors
/// When it can't be opened, or is a pipe, a device, a socket or a folder.
pub fn open_regular(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    must_be_regular(options.read(true).custom_flags(AT_ONCE).open(path)?)
}

/// A pipe's other end is not waited for, and a terminal does not become this process's own.
const AT_ONCE: i32 = rustix::fs::OFlags::NONBLOCK
    .union(rustix::fs::OFlags::NOCTTY)
    .bits()
    .cast_signed();

fn must_be_regular(file: File) -> std::io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other(NOT_REGULAR)),
    }
}

const NOT_REGULAR: &str = "it is not a regular file. Move it away, and restore the file that belongs there if there was one";

/// What work on a file gave; none when there is no such file.
pub(crate) fn if_there<T>(done: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// Reads a small file whole.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    open_regular(path)?.take(65_536).read_to_string(&mut text)?;
    Ok(text)
}

impl DataDir {
    /// Creates the directory if need be and takes it for this process.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        if !path.exists() {
            let mut builder = std::fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(told(path, "create the data directory"))?;
        }
        must_be_private(path)?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(AT_ONCE | rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&lock_path)
            .and_then(must_be_regular)
            .map_err(told(&lock_path, "open"))?;
        for end in DATABASE_FILES {
            let file = path.join(format!("{DATABASE}{end}"));
            if std::fs::metadata(&file).is_ok_and(|about| !about.is_file()) {
                let error = std::io::Error::other(NOT_REGULAR);
                return Err(told(&file, "open")(error));
            }
        }
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError(format!(
                "{} is in use by another tokenward process; stop it first, or give this one a --data-dir of its own",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(told(&lock_path, "lock")(error)),
        }
    }

    /// A file in the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// This directory's name towards a shared database; made at the first use.
    pub fn node_id(&self) -> Result<Uuid, DataDirError> {
        let path = self.file(NODE_ID);
        match if_there(read_text(&path)).map_err(told(&path, "read"))? {
            Some(text) => Uuid::try_parse(text.trim()).map_err(|_| {
                DataDirError(format!(
                    "{} holds no UUID; remove the file to get a new one",
                    path.display()
                ))
            }),
            None => {
                let id = random::uuid();
                replace(&path, format!("{id}\n").as_bytes())?;
                Ok(id)
            }
        }
    }

    /// What only one process at a time can have: this directory's name, the machine's run, and the lock file that this process
    /// holds. A copied directory, a cloned or restarted machine has another one. None when the machine does not tell its run.
    pub fn place(&self) -> Result<Option<String>, DataDirError> {
        let lock = self
            .lock
            .metadata()
            .map_err(told(&self.file(LOCK), "look at"))?;
        let Ok(boot) = std::fs::read_to_string(BOOT_ID) else {
            return Ok(None);
        };
        Ok(Some(format!(
            "{} {} {}:{}",
            self.node_id()?,
            boot.trim(),
            lock.dev(),
            lock.ino()
        )))
    }

    /// The highest change number this directory has seen of the store named, 0 for another store's.
    pub fn seen(&self) -> Result<Option<(Uuid, u64)>, DataDirError> {
        let path = self.file(SEEN);
        let Some(text) = if_there(read_text(&path)).map_err(told(&path, "read"))? else {
            return Ok(None);
        };
        let parsed = text
            .trim()
            .split_once(' ')
            .and_then(|(epoch, number)| Some((Uuid::try_parse(epoch).ok()?, number.parse().ok()?)));
        parsed
            .map(Some)
            .ok_or_else(|| DataDirError(format!("{} is damaged", path.display())))
    }

    /// Remembers how far this directory has seen the store.
    pub fn remember(&self, epoch: Uuid, number: u64) -> Result<(), DataDirError> {
        replace(&self.file(SEEN), format!("{epoch} {number}\n").as_bytes())
    }

    /// Forgets what was seen: for a restore.
    pub fn forget_seen(&self) -> Result<(), DataDirError> {
        remove(&self.file(SEEN))
    }
}

/// Whether a process works on this data directory.
#[must_use]
pub fn is_in_use(path: &Path) -> bool {
    let lock = open_regular(&path.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Why no server of this user could make files in the data directory, or make the directory; none if it could.
#[must_use]
pub fn cannot_be_written(path: &Path) -> Option<String> {
    let there = path.ancestors().find(|one| one.exists());
    // A relative path's last ancestor is empty and stands for the current folder.
    let there = match there.unwrap_or(Path::new("")) {
        empty if empty.as_os_str().is_empty() => Path::new("."),
        there => there,
    };
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let why = if there.is_dir() {
        rustix::fs::access(there, access).err()?.to_string()
    } else {
        format!("{} is no directory", there.display())
    };
    Some(format!(
        "the data directory {} can't be written by this user: {why}",
        path.display()
    ))
}

/// Refuses a data directory that was not named and does not exist yet, unless a person is there to see where it is made: a
/// service started in another folder would otherwise become a new, empty server.
///
/// # Errors
/// When the directory would be made by accident.
pub fn must_be_meant(path: &Path, named: bool) -> Result<(), DataDirError> {
    use std::io::IsTerminal as _;
    let person = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
    if named || person || path.exists() {
        return Ok(());
    }
    let folder = std::env::current_dir().unwrap_or_default();
    Err(DataDirError(format!(
        "no data directory is named, and {} has none. Name one with --data-dir or TOKENWARD_DATA_DIR; without a terminal it \
         is not created unnamed",
        folder.join(path).display()
    )))
}

/// The keyring in `path`.
///
/// # Errors
/// When the file is missing or cannot be used.
pub fn keyring(path: &Path) -> Result<Keyring, DataDirError> {
    let missing = || told(path, "read the digest keys in")(std::io::ErrorKind::NotFound.into());
    find_keyring(path)?.ok_or_else(missing)
}

/// Makes the file with a first key of this id, which must not exist yet.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn make_keyring(path: &Path, id: KeyId) -> Result<Keyring, DataDirError> {
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(random::bytes());
    let line = Zeroizing::new(format!("{}:{}\n", id.0, *hex::encode(&*key)));
    create_private(path, line.as_bytes())?;
    keyring(path)
}

/// The keyring in `path`; none when there is no such file.
///
/// # Errors
/// When the file cannot be used.
pub fn find_keyring(path: &Path) -> Result<Option<Keyring>, DataDirError> {
    let text = if_there(read_private(path)).map_err(told(path, "read the digest keys in"))?;
    let Some(text) = text else { return Ok(None) };
    let wrong = |line: usize| {
        DataDirError(format!(
            "{}: line {line} is not `id:64 hex`",
            path.display()
        ))
    };
    let mut keys = Vec::new();
    for (at, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let (id, key) = line.trim().split_once(':').ok_or_else(|| wrong(at + 1))?;
        let id = id.parse().map_err(|_| wrong(at + 1))?;
        keys.push(DigestKey::new(
            KeyId(id),
            *hex::read(key).ok_or_else(|| wrong(at + 1))?,
        ));
    }
    let ring = Keyring::new(keys);
    ring.map(Some)
        .map_err(|why| DataDirError(format!("{}: {why}", path.display())))
}

/// Adds a new digest key at the end of `path`, from where it makes all new digests.
pub fn add_key(path: &Path) -> Result<u8, DataDirError> {
    let ring = keyring(path)?;
    let next = ring.ids().map(|id| id.0).max().unwrap_or(0).checked_add(1);
    let next = next.ok_or_else(|| DataDirError("no key id is left".into()))?;
    let old = read_private(path).map_err(told(path, "read"))?;
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(random::bytes());
    let text = Zeroizing::new(format!(
        "{}\n{next}:{}\n",
        old.trim_end(),
        *hex::encode(&*key)
    ));
    replace(path, text.as_bytes())?;
    keyring(path).map(|_| next)
}

/// Takes the key `id` out of the file; the others keep their order.
///
/// # Errors
/// When the file does not hold it, or holds no other, or cannot be written.
pub fn remove_key(path: &Path, id: KeyId) -> Result<(), DataDirError> {
    let ring = keyring(path)?;
    if ring.ids().all(|known| known != id) {
        return Err(DataDirError(format!(
            "{} holds no digest key {}",
            path.display(),
            id.0
        )));
    }
    if ring.current() == id {
        return Err(DataDirError(format!(
            "digest key {} is in use for new digests: add another one first (`tokenward digest-key add`), and restart the server",
            id.0
        )));
    }
    let old = read_private(path).map_err(told(path, "read"))?;
    let mut text = Zeroizing::new(String::with_capacity(old.len()));
    let of_key = |line: &str| {
        line.trim()
            .split_once(':')
            .is_some_and(|(of, _)| of.parse() == Ok(id.0))
    };
    for line in old.lines().filter(|line| !of_key(line)) {
        text.push_str(line);
        text.push('\n');
    }
    replace(path, text.as_bytes())
}

/// Reads a small regular file that holds a secret.
pub fn read_private(path: &Path) -> std::io::Result<Zeroizing<String>> {
    read_secret(open_regular(path)?)
}

/// Reads a secret from a file that the operator named, which may be a pipe.
pub fn read_secret(file: File) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(4_096));
    file.take(65_536).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a file that must not exist yet and that only its owner may read.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
    let written = write_new(path, bytes).and_then(|()| sync_parent(path));
    written.map_err(told(path, "write"))
}

/// A new file that only its owner may read.
pub(crate) fn new_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = new_private(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces a file whole: a reader or a crash sees the old one or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let write = || -> std::io::Result<()> {
        // One that is there was left by a crash, or planted: it is never written through.
        if_there(std::fs::remove_file(&temporary))?;
        write_new(&temporary, bytes)?;
        std::fs::rename(&temporary, path)?;
        sync_parent(path)
    };
    write().map_err(told(path, "write"))
}

/// Makes a folder that only its owner may enter, unless it is there.
///
/// # Errors
/// When it can't be made, is a symbolic link or no folder, belongs to another user, or others may enter it.
pub(crate) fn private_folder(path: &Path) -> Result<(), DataDirError> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(told(path, "create")(error));
        }
        _ => {}
    }
    let about = std::fs::symlink_metadata(path).map_err(told(path, "look at"))?;
    let mode = about.permissions().mode() & 0o777;
    let own = rustix::process::geteuid().as_raw();
    if !about.is_dir() || about.uid() != own || mode & 0o077 != 0 {
        return Err(DataDirError(format!(
            "{} holds private keys and must be a folder that belongs to this process's user and that no other may enter \
             (mode {mode:03o}). Run chmod 700, or move it away",
            path.display()
        )));
    }
    Ok(())
}

/// Reads a file of a private folder whole, unless it is a symbolic link; none when there is no such file.
pub(crate) fn read_own(path: &Path) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut options = OpenOptions::new();
    let flags = AT_ONCE | rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let opened = if_there(options.read(true).custom_flags(flags).open(path))?;
    let Some(file) = opened.map(must_be_regular).transpose()? else {
        return Ok(None);
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(65_536));
    file.take(1_048_576).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// When the last backup of the store in the directory `path` was made, in seconds since 1970; 0 when none is known.
pub(crate) fn backed_up(path: &Path) -> i64 {
    let text = read_text(&path.join(LAST_BACKUP)).unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

/// Refuses a data directory that every user of the machine may write to: they could replace its files.
fn must_be_private(path: &Path) -> Result<(), DataDirError> {
    let about = std::fs::metadata(path).map_err(told(path, "look at"))?;
    let mode = about.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(DataDirError(format!(
            "every user of this machine can write to the data directory {} (mode {:o}); make it private with chmod 700",
            path.display(),
            mode & 0o7777
        )));
    }
    Ok(())
}

/// Whether every user of the machine can read a file; one that is not there can't be read.
#[must_use]
pub fn is_readable_by_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0)
}

/// Removes a file if it is there.
pub fn remove(path: &Path) -> Result<(), DataDirError> {
    let removed = if_there(std::fs::remove_file(path));
    removed.map(drop).map_err(told(path, "remove"))
}

/// A rename is durable once its folder is.
fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
