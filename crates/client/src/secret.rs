//! Where the client secret comes from: a file, a systemd credential, an environment variable, Vault. Never the
//! command line, which every user of the machine can read. It is fetched anew for each call, so that a rotated
//! secret is taken up and none lies in memory between calls.

use crate::credential::ClientSecret;
use async_trait::async_trait;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest file read, in bytes; a secret is a line.
const MOST_FILE_BYTES: usize = 4096;

/// There is no secret to be had; the sentence says how to mend it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no client secret from {from}: {what}")]
pub struct SecretTrouble {
    /// The source's name.
    pub from: String,
    /// What is wrong.
    pub what: String,
    /// Whether waiting can help.
    pub passing: bool,
}

impl SecretTrouble {
    pub(crate) fn new(from: &str, what: impl Into<String>) -> Self {
        Self {
            from: from.to_owned(),
            what: what.into(),
            passing: false,
        }
    }
}

/// A source of the client secret.
#[async_trait]
pub trait SecretSource: Send + Sync + fmt::Debug {
    /// Its name for people, such as `file /etc/tokenward/erp.secret`.
    fn name(&self) -> String;

    /// Fetches the secret.
    async fn secret(&self) -> Result<ClientSecret, SecretTrouble>;
}

/// A file that only its owner can read.
#[derive(Clone, Debug)]
pub struct SecretFile(pub PathBuf);

/// A credential that systemd hands to the service (`LoadCredential=`, `LoadCredentialEncrypted=`).
#[derive(Clone, Debug)]
pub struct SystemdCredential(pub String);

/// An environment variable.
#[derive(Clone, Debug)]
pub struct SecretVariable(pub String);

#[async_trait]
impl SecretSource for SecretFile {
    fn name(&self) -> String {
        format!("file {}", self.0.display())
    }

    async fn secret(&self) -> Result<ClientSecret, SecretTrouble> {
        let from = self.name();
        let text = private_file(&self.0).map_err(|what| SecretTrouble::new(&from, what))?;
        parse(&from, &text)
    }
}

#[async_trait]
impl SecretSource for SystemdCredential {
    fn name(&self) -> String {
        format!("systemd credential {}", self.0)
    }

    async fn secret(&self) -> Result<ClientSecret, SecretTrouble> {
        let from = self.name();
        let folder = crate::environment::path("CREDENTIALS_DIRECTORY").ok_or_else(|| {
            SecretTrouble::new(
                &from,
                "CREDENTIALS_DIRECTORY is not set: start this from a unit with LoadCredential= or \
                 LoadCredentialEncrypted=",
            )
        })?;
        if self.0.is_empty() || self.0.contains('/') || self.0.starts_with('.') {
            return Err(SecretTrouble::new(&from, "that is no credential's name"));
        }
        // systemd guards the folder; the modes of its files follow systemd's own rules.
        let path = folder.join(&self.0);
        let text = short_file(&path).map_err(|what| SecretTrouble::new(&from, what))?;
        parse(&from, &text)
    }
}

#[async_trait]
impl SecretSource for SecretVariable {
    fn name(&self) -> String {
        format!("environment variable {}", self.0)
    }

    async fn secret(&self) -> Result<ClientSecret, SecretTrouble> {
        let from = self.name();
        let text = crate::environment::secret(&self.0)
            .ok_or_else(|| SecretTrouble::new(&from, "it is not set"))?;
        parse(&from, &text)
    }
}

/// Reads a secret's text, and knows an access token when it sees one.
pub(crate) fn parse(from: &str, text: &str) -> Result<ClientSecret, SecretTrouble> {
    if tokenward_core::AccessToken::parse(text.trim()).is_ok() {
        return Err(SecretTrouble::new(
            from,
            "an access token stands there; put the client secret there, which alone generates tokens",
        ));
    }
    ClientSecret::parse(text).map_err(|error| SecretTrouble::new(from, error.to_string()))
}

/// The text of a file that nobody but its owner can read; the error says how to mend it.
pub(crate) fn private_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let mode = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        let mode = mode & 0o777;
        return Err(format!(
            "others can read or change it (mode {mode:o}): run chmod 600 {}",
            path.display()
        ));
    }
    short_file(path)
}

fn short_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let content = crate::destination::read_file(path, MOST_FILE_BYTES)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "there is no such file".to_owned())?;
    std::str::from_utf8(&content)
        .map(|text| Zeroizing::new(text.trim().to_owned()))
        .map_err(|_| "it is not text".to_owned())
}
