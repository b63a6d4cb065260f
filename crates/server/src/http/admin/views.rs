//! How things look in JSON. Digests are in none of them.

use super::role;
use crate::app::App;
use crate::verbs::addresses::Address;
use crate::verbs::clients::Read;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokenward_core::audit::Written;
use tokenward_core::client::{AdminKeyRecord, Product, SecretRecord, Workspace};
use tokenward_core::time::{Clock, Timestamp};

/// A JSON answer that nobody may store.
pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page of a list.
pub(super) fn page(items: Vec<Value>, next: Option<u32>) -> Value {
    json!({ "items": items, "next_cursor": next.map(|no| format!("c{no}")) })
}

pub(super) fn workspace(workspace: &Workspace) -> Value {
    json!({
        "id": workspace.id,
        "name": workspace.name,
        "disabled": workspace.disabled_at.is_some(),
        "disabled_at": workspace.disabled_at.map(Timestamp::iso),
        "created_at": workspace.created_at.iso(),
    })
}

pub(super) fn product(product: &Product) -> Value {
    json!({ "slug": product.slug, "name": product.name, "created_at": product.created_at.iso() })
}

fn address(address: &Address) -> Value {
    json!({
        "email": address.email,
        "state": address.state.as_str(),
        "confirmed_at": address.confirmed_at.map(Timestamp::iso),
        "stopped_at": address.stopped_at.map(Timestamp::iso),
        "link_expires_at": address.link_till.map(Timestamp::iso),
    })
}

pub(super) fn client(app: &App, read: &Read) -> Value {
    let (client, slot) = (&read.state.client, &read.state.slot);
    let settings = &client.settings;
    let now = app.data.clock().wall();
    let state = match (client.deleted_at, client.disabled_at) {
        (Some(_), _) => "deleted",
        (None, Some(_)) => "disabled",
        (None, None) => "enabled",
    };
    let secret = |(secret, used): (&SecretRecord, u32)| {
        json!({
            "n": secret.n,
            "created_at": secret.created_at.iso(),
            "quota_used_today": used,
            "quota_left_today": app.data.config.quota_per_day.saturating_sub(used),
        })
    };
    let token = slot.token.as_ref();
    json!({
        "id": client.id,
        "workspace_id": read.state.workspace.id,
        "label": settings.label,
        "environment": client.environment,
        "products": settings.products.as_ref().map(|list| Product::slugs(list, &read.products)),
        "token_lifetime_seconds": settings.token_lifetime_seconds,
        "secret_networks": settings.secret_networks.texts(),
        "token_networks": settings.token_networks.texts(),
        "notification_emails": settings.notification_emails,
        "notification_addresses": read.addresses.iter().map(address).collect::<Vec<_>>(),
        "on_repeat": settings.on_repeat,
        "renew_before_seconds": settings.renew_before_seconds,
        "handover_max_seconds": settings.handover_max_seconds,
        "state": state,
        "created_at": client.created_at.iso(),
        "disabled_at": client.disabled_at.map(Timestamp::iso),
        "deleted_at": client.deleted_at.map(Timestamp::iso),
        "secrets": read.state.quotas(now).map(secret).collect::<Vec<_>>(),
        "token": {
            "generation": slot.generation,
            "state": read.token_state(now).as_str(),
            "issued_at": token.map(|token| token.issued_at.iso()),
            "valid_till": token.and_then(|token| token.valid_till).map(Timestamp::iso),
            "ended_at": read.token_ended_at().map(Timestamp::iso),
            "previous_valid_till": slot.previous.filter(|p| now < p.valid_till).map(|p| p.valid_till.iso()),
            "last_used_at": read.token_use().map(|used| used.at.iso()),
            "last_used_from": read.token_use().map(|used| used.source.as_str()),
        },
        "last_used_at": read.last_use.as_ref().map(|used| used.at.iso()),
        "last_used_from": read.last_use.as_ref().map(|used| used.source.as_str()),
        "last_used_product": read.last_use.as_ref().and_then(|used| Product::slugs(&[used.product], &read.products).pop()),
    })
}

/// An admin key; its last use is that since the start where one is known, else the one in the store.
pub(super) fn admin_key(key: &AdminKeyRecord, last: Option<&(Timestamp, String)>) -> Value {
    let about = json!({
        "id": key.id,
        "name": key.name,
        "created_at": key.created_at.iso(),
        "expires_at": key.expires_at.map(Timestamp::iso),
        "revoked_at": key.revoked_at.map(Timestamp::iso),
        "last_used_at": last.map(|(at, _)| at.iso()),
        "last_used_from": last.map(|(_, source)| source),
    });
    role::told(&key.role, about)
}

/// An entry as programs read it, and as `tokenward audit verify` takes it back.
pub(in crate::http) fn audit_entry(entry: &Written) -> Value {
    let detail = serde_json::from_str::<Value>(&entry.detail).unwrap_or(Value::Null);
    json!({
        "seq": entry.seq,
        "at": entry.at.iso(),
        "at_micros": entry.at.0,
        "actor": entry.actor,
        "source": entry.source,
        "action": entry.action,
        "workspace_id": entry.workspace,
        "client_id": entry.client,
        "request_id": detail["request_id"],
        "detail": detail,
        "detail_text": entry.detail,
        "hash": *crate::config::data_dir::hex(&entry.hash),
    })
}
