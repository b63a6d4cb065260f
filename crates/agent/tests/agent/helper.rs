//! Programs that run beside a test (a Vault, an AWS stand-in, the agent as a daemon): started quietly, always ended with the
//! value, and with the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use tokenward_testkit::Process;

/// A running program.
#[derive(Debug)]
pub(crate) struct Helper {
    process: Process,
    folder: TempDir,
}

impl Helper {
    /// Starts `program`; `fill` adds arguments and environment.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub(crate) fn start(program: &Path, fill: impl FnOnce(&mut Command)) -> Helper {
        let folder = tempfile::Builder::new()
            .prefix("tokenward-helper-")
            .tempdir()
            .expect("a temporary folder");
        let log = folder.path().join("output.log");
        let process = Process::start(program, None, &log, &log, fill)
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Helper { process, folder }
    }

    /// The operating system's id of the process.
    #[must_use]
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The file with everything it wrote.
    #[must_use]
    pub(crate) fn output_file(&self) -> PathBuf {
        self.folder.path().join("output.log")
    }

    /// Everything it wrote so far.
    #[must_use]
    pub(crate) fn output(&self) -> String {
        let bytes = std::fs::read(self.output_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        self.process.ended().is_some()
    }
}
