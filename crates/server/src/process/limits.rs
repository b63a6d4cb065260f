//! Limits of the process itself: file descriptors, core dumps, and who may read its memory.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Raises the limit of open files to the highest value this process may set, and returns it.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let reached = match rustix::process::setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    reached.unwrap_or(u64::MAX)
}

/// Keeps secrets in memory out of core dumps and away from other processes of the same user: no core files, and no
/// `ptrace` or `/proc/PID/mem` but for root.
pub(crate) fn protect_memory() -> std::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
