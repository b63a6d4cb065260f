//! The admin API: JSON, RFC 9457 problems, one file a resource. Adapters onto `verbs`; the document
//! that describes them is generated from here (`openapi`).

mod audit;
mod body;
mod clients;
mod extract;
mod keys;
pub mod problem;
mod products;
mod status;
mod views;
mod workspaces;

use crate::app::App;
use axum::Router;
use axum::routing::{delete, get, post, put};
use std::sync::Arc;

/// Every address below `/admin/v1`.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/status", get(status::show))
        .route(
            "/workspaces",
            get(workspaces::list).post(workspaces::create),
        )
        .route(
            "/workspaces/{id}",
            get(workspaces::show).patch(workspaces::change),
        )
        .route(
            "/workspaces/{id}/clients",
            get(clients::list).post(clients::create),
        )
        .route("/products", get(products::list))
        .route(
            "/products/{slug}",
            put(products::put).delete(products::delete),
        )
        .route(
            "/clients/{id}",
            get(clients::show)
                .patch(clients::change)
                .delete(clients::delete),
        )
        .route("/clients/{id}/disable", post(clients::disable))
        .route("/clients/{id}/enable", post(clients::enable))
        .route("/clients/{id}/secrets", post(clients::rotate))
        .route("/clients/{id}/secrets/{n}", delete(clients::delete_secret))
        .route(
            "/clients/{id}/token",
            post(clients::generate).delete(clients::revoke),
        )
        .route("/audit", get(audit::list))
        .route("/audit/verify", get(audit::verify))
        .route("/admin-keys", get(keys::list).post(keys::create))
        .route("/admin-keys/{id}", delete(keys::revoke))
        .fallback(problem::nothing_here)
        .method_not_allowed_fallback(problem::method_not_allowed)
}
