//! `/status`: what runs here.

use super::extract::Signed;
use super::problem::Answer;
use super::views;
use crate::app::App;
use axum::extract::State;
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;

pub(super) async fn show(State(app): State<Arc<App>>, Signed(admin): Signed) -> Answer {
    let (change_number, audit_seq) = app.data.store.numbers();
    let mut body = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "vouching": app.is_ready(),
        "writable": app.data.store.is_writable(),
        "role": crate::verbs::roles::word(&admin.role),
    });
    if admin.own_workspace().is_none() {
        body["change_number"] = change_number.into();
        body["audit_seq"] = audit_seq.into();
        body["epoch"] = app.data.store.head_at_open().epoch.to_string().into();
        body["clients"] = app.data.replica().client_count().into();
        body["engine"] = if app.data.config.database_url.is_some() {
            "postgres".into()
        } else {
            "sqlite".into()
        };
        body["quota_per_day"] = app.data.config.quota_per_day.into();
    }
    Ok(views::answer(StatusCode::OK, &body))
}
