//! The bodies of the document, of requests and answers.

use super::{notification_schemas, people};
use serde_json::{Value, json};
use tokenward_core::client::{
    EMAILS_MAX, HANDOVER_SECONDS_MAX, LIFETIME_SECONDS_MAX, PRODUCTS_MAX, RENEW_BEFORE_SECONDS_MAX,
    SECRETS,
};
use tokenward_core::label::{EMAIL_BYTES_MAX, LABEL_BYTES_MAX, NAME_BYTES_MAX, SLUG_BYTES_MAX};
use tokenward_core::restrictions::NETWORKS_MAX;

pub(super) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// An object with exactly these members, these of them always.
pub(super) fn object(required: &[&str], members: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": members })
}

/// An object with exactly these members, all of them always.
pub(super) fn whole(members: Value) -> Value {
    let names: Vec<&str> = members
        .as_object()
        .map(|members| members.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    json!({ "type": "object", "additionalProperties": false, "required": names, "properties": members })
}

/// The same, or null.
pub(super) fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn or_word(word: &str, schema: Value) -> Value {
    json!({ "anyOf": [schema, { "const": word }, { "type": "null" }] })
}

pub(super) fn list(items: Value, most: usize) -> Value {
    json!({ "type": "array", "items": items, "maxItems": most })
}

pub(super) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

pub(super) fn time() -> Value {
    let pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+00:00$";
    json!({ "type": "string", "format": "date-time", "pattern": pattern, "examples": ["2026-11-23T10:15:30+00:00"] })
}

pub(super) fn time_or_null() -> Value {
    or_null(time())
}

/// Characters that no label or name has: control, invisible and private-use ones. Not all of them, and not the mixed
/// alphabets: the rule is in `tokenward_core::label`.
const NEVER: &str = r"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ue000-\uf8ff\ufeff\uffa0\ufff0-\ufffb";
/// Blanks, which none begins or ends with.
const BLANK: &str = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000";

pub(super) fn text(most_bytes: usize, what: &str) -> Value {
    let description = format!(
        "{what}: at most {most_bytes} bytes of UTF-8, stored in Unicode normalization form C; invisible characters and mixed look-alike alphabets are refused"
    );
    let end = format!("[^{NEVER}{BLANK}]");
    json!({
        "type": "string", "minLength": 1, "maxLength": most_bytes,
        "pattern": format!("^{end}([^{NEVER}]*{end})?$"), "description": description,
    })
}

pub(super) fn slug() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": SLUG_BYTES_MAX,
        "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "examples": ["e-invoice"],
    })
}

fn seconds(least: u32, most: u32) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn environment() -> Value {
    json!({ "type": "string", "enum": ["sandbox", "production"] })
}

pub(super) fn role() -> Value {
    json!({ "type": "string", "enum": ["operator", "workspace_admin", "product_admin", "auditor"] })
}

fn networks() -> Value {
    let network = json!({
        "type": "string", "maxLength": 43, "pattern": "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$",
        "description": "an address, or a network without host bits", "examples": ["10.0.0.0/8"],
    });
    list(network, NETWORKS_MAX)
}

fn access_token() -> Value {
    json!({ "type": "string", "maxLength": 128, "pattern": r"^(sandbox\.)?1\.[0-9a-f-]{36}_[0-9a-f]{64}$" })
}

fn client_secret() -> Value {
    json!({ "type": "string", "maxLength": 128, "pattern": r"^tw-secret\.(sandbox|production)\.[0-9a-f-]{36}\.[0-9a-f]{64}$" })
}

pub(super) fn page(of: &str) -> Value {
    let cursor = json!({ "type": "string", "pattern": "^c[0-9]{1,10}$", "description": "the cursor of the next page; null on the last" });
    whole(
        json!({ "items": { "type": "array", "items": reference(of) }, "next_cursor": or_null(cursor) }),
    )
}

