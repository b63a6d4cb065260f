//! The detail of an audit entry for people: what was changed from what to what, then the rest. The same on the command
//! line and in the console. It decides nothing about what is in an entry.

use serde_json::Value;

/// Members that are shown elsewhere, or that others say already.
const LEFT_OUT: [&str; 4] = ["from", "to", "changed", "request_id"];

/// One line: `products: all -> gst; label=erp`.
#[must_use]
pub fn line(detail: &Value) -> String {
    let Some(members) = detail.as_object() else {
        return text(detail);
    };
    let (from, to) = (&detail["from"], &detail["to"]);
    let names = to.as_object().or(from.as_object());
    let names = names.into_iter().flat_map(serde_json::Map::keys);
    let changes = names.map(|name| {
        let of = |side: &Value| named(name, side.get(name).unwrap_or(&Value::Null));
        format!("{name}: {} -> {}", of(from), of(to))
    });
    let has_changes = from.is_object() || to.is_object();
    let shown = |name: &str| !LEFT_OUT.contains(&name) || (!has_changes && name != "request_id");
    let rest = members.iter().filter(|(name, _)| shown(name));
    let rest = rest.map(|(name, value)| format!("{name}={}", named(name, value)));
    let changes = changes.collect::<Vec<_>>().join("; ");
    let rest = rest.collect::<Vec<_>>().join(" ");
    match (changes.is_empty(), rest.is_empty()) {
        (true, _) => rest,
        (false, true) => changes,
        (false, false) => format!("{changes}; {rest}"),
    }
}

/// Returns the word for a value of the member `name`, as [`line()`] has it.
#[must_use]
pub fn value(name: &str, value: &Value) -> String {
    named(name, value)
}

/// A setting's value in the word that means it: nothing is everything for some, and nothing for others.
fn named(name: &str, value: &Value) -> String {
    let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    match name {
        "products" if value.is_null() => "all".to_owned(),
        "token_lifetime_seconds" | "expires_at" if value.is_null() => "never".to_owned(),
        "secret_networks" | "token_networks" if empty => "any".to_owned(),
        _ if empty => "none".to_owned(),
        _ => text(value),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(members) => {
            let pair = |(name, value): (&String, &Value)| format!("{name}:{}", text(value));
            format!(
                "{{{}}}",
                members.iter().map(pair).collect::<Vec<_>>().join(" ")
            )
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_come_first_with_old_and_new_value() {
        let detail = json!({
            "changed": ["products", "token_networks"], "label": "erp", "request_id": "0198",
            "from": {"products": ["gst"], "token_networks": ["10.0.0.0/8"]},
            "to": {"products": null, "token_networks": []},
        });
        assert_eq!(
            line(&detail),
            "products: gst -> all; token_networks: 10.0.0.0/8 -> any; label=erp"
        );
        let old = json!({"changed": ["label"]});
        assert_eq!(line(&old), "changed=label", "entries of older versions");
        assert_eq!(line(&json!({"n": 2, "request_id": "0198"})), "n=2");
        assert_eq!(
            line(&json!({"role": {"WorkspaceAdmin": "x"}})),
            "role={WorkspaceAdmin:x}"
        );
        assert_eq!(line(&json!({})), "");
    }
}
