//! The admin API: JSON, RFC 9457 problems, one file a resource. Adapters onto `verbs`; the document
//! that describes them is generated from here (`openapi`).

mod audit;
mod body;
mod clients;
mod extract;
mod keys;
mod members;
mod openapi;
pub mod problem;
mod products;
mod role;
mod status;
mod usage;
mod views;
mod webhooks;
mod workspaces;

pub(super) use views::audit_entry;

use crate::app::App;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use std::sync::Arc;

/// Every address below `/admin/v1`.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let described = routes().into_iter();
    described
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

/// Every operation with its handler: the one table that the router and the document are made of.
fn routes() -> Vec<openapi::Route<Arc<App>>> {
    use openapi as operation;
    vec![
        operation::show_document().by(openapi::show),
        operation::show_status().by(status::show),
        operation::list_workspaces().by(workspaces::list),
        operation::create_workspace().by(workspaces::create),
        operation::show_workspace().by(workspaces::show),
        operation::change_workspace().by(workspaces::change),
        operation::list_clients().by(clients::list),
        operation::create_client().by(clients::create),
        operation::list_products().by(products::list),
        operation::put_product().by(products::put),
        operation::delete_product().by(products::delete),
        operation::show_client().by(clients::show),
        operation::change_client().by(clients::change),
        operation::delete_client().by(clients::delete),
        operation::disable_client().by(clients::disable),
        operation::enable_client().by(clients::enable),
        operation::resend_confirmation().by(clients::ask_again),
        operation::show_usage().by(usage::show),
        operation::create_secret().by(clients::rotate),
        operation::delete_secret().by(clients::delete_secret),
        operation::generate_token().by(clients::generate),
        operation::revoke_token().by(clients::revoke),
        operation::list_webhooks().by(webhooks::list),
        operation::create_webhook().by(webhooks::create),
        operation::change_webhook().by(webhooks::change),
        operation::delete_webhook().by(webhooks::delete),
        operation::rotate_webhook().by(webhooks::rotate),
        operation::test_webhook().by(webhooks::test),
        operation::list_notices().by(webhooks::notices),
        operation::list_audit().by(audit::list),
        operation::verify_audit().by(audit::verify),
        operation::list_members().by(members::list),
        operation::invite_member().by(members::invite),
        operation::show_member().by(members::show),
        operation::change_member().by(members::change),
        operation::remove_member().by(members::remove),
        operation::list_invitations().by(members::invited),
        operation::withdraw_invitation().by(members::withdraw),
        operation::list_admin_keys().by(keys::list),
        operation::create_admin_key().by(keys::create),
        operation::revoke_admin_key().by(keys::revoke),
    ]
}
