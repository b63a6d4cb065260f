//! The tables as people see them, and the client that other tests show.

use super::*;
use crate::table::Style;
use serde_json::json;

/// A body as the API sends it.
fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A client as the admin API describes it.
pub(crate) fn example() -> Client {
    of(json!({
        "id": "0198c0de-0000-7000-8000-00000000000a", "workspace_id": "0198c0de-0000-7000-8000-000000000001",
        "label": "erp south", "environment": "production", "products": ["e-invoice", "gst"], "tags": ["plant-2", "south"],
        "token_lifetime_seconds": 7_200, "secret_networks": [], "token_networks": ["10.0.0.0/8"],
        "notification_emails": ["ops@example.com", "team@example.com"], "notification_addresses": [
            {"email": "ops@example.com", "state": "confirmed"}, {"email": "team@example.com", "state": "pending"}],
        "on_repeat": "return", "renew_before_seconds": 600,
        "handover_max_seconds": 0, "state": "enabled", "created_at": "2026-11-01T08:00:00+00:00",
        "disabled_at": null, "deleted_at": null,
        "secrets": [{"n": 1, "note": "in the vault", "created_at": "2026-11-01T08:00:00+00:00", "quota_used_today": 12, "quota_left_today": 276}],
        "token": {"generation": 7, "issued_at": "2026-11-23T09:15:30+00:00",
            "valid_till": "2026-11-23T11:15:30+00:00", "state": "live",
            "previous_valid_till": "2026-11-23T09:16:00+00:00",
            "last_used_at": "2026-11-23T10:15:30+00:00", "last_used_from": "10.0.0.7"},
        "last_used_at": "2026-11-23T10:15:30+00:00", "last_used_from": "10.0.0.7",
        "last_used_product": "gst"
    }))
}

#[test]
fn a_client_shows_everything_that_is_set() {
    insta::assert_snapshot!(client(&example()).draw(Style::Plain));
}

#[test]
fn clients_in_a_list_in_every_state() {
    let never = Client {
        label: tokenward_api::Label::of("new"),
        products: None,
        token: of(json!({"generation": 0, "issued_at": null, "valid_till": null, "state": "none"})),
        last_used_at: None,
        ..example()
    };
    let mut eternal = example();
    eternal.token.valid_till = None;
    eternal.state = ClientState::Disabled;
    eternal.token.state = TokenState::Disabled;
    eternal.workspace_id = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0002);
    let mut gone = example();
    gone.state = ClientState::Deleted;
    gone.token.state = TokenState::Revoked;
    gone.token.ended_at = Some(Time::of("2026-11-23T10:20:00+00:00"));
    let names = BTreeMap::from([(example().workspace_id, "acme".to_owned())]);
    insta::assert_snapshot!(clients(&[example(), never, eternal, gone], &names).draw(Style::Plain));
}

#[test]
fn an_answer_without_its_members_is_dashes_not_a_crash() {
    fn empty<T: serde::de::DeserializeOwned>() -> [T; 1] {
        [of(json!({}))]
    }
    let all = [
        clients(&empty(), &BTreeMap::new()),
        client(&empty()[0]),
        workspaces(&empty()),
        workspace(&empty()[0]),
        products(&empty()),
        admin_keys(&empty()),
        people(&empty()),
        person(&empty()[0]),
        audit(&empty()),
        webhooks(&empty()),
        addresses(&empty()),
        notices(&empty()),
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
        admin_keys(&keys.map(of)),
        audit(&entries.map(of)),
        workspaces(&spaces.map(of)),
        products(&slugs.map(of)),
    ];
    insta::assert_snapshot!(tables.map(|table| table.draw(Style::Plain)).join("\n\n"));
}

#[test]
fn members_and_those_who_are_invited() {
    let people_there = [
        json!({"id": "0198c0de-0000-7000-8000-0000000000ba", "email": "asha@example.com", "name": "Asha",
            "role": "operator", "workspace_id": null, "products": null, "has_password": true,
            "has_authenticator_app": true, "passkeys": 2, "single_sign_on": false, "disabled": false,
            "created_at": "2026-11-01T08:00:00+00:00", "disabled_at": null}),
        json!({"id": "0198c0de-0000-7000-8000-0000000000bb", "email": "ravi@example.com", "name": "Ravi",
            "role": "product_admin", "workspace_id": "0198c0de-0000-7000-8000-000000000001", "products": ["gst"],
            "has_password": false, "has_authenticator_app": false, "passkeys": 0, "single_sign_on": true,
            "disabled": true, "disabled_at": "2026-11-02T08:00:00+00:00"}),
    ];
    let invited = [
        json!({"id": "0198c0de-0000-7000-8000-0000000000bc", "email": null, "role": "operator",
            "workspace_id": null, "products": null, "expires_at": "2026-11-24T08:00:00+00:00"}),
    ];
    let tables = [
        people(&people_there.clone().map(of)),
        people(&invited.map(of)),
        person(&of(people_there[0].clone())),
    ];
    insta::assert_snapshot!(tables.map(|table| table.draw(Style::Plain)).join("\n\n"));
}

#[test]
fn seconds_read_in_their_largest_unit() {
    let check = |value, expect: &str| assert_eq!(seconds(value), expect);
    check(Some(0), "0s");
    check(Some(90), "90s");
    check(Some(600), "10m");
    check(Some(7_200), "2h");
    check(Some(86_400), "1d");
    check(None, "never");
}
