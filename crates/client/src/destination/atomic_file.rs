//! Files that are never seen half-written and never readable by others: a private temporary file in the same
//! folder, written, synced, renamed over, folder synced. The room is taken on the disk before a token is
//! generated, so that a full disk is met while nothing is lost yet.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes taken on the disk ahead; more than any entry, less than a block.
const ROOM_BYTES: usize = 4096;

/// Where a file's next content grows.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// Makes the temporary file and takes room for it on the disk. Call under the file's lock only.
pub(crate) fn prepare(path: &Path) -> io::Result<()> {
    let mut file = create(&beside(path))?;
    file.write_all(&[b' '; ROOM_BYTES])?;
    file.sync_data()
}

/// Replaces the content; the file has `mode` from its first moment. Call under the file's lock only.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let growing = beside(path);
    let mut file = match OpenOptions::new()
        .write(true)
        .custom_flags(no_follow())
        .open(&growing)
    {
        // Prepared: its blocks are ours already.
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(&growing)?,
        Err(error) => return Err(error),
    };
    let finished = (|| {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        file.rewind()?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()?;
        std::fs::rename(&growing, path)
    })();
    if finished.is_err() {
        // Nothing of the token stays behind under another name.
        let _ = std::fs::remove_file(&growing);
    }
    finished?;
    sync_folder(path)
}

/// Removes the file; one that is not there is removed already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    for path in [path, &beside(path)] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(path)
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
        .mode(0o600)
        .open(path)
}

fn no_follow() -> i32 {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    i32::try_from(flags.bits()).unwrap_or(0)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
