//! The schemas of what tells what goes on: usage figures, webhooks, notices.

use super::schemas::{
    count, object, or_null, page, reference, slug, time, time_or_null, uuid, whole, with,
};
use serde_json::{Value, json};

fn usage() -> Value {
    let day = || json!({ "type": "string", "format": "date" });
    let outcome = || json!({ "type": "string", "pattern": "^[A-Z_]+$", "examples": ["PERMIT", "GENERATED", "TOKEN_SUPERSEDED"] });
    let counted = whole(
        json!({ "day": day(), "product": or_null(slug()), "outcome": outcome(), "count": count() }),
    );
    let source = || json!({ "type": "string", "description": "the address; `others` for those beyond the first of a day" });
    let stale = whole(json!({
        "day": day(), "source": source(), "outcome": outcome(), "count": count(), "last_at": time(),
    }));
    let permitted =
        whole(json!({ "day": day(), "source": source(), "count": count(), "last_at": time() }));
    whole(json!({
        "from": day(), "to": day(),
        "counts": { "type": "array", "items": counted },
        "sources": with(json!({ "type": "array", "items": permitted }), json!({ "description": "who presented permitted tokens: the first 16 sources a day, the others together" })),
        "stale_uses": with(json!({ "type": "array", "items": stale }), json!({ "description": "who presented former or ended tokens" })),
    }))
}

fn webhook() -> Value {
    whole(json!({
        "id": uuid(), "workspace_id": uuid(), "url": { "type": "string" }, "former_secret_until": time_or_null(),
        "disabled": { "type": "boolean" }, "disabled_at": time_or_null(), "created_at": time(),
    }))
}

fn notice() -> Value {
    let kind = json!({ "type": "string", "examples": ["token.generated", "token.expiring", "quota.reached"] });
    whole(json!({
        "id": uuid(), "type": kind, "client_id": or_null(uuid()),
        "webhook_id": or_null(uuid()), "email": or_null(json!({ "type": "string" })),
        "state": { "type": "string", "enum": ["waiting", "delivered", "given_up"] }, "created_at": time(),
        "attempts": count(), "next_attempt_at": time_or_null(), "delivered_at": time_or_null(),
        "last_error": or_null(json!({ "type": "string" })),
    }))
}

fn notice_page() -> Value {
    let cursor = json!({ "type": "string", "pattern": "^n[0-9]{1,18}$" });
    whole(
        json!({ "items": { "type": "array", "items": reference("Notice") }, "next_cursor": or_null(cursor) }),
    )
}

/// Every one of them by name.
pub(super) fn schemas() -> Value {
    json!({
        "Usage": usage(),
        "Webhook": webhook(),
        "WebhookPage": page("Webhook"),
        "WebhookCreate": object(&["url"], json!({
            "url": { "type": "string", "format": "uri", "maxLength": 2_048, "examples": ["https://hook.example/tokenward"],
                "description": "HTTPS, to a public address or a network that the server's configuration allows" },
        })),
        "WebhookChange": object(&["disabled"], json!({ "disabled": { "type": "boolean" } })),
        "WebhookWithSecret": whole(json!({
            "webhook": reference("Webhook"), "secret": { "type": "string", "pattern": "^whsec_[A-Za-z0-9+/]+=*$" },
        })),
        "NoticeMade": whole(json!({ "notice_id": uuid() })),
        "Notice": notice(),
        "NoticePage": notice_page(),
    })
}
