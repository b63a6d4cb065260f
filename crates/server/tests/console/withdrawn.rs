//! A form that began before its session's end and is decided after it is refused: every form of the console.

use crate::authority::{World, as_opened, pages};
use crate::house::{Browser, PASSWORD};
use crate::late::{Held, Stall, decisions_waiting};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// How often a round may begin too late to show anything.
const ROUNDS: usize = 5;
const NOTHING: &str = "00000000-0000-4000-8000-000000000000";

/// Forms that no session sends.
const WITHOUT_SESSION: [&str; 7] = [
    "/console/sign-in",
    "/console/sign-in/second",
    "/console/sign-in/passkey/options",
    "/console/sign-in/passkey",
    "/console/join/{opaque_token}",
    "/console/email/confirm/{opaque_token}",
    "/console/email/stop/{link}",
];

/// Where a form is sent, its fields, and whether it gets as far as the writer.
type Own = (&'static str, &'static [(&'static str, &'static str)], bool);

/// Forms of one's own account and the session, which the table of the admin API has no rows for; and whether what is
/// sent here gets as far as the writer.
const OWN: [Own; 15] = [
    (
        "/account/password",
        &[
            ("old_password", PASSWORD),
            ("new_password", "granite-violin-88-otter"),
        ],
        false,
    ),
    (
        "/account/app",
        &[("sealed", "00"), ("code", "000000")],
        false,
    ),
    ("/account/app/remove", &[], true),
    ("/account/recovery", &[], true),
    ("/account/sessions/end", &[], true),
    ("/account/sessions/{session}/end", &[], false),
    ("/account/passkeys/options", &[], false),
    ("/account/passkeys", &[("handle", NOTHING)], false),
    ("/account/passkeys/{passkey}/remove", &[], true),
    ("/step-up", &[("proof", PASSWORD)], false),
    ("/step-up/passkey/options", &[], false),
    ("/step-up/passkey", &[("handle", NOTHING)], false),
    ("/inspect", &[("token", "x")], false),
    ("/search", &[("q", NOTHING)], false),
    ("/sign-out", &[], false),
];

/// A form as it is sent.
#[derive(Clone)]
struct Sent {
    path: String,
    form: Vec<(String, String)>,
    /// Whether it gets as far as the writer.
    writes: bool,
}

/// Every form that an operator may send, about things that exist.
async fn forms(world: &World) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut made = Vec::new();
    for (nth, page) in pages().into_iter().enumerate() {
        let (Some(form), true) = (&page.form, page.is_done_by_operators()) else {
            continue;
        };
        let label = format!("late {} {nth}", world.next());
        let path = world.filled(page.path, &label, &mut made).await;
        let mut filled = Vec::new();
        for (name, value) in form {
            let value = world.filled(value, &label, &mut made).await;
            filled.push(((*name).to_owned(), value));
        }
        let writes = !path.starts_with("/audit");
        let path = format!("/console{path}");
        for (name, value) in as_opened(&world.operator, &path).await {
            filled.push((name.to_owned(), value));
        }
        sent.push(Sent {
            writes,
            path,
            form: filled,
        });
    }
    for (path, form, writes) in OWN {
        let path = path
            .replace("{session}", NOTHING)
            .replace("{passkey}", NOTHING);
        let form = form.iter();
        sent.push(Sent {
            path: format!("/console{path}"),
            form: form.map(|(a, b)| ((*a).into(), (*b).into())).collect(),
            writes,
        });
    }
    sent
}

