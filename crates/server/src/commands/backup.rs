//! `tokenward backup`: copies the SQLite store, encrypts the copy for age recipients where there are any, and restores what
//! was written for a trial. It never holds a private key that can read a backup later.

use super::s3::{Address, Bucket};
use super::server::{Places, note, print};
use crate::clock::SystemClock;
use crate::config::data_dir::{self, new_private};
use crate::config::s3::S3Settings;
use crate::process::serve::Fault;
use crate::random;
use age::armor::ArmoredReader;
use age::x25519;
use age::{Decryptor, Encryptor, Identity, IdentityFile, Recipient};
use std::fs::{DirBuilder, File};
use std::io::{BufReader, BufWriter, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_core::hex;
use tokenward_core::time::Clock;

/// How the file of a backup in a folder is named: `tokenward-20261129T101530Z.sqlite`.
const BACKUP_NAME: &str = "tokenward-%Y%m%dT%H%M%SZ.sqlite";
/// What an encrypted one's name ends with.
const ENCRYPTED: &str = ".age";
/// What every file in the age format begins with.
const AGE_MAGIC: &[u8] = b"age-encryption.org/";
/// What one begins with that was encrypted as text (`age --armor`).
const ARMOR_MAGIC: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// The folder for copies of a moment, in the folder for such work.
const WORK: &str = ".tokenward-backup";

/// Arguments of `tokenward backup`.
#[derive(clap::Args, Debug)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    places: Places,
    /// The file to make, which must not exist; or a folder, or s3://BUCKET/PREFIX, in which the file is named after the time
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// Keep this many backups in the folder or under the prefix and remove older ones; files with other names stay
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Encrypt the backup for this age public key (age1...); repeat it for more keys, each of which can decrypt alone
    /// [default: backup_recipients of the configuration file]
    #[arg(long = "recipient", value_name = "KEY")]
    recipients: Vec<String>,
    /// Send a backup to S3 though it is not encrypted
    #[arg(long, conflicts_with = "recipients")]
    unencrypted: bool,
    #[command(flatten)]
    s3: S3Settings,
    /// Folder for the copy that is restored for a trial, and for what is sent to S3 [default: the backup's folder; for an
    /// encrypted backup, whose copy is not encrypted, and for S3 the data directory]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Give the backup up when the store's log grows by more than this meanwhile, in MB: a slow copy keeps the log from
    /// beginning anew
    #[arg(long, value_name = "MB", default_value_t = tokenward_store::LOG_GROWTH_MAX / 1_000_000)]
    max_log_growth: u64,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Where a copy of the store stands: its last change, and its last audit entry with the chain's hash.
type Head = (u64, u64, [u8; 32]);

/// Runs `tokenward backup`.
pub(super) fn backup(args: &BackupArgs) -> Result<(), Fault> {
    let (data_dir, _) = args.places.data_dir()?;
    let from = data_dir.join(data_dir::DATABASE);
    let (to, now) = (args.to.as_path(), SystemClock.wall());
    let settings = args.places.file()?;
    let recipients = recipients(match args.recipients.is_empty() {
        true => &settings.backup_recipients,
        false => &args.recipients,
    })?;
    let encrypted = !recipients.is_empty();
    let address = Address::read(to)?;
    if address.is_some() {
        must_be_meant(encrypted, args.unencrypted)?;
    } else if args.keep.is_some() && !to.is_dir() {
        return Err(format!("{} is not a folder; --keep needs one", to.display()).into());
    }
    if !from.exists() {
        return Err(format!(
            "{} does not exist; a PostgreSQL store is backed up with PostgreSQL's own tools",
            from.display()
        )
        .into());
    }
    let name = backup_name(now.unix_seconds(), encrypted)?;
    let bucket =
        address.map(|address| Bucket::open(address, &args.s3.clone().or(settings.backup_s3())));
    let bucket = bucket.transpose()?;
    // Before all the work, also to learn that the bucket can be used.
    if let Some(bucket) = &bucket
        && bucket.names()?.contains(&name)
    {
        return Err(format!(
            "{} exists; a backup does not overwrite a file",
            bucket.shown(&name)
        )
        .into());
    }
    let file = match to.is_dir() {
        true => to.join(&name),
        false => to.to_owned(),
    };
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let for_work = match encrypted || bucket.is_some() {
        true => &data_dir,
        false => folder.unwrap_or(Path::new(".")),
    };
    let work = Work::begin(args.work_dir.as_deref().unwrap_or(for_work))?;
    work.needs_room_for(&from, if encrypted && bucket.is_none() { 1 } else { 2 })?;
    let file = match &bucket {
        Some(_) => work.file("backup"),
        None => file,
    };
    let copy = match encrypted {
        true => work.file("copy.sqlite"),
        false => file.clone(),
    };
    let head = copied(&from, &copy, args)?;
    let trial = match encrypted {
        true => {
            let trial = encrypt(&copy, &file, &recipients)?;
            std::fs::remove_file(&copy)?;
            Some(trial)
        }
        false => None,
    };
    let (shown, clients) = match &bucket {
        Some(bucket) => {
            bucket.upload(&file, &name, work.path())?;
            std::fs::remove_file(&file)?;
            let back = work.file("downloaded");
            let read = bucket.download(Some(&name), &back);
            let tried = read.and_then(|()| try_out(&back, trial, &work, head, args));
            let clients = tried.map_err(|error| unusable(bucket, &name, &error))?;
            bucket.keep();
            (bucket.shown(&name), clients)
        }
        None => {
            let tried = try_out(&file, trial, &work, head, args);
            let clients = tried.map_err(|error| {
                let _ = std::fs::remove_file(&file);
                format!(
                    "{} was written, but it can't be restored, so it was removed: {error}",
                    file.display()
                )
            })?;
            (file.display().to_string(), clients)
        }
    };
    drop(work);
    // For the metric of its age. The backup is good without it, and its maker may not be the server's user.
    let noted = data_dir::replace(
        &data_dir.join(data_dir::LAST_BACKUP),
        format!("{}\n", now.unix_seconds()).as_bytes(),
    );
    if let Err(error) = noted {
        note(&format!(
            "warning: {error}; the metric of the last backup stays as it was"
        ));
    }
    if let Some(keep) = args.keep {
        let removed = match &bucket {
            Some(bucket) => remove_old_objects(bucket, &name, keep as usize),
            None => remove_old_backups(to, &name, keep as usize),
        };
        removed.map_err(|error| {
            format!("{shown} is a good backup, but older ones could not be removed: {error}")
        })?;
    }
    tell(args, &shown, head, encrypted, clients)
}

/// Prints what was made.
fn tell(
    args: &BackupArgs,
    shown: &str,
    (change, seq, hash): Head,
    encrypted: bool,
    clients: usize,
) -> Result<(), Fault> {
    let hash = hex::encode(&hash);
    if args.json {
        let told = serde_json::json!({
            "file": shown, "change_number": change, "audit_seq": seq, "audit_hash": *hash, "encrypted": encrypted, "clients": clients,
        });
        return print(&told.to_string());
    }
    print(&format!(
        "{shown} holds everything up to change {change}, audit entry {seq}:{}. A trial restored it: {clients} API clients",
        *hash
    ))?;
    note(
        "The digest keys are not in it. Keep a copy of them elsewhere: without them no secret or token can be checked.",
    );
    Ok(())
}

/// Refuses to send a backup to S3 that is not encrypted, unless that was asked for.
fn must_be_meant(encrypted: bool, unencrypted: bool) -> Result<(), Fault> {
    match (encrypted, unencrypted) {
        (true, false) | (false, true) => Ok(()),
        (false, false) => Err(
            "a backup is sent to S3 encrypted only: it holds names, mail addresses and the audit log. Give an age public key with \
             --recipient or backup_recipients, or --unencrypted if everyone who can read the bucket may read these data"
                .into(),
        ),
        (true, true) => {
            Err("backup_recipients is set, so the backup is encrypted: leave --unencrypted out".into())
        }
    }
}

/// Copies the store.
fn copied(from: &Path, to: &Path, args: &BackupArgs) -> Result<Head, Fault> {
    let tty = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let mut told = 101;
    let growth = args.max_log_growth.saturating_mul(1_000_000);
    let copied = tokenward_store::backup(from, to, growth, |left, all| {
        let percent = 100 - u64::from(left) * 100 / u64::from(all.max(1));
        if tty && percent != told {
            told = percent;
            let _ = write!(std::io::stderr(), "\rcopying {percent} %");
        }
    });
    if tty {
        note("");
    }
    Ok(copied?)
}

/// Removes an object that failed its trial, and says so.
fn unusable(bucket: &Bucket, name: &str, error: &Fault) -> Fault {
    let shown = bucket.shown(name);
    match bucket.discard() {
        Ok(()) => format!(
            "{shown} was sent, but what the bucket returns can't be restored, so it was removed: {error}"
        ),
        Err(stays) => format!(
            "{shown} was sent, but what the bucket returns can't be restored: {error}. It is still there, delete it: {stays}"
        ),
    }
    .into()
}

/// Restores a copy of what was written, and returns how many API clients it holds.
fn try_out(
    file: &Path,
    trial: Option<x25519::Identity>,
    work: &Work,
    head: Head,
    args: &BackupArgs,
) -> Result<usize, Fault> {
    let copy = work.file("restored.sqlite");
    match trial {
        Some(identity) => decrypt(
            file,
            &file.display().to_string(),
            &copy,
            &[Box::new(identity)],
        )?,
        None => {
            let mut target = new_private(&copy)?;
            std::io::copy(&mut File::open(file)?, &mut target)?;
        }
    }
    // The keys may be elsewhere, or for the server's service alone. Loading compares no digest.
    let keyring = data_dir::find_keyring(&args.places.digest_keys()?);
    let keyring = match keyring.ok().flatten() {
        Some(keyring) => keyring,
        None => Keyring::new(vec![DigestKey::new(KeyId(1), random::bytes())])?,
    };
    let runtime = super::server::runtime()?;
    let restoring = tokenward_store::try_restore(
        &copy,
        Arc::new(keyring),
        head,
        random::uuid(),
        SystemClock.wall(),
    );
    Ok(runtime.block_on(restoring)?)
}

/// Reads public keys.
///
/// # Errors
/// When one is none, without its text where it is a private key.
pub(super) fn recipients(texts: &[String]) -> Result<Vec<x25519::Recipient>, Fault> {
    let read = |text: &String| {
        let text = text.trim();
        if text.to_uppercase().starts_with("AGE-SECRET-KEY-") {
            let secret = "a recipient of backups is a private key (AGE-SECRET-KEY-...). Give its public key (age1...), and \
                          consider the private key as known to others";
            return Err(Fault::from(secret));
        }
        text.parse().map_err(|why: &str| {
            format!("{text:?} isn't an age public key (age1..., as age-keygen prints it): {why}")
                .into()
        })
    };
    texts.iter().map(read).collect()
}

/// Encrypts `from` into the new file `to`. Returns a key that can decrypt it, too, for the trial of what was written; it is
/// never stored.
fn encrypt(
    from: &Path,
    to: &Path,
    recipients: &[x25519::Recipient],
) -> Result<x25519::Identity, Fault> {
    let trial = x25519::Identity::generate();
    let own = trial.to_public();
    let all = recipients.iter().chain([&own]);
    let encryptor = Encryptor::with_recipients(all.map(|key| key as &dyn Recipient))?;
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    if to.exists() {
        return Err(format!(
            "{} exists; a backup does not overwrite a file. Name another one",
            to.display()
        )
        .into());
    }
    // Left by a backup that was cut short.
    let _ = std::fs::remove_file(&part);
    let write = || -> std::io::Result<()> {
        let mut output = encryptor.wrap_output(BufWriter::new(new_private(&part)?))?;
        std::io::copy(&mut File::open(from)?, &mut output)?;
        let file = output
            .finish()?
            .into_inner()
            .map_err(|error| error.into_error())?;
        file.sync_all()?;
        std::fs::rename(&part, to)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&part);
        format!("cannot write {}: {error}", to.display())
    })?;
    Ok(trial)
}

