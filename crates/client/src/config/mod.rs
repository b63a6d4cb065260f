//! Configuration in two stages: as written (TOML), and resolved into the parts that work. No secret passes through
//! here, and nothing is read from the environment but where the file lies.

mod resolved;
mod written;

pub use resolved::{Config, Parts};

use crate::destination::mounts;
use crate::environment;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Longest configuration file read, in bytes.
const MOST_FILE_BYTES: u64 = 1024 * 1024;

/// The configuration can't be used. The message names the file, the part, and what to change.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// The file named, or the first of the usual places that has one.
///
/// # Errors
/// When there is none.
pub fn find(named: Option<&Path>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    if let Some(path) = environment::path("TOKENWARD_AGENT_CONFIG") {
        return Ok(path);
    }
    let personal = environment::path("XDG_CONFIG_HOME")
        .or_else(|| Some(environment::path("HOME")?.join(".config")));
    let places = personal
        .into_iter()
        .chain([PathBuf::from("/etc")])
        .map(|folder| folder.join("tokenward/agent.toml"));
    let tried: Vec<PathBuf> = places.collect();
    tried.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
        let tried: Vec<String> = tried.iter().map(|path| path.display().to_string()).collect();
        ConfigError(format!(
            "no configuration: looked for {}. Write one with `tokenward-agent init`, or name one with --config",
            tried.join(" and ")
        ))
    })
}

/// Reads the API clients of a configuration file. The tables `log` and `daemon`, which are `tokenward-agent`'s own, are
/// accepted and not looked at.
///
/// # Errors
/// When the file cannot be read, every user can change it, it has an unknown key, or a value is invalid.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    File::open(path)?.config()
}

/// A configuration file that has been read, for a program that keeps settings of its own in it.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 1 MiB, or every user can change it.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let path = path.to_owned();
        let broken = |what: String| ConfigError(format!("{}: {what}", path.display()));
        let found = std::fs::metadata(&path).map_err(|error| broken(error.to_string()))?;
        // It names the server that gets the client secret, and the programs that are started.
        let is_everybodys = found.mode() & 0o002 != 0
            && !mounts::holding(&path).is_some_and(|mount| mount.is_read_only);
        if is_everybodys {
            return Err(broken(format!(
                "every user can change it, and so where the client secret is sent: run chmod o-w {}",
                path.display()
            )));
        }
        if found.len() > MOST_FILE_BYTES {
            return Err(broken("it is too large for a configuration".to_owned()));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| broken(error.to_string()))?;
        Ok(Self { path, text })
    }

    /// The file's tables as a type of the program. That type accepts the table `client` and need not look at it.
    ///
    /// # Errors
    /// When the file is not TOML or does not fit the type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        // The line itself is not repeated: it may contain a secret.
        toml::from_str(&self.text).map_err(|error| self.error(position(&self.text, &error)))
    }

    /// The API clients.
    ///
    /// # Errors
    /// When there is none, a key is unknown, or a value is invalid.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        resolved::resolve(self.parse()?, folder).map_err(|what| self.error(what))
    }

    /// An error about this file.
    #[must_use]
    pub fn error(&self, what: impl Display) -> ConfigError {
        ConfigError(format!("{}: {what}", self.path.display()))
    }
}

fn position(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| {
        text.get(..span.start)
            .unwrap_or(text)
            .lines()
            .count()
            .max(1)
    });
    let what = error.message();
    match line {
        Some(line) => format!("line {line}: {what}"),
        None => what.to_owned(),
    }
}
