//! A folder of credentials as systemd loads them: the bare token in a file of the credential's name, which a unit
//! names in `LoadCredential=` (or, encrypted for this machine by `systemd-creds`, in `LoadCredentialEncrypted=`), and
//! beside it a file with what other holders must know, without the token.
//!
//! The two files cannot be replaced in one step. The second holds the first one's digest and is written first, so a
//! reader between two steps sees that they do not belong together, and takes the place for empty. A first file without
//! a second is therefore somebody else's, and is left as it is.

use super::file::{WRITTEN_IN_PLACE, version_of};
use super::{
    DestinationError, Home, Lease, LeaseRequest, Place, ProcessLock, atomic_file, file_lock,
};
use crate::credential::AccessToken;
use crate::protocol::{Entry, Notes, Stored, Version};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

/// Longest file read, in bytes; an encrypted token takes about two thousand.
const MOST_FILE_BYTES: usize = 64 * 1024;

/// A credential in a folder as home.
#[derive(Clone, Debug)]
pub struct CredentialsFolder {
    token: PathBuf,
    notes: PathBuf,
    name: String,
    encrypt: bool,
    withheld: Arc<[String]>,
}

/// The second file.
#[derive(Serialize, Deserialize)]
struct Beside {
    digest: String,
    generation: Option<u32>,
    notes: Notes,
}

impl CredentialsFolder {
    /// The credential `name` in this folder, which must exist; `encrypt` needs `systemd-creds` and, on most machines,
    /// root. It is started without the environment variables `withheld`, such as those that hold client secrets.
    #[must_use]
    pub fn new(folder: &Path, name: &str, encrypt: bool, withheld: Arc<[String]>) -> Self {
        Self {
            token: folder.join(name),
            notes: folder.join(format!("{name}.state")),
            name: name.to_owned(),
            encrypt,
            withheld,
        }
    }

    fn lock(&self) -> ProcessLock {
        let folder = self.token.parent().unwrap_or(Path::new("."));
        ProcessLock::new(folder.join(format!(".{}.writing", self.name)))
    }

