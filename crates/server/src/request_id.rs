//! The id of the request under way, for what is written on its behalf: the audit log holds the same id as the answer's
//! `x-request-id` and the log lines.

use tokio::task_local;
use uuid::Uuid;

task_local! {
    static CURRENT: Uuid;
}

/// Runs what answers a request under the request's id.
pub(crate) async fn scope<T>(id: Uuid, answering: impl Future<Output = T>) -> T {
    CURRENT.scope(id, answering).await
}

/// The id of the request that the caller answers; none outside one.
#[must_use]
pub(crate) fn current() -> Option<Uuid> {
    CURRENT.try_with(|id| *id).ok()
}
