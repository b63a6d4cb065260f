//! The program's own part of the configuration file, the tables `log` and `daemon`. The API clients in it are read by
//! `tokenward_client::config`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::net::SocketAddr;
use std::path::Path;
use tokenward_client::config::{Config, ConfigError, File};
use tracing::Level;

/// The file's tables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default)]
    log: Log,
    #[serde(default)]
    daemon: Daemon,
    #[serde(rename = "client")]
    _client: Option<IgnoredAny>,
}

/// Log lines.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    level: Option<String>,
    #[serde(default)]
    format: LogFormat,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The daemon, `tokenward-agent run`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Daemon {
    /// Loopback address of health and metrics.
    listen: Option<String>,
}

/// What the file configures.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The level of log lines; none leaves it to the command.
    pub(crate) log_level: Option<Level>,
    pub(crate) log_format: LogFormat,
    /// Where the daemon serves health and metrics, on this machine only.
    pub(crate) listen: Option<SocketAddr>,
    /// The API clients.
    pub(crate) clients: Config,
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read, every user can change it, it has an unknown key, or a value is invalid.
pub(crate) fn load(path: &Path) -> Result<Settings, ConfigError> {
    let file = File::open(path)?;
    let tables: Tables = file.parse()?;
    let level = "log.level is not valid. Use error, warn, info, debug or trace";
    let log_level = tables.log.level.map(|text| text.parse()).transpose();
    let listen = tables.daemon.listen.as_deref().map(loopback).transpose();
    Ok(Settings {
        log_level: log_level.map_err(|_| file.error(level))?,
        log_format: tables.log.format,
        listen: listen.map_err(|what| file.error(what))?,
        clients: file.config()?,
    })
}

/// Health and metrics name clients and places, so they are for this machine only.
fn loopback(text: &str) -> Result<SocketAddr, &'static str> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "daemon.listen is an address such as 127.0.0.1:9466")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("daemon.listen must be an address of this machine only (127.0.0.1 or ::1)")
    }
}
