//! Where the client secret comes from: a file, a systemd credential, an environment variable, Vault. Never the
//! command line, which every user of the machine can read. It is fetched anew for each call, so that a rotated
//! secret is taken up and none lies in memory between calls.

use crate::credential::ClientSecret;
use crate::destination::mounts;
use async_trait::async_trait;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest file read, in bytes; a secret is a line.
const MOST_FILE_BYTES: usize = 4096;

/// There is no secret to be had; the sentence says how to mend it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no client secret from {from}: {what}")]
#[non_exhaustive]
pub struct SecretError {
    /// The source's name.
    pub from: String,
    /// What is wrong.
    pub what: String,
    /// Whether waiting can help.
    pub passing: bool,
}

impl SecretError {
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
    async fn secret(&self) -> Result<ClientSecret, SecretError>;

    /// Whether fetching it costs next to nothing and asks no other machine.
    fn is_near(&self) -> bool {
        true
    }

    /// Gives back what fetching it has taken elsewhere, such as a session.
    async fn close(&self) {}
}

/// A file that only its owner can read, or that root or the platform shares with this process alone.
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

    async fn secret(&self) -> Result<ClientSecret, SecretError> {
        read(self, private_file(&self.0))
    }
}

#[async_trait]
impl SecretSource for SystemdCredential {
    fn name(&self) -> String {
        format!("systemd credential {}", self.0)
    }

    async fn secret(&self) -> Result<ClientSecret, SecretError> {
        let Some(folder) = crate::environment::path("CREDENTIALS_DIRECTORY") else {
            let what = "CREDENTIALS_DIRECTORY is not set: start this from a unit with LoadCredential= or \
                 LoadCredentialEncrypted=";
            return Err(SecretError::new(&self.name(), what));
        };
        if self.0.is_empty() || self.0.contains('/') || self.0.starts_with('.') {
            let what = "that is no credential's name";
            return Err(SecretError::new(&self.name(), what));
        }
        // systemd guards the folder; the modes of its files follow systemd's own rules.
        read(self, short_file(&folder.join(&self.0)))
    }
}

#[async_trait]
impl SecretSource for SecretVariable {
    fn name(&self) -> String {
        format!("environment variable {}", self.0)
    }

    async fn secret(&self) -> Result<ClientSecret, SecretError> {
        let text = crate::environment::secret(&self.0);
        read(self, text.ok_or_else(|| "it is not set".to_owned()))
    }
}

/// The secret in what a source has.
fn read(
    source: &dyn SecretSource,
    text: Result<Zeroizing<String>, String>,
) -> Result<ClientSecret, SecretError> {
    let from = source.name();
    let text = text.map_err(|what| SecretError::new(&from, what))?;
    parse(&from, &text)
}

/// Reads a secret's text, and knows an access token when it sees one.
pub(crate) fn parse(from: &str, text: &str) -> Result<ClientSecret, SecretError> {
    if tokenward_core::AccessToken::parse(text.trim()).is_ok() {
        return Err(SecretError::new(
            from,
            "an access token stands there; put the client secret there, which alone generates tokens",
        ));
    }
    ClientSecret::parse(text).map_err(|error| SecretError::new(from, error.to_string()))
}

/// The text of a file that holds a secret; the error says what to do about one that too many can read.
pub(crate) fn private_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    let facts = Facts {
        mode: found.mode() & 0o777,
        is_roots: found.uid() == 0,
        is_groups_ours: rustix::process::getegid().as_raw() == found.gid()
            || rustix::process::getgroups()
                .unwrap_or_default()
                .iter()
                .any(|group| group.as_raw() == found.gid()),
        is_mounted_for_us: mounts::holding(path)
            .is_some_and(|mount| mount.is_read_only && (mount.is_in_memory || mount.is_bind)),
    };
    if facts.are_fit() {
        return short_file(path);
    }
    Err(format!(
        "its mode {:o} lets too many read or change it: run chmod 600 {}. (Accepted as well: read by a group of this \
         process when root owns the file, such as 0440 with Kubernetes' fsGroup; read by all on a read-only mount of its \
         own, in memory or bound, as Kubernetes, Docker and systemd mount secrets)",
        facts.mode,
        path.display()
    ))
}

/// What decides whether a file may hold a secret.
#[derive(Clone, Copy, Debug)]
struct Facts {
    mode: u32,
    /// Whether root owns it.
    is_roots: bool,
    /// Whether its group is one of this process's.
    is_groups_ours: bool,
    /// Whether it lies on a mount that was made to show it: read-only, and in memory or bound from elsewhere.
    is_mounted_for_us: bool,
}

impl Facts {
    /// The rule. Whoever may change a secret file may send another's tokens elsewhere, so nobody but the owner ever
    /// may.
    fn are_fit(self) -> bool {
        let only_owner = self.mode & 0o077 == 0;
        let group_reads = self.mode & 0o037 == 0 && self.is_roots && self.is_groups_ours;
        let all_read = self.mode & 0o033 == 0 && self.is_mounted_for_us;
        only_owner || group_reads || all_read
    }
}

fn short_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let content = crate::destination::read_file(path, MOST_FILE_BYTES)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "there is no such file".to_owned())?;
    std::str::from_utf8(&content)
        .map(|text| Zeroizing::new(text.trim().to_owned()))
        .map_err(|_| "it is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_is_its_owners_its_groups_or_mounted_for_us() {
        let check = |mode, is_roots, is_groups_ours, is_mounted_for_us, fit| {
            let facts = Facts {
                mode,
                is_roots,
                is_groups_ours,
                is_mounted_for_us,
            };
            assert_eq!(facts.are_fit(), fit, "{facts:?}");
        };
        for mode in [0o600, 0o400, 0o700] {
            check(mode, false, false, false, true);
        }
        // Kubernetes with fsGroup.
        check(0o440, true, true, false, true);
        check(0o640, true, true, false, true);
        check(0o440, false, true, false, false);
        check(0o440, true, false, false, false);
        check(0o460, true, true, false, false);
        // Kubernetes and Docker without; systemd's access lists show as a group's right.
        check(0o444, true, false, true, true);
        check(0o644, false, false, true, true);
        check(0o440, true, false, true, true);
        check(0o444, true, true, false, false);
        check(0o664, true, true, true, false);
        check(0o646, true, true, true, false);
    }
}
