//! The store's one timer: pauses between attempts, and the time a predecessor's lease takes to end.

use std::time::Duration;

/// Lets `duration` pass.
#[expect(
    clippy::disallowed_methods,
    reason = "the store's one home of waiting for time itself"
)]
pub(crate) async fn pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}
