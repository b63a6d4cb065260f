//! Authorization server metadata (RFC 8414).

use super::Reply;
use super::reply::OAuthError;
use crate::app::App;
use crate::http::json_reply;
use crate::http::request_host;
use axum::extract::{Request, State};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;
use std::sync::Arc;

/// What the server can do, and where.
pub(super) async fn metadata(State(app): State<Arc<App>>, request: Request) -> Reply {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return OAuthError::method_not_allowed("GET, HEAD").reply(&app);
    }
    let issuer = request_host::issuer(&app, request.headers());
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    // The issuer is said to the letter (RFC 8414, section 3.3), the addresses without a double slash.
    let base = issuer.trim_end_matches('/');
    let body = json!({
        "issuer": issuer,
        "token_endpoint": format!("{base}/oauth2/token"),
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": format!("{base}/oauth2/introspect"),
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": format!("{base}/oauth2/revoke"),
        "revocation_endpoint_auth_methods_supported": methods,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
    });
    let mut reply = json_reply(StatusCode::OK, &body);
    let headers = reply.headers_mut();
    headers.remove(header::PRAGMA);
    // Where it follows the request's own headers, it is for this caller only.
    let cached = match request_host::is_configured(&app) {
        true => "public, max-age=3600",
        false => "private, max-age=3600",
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    reply
}
