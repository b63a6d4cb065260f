//! Files that are never seen half-written: a private temporary file in the same folder, written, synced, renamed over,
//! folder synced. A file that is there keeps its owner, group, mode and access list, and a link stays a link: what it
//! points to is replaced. The room is taken on the disk, and everything that could fail is tried, before a token is
//! generated.
//!
//! Only a file that is a mount point of its own is written in place, because it cannot be renamed over; its readers may
//! see half of it.

use super::{DestinationError, mounts};
use rustix::fs::{FallocateFlags, OFlags, XattrFlags};
use rustix::io::Errno;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes taken on the disk ahead, beyond what the file holds; more than any entry, less than a block.
const ROOM_BYTES: u64 = 4096;
/// Links followed from one path to a file, as many as the kernel follows.
const MOST_LINKS: usize = 40;
/// The mode of a file that was not there before.
const NEW_FILE_MODE: u32 = 0o600;
/// Where the kernel keeps a file's access list.
const ACCESS_LIST: &str = "system.posix_acl_access";
/// Longest access list kept, in bytes: some hundred users.
const MOST_ACCESS_LIST_BYTES: usize = 4096;

/// A file cannot be used.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The system says why.
    System(io::Error),
    /// It is not fit to hold a token; the sentence says why and what to do.
    Unfit(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

impl Fault {
    /// The fault as a place reports it; `doing` says what was tried, such as `writing`.
    pub(crate) fn trouble(self, place: &str, doing: &str) -> DestinationError {
        match self {
            Self::System(error) => DestinationError::io(place, doing, &error),
            Self::Unfit(what) => DestinationError::misconfigured(place, what),
        }
    }
}

/// The file behind a path.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where it is, all links followed.
    pub(crate) path: PathBuf,
    /// What is there now.
    found: Option<Metadata>,
    /// Whether the path was a link.
    is_linked: bool,
}

/// Finds the file behind a path. A link is followed when it belongs to root, to this user, or to the owner of the file
/// it leads to: a link of somebody else could lead a token, or a rewrite, wherever they want.
pub(crate) fn find(path: &Path) -> Result<Target, Fault> {
    let mut path = path.to_owned();
    let mut owners = Vec::new();
    let found = loop {
        let found = match std::fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break None,
            Err(error) => return Err(error.into()),
        };
        if !found.is_symlink() {
            break Some(found);
        }
        if owners.len() == MOST_LINKS {
            return Err(Fault::Unfit("its links lead in a circle".to_owned()));
        }
        owners.push(found.uid());
        let to = std::fs::read_link(&path)?;
        path = path.parent().unwrap_or(Path::new(".")).join(to);
    };
    if found.as_ref().is_some_and(|found| !found.is_file()) {
        return Err(Fault::Unfit("it is not a regular file".to_owned()));
    }
    let trusted = [Some(0), Some(user()), found.as_ref().map(Metadata::uid)];
    if let Some(owner) = owners
        .iter()
        .find(|owner| !trusted.contains(&Some(**owner)))
    {
        return Err(Fault::Unfit(format!(
            "it is a link that belongs to another user (uid {owner}) than the file it leads to: name the file itself"
        )));
    }
    Ok(Target {
        path,
        found,
        is_linked: !owners.is_empty(),
    })
}

/// This process's user.
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

impl Target {
    /// Refuses a file in which a token would not be safe.
    fn check(&self) -> Result<(), Fault> {
        let Some(found) = &self.found else {
            return Ok(());
        };
        let mode = found.mode() & 0o7777;
        if mode & 0o006 != 0 {
            return Err(Fault::Unfit(format!(
                "everybody can read or change it (mode {mode:o}), so no token is written there: run chmod o-rwx {}",
                self.path.display()
            )));
        }
        Ok(())
    }

    /// Where the next content grows.
    fn beside(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.new"))
    }

    /// Whether a temporary file is one that [`prepare`] made, and not one that somebody put there to read along.
    fn is_prepared(&self, file: &File) -> io::Result<bool> {
        let own = file.metadata()?;
        let owner = self.found.as_ref().map_or(user(), Metadata::uid);
        Ok(own.nlink() == 1 && own.uid() == owner && own.mode() & 0o006 == 0)
    }

    /// Gives a new file the owner, the access list and the mode of the file it replaces.
    fn keep(&self, file: &File) -> Result<(), Fault> {
        let Some(found) = &self.found else {
            let mode = std::fs::Permissions::from_mode(NEW_FILE_MODE);
            return Ok(file.set_permissions(mode)?);
        };
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (found.uid(), found.gid()) {
            fchown(file, Some(found.uid()), Some(found.gid())).map_err(|_| {
                Fault::Unfit(format!(
                    "it belongs to uid {} and gid {}, which this user (uid {}) cannot give a new file: run the agent as \
                     the file's owner, or as root",
                    found.uid(),
                    found.gid(),
                    user()
                ))
            })?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(found.mode() & 0o7777))?;
        self.keep_access_list(file)
    }

