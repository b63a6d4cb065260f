//! Joining, signing in, and what a session is.

use crate::house::{House, PASSWORD, Page, done, expect, shows, totp};
use crate::invitations::invite;
use crate::late::Stall;
use reqwest::header::SET_COOKIE;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tokenward_testkit::{
    Ran, Server, assert_contains, assert_contains_all, assert_lacks, wait_until,
};

#[tokio::test]
async fn the_first_link_works_once_and_each_start_makes_a_new_one() {
    let mut house = House::new().await;
    let first = house.link();
    house.restart();
    let second = house.link();
    assert_ne!(first, second);
    expect(house.stranger().get(&first), 404, "It was already used").await;
    house.joined(&second, "asha@example.com").await;
    expect(house.stranger().get(&second), 404, "It was already used").await;
    house.restart();
    // Somebody can sign in.
    assert!(!house.server.data_dir().join("console-link").exists());
}

#[tokio::test]
async fn a_session_is_new_at_every_sign_in_and_its_cookie_is_shut() {
    let (house, operator) = House::with_operator().await;
    let mut planted = house.stranger();
    planted.cookie = operator.cookie.clone();
    let form = [("email", "asha@example.com"), ("password", PASSWORD)];
    let answer = expect(planted.post("/console/sign-in", &form), 303, "").await;
    let set = answer.headers[SET_COOKIE].to_str().unwrap();
    // A planted session stays the planter's.
    assert!(!set.starts_with(&operator.cookie));
    let parts = "__Host-tokenward=|; Path=/|; Secure|; HttpOnly|; SameSite=Strict";
    assert_contains_all(set, &parts.split('|').collect::<Vec<_>>());
    assert_lacks(set, "Domain");
}