/// Whether a file is in the age format.
pub(super) fn is_encrypted(path: &Path) -> std::io::Result<bool> {
    let mut begin = Vec::new();
    let file = File::open(path)?;
    file.take(AGE_MAGIC.len().max(ARMOR_MAGIC.len()) as u64)
        .read_to_end(&mut begin)?;
    Ok(begin.starts_with(AGE_MAGIC) || begin.starts_with(ARMOR_MAGIC))
}

/// Reads the private keys in a file, as age-keygen writes it.
pub(super) fn identities(path: &Path) -> Result<Vec<Box<dyn Identity + Send + Sync>>, Fault> {
    let read = || -> Result<_, Fault> {
        let file = IdentityFile::from_buffer(BufReader::new(File::open(path)?))?;
        Ok(file.into_identities()?)
    };
    read().map_err(|error| {
        let what = "It must hold private keys as age-keygen writes them, without a passphrase";
        format!("{}: {error}. {what}", path.display()).into()
    })
}

/// Decrypts `from`, which sentences call `shown`, into the new file `to`.
pub(super) fn decrypt(
    from: &Path,
    shown: &str,
    to: &Path,
    identities: &[Box<dyn Identity + Send + Sync>],
) -> Result<(), Fault> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot decrypt {shown}: {error}");
    let source = File::open(from).map_err(|error| cannot(&error))?;
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(source));
    let decryptor = decryptor.map_err(|error| cannot(&error))?;
    let keys = identities.iter().map(|key| key.as_ref() as &dyn Identity);
    let mut plain = decryptor.decrypt(keys).map_err(|error| cannot(&error))?;
    let mut target = new_private(to)?;
    std::io::copy(&mut plain, &mut target).map_err(|error| cannot(&error))?;
    Ok(target.sync_all()?)
}

