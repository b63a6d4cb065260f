//! `/audit`

use super::extract::{Query, Signed};
use super::problem::{Answer, Problem};
use super::views;
use crate::app::App;
use crate::verbs;
use crate::verbs::audit::Verified;
use axum::extract::State;
use http::StatusCode;
use http::request::Parts;
use serde_json::json;
use std::sync::Arc;
use tokenward_core::audit::Head;
use tokenward_core::ids::{ClientId, WorkspaceId};
use tokenward_store::AuditFilter;

/// The largest number an entry can have: what both engines keep.
const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    parts: Parts,
) -> Answer {
    let query = Query::read(&parts, &["after", "limit", "client_id", "workspace_id"])?;
    let after = query.number("after")?.unwrap_or(0);
    if after > NUMBER_MAX {
        let detail = format!("after must be at most {NUMBER_MAX}.");
        return Err(Problem::invalid(Some("after"), detail));
    }
    let filter = AuditFilter {
        after,
        limit: query.limit()?,
        client: query.uuid("client_id")?.map(ClientId),
        workspace: query.uuid("workspace_id")?.map(WorkspaceId),
        ..AuditFilter::default()
    };
    let limit = filter.limit;
    let entries = verbs::audit::list(&app.data, &admin, filter).await?;
    let next = (entries.len() as u32 == limit)
        .then(|| entries.last().map(|entry| entry.seq))
        .flatten();
    let items: Vec<_> = entries.iter().map(views::audit_entry).collect();
    Ok(views::answer(
        StatusCode::OK,
        &json!({ "items": items, "next_after": next }),
    ))
}

pub(super) async fn verify(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    parts: Parts,
) -> Answer {
    let query = Query::read(&parts, &["head"])?;
    let kept = query.text("head").map(|text| {
        Head::parse(text).ok_or_else(|| {
            let detail =
                "head must be SEQ:HASH: an entry's number, a colon and its hash in 64 hex digits.";
            Problem::invalid(Some("head"), detail)
        })
    });
    let body =
        match verbs::audit::verify((&app.data, &app.verifications), &admin, kept.transpose()?)
            .await?
        {
            Verified::Whole { entries, hash } => {
                let head = json!({ "seq": entries, "hash": *crate::config::data_dir::hex(&hash) });
                json!({ "ok": true, "entries": entries, "head": head })
            }
            Verified::Broken { at, why } => json!({ "ok": false, "broken_at": at, "why": why }),
        };
    Ok(views::answer(StatusCode::OK, &body))
}
