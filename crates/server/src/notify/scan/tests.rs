//! What is told of a client at which moment, and under which key.

use super::*;
use serde_json::Value;
use tokenward_core::Digest;
use tokenward_core::client::{ApiClient, OnRepeat, SecretRecord, Settings, Workspace};
use tokenward_core::digest::KeyId;
use tokenward_core::ids::{ClientId, ClientNo, Environment, WorkspaceId, WorkspaceNo};
use tokenward_core::label::{Label, Name};
use tokenward_core::restrictions::Networks;
use tokenward_core::slot::{QuotaCount, Slot, TokenRecord};
use uuid::Uuid;

/// Noon of a day long after the epoch.
const NOW: Timestamp = Timestamp((20_000 * SECONDS_PER_DAY + 43_200) * MICROS_PER_SECOND);

fn state() -> ClientState {
    let secret = SecretRecord {
        n: 1,
        digest: Digest([0; 32]),
        key: KeyId(0),
        created_at: NOW,
    };
    ClientState {
        client: ApiClient {
            no: ClientNo(7),
            id: ClientId(Uuid::nil()),
            workspace: WorkspaceNo(0),
            environment: Environment::Sandbox,
            settings: Settings {
                label: Label::parse("erp").unwrap(),
                products: None,
                token_lifetime_seconds: None,
                secret_networks: Networks::default(),
                token_networks: Networks::default(),
                notification_emails: Vec::new(),
                on_repeat: OnRepeat::Replace,
                renew_before_seconds: 0,
                handover_max_seconds: 0,
            },
            created_at: NOW,
            disabled_at: None,
            deleted_at: None,
            secrets: [Some(secret), None],
            next_secret: 2,
        },
        slot: Slot::default(),
        workspace: Workspace {
            no: WorkspaceNo(0),
            id: WorkspaceId(Uuid::nil()),
            name: Name::parse("acme").unwrap(),
            created_at: NOW,
            disabled_at: None,
        },
    }
}

fn later(hours: i64) -> Timestamp {
    Timestamp(NOW.0 + hours * 3_600 * MICROS_PER_SECOND)
}

/// A client whose token was issued and ends so many hours from now.
fn with_token(issued: i64, till: Option<i64>) -> ClientState {
    let mut state = state();
    state.slot.generation = 3;
    state.slot.token = Some(TokenRecord {
        digest: Digest([0; 32]),
        key: KeyId(0),
        issued_at: later(issued),
        valid_till: till.map(later),
    });
    state
}

fn told(state: &ClientState, used: Option<&Use>, stale: &[&SourceUse]) -> Vec<(String, Value)> {
    let events = events(state, used, stale, 10, NOW);
    events
        .into_iter()
        .map(|event| (event.key, event.facts.into()))
        .collect()
}

#[test]
fn the_end_of_a_token_is_told_at_the_nearest_of_three_distances() {
    for (issued, till, expected) in [
        (-24 * 60, Some(24 * 31), None),
        (-24 * 60, Some(24 * 30), Some(30)),
        (-24 * 60, Some(24 * 8), Some(30)),
        (-24 * 60, Some(24 * 7), Some(7)),
        (-24 * 60, Some(25), Some(7)),
        (-24 * 60, Some(24), Some(1)),
        (-24 * 60, Some(1), Some(1)),
        (-24 * 60, Some(-1), None),
        (-24 * 60, None, None),
        // A token of 40 days is half over at 20, one of a day is renewed all the time.
        (-24 * 20, Some(24 * 20), None),
        (-24 * 20, Some(24 * 6), Some(7)),
        (-12, Some(12), None),
    ] {
        let state = with_token(issued, till);
        let days = expiring(&state, NOW).map(|event| event.facts["days"].clone());
        assert_eq!(days, expected.map(Value::from), "{issued} {till:?}");
    }
    let event = expiring(&with_token(-24 * 60, Some(24)), NOW).unwrap();
    assert_eq!(event.key, "token.expiring 7 3 1");
}

#[test]
fn a_quota_is_told_at_the_highest_mark_reached_of_each_secret() {
    let day = NOW.utc_day();
    for (day, used, expected) in [
        (day, 5, None),
        (day, 6, Some(60)),
        (day, 8, Some(80)),
        (day, 9, Some(80)),
        (day, 10, Some(100)),
        (day - 1, 10, None),
    ] {
        let mut state = state();
        state.slot.quota[0] = QuotaCount { day, used };
        // The count of a secret that is no more.
        state.slot.quota[1] = QuotaCount { day, used: 10 };
        let told = told(&state, None, &[]);
        let percents: Vec<_> = told
            .iter()
            .map(|(_, facts)| facts["percent"].clone())
            .collect();
        let expected: Vec<_> = expected.map(Value::from).into_iter().collect();
        assert_eq!(percents, expected, "{used}");
    }
}

#[test]
fn superseded_tokens_are_told_when_they_are_many_or_late() {
    let stale = |outcome, n, seconds: i64| SourceUse {
        client: ClientNo(7),
        day: 20_000,
        source: "10.0.0.1".into(),
        outcome,
        n,
        last_at: Timestamp(NOW.0 + seconds * MICROS_PER_SECOND),
    };
    let state = with_token(0, None);
    for (one, expected) in [
        (stale(Outcome::Superseded, 19, 299), false),
        (stale(Outcome::Superseded, 20, 1), true),
        (stale(Outcome::Superseded, 1, 300), true),
        (stale(Outcome::Revoked, 100, 1_000), false),
        (stale(Outcome::Expired, 100, 1_000), false),
    ] {
        assert_eq!(
            told(&state, None, &[&one]).len(),
            usize::from(expected),
            "{one:?}"
        );
    }
}

#[test]
fn a_client_is_unused_thirty_days_after_the_last_thing_that_happened() {
    let used = |hours| Use {
        client: ClientNo(7),
        at: later(hours),
        source: "10.0.0.1".into(),
        product: tokenward_core::ids::ProductNo(0),
        generation: 1,
    };
    let month = -24 * 30;
    let check = |state: &ClientState, used: Option<Use>, expected: bool| {
        let told = told(state, used.as_ref(), &[]);
        let unused = told.iter().any(|(key, _)| key.starts_with("client.unused"));
        assert_eq!(unused, expected, "{used:?}");
    };
    check(&with_token(2 * month, None), Some(used(month)), true);
    check(&with_token(2 * month, None), Some(used(month + 1)), false);
    check(&with_token(month, None), None, true);
    check(&with_token(-1, None), Some(used(2 * month)), false);
    let mut never = state();
    check(&never, None, false);
    never.client.created_at = later(month);
    check(&never, None, true);
    never.client.disabled_at = Some(NOW);
    check(&never, None, false);
}
