//! The end of the writer's thread, to be waited for. Nothing here tells it to end: that is the last
//! [`crate::Store`]'s being dropped.

/// Waits for the writer to end: what is queued is done, a shared database's node row removed.
pub struct WriterHandle {
    thread: Option<std::thread::JoinHandle<()>>,
}

impl WriterHandle {
    pub(crate) fn new(thread: std::thread::JoinHandle<()>) -> Self {
        Self {
            thread: Some(thread),
        }
    }

    /// Blocks until the writer has ended; every [`Store`](crate::Store) must be dropped before.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