    /// Without its access list a file's group would get what the list gives to somebody else.
    fn keep_access_list(&self, file: &File) -> Result<(), Fault> {
        let mut list = vec![0; MOST_ACCESS_LIST_BYTES];
        match rustix::fs::getxattr(&self.path, ACCESS_LIST, &mut list) {
            Ok(length) => {
                rustix::fs::fsetxattr(file, ACCESS_LIST, &list[..length], XattrFlags::empty())
                    .map_err(|error| {
                        Fault::Unfit(format!(
                            "its access list cannot be kept ({error}): remove it with setfacl -b"
                        ))
                    })
            }
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes over the content of a file that cannot be renamed over.
    fn write_in_place(&self, content: &[u8]) -> io::Result<()> {
        let mut file = open_to_write(&self.path)?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()
    }
}

/// Tries everything that a write will do, and takes room for it on the disk. Call under the file's lock only.
///
/// # Errors
/// When the file is not fit to hold a token, cannot be kept as it is, or cannot be written.
pub(crate) fn prepare(path: &Path) -> Result<(), Fault> {
    let target = find(path)?;
    target.check()?;
    let room = target.found.as_ref().map_or(0, Metadata::len) + ROOM_BYTES;
    if is_in_place(&target) {
        let file = open_to_write(&target.path)?;
        return match rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, room) {
            // A file system without it tells of a full disk later.
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        };
    }
    let beside = target.beside();
    let mut file = create(&beside)?;
    let prepared = target.keep(&file).and_then(|()| {
        let blank = [b' '; 512];
        for _ in 0..room.div_ceil(blank.len() as u64) {
            file.write_all(&blank)?;
        }
        Ok(file.sync_data()?)
    });
    if prepared.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    prepared
}

/// Takes back what [`prepare`] took. Call under the file's lock only.
pub(crate) fn unprepare(path: &Path) {
    if let Ok(target) = find(path) {
        let _ = std::fs::remove_file(target.beside());
    }
}

/// Whether the file at a path is written in place, because it is a mount point of its own.
pub(crate) fn is_written_in_place(path: &Path) -> bool {
    find(path).is_ok_and(|target| is_in_place(&target))
}

fn is_in_place(target: &Target) -> bool {
    target.found.is_some() && mounts::is_mount_point(&target.path)
}

/// Replaces the content; a new file is readable by its owner only, from its first moment. Call under the file's lock
/// only.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let target = find(path)?;
    target.check()?;
    let growing = target.beside();
    let mut file = match open_to_write(&growing) {
        // Prepared: its blocks are ours already.
        Ok(file) if target.is_prepared(&file)? => file,
        Ok(_) => create(&growing)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(&growing)?,
        Err(error) => return Err(error.into()),
    };
    let finished = (|| -> Result<(), Fault> {
        file.rewind()?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        target.keep(&file)?;
        file.sync_all()?;
        match std::fs::rename(&growing, &target.path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                target.write_in_place(content)?;
                std::fs::remove_file(&growing)?;
                Ok(())
            }
            renamed => Ok(renamed?),
        }
    })();
    if finished.is_err() {
        // Nothing of the token stays behind under another name.
        let _ = std::fs::remove_file(&growing);
    }
    finished?;
    Ok(sync_folder(&target.path)?)
}

/// Removes the file; one that is not there is removed already. One behind a link, or mounted by itself, is emptied.
pub(crate) fn remove(path: &Path) -> Result<(), Fault> {
    let target = find(path)?;
    let _ = std::fs::remove_file(target.beside());
    if target.found.is_some() {
        if target.is_linked {
            target.write_in_place(b"")?;
            return Ok(());
        }
        match std::fs::remove_file(&target.path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                target.write_in_place(b"")?
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(sync_folder(&target.path)?)
}

/// Reads at most `most` bytes, or nothing where there is no file.
pub(crate) fn read(path: &Path, most: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Reserved once, so that no reallocation leaves a copy behind.
    let mut content = Zeroizing::new(Vec::with_capacity(most + 1));
    file.take(most as u64 + 1).read_to_end(&mut content)?;
    if content.len() > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than anything this program writes there",
        ));
    }
    Ok(Some(content))
}

fn create(path: &Path) -> io::Result<File> {
    // One left behind by a process that died is of no use to anybody.
    let _ = std::fs::remove_file(path);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(NEW_FILE_MODE)
        .open(path)
}

fn open_to_write(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    OpenOptions::new()
        .write(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
