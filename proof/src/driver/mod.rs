//! Makes calls to a running server and writes down what was seen, for the history checker.

mod attached;
mod caller;
mod nodes;
mod subject;

pub use attached::Attached;
pub(crate) use caller::Caller;
pub use nodes::Nodes;
pub(crate) use subject::{PRODUCTS, Subject};

/// Arguments of a server for callers that generate more than real ones.
pub(crate) const UNLIMITED: [&str; 4] = [
    "--quota-per-day",
    "1000000",
    "--secret-calls-per-second",
    "0",
];

/// The URL that names several database servers, of which the one that takes writes is used.
#[must_use]
pub fn database_url(ports: &[u16]) -> String {
    let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}"));
    let hosts = hosts.collect::<Vec<_>>().join(",");
    format!("postgres://postgres@{hosts}/tokenward?target_session_attrs=read-write")
}

/// A lock whose holder's panic ends the run anyway.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
