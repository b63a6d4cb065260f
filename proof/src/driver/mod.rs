//! Makes calls to a running server and writes down what was seen, for the history checker.

mod attached;
mod caller;
mod nodes;
mod subject;

pub use attached::Attached;
pub(crate) use caller::Caller;
pub use nodes::Nodes;
pub(crate) use subject::{PRODUCTS, Subject};

/// A lock whose holder's panic ends the run anyway.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
