//! Servers of tests that are written in Python, with the packages that `make setup` installs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, set_up};

/// A running server that said where it listens; it ends with this value.
#[derive(Debug)]
pub struct PythonServer {
    /// Its port of 127.0.0.1.
    pub port: u16,
    _process: Process,
    // Goes away after the process.
    _folder: TempDir,
}

impl PythonServer {
    /// Starts a script and waits until it has written `listening PORT`.
    ///
    /// # Panics
    /// When it has not within `limit`; the message holds what it wrote.
    #[must_use]
    pub fn start(script: &Path, limit: Duration, arguments: &[&str]) -> PythonServer {
        let python = set_up(".cache/venv/bin/python");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("log");
        let fill = |command: &mut Command| {
            command.arg(script).args(arguments);
        };
        let (process, port) = Process::serving(&python, None, &log, limit, fill, || {
            let said = std::fs::read_to_string(&log).ok()?;
            // Half a line may stand there.
            let mut lines = said.split_inclusive('\n');
            let port = |line: &str| {
                line.strip_prefix("listening ")?
                    .strip_suffix('\n')?
                    .parse()
                    .ok()
            };
            lines.find_map(port)
        });
        PythonServer {
            port,
            _process: process,
            _folder: folder,
        }
    }
}
