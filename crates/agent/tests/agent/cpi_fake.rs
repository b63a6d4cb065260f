//! A contract fake of a SAP Cloud Integration tenant: its OAuth login and, of its OData API, the User Credentials, as
//! SAP's public reference and users' reports describe them. It is not SAP's software and no tenant has been compared
//! with it; what it shows is that our side keeps to this contract.

use crate::services::{Asked, bare, stub};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Calls that a tenant takes in a second.
const MOST_A_SECOND: usize = 12;

/// The OAuth client of the tests.
pub(crate) const CLIENT_ID: &str = "sb-agent";
/// Its secret.
pub(crate) const CLIENT_SECRET: &str = "agents-own-secret";

/// How the tenant behaves.
#[derive(Clone)]
pub(crate) struct Manner {
    /// The login may write Security Material.
    pub(crate) may_edit: bool,
    /// Looks at an artifact until a write to it is deployed.
    pub(crate) looks_to_deploy: u32,
    /// Calls after which a login has run out.
    pub(crate) calls_a_login: u32,
    /// "Too many" answers to give first.
    pub(crate) refusals: u32,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            may_edit: true,
            looks_to_deploy: 2,
            calls_a_login: 1000,
            refusals: 0,
        }
    }
}

#[derive(Default)]
struct State {
    logins: u32,
    calls_left: u32,
    refusals: u32,
    deployed: BTreeMap<String, Value>,
    pending: BTreeMap<String, (Option<Value>, u32)>,
    deployments: u32,
    recent: VecDeque<Instant>,
    statuses: Vec<u16>,
    most_a_second: usize,
}

/// A running fake. Its threads end with the test process.
pub(crate) struct CpiFake {
    pub(crate) base: String,
    state: Arc<Mutex<State>>,
}

impl CpiFake {
    pub(crate) fn start(manner: Manner) -> CpiFake {
        let state = Arc::new(Mutex::new(State {
            refusals: manner.refusals,
            ..State::default()
        }));
        let shared = state.clone();
        let base = stub(move |request| {
            let mut state = shared.lock().unwrap();
            let answer = answer(&mut state, &manner, request);
            state.statuses.push(answer.status().as_u16());
            answer
        });
        CpiFake { base, state }
    }

    /// The artifact that is deployed, password and all.
    pub(crate) fn deployed(&self, name: &str) -> Option<Value> {
        self.state.lock().unwrap().deployed.get(name).cloned()
    }

    /// Puts an artifact there, as an administrator's hand would.
    pub(crate) fn place(&self, artifact: Value) {
        let name = artifact["Name"].as_str().unwrap().to_owned();
        self.state.lock().unwrap().deployed.insert(name, artifact);
    }

    pub(crate) fn logins(&self) -> u32 {
        self.state.lock().unwrap().logins
    }

    /// How often it answered with this status.
    pub(crate) fn answered(&self, status: u16) -> usize {
        let state = self.state.lock().unwrap();
        state.statuses.iter().filter(|one| **one == status).count()
    }

    /// The most calls it saw within a second.
    pub(crate) fn most_a_second(&self) -> usize {
        self.state.lock().unwrap().most_a_second
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fake of a server has a clock of its own"
)]
fn now() -> Instant {
    Instant::now()
}

/// A header of a request.
fn told<'a>(request: &'a Asked, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn answer(state: &mut State, manner: &Manner, request: &Asked) -> Response {
    let path = request.uri().path();
    if path == "/oauth/token" {
        return log_in(state, manner, request);
    }
    let Some(path) = path.strip_prefix("/api/v1/") else {
        return bare(404, &[]);
    };
    let moment = now();
    state.recent.push_back(moment);
    while state
        .recent
        .front()
        .is_some_and(|first| moment - *first >= Duration::from_secs(1))
    {
        state.recent.pop_front();
    }
    state.most_a_second = state.most_a_second.max(state.recent.len());
    if state.recent.len() > MOST_A_SECOND || state.refusals > 0 {
        state.refusals = state.refusals.saturating_sub(1);
        return bare(429, &[("retry-after", "1")]);
    }
    let bearer = format!("Bearer login-{}", state.logins);
    if told(request, "authorization") != Some(&*bearer) || state.calls_left == 0 {
        return bare(401, &[]);
    }
    state.calls_left -= 1;
    let forgery = format!("forgery-{}", state.logins);
    if request.method() == "GET" {
        return look(state, request, path, &forgery);
    }
    let cookie = format!("JSESSIONID={forgery}; route=a");
    let tokens = ["x-csrf-token", "cookie"].map(|name| told(request, name));
    if tokens != [Some(&*forgery), Some(&*cookie)] {
        return bare(403, &[("x-csrf-token", "Required")]);
    }
    if !manner.may_edit {
        return bare(403, &[]);
    }
    change(state, manner, request, path)
}

