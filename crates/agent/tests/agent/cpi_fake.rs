//! A contract fake of a SAP Cloud Integration tenant: its OAuth login and, of its OData API, the User Credentials, as
//! SAP's public reference and users' reports describe them. It is not SAP's software and no tenant has been compared
//! with it; what it shows is that our side keeps to this contract.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
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

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn reply(status: u16) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: String::new(),
    }
}

impl CpiFake {
    pub(crate) fn start(manner: Manner) -> CpiFake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            refusals: manner.refusals,
            ..State::default()
        }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, manner) = (shared.clone(), manner.clone());
                std::thread::spawn(move || serve(&state, &manner, stream));
            }
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

fn serve(state: &Mutex<State>, manner: &Manner, stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        let answer = {
            let mut state = state.lock().unwrap();
            let answer = answer(&mut state, manner, &request);
            state.statuses.push(answer.status);
            answer
        };
        let mut text = format!(
            "HTTP/1.1 {} X\r\ncontent-length: {}\r\n",
            answer.status,
            answer.body.len()
        );
        for (name, value) in &answer.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if write!(writer, "{text}\r\n{}", answer.body).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line == "\r\n" => break,
            Ok(_) => lines.push(line.trim_end().to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}

fn answer(state: &mut State, manner: &Manner, request: &Request) -> Reply {
    if request.path == "/oauth/token" {
        return log_in(state, manner, request);
    }
    let Some(path) = request.path.strip_prefix("/api/v1/") else {
        return reply(404);
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
        let mut answer = reply(429);
        answer.headers.push(("retry-after", "1".to_owned()));
        return answer;
    }
    let bearer = format!("Bearer login-{}", state.logins);
    if request.headers.get("authorization") != Some(&bearer) || state.calls_left == 0 {
        return reply(401);
    }
    state.calls_left -= 1;
    let forgery = format!("forgery-{}", state.logins);
    if request.method == "GET" {
        return look(state, request, path, &forgery);
    }
    let cookie = format!("JSESSIONID={forgery}; route=a");
    let told = (
        request.headers.get("x-csrf-token"),
        request.headers.get("cookie"),
    );
    if told != (Some(&forgery), Some(&cookie)) {
        let mut answer = reply(403);
        answer.headers.push(("x-csrf-token", "Required".to_owned()));
        return answer;
    }
    if !manner.may_edit {
        return reply(403);
    }
    change(state, manner, request, path)
}

fn log_in(state: &mut State, manner: &Manner, request: &Request) -> Reply {
    // base64 of CLIENT_ID:CLIENT_SECRET
    let basic = "Basic c2ItYWdlbnQ6YWdlbnRzLW93bi1zZWNyZXQ=";
    let told = request.headers.get("authorization").map(String::as_str);
    if told != Some(basic) || request.body != b"grant_type=client_credentials" {
        return reply(401);
    }
    state.logins += 1;
    state.calls_left = manner.calls_a_login;
    let body = json!({"access_token": format!("login-{}", state.logins), "token_type": "bearer", "expires_in": 3600});
    Reply {
        body: body.to_string(),
        ..reply(200)
    }
}

fn look(state: &mut State, request: &Request, path: &str, forgery: &str) -> Reply {
    if path.is_empty() {
        let mut answer = reply(200);
        if request.headers.get("x-csrf-token").map(String::as_str) == Some("Fetch") {
            answer.headers.push(("x-csrf-token", forgery.to_owned()));
            answer.headers.push((
                "set-cookie",
                format!("JSESSIONID={forgery}; Path=/; HttpOnly"),
            ));
            answer
                .headers
                .push(("set-cookie", "route=a; Path=/".to_owned()));
        }
        return answer;
    }
    let Some(name) = key(path) else {
        return reply(404);
    };
    deploy(state, &name);
    match state.deployed.get(&name) {
        None => reply(404),
        Some(artifact) => {
            let mut shown = artifact.clone();
            shown["Password"] = Value::Null;
            Reply {
                body: json!({"d": shown}).to_string(),
                ..reply(200)
            }
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

fn change(state: &mut State, manner: &Manner, request: &Request, path: &str) -> Reply {
    let change = match request.method.as_str() {
        "DELETE" => None,
        _ => match serde_json::from_slice::<Value>(&request.body) {
            Ok(artifact)
                if artifact["Kind"] == "default" && artifact["Description"].is_string() =>
            {
                Some(artifact)
            }
            _ => return reply(400),
        },
    };
    let (name, exists) = match (request.method.as_str(), key(path), &change) {
        ("POST", None, Some(artifact)) if path == "UserCredentials" => {
            let name = artifact["Name"].as_str().unwrap_or_default().to_owned();
            (name.clone(), !state.deployed.contains_key(&name))
        }
        ("PUT" | "DELETE", Some(name), _) => (name.clone(), state.deployed.contains_key(&name)),
        _ => return reply(405),
    };
    if !exists {
        return reply(if request.method == "POST" { 400 } else { 404 });
    }
    state.pending.insert(name, (change, manner.looks_to_deploy));
    reply(202)
}

fn key(path: &str) -> Option<String> {
    let name = path.strip_prefix("UserCredentials('")?.strip_suffix("')")?;
    Some(name.to_owned())
}
