//! How the things of the admin API look in tables. Pure functions of their JSON: an unknown or
//! missing member shows as a dash, so an older command line can read a newer server.

use super::table::{Cell, Table, Tone};
use serde_json::Value;

/// Shown where there is nothing.
const NOTHING: &str = "-";

/// A text, number or truth; anything else as its JSON.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => NOTHING.to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn or(value: &Value, empty: &str) -> String {
    match text(value).as_str() {
        NOTHING => empty.to_owned(),
        text => text.to_owned(),
    }
}

fn state(word: &str) -> Cell {
    let tone = match word {
        "enabled" | "live" => Tone::Good,
        "disabled" | "expired" => Tone::Odd,
        "deleted" | "revoked" => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell::new(word).tone(tone)
}

/// Seconds as a person says them: the largest unit that divides them.
pub(crate) fn seconds(value: &Value) -> String {
    let Some(seconds) = value.as_u64() else {
        return "never".to_owned();
    };
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    match units
        .iter()
        .find(|(unit, _)| seconds > 0 && seconds % unit == 0)
    {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// A list of workspaces.
pub(crate) fn workspaces(items: &[Value]) -> Table {
    let mut table = Table::new(&["ID", "NAME", "STATE", "CREATED"]);
    for item in items {
        table.row([
            text(&item["id"]).into(),
            text(&item["name"]).into(),
            workspace_state(item),
            text(&item["created_at"]).into(),
        ]);
    }
    table
}

/// One workspace.
pub(crate) fn workspace(item: &Value) -> Table {
    let mut table = Table::default();
    table.fact("id", text(&item["id"]));
    table.fact("name", text(&item["name"]));
    table.fact("state", workspace_state(item));
    table.fact("created", text(&item["created_at"]));
    table.fact("disabled", text(&item["disabled_at"]));
    table
}

fn workspace_state(item: &Value) -> Cell {
    let off = item["disabled"] == true || item["disabled_at"].is_string();
    state(if off { "disabled" } else { "enabled" })
}

/// A list of products.
pub(crate) fn products(items: &[Value]) -> Table {
    let mut table = Table::new(&["SLUG", "NAME"]);
    for item in items {
        table.row([text(&item["slug"]).into(), text(&item["name"]).into()]);
    }
    table
}

/// One product.
pub(crate) fn product(item: &Value) -> Table {
    let mut table = Table::default();
    table.fact("slug", text(&item["slug"]));
    table.fact("name", text(&item["name"]));
    table
}

/// A list of API clients.
pub(crate) fn clients(items: &[Value]) -> Table {
    let mut table = Table::new(&[
        "ID",
        "LABEL",
        "ENVIRONMENT",
        "STATE",
        "PRODUCTS",
        "TOKEN",
        "LAST USED",
    ]);
    for item in items {
        table.row([
            text(&item["id"]).into(),
            text(&item["label"]).into(),
            text(&item["environment"]).into(),
            state(&text(&item["state"])),
            or(&item["products"], "all").into(),
            token(item),
            last_used(item).into(),
        ]);
    }
    table
}

/// The live token, in a cell.
fn token(client: &Value) -> Cell {
    let token = &client["token"];
    match token["state"].as_str() {
        None | Some("none") => Cell::new("none"),
        Some(word) => Cell::new(&format!(
            "{} {word}{}",
            text(&token["generation"]),
            validity(token)
        ))
        .tone(match word {
            "live" => Tone::Good,
            "expired" => Tone::Odd,
            _ => Tone::Bad,
        }),
    }
}

/// When a token that lives will end, as the rest of a sentence.
pub(crate) fn validity(token: &Value) -> String {
    match (token["state"].as_str(), token["valid_till"].as_str()) {
        (Some("live"), Some(till)) => format!(", valid till {till}"),
        (Some("live"), None) => ", never expires".to_owned(),
        _ => String::new(),
    }
}

/// When and from where a client was last seen.
pub(crate) fn last_used(client: &Value) -> String {
    match (
        client["last_used_at"].as_str(),
        client["last_used_from"].as_str(),
    ) {
        (Some(at), Some(from)) => format!("{at} from {from}"),
        (Some(at), None) => at.to_owned(),
        (None, _) => "never".to_owned(),
    }
}

/// One API client.
pub(crate) fn client(item: &Value) -> Table {
    let mut table = Table::default();
    for name in ["id", "label", "environment"] {
        table.fact(name, text(&item[name]));
    }
    table.fact("state", state(&text(&item["state"])));
    table.fact("workspace", text(&item["workspace_id"]));
    table.fact("products", or(&item["products"], "all"));
    table.fact("token lifetime", seconds(&item["token_lifetime_seconds"]));
    table.fact("on repeat", on_repeat(item));
    table.fact("hand-over", handover(item));
    table.fact("secret networks", or(&item["secret_networks"], "any"));
    table.fact("token networks", or(&item["token_networks"], "any"));
    table.fact("notified", or(&item["notification_emails"], "nobody"));
    table.fact("created", text(&item["created_at"]));
    for name in ["disabled", "deleted"] {
        let at = &item[format!("{name}_at").as_str()];
        if at.is_string() {
            table.fact(name, text(at));
        }
    }
    for secret in item["secrets"].as_array().into_iter().flatten() {
        table.fact(
            &format!("secret {}", text(&secret["n"])),
            secret_line(secret),
        );
    }
    table.fact("token", token(item));
    if item["token"]["issued_at"].is_string() {
        table.fact("token issued", text(&item["token"]["issued_at"]));
    }
    if item["token"]["previous_valid_till"].is_string() {
        let till = text(&item["token"]["previous_valid_till"]);
        table.fact("token before", format!("still valid, till {till}"));
    }
    table.fact("last used", last_used(item));
    if item["last_used_product"].is_string() {
        table.fact("last used for", text(&item["last_used_product"]));
    }
    table
}

/// One client secret: age and quota.
pub(crate) fn secret_line(secret: &Value) -> String {
    format!(
        "made {}, {} tokens today, {} left",
        text(&secret["created_at"]),
        text(&secret["quota_used_today"]),
        text(&secret["quota_left_today"])
    )
}

fn on_repeat(item: &Value) -> String {
    match item["on_repeat"].as_str() {
        Some("return") => format!(
            "return, renew {} before the end",
            seconds(&item["renew_before_seconds"])
        ),
        _ => text(&item["on_repeat"]),
    }
}

fn handover(item: &Value) -> String {
    match item["handover_max_seconds"].as_u64() {
        None | Some(0) => "none: a new token revokes the old one at once".to_owned(),
        Some(_) => format!("at most {}", seconds(&item["handover_max_seconds"])),
    }
}

/// A list of admin keys.
pub(crate) fn admin_keys(items: &[Value]) -> Table {
    let mut table = Table::new(&[
        "ID",
        "NAME",
        "ROLE",
        "WORKSPACE",
        "PRODUCTS",
        "EXPIRES",
        "STATE",
    ]);
    for item in items {
        let revoked = item["revoked_at"].is_string();
        table.row([
            text(&item["id"]).into(),
            text(&item["name"]).into(),
            text(&item["role"]).into(),
            or(&item["workspace_id"], "all").into(),
            or(&item["products"], "all").into(),
            or(&item["expires_at"], "never").into(),
            state(if revoked { "revoked" } else { "enabled" }),
        ]);
    }
    table
}

/// Entries of the audit log.
pub(crate) fn audit(items: &[Value]) -> Table {
    let mut table = Table::new(&["SEQ", "AT", "ACTOR", "SOURCE", "ACTION", "CLIENT", "DETAIL"]);
    for item in items {
        table.row([
            text(&item["seq"]).into(),
            text(&item["at"]).into(),
            text(&item["actor"]).into(),
            text(&item["source"]).into(),
            text(&item["action"]).into(),
            text(&item["client_id"]).into(),
            detail(&item["detail"]).into(),
        ]);
    }
    table
}

/// An object as `name=value` pairs.
fn detail(value: &Value) -> String {
    let Some(members) = value.as_object() else {
        return text(value);
    };
    members
        .iter()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Any object, member by member: for what has no view of its own.
pub(crate) fn members(value: &Value) -> Table {
    let mut table = Table::default();
    for (name, value) in value.as_object().into_iter().flatten() {
        let shown = if value.is_object() {
            detail(value)
        } else {
            text(value)
        };
        table.fact(&name.replace('_', " "), shown);
    }
    table
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cli::table::Style;
    use serde_json::json;

    /// A client as the admin API describes it.
    pub(crate) fn example() -> Value {
        json!({
            "id": "0198c0de-0000-7000-8000-00000000000a", "workspace_id": "0198c0de-0000-7000-8000-000000000001",
            "label": "erp south", "environment": "production", "products": ["e-invoice", "gst"],
            "token_lifetime_seconds": 7_200, "secret_networks": [], "token_networks": ["10.0.0.0/8"],
            "notification_emails": ["ops@example.com"], "on_repeat": "return", "renew_before_seconds": 600,
            "handover_max_seconds": 0, "state": "enabled", "created_at": "2026-11-01T08:00:00+00:00",
            "disabled_at": null, "deleted_at": null,
            "secrets": [{"n": 1, "created_at": "2026-11-01T08:00:00+00:00", "quota_used_today": 12, "quota_left_today": 276}],
            "token": {"generation": 7, "issued_at": "2026-11-23T09:15:30+00:00",
                "valid_till": "2026-11-23T11:15:30+00:00", "state": "live",
                "previous_valid_till": "2026-11-23T09:16:00+00:00"},
            "last_used_at": "2026-11-23T10:15:30+00:00", "last_used_from": "10.0.0.7",
            "last_used_product": "gst"
        })
    }

    #[test]
    fn a_client_shows_everything_that_is_set() {
        insta::assert_snapshot!(client(&example()).draw(Style::Plain));
    }

    #[test]
    fn clients_in_a_list_in_every_state() {
        let mut never = example();
        never["label"] = json!("new");
        never["products"] = Value::Null;
        never["token"] =
            json!({"generation": 0, "issued_at": null, "valid_till": null, "state": "none"});
        never["last_used_at"] = Value::Null;
        let mut eternal = example();
        eternal["token"]["valid_till"] = Value::Null;
        eternal["state"] = json!("disabled");
        let mut gone = example();
        gone["state"] = json!("deleted");
        gone["token"]["state"] = json!("revoked");
        insta::assert_snapshot!(clients(&[example(), never, eternal, gone]).draw(Style::Plain));
    }

    #[test]
    fn an_answer_without_its_members_is_dashes_not_a_crash() {
        let empty = json!({});
        let one = std::slice::from_ref(&empty);
        let all = [
            clients(one),
            client(&empty),
            workspaces(one),
            workspace(&empty),
            products(one),
            admin_keys(one),
            audit(one),
        ];
        assert!(
            all.iter()
                .all(|table| table.draw(Style::Plain).contains('-'))
        );
    }

    #[test]
    fn admin_keys_products_workspaces_and_audit_entries() {
        let keys = [
            json!({"id": "0198c0de-0000-7000-8000-0000000000aa", "name": "night job", "role": "product_admin",
                "workspace_id": null, "products": ["gst"], "created_at": "2026-11-01T08:00:00+00:00",
                "expires_at": "2026-12-01T08:00:00+00:00", "revoked_at": null}),
            json!({"id": "0198c0de-0000-7000-8000-0000000000ab", "name": "left us", "role": "operator",
                "workspace_id": null, "products": null, "expires_at": null, "revoked_at": "2026-11-02T08:00:00+00:00"}),
        ];
        let entries = [
            json!({"seq": 3, "at": "2026-11-23T10:15:30+00:00", "actor": "system", "source": "",
            "action": "token.generate", "workspace_id": null, "client_id": "0198c0de-0000-7000-8000-00000000000a",
            "detail": {"generation": 7, "policy": "replace"}, "hash": "00ff"}),
        ];
        let spaces = [
            json!({"id": "0198c0de-0000-7000-8000-000000000001", "name": "acme", "disabled": true,
            "created_at": "2026-11-01T08:00:00+00:00"}),
        ];
        let slugs = [json!({"slug": "e-invoice", "name": "E-Invoice"})];
        let tables = [
            admin_keys(&keys),
            audit(&entries),
            workspaces(&spaces),
            products(&slugs),
        ];
        insta::assert_snapshot!(tables.map(|table| table.draw(Style::Plain)).join("\n\n"));
    }

    #[test]
    fn seconds_read_in_their_largest_unit() {
        let check = |value: Value, expect: &str| assert_eq!(seconds(&value), expect);
        check(json!(0), "0s");
        check(json!(90), "90s");
        check(json!(600), "10m");
        check(json!(7_200), "2h");
        check(json!(86_400), "1d");
        check(Value::Null, "never");
    }
}