fn log_in(state: &mut State, manner: &Manner, request: &Asked) -> Response {
    // base64 of CLIENT_ID:CLIENT_SECRET
    let basic = "Basic c2ItYWdlbnQ6YWdlbnRzLW93bi1zZWNyZXQ=";
    let told = told(request, "authorization");
    if told != Some(basic) || request.body() != "grant_type=client_credentials" {
        return bare(401, &[]);
    }
    state.logins += 1;
    state.calls_left = manner.calls_a_login;
    let body = json!({"access_token": format!("login-{}", state.logins), "token_type": "bearer", "expires_in": 3600});
    body.to_string().into_response()
}

fn look(state: &mut State, request: &Asked, path: &str, forgery: &str) -> Response {
    if path.is_empty() {
        if told(request, "x-csrf-token") != Some("Fetch") {
            return bare(200, &[]);
        }
        let cookie = format!("JSESSIONID={forgery}; Path=/; HttpOnly");
        return bare(
            200,
            &[
                ("x-csrf-token", forgery),
                ("set-cookie", &cookie),
                ("set-cookie", "route=a; Path=/"),
            ],
        );
    }
    let Some(name) = key(path) else {
        return bare(404, &[]);
    };
    deploy(state, &name);
    match state.deployed.get(&name) {
        None => bare(404, &[]),
        Some(artifact) => {
            let mut shown = artifact.clone();
            shown["Password"] = Value::Null;
            json!({"d": shown}).to_string().into_response()
        }
    }
}

/// Brings a pending change a look nearer, and in.
fn deploy(state: &mut State, name: &str) {
    let Some((change, looks)) = state.pending.remove(name) else {
        return;
    };
    if looks > 0 {
        state.pending.insert(name.to_owned(), (change, looks - 1));
        return;
    }
    state.deployments += 1;
    match change {
        None => {
            state.deployed.remove(name);
        }
        Some(mut artifact) => {
            artifact["SecurityArtifactDescriptor"] = json!({
                "Type": "CREDENTIALS",
                "DeployedOn": format!("/Date({})/", 1_795_428_930_000_u64 + u64::from(state.deployments)),
                "Status": "DEPLOYED",
            });
            state.deployed.insert(name.to_owned(), artifact);
        }
    }
}

fn change(state: &mut State, manner: &Manner, request: &Asked, path: &str) -> Response {
    let change = match request.method().as_str() {
        "DELETE" => None,
        _ => match serde_json::from_slice::<Value>(request.body()) {
            Ok(artifact)
                if artifact["Kind"] == "default" && artifact["Description"].is_string() =>
            {
                Some(artifact)
            }
            _ => return bare(400, &[]),
        },
    };
    let (name, exists) = match (request.method().as_str(), key(path), &change) {
        ("POST", None, Some(artifact)) if path == "UserCredentials" => {
            let name = artifact["Name"].as_str().unwrap_or_default().to_owned();
            (name.clone(), !state.deployed.contains_key(&name))
        }
        ("PUT" | "DELETE", Some(name), _) => (name.clone(), state.deployed.contains_key(&name)),
        _ => return bare(405, &[]),
    };
    if !exists {
        let status = if request.method() == "POST" { 400 } else { 404 };
        return bare(status, &[]);
    }
    state.pending.insert(name, (change, manner.looks_to_deploy));
    bare(202, &[])
}

fn key(path: &str) -> Option<String> {
    let name = path.strip_prefix("UserCredentials('")?.strip_suffix("')")?;
    Some(name.to_owned())
}
