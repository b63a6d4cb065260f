//! Real gateways with the configurations of this folder, between a caller who sends raw bytes and
//! products that record what reaches them. The suite in `tests/` and the benchmarks stand on this.
//!
//! A recipe is run as it lies here, with nothing changed but ports and paths; this crate must never
//! hold a line of gateway configuration that its reader does not see in the recipe.

mod balancer;
pub mod gateway;
pub mod product;
mod recipe;
mod rust;
pub mod wire;

pub use balancer::{Balancer, Listeners};
pub use gateway::{ALL, CERTIFIED, Certificates, Kind, PATIENT, Places, Running};
pub use product::{Product, Seen};
pub use wire::{Ask, Line};

use std::path::{Path, PathBuf};
use std::process::Command;
use tokenward_testkit::{PROGRAM_LIMIT, Server, finish};

/// Writes the keys for replicas of a server into a folder.
///
/// # Panics
/// When the server's program does not give them.
#[must_use]
pub fn replica_keys(server: &Server, folder: &Path) -> PathBuf {
    let keys = folder.join("replica-keys");
    let mut making = Command::new(server.binary());
    making
        .args(["digest-key", "for-replicas", "--data-dir"])
        .arg(server.data_dir())
        .arg(&keys);
    let made = finish(&mut making, PROGRAM_LIMIT);
    assert!(made.status.success(), "{made:?}");
    keys
}
