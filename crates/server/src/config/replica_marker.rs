//! A file in the data directory that says: replicas may be vouching by this node's word. The next process
//! that finds it answers no change before their leases are over.

use crate::config::data_dir::{self, DataDirError};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};

/// The marker, and whether this process has written it.
pub(crate) struct Marker {
    path: PathBuf,
    written: Mutex<bool>,
}

impl Marker {
    /// The marker in a data directory.
    pub(crate) fn in_dir(directory: &Path) -> Self {
        Self {
            path: directory.join(data_dir::REPLICAS),
            written: Mutex::new(false),
        }
    }

    /// Writes it, once; must have succeeded before the first replica is attached.
    pub(crate) fn write(&self) -> Result<(), DataDirError> {
        let mut written = self.written.lock();
        if !*written {
            data_dir::replace(&self.path, b"replicas were attached\n")?;
            *written = true;
        }
        Ok(())
    }

    /// Removes it: nobody can be vouching any more.
    pub(crate) fn remove(&self) -> Result<(), DataDirError> {
        data_dir::remove(&self.path)
    }
}
