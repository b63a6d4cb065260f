//! A file as home: the entry's JSON, replaced whole, locked by the file beside it whose name ends in `.lock`. A new file
//! is readable by its owner only. For workers of one machine; not for network file systems, whose locks promise less.
//!
//! What else a file holds is never lost: content that cannot be kept as it is, byte for byte, is refused when it is
//! read, which is before a token is generated for it.

use super::{
    DestinationError, Home, Lease, LeaseRequest, Place, ProcessLock, atomic_file, file_lock,
};
use crate::protocol::{Entry, Stored, Version};
use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use tokenward_core::hex;
use zeroize::Zeroizing;

/// Largest file read, in bytes; an `.env` shared with an application may hold much besides the token.
pub(crate) const MOST_FILE_BYTES: usize = 256 * 1024;

/// What a file costs that is mounted by itself.
pub(crate) const WRITTEN_IN_PLACE: &str = "it is mounted by itself and so is written in place: a reader may see half of \
    it, and a crash in the middle of a write damages it. Mount its folder instead";

/// How a file's content stands for an entry.
pub trait Form: Send + Sync + std::fmt::Debug + 'static {
    /// The word for this kind of file.
    const WORD: &'static str;

    /// The entry in the content, if there is one that can be read.
    ///
    /// # Errors
    /// When a write would lose content that is somebody else's; the sentence says what to do.
    fn read(&self, content: &[u8]) -> Result<Option<Entry>, String>;

    /// The content with this entry in place of what it held, or with none.
    ///
    /// # Errors
    /// As [`Form::read`].
    fn write(&self, content: &[u8], entry: Option<&Entry>) -> Result<Zeroizing<Vec<u8>>, String>;
}

/// The entry's JSON and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Form for Json {
    const WORD: &'static str = "file";

    fn read(&self, content: &[u8]) -> Result<Option<Entry>, String> {
        let text = std::str::from_utf8(content).unwrap_or_default();
        let entry = Entry::from_json(text).ok();
        // One of ours, or one cut short: it has the first name that an entry is written with.
        let ours = text.starts_with('{') && text.contains("\"access_token\"");
        if entry.is_some() || ours || content.trim_ascii().is_empty() {
            Ok(entry)
        } else {
            Err("it holds something that this program did not write, and is left as it is: name another file, or \
                 remove this one"
                .to_owned())
        }
    }

    fn write(&self, content: &[u8], entry: Option<&Entry>) -> Result<Zeroizing<Vec<u8>>, String> {
        self.read(content)?;
        Ok(entry.map_or_else(Zeroizing::default, |entry| {
            let mut json = Zeroizing::new(entry.to_json().as_bytes().to_vec());
            json.push(b'\n');
            json
        }))
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

    /// The file itself, where the path is a link: its locks lie beside it, whatever links lead there.
    fn real_path(&self) -> Result<PathBuf, DestinationError> {
        let target = atomic_file::find(&self.path);
        Ok(target.map_err(|fault| self.fault(fault, "reading"))?.path)
    }

    fn fault(&self, fault: atomic_file::Fault, doing: &str) -> DestinationError {
        fault.trouble(&self.place(), doing)
    }

    fn unfit(&self, what: String) -> DestinationError {
        DestinationError::misconfigured(&self.place(), what)
    }

    /// Makes comparing and swapping one step, also for writers without the lease (another worker may keep this
    /// file as its second place); another file than the lease's, for a lease holder writes too.
    async fn write_lock(&self) -> Result<file_lock::Held, DestinationError> {
        let path = self.real_path()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let lock = ProcessLock::new(path.with_file_name(format!(".{name}.writing")));
        file_lock::write_lock(&lock, &self.place()).await
    }

    fn content(&self) -> Result<Option<Zeroizing<Vec<u8>>>, DestinationError> {
        atomic_file::read(&self.real_path()?, MOST_FILE_BYTES)
            .map_err(|error| DestinationError::io(&self.place(), "reading", &error))
    }

    /// Tries everything that storing a token will do.
    async fn prepare(&self) -> Result<file_lock::Held, DestinationError> {
        let held = self.write_lock().await?;
        let content = self.content()?.unwrap_or_default();
        self.form
            .write(&content, None)
            .map_err(|what| self.unfit(what))?;
        atomic_file::prepare(&self.path)
            .map_err(|fault| self.fault(fault, "taking room for a token"))?;
        Ok(held)
    }
}

/// A file's content as a version; empty where there is no file.
pub(super) fn version_of(content: Option<&[u8]>) -> Version {
    let digest = |content| hex::encode(&Sha256::digest(content)).to_string();
    Version(content.map_or_else(String::new, digest))
}

impl<F: Form> Place for FileHome<F> {
    fn place(&self) -> String {
        format!("{} {}", F::WORD, self.path.display())
    }
}

#[async_trait]
impl<F: Form> Home for FileHome<F> {
    async fn read(&self) -> Result<Stored, DestinationError> {
        let content = self.content()?;
        let content = content.as_ref().map(|content| content.as_slice());
        let entry = content.map(|content| self.form.read(content)).transpose();
        let entry = entry.map_err(|what| self.unfit(what))?.flatten();
        Ok(Stored {
            entry: entry.map(Arc::new),
            version: version_of(content),
        })
    }

    async fn write(&self, entry: Option<&Entry>, over: &Version) -> Result<bool, DestinationError> {
        let _held = self.write_lock().await?;
        let content = self.content()?;
        let content = content.as_ref().map(|content| content.as_slice());
        if version_of(content) != *over {
            return Ok(false);
        }
        let next = self
            .form
            .write(content.unwrap_or_default(), entry)
            .map_err(|what| self.unfit(what))?;
        let done = if next.is_empty() {
            atomic_file::remove(&self.path)
        } else {
            atomic_file::replace(&self.path, &next)
        };
        done.map_err(|fault| self.fault(fault, "writing"))?;
        Ok(true)
    }

    async fn lease(&self, _: &LeaseRequest) -> Result<Option<Lease>, DestinationError> {
        file_lock::lease_prepared(&self.real_path()?, &self.place(), self.prepare()).await
    }

    async fn release(&self, lease: Lease) -> Result<(), DestinationError> {
        file_lock::release(lease, &self.place())
    }

    async fn check_home(&self) -> Result<Option<&'static str>, DestinationError> {
        let _held = self.prepare().await?;
        atomic_file::unprepare(&self.path);
        Ok(atomic_file::is_written_in_place(&self.path).then_some(WRITTEN_IN_PLACE))
    }
}