#[tokio::test]
async fn signing_out_ends_the_session_and_not_only_the_cookie() {
    let (_house, operator) = House::with_operator().await;
    done(&operator, "/console/sign-out", &[]).await;
    let page = expect(operator.get("/console/account"), 303, "").await;
    let sign_in = "/console/sign-in?next=%2Fconsole%2Faccount";
    assert_eq!(page.location(), sign_in);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_only() {
    let (house, asha) = House::with_operator().await;
    let ravi = house.new_operator(&asha, "ravi@example.com").await;
    let second = house.signed_in("asha@example.com").await;
    let second = house.with(&second).await;
    let page = shows(&asha, "/console/account", "This device").await;
    let [id] = page.ids("/console/account/sessions/").try_into().unwrap();
    let path = format!("/console/account/sessions/{id}/end");
    expect(ravi.send(&path, &[]), 404, "There is no such session").await;
    shows(&second, "/console/account", "").await;
    done(&asha, &path, &[]).await;
    expect(second.get("/console/account"), 303, "").await;
    shows(&asha, "/console/account", "").await;
    let third = house.signed_in("asha@example.com").await;
    let third = house.with(&third).await;
    done(&asha, "/console/account/sessions/end", &[]).await;
    expect(third.get("/console/account"), 303, "").await;
    shows(&asha, "/console/account", "").await;
}

#[tokio::test]
async fn another_password_ends_the_other_sessions() {
    let (house, asha) = House::with_operator().await;
    let other = house.signed_in("asha@example.com").await;
    let other = house.with(&other).await;
    let change = async |old: &str, new: &str| {
        let form = [("old_password", old), ("new_password", new)];
        asha.send("/console/account/password", &form).await
    };
    let new = "granite-violin-88-otter";
    expect(
        change("not it at all", new),
        422,
        "This is not your password",
    )
    .await;
    expect(change(PASSWORD, "asha12345678"), 422, "easily guessed").await;
    expect(change(PASSWORD, new), 303, "").await;
    expect(other.get("/console/account"), 303, "").await;
    shows(&asha, "/console/account", "").await;
    expect(house.signed_in("asha@example.com"), 401, "is wrong").await;
}

impl House {
    /// One with an operator, which trusts this machine to name the callers.
    async fn behind_proxy() -> Self {
        let builder = Server::builder().arg("--trusted-proxy=127.0.0.0/8");
        let house = Self::of(builder.start());
        house.operator().await;
        house
    }

    /// Signs in from an address that a trusted proxy tells.
    async fn sign_in_from(&self, from: &str, form: &[(&str, &str)]) -> Page {
        let headers = [("sec-fetch-site", "same-origin"), ("x-forwarded-for", from)];
        let stranger = self.stranger();
        stranger.post_with("/console/sign-in", form, &headers).await
    }
}

#[tokio::test]
async fn a_guesser_is_slowed_and_the_owner_elsewhere_is_not_locked_out() {
    let house = House::behind_proxy().await;
    let attempt = async |from: &str, password: &str| {
        let form = [("email", " ASHA@example.com "), ("password", password)];
        house.sign_in_from(from, &form).await
    };
    let mut statuses = Vec::new();
    for n in 0..24 {
        let page = attempt("192.0.2.66", &format!("guess number {n}")).await;
        statuses.push(page.status.as_u16());
    }
    assert_eq!(statuses[0], 401);
    assert!(statuses.contains(&429), "{statuses:?}");
    let page = attempt("192.0.2.66", PASSWORD);
    let page = expect(page, 429, "Too many wrong attempts").await;
    assert!(page.headers.get(SET_COOKIE).is_none());
    expect(attempt("192.0.2.67", PASSWORD), 303, "").await;
    // A whole /64 is one household.
    for n in 0..24 {
        attempt(&format!("2001:db8:1:2::{n:x}"), "guess").await;
    }
    expect(attempt("2001:db8:1:2:ffff::1", PASSWORD), 429, "").await;
    expect(attempt("2001:db8:1:3::1", PASSWORD), 303, "").await;
}

#[tokio::test]
async fn one_network_may_not_try_a_password_on_every_address() {
    let house = House::behind_proxy().await;
    let attempt = async |from: &str, email: &str| {
        let form = [("email", email), ("password", "spring-2026-spring")];
        house.sign_in_from(from, &form).await
    };
    for network in ["192.0.2.66", "2001:db8:1:2::%"] {
        let mut judged = 0;
        let mut refused = None;
        // Bounded: each attempt takes less than the five seconds after which one more is allowed.
        for n in 0..300 {
            let from = network.replace('%', &format!("{n:x}"));
            let page = attempt(&from, &format!("p{n}@example.com")).await;
            match page.status.as_u16() {
                401 => judged += 1,
                429 => {
                    refused = Some(page);
                    break;
                }
                other => panic!("{other}"),
            }
        }
        assert!(judged >= 40, "{network}: {judged}");
        let refused = refused.expect("a refusal");
        let wait = refused.headers.get("retry-after").expect("Retry-After");
        let wait: u64 = wait.to_str().unwrap().parse().unwrap();
        assert!((1..=5).contains(&wait), "{wait}");
    }
    expect(attempt("192.0.2.67", "p1@example.com"), 401, "").await;
    expect(attempt("2001:db8:1:3::1", "p1@example.com"), 401, "").await;
}

#[tokio::test]
async fn a_flood_of_sign_ins_keeps_nobody_out_who_is_known_there() {
    let mut house = House::new().await;
    house.operator().await;
    for again in [false, true] {
        if again {
            // What was in memory is gone; the session that goes on says the same.
            house.restart();
        }
        let flood = (0..300).map(|n| {
            let stranger = house.stranger();
            async move {
                let email = format!("flood-{n}@example.com");
                let form = [("email", email.as_str()), ("password", "x")];
                stranger.post("/console/sign-in", &form).await
            }
        });
        let (answers, ()) = tokio::join!(futures_util::future::join_all(flood), async {
            expect(house.signed_in("asha@example.com"), 303, "").await;
        });
        let judged = answers.iter().filter(|page| page.status == 401).count();
        assert!(judged <= 60, "{judged} of 300 were judged");
        for page in answers {
            let wait = page.headers.contains_key("retry-after");
            let status = page.status;
            assert!(status == 401 || status == 429 && wait, "{status}");
        }
        expect(house.signed_in("asha@example.com"), 303, "").await;
        house.signed_in("ravi@example.com").await;
    }
}

#[tokio::test]
async fn a_member_with_many_requests_leaves_places_for_the_others() {
    let (house, asha) = House::with_operator().await;
    let ravi = house.new_auditor(&asha, "ravi@example.com").await;
    let (sender, mut refused) = tokio::sync::mpsc::unbounded_channel();
    let flood = (0..20).map(|_| {
        let (ravi, sender) = (ravi.clone(), sender.clone());
        tokio::spawn(async move {
            let page = ravi.send("/console/step-up", &[("proof", PASSWORD)]).await;
            let _ = sender.send(page.status.as_u16());
        })
    });
    let flood: Vec<_> = flood.collect();
    // Eight may wait for a hash and one is made: as soon as one of the others is refused, the queue is as full as they
    // make it.
    while refused.recv().await.expect("a refusal") != 429 {}
    let proof = [("proof", PASSWORD)];
    done(&asha, "/console/step-up", &proof).await;
    for one in flood {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_hashed_for_a_form_that_is_refused_anyway() {
    let (house, asha) = House::with_operator().await;
    // More than may be guessed: a password that was verified would be counted.
    for _ in 0..30 {
        let weak = [
            ("old_password", "a wrong one"),
            ("new_password", "asha12345678"),
        ];
        let page = asha.send("/console/account/password", &weak);
        expect(page, 422, "easily guessed").await;
    }
    let invited = [("email", "ravi@example.com"), ("role", "auditor")];
    let page = asha.send("/console/members/invite", &invited).await;
    let link = page.between("/console/join/", "</code>");
    let link = format!("/console/join/{link}");
    let join = async |name: &str, password: &str| {
        let passwords = [("password", password), ("password_again", password)];
        let form = [&[("name", name)], passwords.as_slice()].concat();
        house.stranger().post(&link, &form).await
    };
    // All at once: one invitation's hashes would be refused with 429 beyond the second.
    let forms = (0..20).map(|_| join("", PASSWORD));
    for page in futures_util::future::join_all(forms).await {
        page.expect(422, "name");
    }
    expect(join("Ravi", PASSWORD), 303, "").await;
}

#[tokio::test]
async fn the_current_password_is_not_guessed_at_the_account_page() {
    let (_house, asha) = House::with_operator().await;
    let guess = async |path: &str, field: &str| {
        let new = ("new_password", "granite-violin-88-otter");
        asha.send(path, &[(field, "not it at all"), new]).await
    };
    let mut judged = 0;
    let mut refused = Vec::new();
    // One count for both pages; bounded, because each attempt takes less than the two seconds after which one more is
    // allowed.
    for n in 0..300 {
        let (path, field) = match n % 2 {
            0 => ("/console/account/password", "old_password"),
            _ => ("/console/step-up", "proof"),
        };
        let page = guess(path, field).await;
        match page.status.as_u16() {
            422 => judged += 1,
            429 => {
                let page = page.expect(429, "then try again");
                assert!(page.headers.contains_key("retry-after"));
                refused.push(path);
            }
            other => panic!("{other}"),
        }
        refused.dedup();
        if refused.len() >= 2 {
            break;
        }
    }
    assert!(judged >= 20, "{judged}");
    assert!(refused.len() >= 2, "{judged} judged, {refused:?} refused");
}

#[tokio::test]
async fn nobody_learns_who_is_a_member() {
    let house = House::new().await;
    house.operator().await;
    let attempt = async |email: &str| {
        let form = [("email", email), ("password", "not it at all")];
        house.stranger().post("/console/sign-in", &form).await
    };
    let known = attempt("asha@example.com").await;
    let unknown = attempt("nobody@example.com").await;
    assert_eq!(known.status, unknown.status);
    let same = known.text.replace("asha@example.com", "nobody@example.com");
    assert_eq!(same, unknown.text);
}

#[tokio::test]
async fn a_disabled_or_removed_member_is_out_at_once() {
    let (house, asha) = House::with_operator().await;
    let ravi = house.new_auditor(&asha, "ravi@example.com").await;
    let id = house.member("ravi@example.com").await;
    let path = format!("/console/members/{id}");
    done(&asha, &format!("{path}/disable"), &[]).await;
    expect(ravi.get("/console/account"), 303, "").await;
    expect(house.signed_in("ravi@example.com"), 401, "is wrong").await;
    done(&asha, &format!("{path}/enable"), &[]).await;
    let back = expect(house.signed_in("ravi@example.com"), 303, "").await;
    let ravi = house.with(&back).await;
    done(&asha, &format!("{path}/remove"), &[]).await;
    expect(ravi.get("/console/account"), 303, "").await;
    expect(house.signed_in("ravi@example.com"), 401, "is wrong").await;
    shows(&asha, "/console/audit", "member.remove").await;
}

#[tokio::test]
async fn nobody_changes_or_removes_themselves() {
    let (_house, asha) = House::with_operator().await;
    let own = asha.get("/console/members").await.ids("/console/members/");
    let path = format!("/console/members/{}", own[0]);
    let says = "changes or removes themselves";
    expect(asha.send(&path, &[("role", "auditor")]), 422, says).await;
    expect(asha.send(&format!("{path}/disable"), &[]), 409, says).await;
    expect(asha.send(&format!("{path}/remove"), &[]), 409, says).await;
    shows(&asha, "/console/members/invite", "").await;
}

#[tokio::test]
async fn a_page_in_the_clear_says_that_nobody_can_stay_signed_in() {
    let house = House::new().await;
    let asked = async |headers: &[(&str, &str)]| {
        let address = format!("{}/console/sign-in", house.server.public());
        let mut request = tokenward_testkit::http().build().unwrap().get(address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().text().await.unwrap()
    };
    let clear = "on an insecure (HTTP) connection";
    assert_contains(&asked(&[("host", "tokens.example.com")]).await, clear);
    assert!(asked(&[("host", "192.0.2.7:8080")]).await.contains(clear));
    for fine in [
        &[][..],
        &[("host", "localhost:8080")],
        &[("host", "[::1]:8080")],
        &[
            ("host", "tokens.example.com"),
            ("x-forwarded-proto", "https"),
        ],
    ] {
        assert!(!asked(fine).await.contains(clear), "{fine:?}");
    }
}

#[tokio::test]
async fn many_codes_side_by_side_are_still_few_guesses() {
    let (house, asha) = House::with_operator().await;
    let key = asha.add_app().await;
    let asked = async || {
        let page = house.signed_in("asha@example.com");
        let page = expect(page, 200, "Two-factor authentication").await;
        page.hidden("between")
    };
    let between = asked().await;
    let guesses = (0..60).map(|n| {
        let (house, between) = (&house, between.as_str());
        async move {
            let code = format!("{n:06}");
            let form = [("between", between), ("code", code.as_str())];
            let stranger = house.stranger();
            stranger.post("/console/sign-in/second", &form).await.status
        }
    });
    let answers = futures_util::future::join_all(guesses).await;
    let judged = answers.iter().filter(|status| **status != 429).count();
    assert!((1..=6).contains(&judged), "{judged} codes were judged");
    // The password proved again changes nothing of that, and the code it is now has to wait too.
    let (between, code) = (asked().await, totp(&key));
    let form = [("between", &*between), ("code", &code)];
    let stranger = house.stranger();
    let page = stranger.post("/console/sign-in/second", &form);
    expect(page, 429, "Too many wrong attempts").await;
}

#[tokio::test]
async fn wrong_passkeys_are_slowed_like_wrong_passwords() {
    let (house, asha) = House::with_operator().await;
    asha.add_app().await;
    let between = house.signed_in("asha@example.com").await.hidden("between");
    let stranger = house.stranger();
    let passkey = [("handle", "no-handle"), ("credential", "{}")];
    let form = [&passkey[..], &[("between", between.as_str())]].concat();
    let mut judged = 0;
    // Bounded: each attempt takes less than the two seconds after which one more is allowed.
    let refused = loop {
        let page = stranger.post("/console/sign-in/passkey", &form).await;
        match page.status.as_u16() {
            401 if judged < 300 => judged += 1,
            _ => break page.expect(429, ""),
        }
    };
    assert!(judged >= 20, "{judged}");
    assert!(refused.headers.contains_key("retry-after"));
    // One count for both pages.
    let mut again = asha.send("/console/step-up/passkey", &passkey).await;
    for _ in 0..20 {
        if again.status == 429 {
            break;
        }
        again = asha.send("/console/step-up/passkey", &passkey).await;
    }
    again.expect(429, "");
}

#[tokio::test]
async fn failed_sign_ins_and_refused_roles_are_in_the_audit_log() {
    let (house, asha) = House::with_operator().await;
    let role = [("role", "auditor")];
    let auditor = house.invited(&asha, "lee@example.com", &role).await;
    asha.add_app().await;
    let typed = "a-password-typed-wrongly";
    for email in "asha@example.com asha@example.com no-member@example.com".split(' ') {
        let form = [("email", email), ("password", typed)];
        let page = house.stranger().post("/console/sign-in", &form).await;
        page.expect(401, "is wrong");
    }
    let page = house.signed_in("asha@example.com").await;
    let between = page.hidden("between");
    let form = [("between", between.as_str()), ("code", "no-code")];
    let stranger = house.stranger();
    let page = stranger.post("/console/sign-in/second", &form).await;
    assert_eq!(page.status, 401);
    let page = asha.send("/console/step-up", &[("proof", typed)]).await;
    assert_eq!(page.status, 422);
    let passkey = [("handle", "no-handle"), ("credential", typed)];
    let form = [&passkey[..], &[("between", between.as_str())]].concat();
    let page = stranger.post("/console/sign-in/passkey", &form).await;
    assert_eq!(page.status, 401);
    let page = asha.send("/console/step-up/passkey", &passkey).await;
    assert_eq!(page.status, 422);
    // Lines are written a moment later, too.
    wait_until("the passkeys' lines", Duration::from_secs(20), || {
        let log = house.server.output();
        let refused = log.lines().filter(|line| {
            let about = ["kind=\"passkey\"", "asha@example.com", "invalid_passkey"];
            line.contains("credential refused") && about.iter().all(|word| line.contains(word))
        });
        refused.count() == 2
    });
    let count = "tokenward_credentials_refused_total{kind=\"passkey\"}";
    assert_eq!(house.api.figure(count).await, Some(2.0));
    let page = auditor.get("/console/admin-keys").await;
    assert_eq!(page.status, 403, "{}", page.text);
    // They are written a moment later.
    let read = async || {
        let entries = house.api.items("/audit?limit=1000").await;
        let words = |entry: &Value| {
            let detail = &entry["detail"];
            let why = [&detail["reason"], &detail["operation"]];
            let why = why.iter().find_map(|why| why.as_str()).unwrap_or("");
            format!("{} {why}", entry["action"].as_str().unwrap())
        };
        let refused = |entry: &&Value| {
            let action = entry["action"].as_str().unwrap();
            action.ends_with("_failed") || action == "access.denied"
        };
        let refused: Vec<Value> = entries.iter().filter(refused).cloned().collect();
        let mut told: Vec<String> = refused.iter().map(words).collect();
        told.sort();
        (told, refused)
    };
    let written = async {
        loop {
            let (told, refused) = read().await;
            if told.len() >= 6 {
                return (told, refused);
            }
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), written).await;
    let (told, refused) = waited.expect("the entries are written");
    let expected = [
        "access.denied GET /console/admin-keys",
        "member.confirmation_failed wrong passkey",
        "member.confirmation_failed wrong password",
        "member.sign_in_failed wrong code",
        "member.sign_in_failed wrong passkey",
        "member.sign_in_failed wrong password",
    ];
    assert_eq!(told, expected);
    for entry in &refused {
        let denied = entry["action"] == "access.denied";
        let by = entry["actor"].as_str().unwrap();
        assert_eq!(by.starts_with("member:"), denied, "{entry}");
        assert_eq!(by == "unverified", !denied, "{entry}");
        assert_eq!(entry["source"], "127.0.0.1");
    }
    let log = wait_until("the lines", Duration::from_secs(20), || {
        let log = house.server.output();
        log.contains("invalid_code").then_some(log)
    });
    for line in "invalid_code asha@example.com invalid_credentials FORBIDDEN".split(' ') {
        assert!(log.contains(line), "{line}: {log}");
    }
    for kept in [log, format!("{refused:?}")] {
        assert_lacks(&kept, typed);
        assert_lacks(&kept, "no-member@");
    }
}

#[tokio::test]
async fn the_link_for_whoever_comes_first_is_over_once_somebody_came() {
    let house = House::new().await;
    let body = json!({ "email": "ravi@example.com", "role": "operator" });
    let invited = invite(&house.api, body).await;
    let first = house.link();
    shows(&house.stranger(), &first, "an operator").await;
    house.joined(&invited, "ravi@example.com").await;
    expect(house.stranger().get(&first), 404, "It was already used").await;
}

#[tokio::test]
async fn an_export_of_everything_is_verified_without_the_server() {
    let (house, asha) = House::with_operator().await;
    let acme = house.workspace("Acme, \"India\"").await;
    house.client(&acme, "erp", None).await;
    let export = "/console/audit/export.jsonl?generations=yes";
    let export = shows(&asha, export, "client.create").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    std::fs::write(&file, &export.text).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    let verify = format!("audit verify --export {}", file.display());
    Ran::of(&mut program, &verify).expect(0);
    let sheet = asha.get("/console/audit/export.csv?generations=yes").await;
    let sheet = sheet.expect(200, "seq,at,at_micros,actor");
    assert_eq!(sheet.text.lines().count(), export.text.lines().count() + 1);
}

#[tokio::test]
async fn pages_are_shown_while_the_database_takes_no_writes() {
    let (house, operator) = House::with_operator().await;
    house.in_database("UPDATE session SET seen_at = seen_at - 120000000");
    let stall = Stall::new(house.server.data_dir());
    shows(&operator, "/console/account", "asha@example.com").await;
    drop(stall);
}
