//! A file as home: the entry's JSON, readable by its owner only, replaced whole, locked by the file beside it
//! whose name ends in `.lock`. For workers of one machine; not for network file systems, whose locks promise less.

use super::{Home, Lease, LeaseWish, Leasing, Place, ProcessLock, Trouble, atomic_file, file_lock};
use crate::protocol::{Entry, Stored, Version};
use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Largest file read, in bytes; an `.env` shared with an application may hold much besides the token.
pub(crate) const MOST_FILE_BYTES: usize = 256 * 1024;

/// How a file's content stands for an entry.
pub trait Form: Send + Sync + std::fmt::Debug + 'static {
    /// The word for this kind of file.
    const WORD: &'static str;

    /// The entry in the content, if there is one that can be read.
    fn read(&self, content: &str) -> Option<Entry>;

    /// The content with this entry in place of what it held, or with none.
    fn write(&self, content: &str, entry: Option<&Entry>) -> Zeroizing<String>;
}

/// The entry's JSON and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Form for Json {
    const WORD: &'static str = "file";

    fn read(&self, content: &str) -> Option<Entry> {
        Entry::from_json(content).ok()
    }

    fn write(&self, _: &str, entry: Option<&Entry>) -> Zeroizing<String> {
        entry.map_or_else(Zeroizing::default, |entry| {
            let mut json = entry.to_json();
            json.push('\n');
            json
        })
    }
}

/// A file that holds the token.
#[derive(Clone, Debug)]
pub struct FileHome<F = Json> {
    path: PathBuf,
    form: F,
}

impl FileHome {
    /// The entry's JSON in this file; its folder must exist.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, form: Json }
    }
}

impl<F: Form> FileHome<F> {
    /// A file of another form.
    pub(crate) fn of(path: PathBuf, form: F) -> Self {
        Self { path, form }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes comparing and swapping one step, also for writers without the lease (another worker may keep this
    /// file as its second place); another file than the lease's, for a lease holder writes too.
    async fn write_lock(&self) -> Result<file_lock::Held, Trouble> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let lock = ProcessLock::new(self.path.with_file_name(format!(".{name}.writing")));
        file_lock::write_lock(&lock, &self.place()).await
    }

    fn content(&self) -> Result<Option<Zeroizing<String>>, Trouble> {
        let content = atomic_file::read(&self.path, MOST_FILE_BYTES)
            .map_err(|error| Trouble::io(&self.place(), "reading", &error))?;
        Ok(content.map(|mut bytes| {
            Zeroizing::new(String::from_utf8(std::mem::take(&mut *bytes)).unwrap_or_default())
        }))
    }
}

/// A file's content as a version; empty where there is no file.
pub(super) fn version_of(content: Option<&[u8]>) -> Version {
    Version(content.map_or_else(String::new, |content| {
        let digest = Sha256::digest(content);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }))
}

impl<F: Form> Place for FileHome<F> {
    fn place(&self) -> String {
        format!("{} {}", F::WORD, self.path.display())
    }
}

#[async_trait]
impl<F: Form> Home for FileHome<F> {
    async fn read(&self) -> Result<Stored, Trouble> {
        let content = self.content()?;
        let content = content.as_ref().map(|content| content.as_str());
        Ok(Stored {
            entry: content
                .and_then(|content| self.form.read(content))
                .map(Arc::new),
            version: version_of(content.map(str::as_bytes)),
        })
    }

    async fn write(&self, entry: Option<&Entry>, over: &Version) -> Result<bool, Trouble> {
        let _held = self.write_lock().await?;
        let content = self.content()?;
        let content = content.as_ref().map(|content| content.as_str());
        if version_of(content.map(str::as_bytes)) != *over {
            return Ok(false);
        }
        let next = self.form.write(content.unwrap_or_default(), entry);
        let done = if next.is_empty() {
            atomic_file::remove(&self.path)
        } else {
            atomic_file::replace(&self.path, next.as_bytes(), 0o600)
        };
        done.map_err(|error| Trouble::io(&self.place(), "writing", &error))?;
        Ok(true)
    }

    async fn lease(&self, _: &LeaseWish) -> Result<Leasing, Trouble> {
        let place = self.place();
        let lease = match file_lock::try_lease(&self.path, &place)? {
            Leasing::Taken(lease) => lease,
            Leasing::Busy => return Ok(Leasing::Busy),
        };
        let _held = self.write_lock().await?;
        match atomic_file::prepare(&self.path) {
            Ok(()) => Ok(Leasing::Taken(lease)),
            Err(error) => {
                self.release(lease).await?;
                Err(Trouble::io(&place, "taking room for a token", &error))
            }
        }
    }

    async fn release(&self, lease: Lease) -> Result<(), Trouble> {
        file_lock::release(lease, &self.place())
    }
}
