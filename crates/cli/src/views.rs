//! How the things of the admin API look in tables. Pure functions of their JSON: an unknown or
//! missing member shows as a dash, so an older command line can read a newer server.

use super::table::{Cell, Table, Tone};
use serde_json::Value;
use std::collections::BTreeMap;

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

/// A list of API clients; `workspaces` names those that are known by id.
pub(crate) fn clients(items: &[Value], workspaces: &BTreeMap<String, String>) -> Table {
    let workspace = |item: &Value| {
        let id = text(&item["workspace_id"]);
        workspaces.get(&id).cloned().unwrap_or(id)
    };
    let mut table = Table::new(&[
        "ID",
        "LABEL",
        "WORKSPACE",
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
            workspace(item).into(),
            text(&item["environment"]).into(),
            state(&text(&item["state"])),
            or(&item["products"], "all").into(),
            token(item),
            last_used(item).into(),
        ]);
    }
    table
}

/// The newest token, in a cell.
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
            "expired" | "disabled" => Tone::Odd,
            _ => Tone::Bad,
        }),
    }
}

/// When a token ends, or ended, as the rest of a sentence.
pub(crate) fn validity(token: &Value) -> String {
    let till = token["valid_till"].as_str();
    match (token["state"].as_str(), till) {
        (Some("live"), Some(till)) => format!(", valid till {till}"),
        (Some("live"), None) => ", never expires".to_owned(),
        (Some("disabled"), Some(till)) => {
            format!(", refused until the client is enabled, then valid till {till}")
        }
        (Some("disabled"), None) => ", refused until the client is enabled".to_owned(),
        (Some("expired"), Some(till)) => format!(" {till}"),
        (Some("revoked"), _) => token["ended_at"]
            .as_str()
            .map_or_else(String::new, |at| format!(" {at}")),
        _ => String::new(),
    }
}

