//! Threads and their runtimes. The end of the writer's is to be waited for; nothing here tells it to end: that is the last
//! [`crate::Store`]'s being dropped.

use std::io;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Runtime};

/// A runtime for one thread.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Begins a thread of this name.
pub(crate) fn thread<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}

/// Waits for the writer to end: what is queued is done, a shared database's node row removed.
pub struct WriterHandle(pub(crate) JoinHandle<()>);

impl WriterHandle {
    /// Blocks until the writer has ended; every [`Store`](crate::Store) must be dropped before.
    pub fn join(self) {
        let _ = self.0.join();
    }
}
