//! Audits the operations that an administrator's role did not allow, in the admin API and in the console alike.

use super::envelope::Told;
use crate::app::App;
use crate::auth::authority::Admin;
use crate::auth::refused_credentials;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::{Extensions, StatusCode};
use std::sync::{Arc, OnceLock};

/// The code of a refusal by role.
pub(super) const FORBIDDEN: &str = "FORBIDDEN";

/// The administrator who sent a request, once known.
#[derive(Clone, Default)]
struct Asking(Arc<OnceLock<(Arc<App>, Admin)>>);

/// Remembers for the request's answer which administrator sent it.
pub(super) fn asks(extensions: &Extensions, app: &Arc<App>, admin: impl FnOnce() -> Admin) {
    if let Some(asking) = extensions.get::<Asking>() {
        let _ = asking.0.set((Arc::clone(app), admin()));
    }
}

/// Notes the answers that refuse an administrator for their role.
pub(super) async fn note(mut request: Request, next: Next) -> Response {
    let asking = Asking::default();
    request.extensions_mut().insert(asking.clone());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let told = response.extensions().get::<Told>();
    let by_role = told.is_some_and(|told| told.code == FORBIDDEN);
    if response.status() == StatusCode::FORBIDDEN
        && by_role
        && let Some((app, admin)) = asking.0.get()
    {
        let path = path.as_ref().map_or("", MatchedPath::as_str);
        refused_credentials::role(&app.people, admin, format!("{method} {path}"));
    }
    response
}
