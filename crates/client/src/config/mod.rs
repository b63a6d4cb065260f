//! Configuration in two stages: as written (TOML), and resolved into the parts that work. No secret passes through
//! here, and nothing is read from the environment but where the file lies.

mod resolved;
mod written;

pub use resolved::{Config, Parts};
pub use written::LogFormat;

use crate::destination::mounts;
use crate::environment;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Longest configuration file read, in bytes.
const MOST_FILE_BYTES: u64 = 1024 * 1024;

/// The configuration cannot be used; the sentence says which part and how to mend it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// The file named, or the first of the usual places that has one.
///
/// # Errors
/// When there is none.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Unusable> {
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
        Unusable(format!(
            "no configuration: looked for {}. Write one with `tokenward-agent init`, or name one with --config",
            tried.join(" and ")
        ))
    })
}

/// Reads and resolves a file.
///
/// # Errors
/// When it cannot be read or can be changed by every user, has an unknown key, or a value makes no sense.
pub fn load(path: &Path) -> Result<Config, Unusable> {
    let broken = |what: String| Unusable(format!("{}: {what}", path.display()));
    let found = std::fs::metadata(path).map_err(|error| broken(error.to_string()))?;
    // It names the server that gets the client secret, and the programs that are started.
    let is_everybodys =
        found.mode() & 0o002 != 0 && !mounts::holding(path).is_some_and(|mount| mount.is_read_only);
    if is_everybodys {
        return Err(broken(format!(
            "every user can change it, and so where the client secret is sent: run chmod o-w {}",
            path.display()
        )));
    }
    if found.len() > MOST_FILE_BYTES {
        return Err(broken("it is too large for a configuration".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| broken(error.to_string()))?;
    let written: written::Written = toml::from_str(&text)
        // The line itself is not repeated: somebody may have put a secret there.
        .map_err(|error| broken(position(&text, &error)))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    resolved::resolve(written, folder).map_err(broken)
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
