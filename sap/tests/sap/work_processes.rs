//! Eight sessions on one table: one of them renews, the others use what it stored, and nobody calls with a dead token.

use crate::clear_like;
use crate::house::{API_PATH, House};
use crate::session::Session;
use serde_json::{Value, json};
use tokenward_testkit::expect_status;

/// Work processes of a small SAP system.
const SESSIONS: usize = 8;

/// Calls of each session.
const CALLS: usize = 3;

/// What the sessions saw.
struct Seen {
    /// Calls that an application saw end well.
    good: usize,
    /// Calls that an API refused with 401, cured or not.
    dead: u64,
}

fn sessions(house: &House, changes: &Value) -> Vec<Session> {
    (0..SESSIONS).map(|_| house.session(changes)).collect()
}

/// Lets all sessions call at once and tells what they saw.
fn call_at_once(sessions: &mut [Session]) -> Seen {
    let wish = json!({"do": "call", "path": API_PATH, "times": CALLS});
    let mut dead_before = 0;
    for session in sessions.iter_mut() {
        dead_before += session.answered("API 401");
    }
    for session in sessions.iter_mut() {
        session.tell(&wish);
    }
    let mut good = 0;
    for session in sessions.iter_mut() {
        let answer = session.hear();
        assert_eq!(answer["header_left"], false, "{answer}");
        let statuses = answer["statuses"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"));
        good += statuses.iter().filter(|status| **status == 200).count();
    }
    let dead: u64 = sessions
        .iter_mut()
        .map(|session| session.answered("API 401"))
        .sum();
    Seen {
        good,
        dead: dead - dead_before,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_sessions_make_one_token_and_call_with_no_dead_one() {
    let house = House::new().await;
    let mut all = sessions(&house, &json!({"patient": true}));
    let seen = call_at_once(&mut all);
    assert_eq!((seen.good, seen.dead), (SESSIONS * CALLS, 0));
    assert_eq!(house.generations().await, 1);

    // Revoked behind everybody's back: eight refusals at most, one new token.
    expect_status(house.api.revoke(&house.client.id), 200).await;
    let seen = call_at_once(&mut all);
    assert_eq!(seen.good, SESSIONS * CALLS);
    assert!(
        (1..=SESSIONS as u64).contains(&seen.dead),
        "{} refusals",
        seen.dead
    );
    assert_eq!(house.generations().await, 2);
    for session in &all {
        house.assert_no_secret_in("a session", &session.everything_said());
    }
    house.assert_no_secret_in("the database's log", &house.database.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_generations_is_kept_from_the_tug_of_war_by_the_lock_alone() {
    let mut house = House::new().await;
    house.token_server = Some(clear_like::before(house.server.public()));
    let mut all = sessions(&house, &json!({"patient": true}));
    let seen = call_at_once(&mut all);
    assert_eq!((seen.good, seen.dead), (SESSIONS * CALLS, 0));
    assert_eq!(house.generations().await, 1);
    assert_eq!(house.value("SELECT generation FROM ztkw_tokens"), "0");
    drop(all);

    // The same without the lock: the first two that ask for a token both get one, and the second ends the first. Whether a
    // call ends well is then a matter of chance; that tokens were made beyond the one is not.
    let _ = house.value("DELETE FROM ztkw_tokens");
    house.token_server = Some(clear_like::before_a_crowd(house.server.public(), 2));
    let mut all = sessions(&house, &json!({"sabotage": "no lock"}));
    for session in &mut all {
        session.tell(&json!({"do": "call", "path": API_PATH, "times": CALLS}));
    }
    for session in &mut all {
        let _ = session.hear();
    }
    let generations = house.generations().await;
    assert!(
        generations > 2,
        "without the lock there was no tug-of-war: {generations} tokens"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_holds_where_the_lock_is_lost() {
    let house = House::new().await;
    let mut all = sessions(&house, &json!({"sabotage": "no lock", "patient": true}));
    let seen = call_at_once(&mut all);
    assert_eq!((seen.good, seen.dead), (SESSIONS * CALLS, 0));
    assert_eq!(house.generations().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_dies_between_generating_and_storing_is_recovered_from() {
    let house = House::new().await;
    let mut dying = house.session(&json!({"sabotage": "die after generating"}));
    dying.tell(&json!({"do": "call", "path": API_PATH, "times": 1}));
    assert!(dying.hear_or_end().is_none(), "it was to die");
    assert_eq!(house.generations().await, 1);
    assert_eq!(house.value("SELECT count(*) FROM ztkw_tokens"), "0");

    let mut all = sessions(&house, &json!({}));
    let seen = call_at_once(&mut all);
    assert_eq!((seen.good, seen.dead), (SESSIONS * CALLS, 0));
    assert_eq!(house.generations().await, 2);
}
