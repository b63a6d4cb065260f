//! What an audit entry says of a change: the old and the new value of everything that is different, so that nobody has to
//! compare two entries to find out what was lifted. Values have the form of the admin API.

use serde_json::{Map, Value, json};
use tokenward_core::client::{Product, Settings};
use uuid::Uuid;

/// A client's settings as the admin API has them.
#[must_use]
pub(crate) fn settings(settings: &Settings, products: &[Product]) -> Value {
    json!({
        "label": settings.label,
        "products": settings.products.as_ref().map(|list| Product::slugs(list, products)),
        "token_lifetime_seconds": settings.token_lifetime_seconds,
        "secret_networks": settings.secret_networks.texts(),
        "token_networks": settings.token_networks.texts(),
        "notification_emails": settings.notification_emails,
        "on_repeat": settings.on_repeat,
        "renew_before_seconds": settings.renew_before_seconds,
        "handover_max_seconds": settings.handover_max_seconds,
    })
}

/// The names of the members that differ.
#[must_use]
pub(crate) fn changed(before: &Value, after: &Value) -> Vec<String> {
    let members = after.as_object().into_iter().flatten();
    let differ = members.filter(|(name, value)| before.get(name.as_str()) != Some(value));
    differ.map(|(name, _)| name.clone()).collect()
}

/// Adds the members that differ to a detail: as they were in `from`, as they are in `to`.
#[must_use]
pub(crate) fn with_changes(mut detail: Value, before: &Value, after: &Value) -> Value {
    let names = changed(before, after);
    let of = |side: &Value| -> Map<String, Value> {
        names
            .iter()
            .map(|name| (name.clone(), side[name].clone()))
            .collect()
    };
    if !names.is_empty() {
        detail["from"] = of(before).into();
        detail["to"] = of(after).into();
    }
    detail
}

/// A detail that names the request it was written for. The rest is left to the letter.
#[must_use]
pub(crate) fn stamped(detail: &str, request: Uuid) -> String {
    let Some(members) = detail.strip_suffix('}') else {
        return detail.to_owned();
    };
    let comma = if members.trim_end().ends_with('{') {
        ""
    } else {
        ","
    };
    format!("{members}{comma}\"request_id\":\"{request}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_holds_what_differs_and_the_request() {
        let (before, after) = (json!({"a": 1, "b": null}), json!({"a": 1, "b": ["x"]}));
        let detail = with_changes(json!({"n": 2}), &before, &after);
        assert_eq!(
            detail,
            json!({"n": 2, "from": {"b": null}, "to": {"b": ["x"]}})
        );
        assert_eq!(with_changes(json!({}), &after, &after), json!({}));
        let id = Uuid::from_u128(7);
        for detail in ["{}", r#"{"n":2}"#] {
            let stamped: Value = serde_json::from_str(&stamped(detail, id)).unwrap();
            assert_eq!(stamped["request_id"], id.to_string());
        }
        assert_eq!(stamped("no object", id), "no object");
    }
}