/// The path of every route that takes a form, read in the console's sources.
fn routes() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/console");
    let mut routes = BTreeSet::new();
    let (mut folders, mut sources) = (vec![folder], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                None => folders.push(path),
                Some(_) => sources.push(std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    for source in sources {
        for rest in source.split(".route(").skip(1) {
            let mut depth = 1;
            let end = rest.find(|letter| {
                depth += match letter {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            let route = &rest[..end.unwrap()];
            if !route.contains("post(") {
                continue;
            }
            let path = route.split(',').next().unwrap().trim();
            let path = path.trim_start_matches("&format!(").trim_end_matches(')');
            let path = path.trim_matches('"');
            let path = path.replace("{{", "<").replace("}}", ">");
            let path = match path.as_str() {
                "client" => "{client}".to_owned(),
                "list" => "{list}".to_owned(),
                _ => path,
            };
            let path = path
                .replace("{client}", "/console/clients/{id}")
                .replace("{list}", "/console/w/{workspace}/{environment}")
                .replace('<', "{")
                .replace('>', "}");
            assert!(path.starts_with("/console"), "{path} of {route}");
            routes.insert(path);
        }
    }
    assert!(routes.len() > 25, "{routes:?}");
    routes
}

fn is_at(route: &str, path: &str) -> bool {
    let (one, other) = (route.split('/'), path.split('/'));
    one.clone().count() == other.clone().count()
        && one
            .zip(other)
            .all(|(one, other)| one.starts_with('{') || one == other)
}

/// How a member's authority ends, and what a form is answered then.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Session,
    Removed,
    Disabled,
    OtherRole,
}

impl End {
    fn action(self) -> &'static str {
        match self {
            Self::Session => "member.end_sessions",
            Self::Removed => "member.remove",
            Self::Disabled | Self::OtherRole => "member.change",
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::OtherRole => 403,
            _ => 401,
        }
    }
}

/// An operator whose authority is to end.
struct Victim {
    id: String,
    browser: Browser,
    /// The same member in another browser.
    other: Browser,
}

impl Victim {
    async fn new(world: &World, email: &str) -> Self {
        let house = &world.house;
        let browser = house.new_operator(&world.operator, email).await;
        let other = house.signed_in(email).await;
        let other = house.with(&other).await;
        Self {
            id: house.member(email).await,
            browser,
            other,
        }
    }

    /// Ends the authority; the answer's status.
    fn end(&self, world: &World, end: End) -> impl Future<Output = u16> + Send + use<> {
        let api = world.house.api.clone();
        let (path, other) = (format!("/members/{}", self.id), self.other.clone());
        async move {
            let change = |body: Value| api.admin(Method::PATCH, &path).json(&body);
            let request = match end {
                End::Session => {
                    let page = other.send("/console/account/sessions/end", &[]).await;
                    return page.status.as_u16();
                }
                End::Removed => api.admin(Method::DELETE, &path),
                End::Disabled => change(json!({ "disabled": true })),
                End::OtherRole => change(json!({ "role": "auditor" })),
            };
            api.send(request).await.unwrap().status
        }
    }

    /// The member's own actions after the entry of the end.
    async fn after(&self, world: &World, end: End) -> Vec<String> {
        let entries = world.house.api.items("/audit?limit=1000").await;
        let actor = format!("member:{}", self.id);
        let ended = |entry: &&Value| {
            let about =
                entry["actor"] == actor.as_str() || entry["detail"].to_string().contains(&self.id);
            entry["action"] == end.action() && about
        };
        let mut entries = entries.iter().skip_while(|entry| !ended(entry));
        assert!(entries.next().is_some(), "{end:?} is audited");
        let own = entries.filter(|entry| entry["actor"] == actor.as_str());
        own.map(|entry| entry["action"].to_string()).collect()
    }
}

async fn send(browser: Browser, sent: Sent) -> (String, u16, String) {
    let form = sent.form.iter();
    let form: Vec<(&str, &str)> = form.map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let page = browser.send(&sent.path, &form).await;
    (sent.path.clone(), page.status.as_u16(), page.text)
}

#[tokio::test]
async fn every_form_of_the_router_is_in_the_table() {
    let table: Vec<String> = pages()
        .into_iter()
        .filter(|page| page.form.is_some() && page.is_done_by_operators())
        .map(|page| format!("/console{}", page.path))
        .chain(OWN.map(|(path, ..)| format!("/console{path}")))
        .chain(WITHOUT_SESSION.map(str::to_owned))
        .collect();
    let missing: Vec<String> = routes()
        .into_iter()
        .filter(|route| !table.iter().any(|path| is_at(route, path)))
        .collect();
    let why = "no row of authority.rs or withdrawn.rs sends a form to";
    assert!(missing.is_empty(), "{why} {missing:?}");
}

#[tokio::test]
async fn authority_ended_before_the_decision_refuses_every_form() {
    let world = World::new().await;
    for end in [End::Session, End::Removed, End::Disabled, End::OtherRole] {
        let mut done = Vec::new();
        for round in 0..ROUNDS {
            let email = format!("{end:?}{round}@example.com").to_lowercase();
            let victim = Victim::new(&world, &email).await;
            let forms = forms(&world).await;
            let writing = forms.iter().filter(|form| form.writes);
            let stall = Stall::new(world.house.server.data_dir());
            let ending = tokio::spawn(victim.end(&world, end));
            // The end is decided first; if not, the round shows nothing.
            for _ in 0..3 {
                decisions_waiting(&world.house.api).await;
            }
            let send = |form: &Sent| tokio::spawn(send(victim.browser.clone(), form.clone()));
            let late: Vec<_> = writing.map(send).collect();
            stall.until(&world.house.api, late.len()).await;
            drop(stall);
            let ended = ending.await.unwrap();
            assert!(matches!(ended, 200 | 204 | 303), "{end:?}: {ended}");
            done.clear();
            for late in late {
                let (path, status, text) = late.await.unwrap();
                let asked = status != 401 || text.contains("action=\"/console/sign-in\"");
                if status != end.status() || !asked {
                    done.push(format!("{path}: {status}"));
                }
            }
            assert_eq!(victim.after(&world, end).await, [""; 0], "{end:?}");
            if done.is_empty() {
                break;
            }
        }
        assert!(done.is_empty(), "not refused after {end:?}: {done:?}");
    }
}

#[tokio::test]
async fn form_finished_after_the_sessions_end_is_refused() {
    let world = World::new().await;
    for end in [End::Session, End::Removed, End::Disabled] {
        let email = format!("{end:?}@example.com").to_lowercase();
        let victim = Victim::new(&world, &email).await;
        let (base, cookie) = (&victim.browser.base, &victim.browser.cookie);
        let headers = format!(
            "cookie: {cookie}\r\nsec-fetch-site: same-origin\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        );
        let mut held = Vec::new();
        for form in forms(&world).await {
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.append_pair("csrf_token", &victim.browser.word);
            body.extend_pairs(&form.form);
            let begun = Held::begin(base, ("POST", &form.path), &headers, body.finish());
            held.push((form.path.clone(), begun.await));
        }
        let ended = victim.end(&world, end).await;
        assert!(matches!(ended, 200 | 204 | 303), "{end:?}: {ended}");
        for (path, held) in held {
            let (status, answer) = held.finish().await;
            let asked = answer.contains("action=\"/console/sign-in\"");
            assert!(status == 401 && asked, "{path} after {end:?}: {answer}");
        }
        assert_eq!(victim.after(&world, end).await, [""; 0], "{end:?}");
    }
}
