//! `/audit`

use super::prelude::*;
use crate::verbs;
use crate::verbs::audit::Verified;
use tokenward_api::{AuditBroken, AuditHead, AuditPage, AuditVerified, AuditWhole, Hash};
use tokenward_core::audit::Head;
use tokenward_store::AuditFilter;

/// The largest number an entry can have: what both engines keep.
const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();

pub(super) async fn list(call: Call, parts: Parts) -> Answer<Json<AuditPage>> {
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
    let entries = verbs::audit::list(&call.data, &call.admin, filter).await?;
    let is_full = entries.len() as u32 == limit;
    Ok(Json(AuditPage {
        items: entries.iter().map(views::audit_entry).collect(),
        next_after: entries.last().map(|last| last.seq).filter(|_| is_full),
    }))
}

pub(super) async fn verify(call: Call, parts: Parts) -> Answer<Json<AuditVerified>> {
    let query = Query::read(&parts, &["head"])?;
    let kept = query.text("head").map(|text| {
        Head::parse(text).ok_or_else(|| {
            let detail =
                "head must be SEQ:HASH: an entry's number, a colon and its hash in 64 hex digits.";
            Problem::invalid(Some("head"), detail)
        })
    });
    let found = verbs::audit::verify(
        (&call.data, &call.app.verifications),
        &call.admin,
        kept.transpose()?,
    )
    .await?;
    Ok(Json(match found {
        Verified::Whole { entries, hash } => AuditVerified::Whole(AuditWhole {
            ok: true,
            entries,
            head: AuditHead {
                seq: entries,
                hash: Hash(tokenward_core::Digest(hash).to_hex()),
            },
        }),
        Verified::Broken { at, why } => AuditVerified::Broken(AuditBroken {
            ok: false,
            broken_at: at,
            why,
        }),
    }))
}