/// A folder of our own for copies of a moment; it goes with this value.
pub(super) struct Work {
    path: PathBuf,
    /// Its lock: another backup would remove our copies.
    _lock: File,
}

impl Work {
    /// Makes it in `folder`. What a process that was killed left there is removed.
    pub(super) fn begin(folder: &Path) -> Result<Self, Fault> {
        let path = folder.join(WORK);
        let make = || -> std::io::Result<File> {
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let found = std::fs::symlink_metadata(&path)?;
            let ours = found.uid() == rustix::process::geteuid().as_raw();
            if !found.is_dir() || !ours || found.mode() & 0o077 != 0 {
                return Err(std::io::Error::other(
                    "it is not a folder of this user alone",
                ));
            }
            let lock = File::open(&path)?;
            lock.try_lock().map_err(|error| match error {
                std::fs::TryLockError::WouldBlock => {
                    std::io::Error::other("another backup works there; wait for its end")
                }
                std::fs::TryLockError::Error(error) => error,
            })?;
            for entry in std::fs::read_dir(&path)? {
                std::fs::remove_file(entry?.path())?;
            }
            Ok(lock)
        };
        let lock = make().map_err(|error| {
            format!(
                "cannot work in {}: {error}. Name another folder with --work-dir",
                path.display()
            )
        })?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a disk on which so many copies of the store `from` would leave no room: the server may write to it, too. When an
    /// encrypted backup is made in a folder, only one copy at a time is here; otherwise two are.
    fn needs_room_for(&self, from: &Path, copies: u64) -> Result<(), Fault> {
        let free = rustix::fs::statvfs(&self.path)?;
        let free = free.f_bavail.saturating_mul(free.f_frsize);
        let bytes = std::fs::metadata(from)?.len();
        let needed = bytes.saturating_mul(copies);
        if free < needed {
            let mb = |bytes: u64| bytes.div_ceil(1_000_000);
            return Err(format!(
                "{} has {} MB free, and the backup with its trial needs {} MB: make room, or name another folder with --work-dir",
                self.path.display(),
                mb(free),
                mb(needed)
            )
            .into());
        }
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn backup_name(now: i64, encrypted: bool) -> Result<String, Fault> {
    let name = jiff::Timestamp::from_second(now)?.strftime(BACKUP_NAME);
    Ok(format!("{name}{}", if encrypted { ENCRYPTED } else { "" }))
}

/// The names of the backups that are older than the newest `keep`, never `made`.
fn too_old(mut names: Vec<String>, made: &str, keep: usize) -> Vec<String> {
    names.retain(|name| {
        let plain = name.strip_suffix(ENCRYPTED).unwrap_or(name);
        jiff::civil::DateTime::strptime(BACKUP_NAME, plain).is_ok()
    });
    // Their names have the order of their times.
    names.sort();
    names.truncate(names.len().saturating_sub(keep));
    // The clock may have been ahead.
    names.retain(|name| name != made);
    names
}

/// Removes the oldest files in `folder` that are named like backups, until `keep` are left.
fn remove_old_backups(folder: &Path, made: &str, keep: usize) -> Result<(), Fault> {
    let trouble = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| trouble(folder, error))? {
        let name = entry.map_err(|error| trouble(folder, error))?.file_name();
        names.extend(name.into_string());
    }
    for name in too_old(names, made, keep) {
        let path = folder.join(name);
        std::fs::remove_file(&path).map_err(|error| trouble(&path, error))?;
    }
    Ok(())
}

/// Removes the oldest objects under the bucket's prefix that are named like backups, until `keep` are left.
fn remove_old_objects(bucket: &Bucket, made: &str, keep: usize) -> Result<(), Fault> {
    for name in too_old(bucket.names()?, made, keep) {
        bucket.delete(&name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_backups_and_files_with_other_names_are_kept() {
        let name = |day: u32| format!("tokenward-202611{day:02}T010203Z.sqlite");
        let mut names: Vec<String> = (1..=4).map(name).collect();
        names[1].push_str(ENCRYPTED);
        names.extend(["notes.sqlite", "tokenward-20261101T010203Z.sqlite.part"].map(str::to_owned));
        names.reverse();
        let old = |made: u32, keep| too_old(names.clone(), &name(made), keep);
        assert_eq!(old(4, 4), [""; 0]);
        assert_eq!(old(4, 2), [name(1), name(2) + ENCRYPTED]);
        // The clock went back: the others are newer by their names.
        assert_eq!(old(1, 2), [name(2) + ENCRYPTED]);
    }
}
