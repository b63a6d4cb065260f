//! The one table of who may do what: every act by every role. It calls nothing itself; the API is held to it here, the
//! pages of the console beside (`tests/console/authority.rs`).

use serde_json::{Value, json};

/// One act: how it is called, and the status for each of the roles. `{gst}` is a client of acme for
/// gst only, `{all}` one of acme for all products, `{far}` one of another workspace.
pub(crate) type Act = (&'static str, &'static str, Option<Value>, [u16; 5]);

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(crate) fn acts() -> Vec<Act> {
    let new = |label: &str, products: Value| {
        Some(json!({ "label": label, "environment": "sandbox", "products": products }))
    };
    let rename = || Some(json!({ "name": "renamed" }));
    let change = || Some(json!({ "renew_before_seconds": 60 }));
    let widen = || Some(json!({ "products": null }));
    let key = || Some(json!({ "name": "k", "role": "auditor" }));
    let note = || Some(json!({ "note": "of plant 2" }));
    let invite = |role: &str, workspace: Option<&str>| {
        Some(json!({ "email": "new@example.com", "role": role, "workspace_id": workspace }))
    };
    vec![
        ("GET", "/workspaces", None, [200, 200, 200, 200, 200]),
        ("POST", "/workspaces", rename(), [201, 403, 403, 403, 403]),
        ("GET", "/workspaces/{acme}", None, [200, 200, 200, 200, 200]),
        (
            "GET",
            "/workspaces/{other}",
            None,
            [200, 404, 404, 404, 200],
        ),
        (
            "PATCH",
            "/workspaces/{acme}",
            rename(),
            [200, 403, 403, 403, 403],
        ),
        (
            "PATCH",
            "/workspaces/{other}",
            rename(),
            [200, 404, 404, 404, 403],
        ),
        ("GET", "/products", None, [200, 200, 200, 200, 200]),
        ("PUT", "/products/tds", rename(), [201, 403, 403, 403, 403]),
        (
            "DELETE",
            "/products/e-invoice",
            None,
            [204, 403, 403, 403, 403],
        ),
        (
            "GET",
            "/workspaces/{acme}/clients",
            None,
            [200, 200, 200, 200, 200],
        ),
        (
            "GET",
            "/workspaces/{other}/clients",
            None,
            [200, 404, 404, 404, 200],
        ),
        (
            "POST",
            "/workspaces/{acme}/clients",
            new("a", json!(null)),
            [201, 201, 403, 403, 403],
        ),
        (
            "POST",
            "/workspaces/{acme}/clients",
            new("b", json!(["gst"])),
            [201, 201, 201, 403, 403],
        ),
        (
            "POST",
            "/workspaces/{acme}/clients",
            new("c", json!(["gst", "max-itc"])),
            [201, 201, 403, 403, 403],
        ),
        (
            "POST",
            "/workspaces/{other}/clients",
            new("d", json!(["gst"])),
            [201, 404, 404, 404, 403],
        ),
        ("GET", "/clients/{gst}", None, [200, 200, 200, 200, 200]),
        ("GET", "/clients/{all}", None, [200, 200, 404, 200, 200]),
        ("GET", "/clients/{far}", None, [200, 404, 404, 404, 200]),
        (
            "GET",
            "/clients/{gst}/usage",
            None,
            [200, 200, 200, 200, 200],
        ),
        (
            "GET",
            "/clients/{all}/usage",
            None,
            [200, 200, 404, 200, 200],
        ),
        (
            "GET",
            "/clients/{far}/usage",
            None,
            [200, 404, 404, 404, 200],
        ),
        (
            "PATCH",
            "/clients/{gst}",
            change(),
            [200, 200, 200, 403, 403],
        ),
        (
            "PATCH",
            "/clients/{gst}",
            widen(),
            [200, 200, 403, 403, 403],
        ),
        (
            "PATCH",
            "/clients/{all}",
            change(),
            [200, 200, 404, 403, 403],
        ),
        (
            "PATCH",
            "/clients/{far}",
            change(),
            [200, 404, 404, 404, 403],
        ),
        (
            "POST",
            "/clients/{gst}/secrets",
            None,
            [201, 201, 201, 403, 403],
        ),
        (
            "POST",
            "/clients/{all}/secrets",
            None,
            [201, 201, 404, 403, 403],
        ),
        (
            "POST",
            "/clients/{far}/secrets",
            None,
            [201, 404, 404, 404, 403],
        ),
        (
            "PATCH",
            "/clients/{gst}/secrets/1",
            note(),
            [200, 200, 200, 403, 403],
        ),
        (
            "PATCH",
            "/clients/{all}/secrets/1",
            note(),
            [200, 200, 404, 403, 403],
        ),
        (
            "PATCH",
            "/clients/{far}/secrets/1",
            note(),
            [200, 404, 404, 404, 403],
        ),
        (
            "DELETE",
            "/clients/{gst}/secrets/1",
            None,
            [200, 200, 200, 403, 403],
        ),
        (
            "DELETE",
            "/clients/{all}/secrets/1",
            None,
            [200, 200, 404, 403, 403],
        ),
        (
            "DELETE",
            "/clients/{far}/secrets/1",
            None,
            [200, 404, 404, 404, 403],
        ),
        (
            "POST",
            "/clients/{gst}/token",
            None,
            [201, 201, 201, 403, 403],
        ),
        (
            "POST",
            "/clients/{all}/token",
            None,
            [201, 201, 404, 403, 403],
        ),
        (
            "POST",
            "/clients/{far}/token",
            None,
            [201, 404, 404, 404, 403],
        ),
        (
            "DELETE",
            "/clients/{gst}/token",
            None,
            [200, 200, 200, 403, 403],
        ),
        (
            "DELETE",
            "/clients/{all}/token",
            None,
            [200, 200, 404, 403, 403],
        ),
        (
            "DELETE",
            "/clients/{far}/token",
            None,
            [200, 404, 404, 404, 403],
        ),
        (
            "PUT",
            "/clients/{gst}/tags/south",
            None,
            [200, 200, 200, 403, 403],
        ),
        (
            "PUT",
            "/clients/{all}/tags/south",
            None,
            [200, 200, 404, 403, 403],
        ),
        (
            "PUT",
            "/clients/{far}/tags/south",
            None,
            [200, 404, 404, 404, 403],
        ),
        (
            "DELETE",
            "/clients/{gst}/tags/south",
            None,
            [200, 200, 200, 403, 403],
        ),
        (
            "DELETE",
            "/clients/{all}/tags/south",
            None,
            [200, 200, 404, 403, 403],
        ),
        (
            "DELETE",
            "/clients/{far}/tags/south",
            None,
            [200, 404, 404, 404, 403],
        ),
        (
            "POST",
            "/clients/{gst}/confirmation-mails",
            None,
            [200, 200, 200, 403, 403],
        ),
        (
            "POST",
            "/clients/{all}/confirmation-mails",
            None,
            [200, 200, 404, 403, 403],
        ),
        (
            "POST",
            "/clients/{far}/confirmation-mails",
            None,
            [200, 404, 404, 404, 403],
        ),
        (
            "POST",
            "/clients/{gst}/disable",
            None,
            [200, 200, 200, 403, 403],
        ),
        (
            "POST",
            "/clients/{all}/disable",
            None,
            [200, 200, 404, 403, 403],
        ),
        (
            "POST",
            "/clients/{far}/disable",
            None,
            [200, 404, 404, 404, 403],
        ),
        (
            "POST",
            "/clients/{gst}/enable",
            None,
            [200, 200, 200, 403, 403],
        ),
        (
            "POST",
            "/clients/{far}/enable",
            None,
            [200, 404, 404, 404, 403],
        ),
        (
            "DELETE",
            "/clients/{gst}?label=gst",
            None,
            [200, 200, 200, 403, 403],
        ),
        (
            "DELETE",
            "/clients/{all}?label=all",
            None,
            [200, 200, 404, 403, 403],
        ),
        (
            "DELETE",
            "/clients/{far}?label=far",
            None,
            [200, 404, 404, 404, 403],
        ),
        (
            "GET",
            "/workspaces/{acme}/webhooks",
            None,
            [200, 200, 403, 200, 200],
        ),
        (
            "GET",
            "/workspaces/{other}/webhooks",
            None,
            [200, 404, 404, 404, 200],
        ),
        (
            "POST",
            "/workspaces/{acme}/webhooks",
            Some(json!({ "url": "https://hook.invalid/" })),
            [201, 201, 403, 403, 403],
        ),
        (
            "POST",
            "/workspaces/{other}/webhooks",
            Some(json!({ "url": "https://hook.invalid/" })),
            [201, 404, 404, 404, 403],
        ),
        (
            "GET",
            "/workspaces/{acme}/notification-addresses",
            None,
            [200, 200, 403, 200, 200],
        ),
        (
            "GET",
            "/workspaces/{other}/notification-addresses",
            None,
            [200, 404, 404, 404, 200],
        ),
        (
            "PATCH",
            "/workspaces/{acme}/notification-addresses",
            Some(told("off")),
            [200, 200, 403, 403, 403],
        ),
        (
            "PATCH",
            "/workspaces/{other}/notification-addresses",
            Some(told("daily")),
            [200, 404, 404, 404, 403],
        ),
        (
            "PATCH",
            "/webhooks/{hook}",
            Some(json!({ "disabled": true })),
            [200, 200, 403, 403, 403],
        ),
        (
            "PATCH",
            "/webhooks/{far_hook}",
            Some(json!({ "disabled": true })),
            [200, 404, 404, 404, 403],
        ),
        (
            "POST",
            "/webhooks/{hook}/secret",
            None,
            [201, 201, 403, 403, 403],
        ),
        (
            "POST",
            "/webhooks/{far_hook}/secret",
            None,
            [201, 404, 404, 404, 403],
        ),
        (
            "POST",
            "/webhooks/{hook}/test",
            None,
            [202, 202, 403, 403, 403],
        ),
        (
            "POST",
            "/webhooks/{far_hook}/test",
            None,
            [202, 404, 404, 404, 403],
        ),
        (
            "DELETE",
            "/webhooks/{hook}",
            None,
            [204, 204, 403, 403, 403],
        ),
        (
            "DELETE",
            "/webhooks/{far_hook}",
            None,
            [204, 404, 404, 404, 403],
        ),
        (
            "GET",
            "/workspaces/{acme}/notices",
            None,
            [200, 200, 403, 200, 200],
        ),
        (
            "GET",
            "/workspaces/{other}/notices",
            None,
            [200, 404, 404, 404, 200],
        ),
        ("GET", "/audit", None, [200, 200, 403, 200, 200]),
        (
            "GET",
            "/audit?workspace_id={acme}",
            None,
            [200, 200, 403, 200, 200],
        ),
        (
            "GET",
            "/audit?workspace_id={other}",
            None,
            [200, 404, 403, 404, 200],
        ),
        ("GET", "/audit/verify", None, [200, 403, 403, 403, 200]),
        ("GET", "/members", None, [200, 200, 403, 200, 200]),
        ("GET", "/invitations", None, [200, 200, 403, 200, 200]),
        ("GET", "/members/{member}", None, [200, 200, 403, 200, 200]),
        (
            "GET",
            "/members/{far_member}",
            None,
            [200, 404, 403, 404, 200],
        ),
        (
            "POST",
            "/members",
            invite("operator", None),
            [201, 403, 403, 403, 403],
        ),
        (
            "POST",
            "/members",
            invite("auditor", None),
            [201, 403, 403, 403, 403],
        ),
        (
            "POST",
            "/members",
            invite("auditor", Some("{acme}")),
            [201, 201, 403, 403, 403],
        ),
        (
            "POST",
            "/members",
            invite("workspace_admin", Some("{acme}")),
            [201, 201, 403, 403, 403],
        ),
        (
            "POST",
            "/members",
            invite("workspace_admin", Some("{other}")),
            [201, 403, 403, 403, 403],
        ),
        (
            "PATCH",
            "/members/{member}",
            Some(json!({ "disabled": true })),
            [200, 200, 403, 403, 403],
        ),
        (
            "PATCH",
            "/members/{far_member}",
            Some(json!({ "disabled": true })),
            [200, 404, 403, 404, 403],
        ),
        (
            "PATCH",
            "/members/{member}",
            Some(json!({ "role": "operator" })),
            [200, 403, 403, 403, 403],
        ),
        (
            "PATCH",
            "/members/{member}",
            Some(json!({ "role": "workspace_admin", "workspace_id": "{acme}" })),
            [200, 200, 403, 403, 403],
        ),
        (
            "PATCH",
            "/members/{member}",
            Some(json!({ "role": "workspace_admin", "workspace_id": "{other}" })),
            [200, 403, 403, 403, 403],
        ),
        (
            "DELETE",
            "/members/{member}",
            None,
            [204, 204, 403, 403, 403],
        ),
        (
            "DELETE",
            "/members/{far_member}",
            None,
            [204, 404, 403, 404, 403],
        ),
        (
            "DELETE",
            "/invitations/{invitation}",
            None,
            [204, 204, 403, 403, 403],
        ),
        (
            "DELETE",
            "/invitations/{far_invitation}",
            None,
            [204, 404, 403, 404, 403],
        ),
        ("GET", "/admin-keys", None, [200, 403, 403, 403, 403]),
        ("POST", "/admin-keys", key(), [201, 403, 403, 403, 403]),
        (
            "PATCH",
            "/admin-keys/{key}",
            note(),
            [200, 403, 403, 403, 403],
        ),
        (
            "DELETE",
            "/admin-keys/{key}",
            None,
            [200, 403, 403, 403, 403],
        ),
        ("GET", "/status", None, [200, 200, 200, 200, 200]),
    ]
}

/// A choice for an address that clients of both workspaces name.
fn told(delivery: &str) -> serde_json::Value {
    let preferences = json!([{ "event": "client.unused", "delivery": delivery }]);
    json!({ "email": "told@example.com", "preferences": preferences })
}
