//! The admin API: JSON, RFC 9457 problems, one file a resource.

use crate::app::App;
use axum::Router;
use std::sync::Arc;

/// Every address below `/admin/v1`.
pub fn router() -> Router<Arc<App>> {
    Router::new()
}