/// When and from where the newest token was last used.
pub(crate) fn token_used(token: &Value) -> String {
    match (
        token["last_used_at"].as_str(),
        token["last_used_from"].as_str(),
    ) {
        (Some(at), Some(from)) => format!("{at} from {from}"),
        (Some(at), None) => at.to_owned(),
        (None, _) => "not used yet".to_owned(),
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

/// Who is told by mail; what is not confirmed says so.
fn notified(item: &Value) -> String {
    let Some(addresses) = item["notification_addresses"].as_array() else {
        return or(&item["notification_emails"], "none");
    };
    let one = |address: &Value| match address["state"].as_str() {
        Some("confirmed") | None => text(&address["email"]),
        Some(state) => format!("{} ({state})", text(&address["email"])),
    };
    match addresses.is_empty() {
        true => "none".to_owned(),
        false => addresses.iter().map(one).collect::<Vec<_>>().join(", "),
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
    table.fact("notified", notified(item));
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
    if matches!(item["token"]["state"].as_str(), Some(word) if word != "none")
        && item["token"].get("last_used_at").is_some()
    {
        table.fact("token last used", token_used(&item["token"]));
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
        "LAST USED",
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
            or(&item["last_used_at"], "never").into(),
            state(if revoked { "revoked" } else { "enabled" }),
        ]);
    }
    table
}

/// A list of members, or of those who are invited: an invitation has an end.
pub(crate) fn people(items: &[Value]) -> Table {
    let mut table = Table::new(&[
        "ID",
        "E-MAIL",
        "NAME",
        "ROLE",
        "WORKSPACE",
        "PRODUCTS",
        "PROOFS",
        "STATE",
    ]);
    for item in items {
        table.row([
            text(&item["id"]).into(),
            or(&item["email"], "whoever holds the link").into(),
            text(&item["name"]).into(),
            text(&item["role"]).into(),
            or(&item["workspace_id"], "all").into(),
            or(&item["products"], "all").into(),
            proofs(item).into(),
            person_state(item),
        ]);
    }
    table
}

/// One member.
pub(crate) fn person(item: &Value) -> Table {
    let mut table = Table::default();
    table.fact("id", text(&item["id"]));
    table.fact("e-mail", text(&item["email"]));
    table.fact("name", text(&item["name"]));
    table.fact("role", text(&item["role"]));
    table.fact("workspace", or(&item["workspace_id"], "all"));
    table.fact("products", or(&item["products"], "all"));
    table.fact("proofs", proofs(item));
    table.fact("state", person_state(item));
    table.fact("joined", text(&item["created_at"]));
    table
}

/// What a member proves themselves with.
fn proofs(member: &Value) -> String {
    let has = [
        ("has_password", "password"),
        ("has_authenticator_app", "authenticator app"),
        ("single_sign_on", "single sign-on"),
    ];
    let has = has.iter().filter(|(flag, _)| member[*flag] == true);
    let mut words: Vec<String> = has.map(|(_, word)| (*word).to_owned()).collect();
    match member["passkeys"].as_u64() {
        None | Some(0) => {}
        Some(1) => words.push("passkey".to_owned()),
        Some(several) => words.push(format!("{several} passkeys")),
    }
    or(&Value::from(words), NOTHING)
}

fn person_state(item: &Value) -> Cell {
    match item["expires_at"].as_str() {
        Some(till) => Cell::new(&format!("invited till {till}")).tone(Tone::Odd),
        None => workspace_state(item),
    }
}

/// A client's usage: requests and tokens by day and outcome, then sources of the requests.
pub(crate) fn usage(item: &Value) -> Vec<(&'static str, Table)> {
    let list = |name: &str| item[name].as_array().into_iter().flatten();
    let mut counts = Table::new(&["DAY", "PRODUCT", "OUTCOME", "COUNT"]);
    for one in list("counts") {
        counts.row(["day", "product", "outcome", "count"].map(|name| text(&one[name]).into()));
    }
    let mut sources = Table::new(&["DAY", "SOURCE", "OUTCOME", "COUNT", "LAST"]);
    for one in list("sources") {
        let outcome = Cell::new("PERMIT").tone(Tone::Good);
        let of = |name: &str| -> Cell { text(&one[name]).into() };
        sources.row([of("day"), of("source"), outcome, of("count"), of("last_at")]);
    }
    for one in list("stale_uses") {
        let of = |name: &str| -> Cell { text(&one[name]).into() };
        let outcome = of("outcome").tone(Tone::Odd);
        sources.row([of("day"), of("source"), outcome, of("count"), of("last_at")]);
    }
    vec![("Requests and tokens", counts), ("Sources", sources)]
}

/// A list of webhooks.
pub(crate) fn webhooks(items: &[Value]) -> Table {
    let mut table = Table::new(&["ID", "URL", "STATE", "CREATED"]);
    for item in items {
        table.row([
            text(&item["id"]).into(),
            text(&item["url"]).into(),
            workspace_state(item),
            text(&item["created_at"]).into(),
        ]);
    }
    table
}

/// Notices that were sent or wait to be.
pub(crate) fn notices(items: &[Value]) -> Table {
    let mut table = Table::new(&["CREATED", "TYPE", "TO", "STATE", "ATTEMPTS", "LAST ERROR"]);
    for item in items {
        let to = match item["email"].as_str() {
            Some(email) => email.to_owned(),
            None => format!("webhook {}", text(&item["webhook_id"])),
        };
        let word = text(&item["state"]);
        let tone = match word.as_str() {
            "delivered" => Tone::Good,
            "waiting" => Tone::Odd,
            _ => Tone::Bad,
        };
        table.row([
            text(&item["created_at"]).into(),
            text(&item["type"]).into(),
            to.into(),
            Cell::new(&word.replace('_', " ")).tone(tone),
            text(&item["attempts"]).into(),
            text(&item["last_error"]).into(),
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
            tokenward_api::audit_text::line(&item["detail"]).into(),
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
pub(crate) mod tests;
