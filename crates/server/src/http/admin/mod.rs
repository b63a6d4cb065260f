//! The admin API: JSON, RFC 9457 problems, one file a resource. Adapters between `verbs` and the bodies of `tokenward-api`.
//! The router and the OpenAPI document are made of one table (`routes`).

mod audit;
mod body;
mod clients;
mod extract;
mod keys;
mod members;
mod nodes;
mod openapi;
pub mod problem;
mod products;
mod reply;
mod routes;
mod status;
mod usage;
mod views;
mod webhooks;
mod workspaces;

pub(super) use views::audit_line;

/// What adapters are made of.
mod prelude {
    pub(super) use super::body::{Body, MaybeBody};
    pub(super) use super::extract::{Call, Query, client_id, id, workspace_id};
    pub(super) use super::problem::Problem;
    pub(super) use super::reply::{Accepted, Answer, Created, Json, NoContent};
    pub(super) use super::views;
    pub(super) use crate::data::Data;
    pub(super) use http::request::Parts;
    pub(super) use tokenward_api::Page;
    pub(super) use tokenward_core::ids::{ClientId, WorkspaceId};
}

use crate::app::App;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use std::sync::Arc;

/// Every address below `/admin/v1`.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    routes::routes()
        .into_iter()
        .fold(Router::new(), |router, route| {
            router.route(route.path, route.handler)
        })
        .fallback(problem::nothing_here)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn(crate::http::denied::note))
        .layer(middleware::from_fn_with_state(Arc::clone(app), counted))
}

/// Counts an answer by its kind.
async fn counted(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    app.data.metrics.administered(match status {
        _ if status.is_server_error() => "FAILED",
        _ if status.is_client_error() => "REFUSED",
        _ => "OK",
    });
    response
}