/// What can be set at a client, by creation (`label` and `environment` besides) and by change.
fn settings() -> Value {
    let null = "null counts as left out";
    let note = |mut schema: Value, words: &str| {
        schema["description"] = words.into();
        schema
    };
    json!({
        "products": note(or_word("all", json!({ "type": "array", "items": slug(), "minItems": 1, "maxItems": PRODUCTS_MAX })), "the products allowed; \"all\" or null for all"),
        "token_lifetime_seconds": note(or_word("never", seconds(1, LIFETIME_SECONDS_MAX)), "\"never\" or null: tokens never expire; a change in which products is null too is refused"),
        "secret_networks": note(or_null(networks()), &format!("from where the secret may be used; empty: everywhere; {null}")),
        "token_networks": note(or_null(networks()), &format!("from where tokens may be used; empty: everywhere; {null}")),
        "notification_emails": note(or_null(list(json!({ "type": "string", "maxLength": EMAIL_BYTES_MAX, "pattern": r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*@[A-Za-z0-9.-]+$" }), EMAILS_MAX)), null),
        "on_repeat": note(or_null(json!({ "type": "string", "enum": ["replace", "return"] })), null),
        "renew_before_seconds": note(or_null(seconds(0, RENEW_BEFORE_SECONDS_MAX)), null),
        "handover_max_seconds": note(or_null(seconds(0, HANDOVER_SECONDS_MAX)), null),
    })
}

pub(super) fn with(mut members: Value, more: Value) -> Value {
    if let (Some(members), Value::Object(more)) = (members.as_object_mut(), more) {
        members.extend(more);
    }
    members
}

fn client() -> Value {
    let secret = whole(json!({
        "n": { "type": "integer", "minimum": 1 }, "created_at": time(), "quota_used_today": count(), "quota_left_today": count(),
    }));
    let token = whole(json!({
        "generation": count(),
        "state": { "type": "string", "enum": ["none", "live", "disabled", "expired", "revoked"],
            "description": "disabled: refused while the client or its workspace is disabled, accepted again when it is enabled" },
        "issued_at": time_or_null(), "valid_till": time_or_null(), "ended_at": time_or_null(), "previous_valid_till": time_or_null(),
        "last_used_at": with(time_or_null(), json!({ "description": "of this generation, to within a minute; null: not used yet" })),
        "last_used_from": or_null(json!({ "type": "string" })),
    }));
    whole(json!({
        "id": uuid(), "workspace_id": uuid(), "label": text(LABEL_BYTES_MAX, "its label"), "environment": environment(),
        "products": or_null(list(slug(), PRODUCTS_MAX)),
        "token_lifetime_seconds": or_null(seconds(1, LIFETIME_SECONDS_MAX)),
        "secret_networks": networks(), "token_networks": networks(),
        "notification_emails": list(json!({ "type": "string" }), EMAILS_MAX),
        "notification_addresses": list(whole(json!({
            "email": { "type": "string" },
            "state": { "type": "string", "enum": ["pending", "confirmed", "stopped"],
                "description": "notices are sent to confirmed addresses only; stopped: by the owner of the address" },
            "confirmed_at": time_or_null(), "stopped_at": time_or_null(),
            "link_expires_at": with(time_or_null(), json!({ "description": "of the last confirmation mail; null: none was sent yet, or its link was used" })),
        })), EMAILS_MAX),
        "on_repeat": { "type": "string", "enum": ["replace", "return"] },
        "renew_before_seconds": seconds(0, RENEW_BEFORE_SECONDS_MAX), "handover_max_seconds": seconds(0, HANDOVER_SECONDS_MAX),
        "state": { "type": "string", "enum": ["enabled", "disabled", "deleted"] },
        "created_at": time(), "disabled_at": time_or_null(), "deleted_at": time_or_null(),
        "secrets": list(secret, SECRETS), "token": token,
        "last_used_at": time_or_null(), "last_used_from": or_null(json!({ "type": "string" })), "last_used_product": or_null(slug()),
    }))
}

fn audit_entry() -> Value {
    whole(json!({
        "seq": { "type": "integer", "minimum": 1 }, "at": time(), "at_micros": { "type": "integer" },
        "actor": { "type": "string" }, "source": { "type": "string" }, "action": { "type": "string" },
        "workspace_id": or_null(uuid()), "client_id": or_null(uuid()),
        "request_id": with(or_null(uuid()), json!({ "description": "the `x-request-id` of the answer to the request" })),
        "detail": { "type": "object", "description": "what was changed: `from` and `to` hold the old and the new values" },
        "detail_text": { "type": "string", "description": "the detail to the letter, as hashed" },
        "hash": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
    }))
}

fn errors() -> Value {
    let error = object(
        &["error_code", "error_message", "error_source", "error_id"],
        json!({
            "error_code": { "type": "string", "pattern": "^[A-Z_]+$" }, "error_message": { "type": "string" },
            "error_source": { "type": "string" }, "error_id": uuid(),
            "generation": count(), "valid_till": time_or_null(), "handover_max_seconds": count(), "quota": count(),
        }),
    );
    whole(json!({ "errors": { "type": "array", "items": error, "minItems": 1, "maxItems": 1 } }))
}

/// Each answer of a verification has a name: generators of clients make a type of each, and need one for it.
fn audit_verified() -> Value {
    json!({ "oneOf": [reference("AuditWhole"), reference("AuditBroken")] })
}

fn audit_whole() -> Value {
    whole(json!({ "ok": { "const": true }, "entries": count(), "head": reference("AuditHead") }))
}

fn audit_broken() -> Value {
    whole(json!({ "ok": { "const": false }, "broken_at": count(), "why": { "type": "string" } }))
}

fn audit_head() -> Value {
    whole(json!({ "seq": count(), "hash": { "type": "string", "pattern": "^[0-9a-f]{64}$" } }))
}

/// The workspace of a role that is given.
pub(super) fn named_workspace() -> Value {
    let words = "for every role but operator; an auditor may do without";
    with(or_null(uuid()), json!({ "description": words }))
}

/// The products of a role that is given.
pub(super) fn named_products() -> Value {
    let products =
        json!({ "type": "array", "items": slug(), "minItems": 1, "maxItems": PRODUCTS_MAX });
    let words = "for a product_admin, and only for one";
    with(or_null(products), json!({ "description": words }))
}

fn admin_key_create() -> Value {
    let members = json!({
        "name": text(NAME_BYTES_MAX, "a name"),
        "role": role(),
        "workspace_id": named_workspace(),
        "products": named_products(),
        "expires_in_seconds": or_null(seconds(1, LIFETIME_SECONDS_MAX)),
    });
    object(&["name", "role"], members)
}

fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn introspection() -> Value {
    json!({ "oneOf": [reference("IntrospectionInactive"), reference("IntrospectionActive")] })
}

fn introspection_active() -> Value {
    let members = json!({
        "active": { "const": true }, "token_type": { "const": "Bearer" }, "client_id": uuid(), "sub": uuid(),
        "workspace": uuid(), "environment": environment(), "client_label": { "type": "string" },
        "generation": { "type": "integer", "minimum": 1 }, "scope": { "type": "string" }, "aud": texts(), "token_networks": texts(),
        "iat": { "type": "integer" }, "exp": { "type": "integer" }, "iss": { "type": "string" },
    });
    let always = [
        "active",
        "token_type",
        "client_id",
        "sub",
        "workspace",
        "environment",
        "client_label",
        "generation",
        "scope",
        "aud",
    ];
    object(&always, members)
}

fn metadata() -> Value {
    let address = || json!({ "type": "string" });
    whole(json!({
        "issuer": address(), "token_endpoint": address(), "introspection_endpoint": address(), "revocation_endpoint": address(),
        "token_endpoint_auth_methods_supported": texts(), "introspection_endpoint_auth_methods_supported": texts(),
        "revocation_endpoint_auth_methods_supported": texts(), "grant_types_supported": texts(),
        "response_types_supported": with(texts(), json!({ "maxItems": 0 })),
    }))
}

fn oauth_grant() -> Value {
    json!({ "type": "object", "required": ["grant_type"], "properties": {
            "grant_type": { "type": "string", "const": "client_credentials" },
            "client_id": uuid(), "client_secret": client_secret(),
            "scope": { "type": "string", "description": "products of the API client, separated by spaces; the token opens all of them whatever is named" },
            "resource": { "type": "string", "description": "a product of the API client: urn:tokenward:product:SLUG" },
        } })
}

fn oauth_token() -> Value {
    object(
        &[
            "access_token",
            "token_type",
            "generation",
            "expires_in",
            "valid_till",
        ],
        json!({
            "access_token": access_token(), "token_type": { "const": "Bearer" }, "generation": { "type": "integer", "minimum": 1 },
            "expires_in": { "type": "integer", "minimum": 0, "maximum": 2_147_483, "description": "at most some 24 days; valid_till is exact" },
            "valid_till": time_or_null(), "scope": { "type": "string" }, "resource": { "type": "string" },
        }),
    )
}

fn oauth_about_token() -> Value {
    json!({ "type": "object", "required": ["token"], "properties": {
            "token": { "type": "string", "minLength": 1 }, "token_type_hint": { "type": "string" },
            "environment": environment(), "product": slug(), "client_ip": { "type": "string", "minLength": 1 },
            "client_id": uuid(), "client_secret": client_secret(),
        } })
}

/// The answers that are one of several, each by a name of its own.
fn variants() -> Value {
    json!({
        "AuditWhole": audit_whole(),
        "AuditBroken": audit_broken(),
        "AuditHead": audit_head(),
        "IntrospectionActive": introspection_active(),
        "IntrospectionInactive": whole(json!({ "active": { "const": false } })),
    })
}

/// Every schema by name.
pub(super) fn schemas() -> Value {
    let name = || text(NAME_BYTES_MAX, "a name");
    let label = || text(LABEL_BYTES_MAX, "unique in its workspace and environment");
    let token = json!({
        "access_token": access_token(), "valid_till": time_or_null(), "expires_in": or_null(count()),
        "generation": { "type": "integer", "minimum": 1 }, "previous_valid_till": time(),
    });
    let all = json!({
        "Problem": object(&["type", "title", "status", "detail", "code", "error_id"], json!({
            "type": { "type": "string", "format": "uri" }, "title": { "type": "string" }, "status": { "type": "integer" },
            "detail": { "type": "string" }, "code": { "type": "string", "pattern": "^[A-Z_]+$" },
            "field": { "type": "string" }, "error_id": uuid(),
        })),
        "Errors": errors(),
        "Status": object(&["version", "vouching", "writable", "role"], json!({
            "version": { "type": "string" }, "role": role(), "vouching": { "type": "boolean" }, "writable": { "type": "boolean" },
            "change_number": count(), "audit_seq": count(), "epoch": uuid(), "clients": count(),
            "engine": { "type": "string", "enum": ["sqlite", "postgres"] }, "quota_per_day": count(),
        })),
        "Workspace": whole(json!({
            "id": uuid(), "name": name(), "disabled": { "type": "boolean" }, "disabled_at": time_or_null(), "created_at": time(),
        })),
        "WorkspacePage": page("Workspace"),
        "WorkspaceCreate": object(&["name"], json!({ "name": name() })),
        "WorkspaceChange": object(&[], json!({ "name": or_null(name()), "disabled": or_null(json!({ "type": "boolean" })) })),
        "Product": whole(json!({ "slug": slug(), "name": name(), "created_at": time() })),
        "ProductPage": page("Product"),
        "ProductPut": object(&["name"], json!({ "name": name() })),
        "Client": client(),
        "ClientPage": page("Client"),
        "ClientCreate": object(&["label", "environment"], with(json!({ "label": label(), "environment": environment() }), settings())),
        "ClientCreated": whole(json!({ "client": reference("Client"), "client_secret": client_secret() })),
        "ClientChange": object(&[], with(json!({ "label": or_null(label()) }), settings())),
        "ClientDelete": object(&["label"], json!({ "label": { "type": "string", "description": "the client's label, typed back" } })),
        "ConfirmationMails": object(&[], json!({ "email": or_null(json!({ "type": "string", "description": "one of the client's notification emails; null: every one that is pending" })) })),
        "SecretCreated": whole(json!({
            "client": reference("Client"), "n": { "type": "integer", "minimum": 1 }, "client_secret": client_secret(),
        })),
        "TokenByAdmin": whole(json!({
            "access_token": access_token(), "generation": { "type": "integer", "minimum": 1 },
            "valid_till": time_or_null(), "expires_in": or_null(count()),
        })),
        "AuditEntry": audit_entry(),
        "AuditPage": whole(json!({
            "items": { "type": "array", "items": reference("AuditEntry") },
            "next_after": or_null(json!({ "type": "integer", "minimum": 1 })),
        })),
        "AuditVerified": audit_verified(),
        "AdminKey": whole(json!({
            "id": uuid(), "name": name(), "role": role(), "workspace_id": or_null(uuid()), "products": or_null(list(slug(), PRODUCTS_MAX)),
            "created_at": time(), "expires_at": time_or_null(), "revoked_at": time_or_null(),
            "last_used_at": time_or_null(), "last_used_from": or_null(json!({ "type": "string" })),
        })),
        "AdminKeyPage": page("AdminKey"),
        "AdminKeyCreate": admin_key_create(),
        "AdminKeyCreated": whole(json!({ "admin_key": reference("AdminKey"), "key": { "type": "string", "maxLength": 128 } })),
        "Token": object(&["access_token", "valid_till", "expires_in", "generation"], token),
        "TokenStatus": whole(json!({
            "generation": count(), "issued_at": time_or_null(), "valid_till": time_or_null(), "live": { "type": "boolean" },
            "previous_valid_till": time_or_null(), "quota": count(), "quota_left": count(),
        })),
        "PreviousEnded": whole(json!({ "ended": { "type": "boolean" } })),
        "OAuthGrant": oauth_grant(), "OAuthToken": oauth_token(), "OAuthAboutToken": oauth_about_token(),
        "Introspection": introspection(),
        "Revoked": whole(json!({})),
        "OAuthError": whole(json!({ "error": { "type": "string" }, "error_description": { "type": "string" } })),
        "OAuthMetadata": metadata(),
    });
    let all = with(
        with(all, notification_schemas::schemas()),
        people::schemas(),
    );
    with(all, variants())
}