    /// Passes a text through `systemd-creds`, standard input to standard output.
    async fn creds(
        &self,
        verb: &str,
        input: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DestinationError> {
        let place = self.place();
        let failed = |what: String| DestinationError::misconfigured(&place, what);
        let mut command = Command::new("systemd-creds");
        for variable in &*self.withheld {
            command.env_remove(variable);
        }
        let mut child = command
            .arg(format!("--name={}", self.name))
            .args([verb, "-", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                failed(format!(
                    "systemd-creds does not start ({error}): install systemd"
                ))
            })?;
        if let Some(mut stdin) = child.stdin.take() {
            let sent = stdin.write_all(input).await;
            sent.map_err(|error| failed(format!("systemd-creds: {error}")))?;
        }
        let output = child.wait_with_output().await;
        let output = output.map_err(|error| failed(format!("systemd-creds: {error}")))?;
        let bytes = Zeroizing::new(output.stdout);
        output.status.success().then_some(bytes).ok_or_else(|| {
            failed(format!(
                "systemd-creds {verb} failed: it needs root, or a key of this machine (systemd-creds setup)"
            ))
        })
    }

    fn bytes(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, DestinationError> {
        let target = atomic_file::find(path).map_err(|fault| self.fault(fault, "reading"))?;
        atomic_file::read(&target.path, MOST_FILE_BYTES)
            .map_err(|error| DestinationError::io(&self.place(), "reading", &error))
    }

    fn fault(&self, fault: atomic_file::Fault, doing: &str) -> DestinationError {
        fault.trouble(&self.place(), doing)
    }

    /// Refuses files that this program did not write.
    fn check_ours(
        &self,
        token: Option<&[u8]>,
        beside: Option<&[u8]>,
    ) -> Result<(), DestinationError> {
        let empty = |bytes: Option<&[u8]>| bytes.is_none_or(|bytes| bytes.trim_ascii().is_empty());
        let known = beside.is_some_and(|bytes| serde_json::from_slice::<Beside>(bytes).is_ok());
        if known || empty(beside) && empty(token) {
            return Ok(());
        }
        let what = format!(
            "it, or {} beside it, holds something that this program did not write, and is left as it is: choose another \
             name, or remove both files",
            self.notes.display()
        );
        Err(DestinationError::misconfigured(&self.place(), what))
    }

    /// Both files as they are.
    fn both(&self) -> Result<[Option<Zeroizing<Vec<u8>>>; 2], DestinationError> {
        let both = [self.bytes(&self.token)?, self.bytes(&self.notes)?];
        let [token, beside] = both.each_ref().map(|one| one.as_deref().map(Vec::as_slice));
        self.check_ours(token, beside)?;
        Ok(both)
    }

    /// Tries everything that storing a token will do.
    async fn prepare(&self) -> Result<file_lock::Held, DestinationError> {
        let held = file_lock::write_lock(&self.lock(), &self.place()).await?;
        self.both()?;
        atomic_file::prepare(&self.token)
            .and_then(|()| atomic_file::prepare(&self.notes))
            .map_err(|fault| self.fault(fault, "taking room for a token"))?;
        Ok(held)
    }

    /// Both files, if they belong together.
    async fn entry(&self, token: &[u8], beside: &[u8]) -> Result<Option<Entry>, DestinationError> {
        let beside = serde_json::from_slice::<Beside>(beside).ok();
        let Some(beside) = beside.filter(|beside| beside.digest == version_of(Some(token)).0)
        else {
            return Ok(None);
        };
        let plain = if self.encrypt {
            self.creds("decrypt", token).await?
        } else {
            Zeroizing::new(token.to_vec())
        };
        let text = std::str::from_utf8(&plain).ok();
        let token = text.and_then(|text| AccessToken::parse(text).ok());
        let (generation, notes) = (beside.generation, Some(beside.notes));
        Ok(token.map(|token| Entry::from_parts(token, generation, None, notes)))
    }
}

impl Place for CredentialsFolder {
    fn place(&self) -> String {
        format!("credential {}", self.token.display())
    }
}

#[async_trait]
impl Home for CredentialsFolder {
    async fn read(&self) -> Result<Stored, DestinationError> {
        let [token, beside] = self.both()?;
        let entry = match (&token, &beside) {
            (Some(token), Some(beside)) => self.entry(token, beside).await?,
            _ => None,
        };
        Ok(Stored {
            entry: entry.map(Arc::new),
            version: version_of(token.as_deref().map(Vec::as_slice)),
        })
    }

    async fn write(&self, entry: Option<&Entry>, over: &Version) -> Result<bool, DestinationError> {
        let held = file_lock::write_lock(&self.lock(), &self.place()).await?;
        let [found, _] = self.both()?;
        if version_of(found.as_deref().map(Vec::as_slice)) != *over {
            return Ok(false);
        }
        let failed = |fault: atomic_file::Fault| self.fault(fault, "writing");
        let Some(entry) = entry else {
            atomic_file::remove(&self.token).map_err(failed)?;
            atomic_file::remove(&self.notes).map_err(failed)?;
            return Ok(true);
        };
        let plain = entry.token.expose().as_bytes();
        let content = if self.encrypt {
            self.creds("encrypt", plain).await?
        } else {
            Zeroizing::new(plain.to_vec())
        };
        let beside = Beside {
            digest: version_of(Some(&content)).0,
            generation: entry.generation,
            notes: entry.notes(),
        };
        let beside = serde_json::to_vec(&beside).unwrap_or_default();
        // A new file is its owner's alone; systemd reads it as root.
        atomic_file::replace(&self.notes, &beside).map_err(failed)?;
        atomic_file::replace(&self.token, &content).map_err(failed)?;
        drop(held);
        Ok(true)
    }

    async fn lease(&self, _: &LeaseRequest) -> Result<Option<Lease>, DestinationError> {
        file_lock::lease_prepared(&self.notes, &self.place(), self.prepare()).await
    }

    async fn release(&self, lease: Lease) -> Result<(), DestinationError> {
        file_lock::release(lease, &self.place())
    }

    async fn check_home(&self) -> Result<Option<&'static str>, DestinationError> {
        let _held = self.prepare().await?;
        atomic_file::unprepare(&self.token);
        atomic_file::unprepare(&self.notes);
        Ok(atomic_file::is_written_in_place(&self.token).then_some(WRITTEN_IN_PLACE))
    }
}
