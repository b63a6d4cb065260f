//! The trace of a request: in its log lines, and as spans at a collector, to which the program `tokenward-opentelemetry` sends them. The collector decodes with OpenTelemetry's own Python package.

use crate::house::{House, LIMIT};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tokenward_testkit::{
    Answer, NewClient, PythonServer, Server, ServerBuilder, binary_with_traces, expect_error,
    free_port, set_up, text, wait_until,
};

/// Traces of the tests, each for one request.
const TRACES: [&str; 4] = [
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "0af7651916cd43dd8448eb211c80319c",
    "a3ce929d0e0e47364bf92f3577b34da6",
    "8448eb211c80319c0af7651916cd43dd",
];
/// The caller's span.
const PARENT: &str = "00f067aa0ba902b7";

/// Two thousand requests, one after another, on a machine that is busy with other work.
const ANSWERS_LIMIT: Duration = Duration::from_secs(60);

/// Kinds of spans, by OpenTelemetry's numbers.
const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
/// The status of a span that failed.
const ERROR: u64 = 2;

/// Attributes that a span may have.
const ATTRIBUTES: [&str; 11] = [
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "rpc.grpc.status_code",
    "rpc.method",
    "rpc.service",
    "rpc.system",
    "tokenward.error_code",
    "tokenward.error_id",
    "url.scheme",
];

/// A request in a trace that its caller records.
fn sampled(request: RequestBuilder, trace: &str) -> RequestBuilder {
    request.header("traceparent", format!("00-{trace}-{PARENT}-01"))
}

/// A request in a trace that its caller does not record.
fn unsampled(request: RequestBuilder, trace: &str) -> RequestBuilder {
    request.header("traceparent", format!("00-{trace}-{PARENT}-00"))
}

/// The server that sends spans, built once for all tests.
fn binary() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(binary_with_traces)
}

/// A running collector.
struct Collector {
    _program: PythonServer,
    base: String,
    http: reqwest::Client,
}

impl Collector {
    fn start() -> Collector {
        let script = set_up("crates/server/tests/wire/python/collector.py");
        let program = PythonServer::start(&script, LIMIT, &[]);
        let port = program.port;
        Collector {
            _program: program,
            base: format!("http://127.0.0.1:{port}"),
            http: tokenward_testkit::http().build().unwrap(),
        }
    }

    async fn spans(&self) -> Vec<Value> {
        let answer = self.http.get(format!("{}/spans", self.base)).send().await;
        answer.unwrap().json().await.unwrap()
    }

    async fn bodies(&self) -> Vec<u8> {
        let answer = self.http.get(format!("{}/bodies", self.base)).send().await;
        answer.unwrap().bytes().await.unwrap().to_vec()
    }

    /// Waits for the spans of a trace, `count` of them.
    async fn of(&self, trace: &str, count: usize) -> Vec<Value> {
        let waiting = async {
            loop {
                let mut spans = self.spans().await;
                spans.retain(|span| span["trace"] == trace);
                if spans.len() >= count {
                    return spans;
                }
            }
        };
        let waited = tokio::time::timeout(LIMIT, waiting).await;
        let spans = waited.unwrap_or_else(|_| panic!("waited in vain for spans of {trace}"));
        assert_eq!(spans.len(), count, "{spans:?}");
        spans
    }

    /// The one span of a trace.
    async fn one(&self, trace: &str) -> Value {
        self.of(trace, 1).await.remove(0)
    }

    /// A server that sends its spans here, and whose log is JSON.
    fn server(&self) -> ServerBuilder {
        exporting(&self.base)
    }
}

/// A server that sends its spans to this endpoint.
fn exporting(endpoint: &str) -> ServerBuilder {
    let builder = Server::builder().binary(binary());
    builder.args(&["--log-format=json", "--otlp-endpoint", endpoint])
}

fn trusting(builder: ServerBuilder) -> ServerBuilder {
    builder.arg("--trusted-proxy=127.0.0.1")
}

impl House {
    /// Waits for a log line that fits.
    fn line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let file = self.server.stderr_file();
        wait_until(what, LIMIT, || {
            let log = std::fs::read_to_string(&file).ok()?;
            let mut lines = log
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            lines.find(|line: &Value| fits(line))
        })
    }

    /// The trace ids of the log lines of this error, which must be some.
    fn traces_of(&self, error_id: &str) -> BTreeSet<Option<String>> {
        let of = |line: &Value| line["fields"]["error_id"] == error_id;
        self.line(error_id, of);
        let log = std::fs::read_to_string(self.server.stderr_file()).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines = lines.filter(|line: &Value| of(line));
        let trace = |line: Value| line["span"]["trace_id"].as_str().map(str::to_owned);
        lines.map(trace).collect()
    }

    fn public_in(&self, path: &str) -> RequestBuilder {
        self.api.public(Method::GET, path)
    }

    /// The answer to a request whose header `traceparent` has these values.
    async fn traced(&self, request: RequestBuilder, values: &[&String]) -> Answer {
        let add = |request: RequestBuilder, value: &&String| request.header("traceparent", *value);
        self.send(values.iter().fold(request, add)).await
    }
}

/// A log with every line of a request.
fn talking() -> ServerBuilder {
    let builder = Server::builder().arg("--log-format=json");
    builder.arg("--log=tokenward_server=debug")
}

/// The id of an error answer.
fn error_id(answer: &Answer) -> String {
    text(&answer.json(), "/errors/0/error_id")
}

fn one(trace: &str) -> BTreeSet<Option<String>> {
    BTreeSet::from([Some(trace.to_owned())])
}

#[tokio::test]
async fn trace_id_of_a_trusted_proxy_and_of_a_gateway_is_in_every_log_line_of_the_request() {
    let house = House::of(trusting(talking())).await;
    let nothing = sampled(house.public_in("/nothing"), TRACES[0]);
    let nothing = house.send(nothing).await;
    let nothing = error_id(&nothing.expect_error(404, "NOT_FOUND"));
    assert_eq!(house.traces_of(&nothing), one(TRACES[0]));
    // Whether the caller records the trace makes no difference to the log.
    let denied = house.api.internal(Method::GET, "/check/sandbox/gst");
    let denied = house.send(unsampled(denied, TRACES[1])).await;
    let denied = error_id(&denied.expect_error(401, "ACCESS_TOKEN_MISSING"));
    assert_eq!(house.traces_of(&denied), one(TRACES[1]));
    let introspected = house.api.internal(Method::POST, "/oauth2/introspect");
    let introspected = introspected.header("content-type", "text/plain");
    house.send(sampled(introspected, TRACES[2])).await;
    let unknown = house.api.internal(Method::GET, "/nothing");
    let unknown = house.send(sampled(unknown, TRACES[3])).await;
    let unknown = error_id(&unknown.expect_error(404, "NOT_FOUND"));
    assert_eq!(house.traces_of(&unknown), one(TRACES[3]));
}

#[tokio::test]
async fn traceparent_of_the_internet_or_sent_twice_or_invalid_is_in_no_log_line() {
    let none = BTreeSet::from([None]);
    let open = House::of(talking()).await;
    let trusted = House::of(trusting(talking())).await;
    let good = format!("00-{}-{PARENT}-01", TRACES[0]);
    let upper = format!("00-{}-{PARENT}-01", TRACES[0].to_uppercase());
    for (house, headers) in [
        (&open, vec![&good]),
        (&trusted, vec![&good, &good]),
        (&trusted, vec![&upper]),
    ] {
        let answer = house.traced(house.public_in("/nothing"), &headers);
        let id = error_id(&expect_error(answer, 404, "NOT_FOUND").await);
        assert_eq!(house.traces_of(&id), none, "{headers:?}");
    }
    for headers in [vec![&good, &good], vec![&upper]] {
        let request = open.api.internal(Method::GET, "/check/sandbox/gst");
        let answer = open.traced(request, &headers);
        let id = error_id(&expect_error(answer, 401, "ACCESS_TOKEN_MISSING").await);
        assert_eq!(open.traces_of(&id), none, "{headers:?}");
    }
}

#[tokio::test]
async fn spans_of_a_request_and_of_its_commit_arrive_in_the_trace_of_the_caller() {
    let collector = Collector::start();
    let house = House::of(trusting(collector.server())).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let generate = house.api.authz(Method::POST, "", &erp.secret);
    let token = house.send(sampled(generate, TRACES[0])).await.token();
    let spans = collector.of(TRACES[0], 3).await;
    let named = |name: &str| {
        let found = spans.iter().find(|span| span["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {spans:?}"))
    };
    let server = named("POST /integration/v1/authz/token");
    assert_eq!(server["kind"], SERVER);
    assert_eq!(server["parent"], PARENT);
    assert_eq!(server["scope"], "tokenward");
    assert_eq!(server["status"], 0);
    let attributes = json!({
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/integration/v1/authz/token",
        "url.scheme": "http",
    });
    assert_eq!(server["attributes"], attributes);
    assert_eq!(server["resource"]["service.name"], "tokenward");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(server["resource"]["service.version"], version);
    // The commit follows the wait, both within the request.
    let length = |span: &Value| span["nanoseconds"].as_i64().unwrap();
    let (wait, commit) = (named("wait for writer"), named("commit"));
    for part in [wait, commit] {
        assert_eq!(part["parent"], server["id"], "{part}");
        assert_eq!(part["kind"], INTERNAL);
        assert!((0..=length(server)).contains(&length(part)), "{part}");
    }
    let end = wait["began"].as_i64().unwrap() + length(wait);
    assert_eq!(commit["began"].as_i64().unwrap(), end);
    assert!(length(commit) > 0);

    // A check that is permitted, a check that is denied.
    let check = |token: &str| {
        let check = house.api.internal(Method::GET, "/check/sandbox/gst");
        check.header("x-cleartax-auth-token", token)
    };
    let unrecorded = house.send(unsampled(check(&token.access_token), TRACES[3]));
    unrecorded.await.expect(200);
    let unrecorded = unsampled(house.public_in("/nothing"), TRACES[3]);
    house.send(unrecorded).await;
    let recorded = sampled(check(&token.access_token), TRACES[1]);
    house.send(recorded).await.expect(200);
    let permitted = collector.one(TRACES[1]).await;
    assert_eq!(permitted["name"], "GET /check/{environment}/{product}");
    assert_eq!(permitted["parent"], PARENT);
    let denied = house.send(sampled(check("x"), TRACES[2])).await;
    let denied = denied.expect_error(401, "ACCESS_TOKEN_MALFORMED");
    let id = error_id(&denied);
    let span = collector.one(TRACES[2]).await;
    let attributes = &span["attributes"];
    assert_eq!(attributes["tokenward.error_code"], "ACCESS_TOKEN_MALFORMED");
    assert_eq!(attributes["tokenward.error_id"], id);
    // Denied is not failed.
    assert_eq!(span["status"], 0);
    assert_eq!(house.traces_of(&id), one(TRACES[2]));
    // What the caller does not record is not recorded.
    let all = collector.spans().await;
    assert!(all.iter().all(|span| span["trace"] != TRACES[3]), "{all:?}");
    let lost = house.api.figure("tokenward_spans_lost_total").await;
    assert_eq!(lost, Some(0.0));
}

#[tokio::test]
async fn call_of_envoy_has_a_span_named_by_its_method() {
    let collector = Collector::start();
    let server = collector.server().start();
    let http = tokenward_testkit::http().http2_prior_knowledge();
    let http = http.build().unwrap();
    let path = "/envoy.service.auth.v3.Authorization/Check";
    let call = |frame: &[u8], trace: &str| {
        let call = http.post(format!("{}{path}", server.internal()));
        let call = call.header("content-type", "application/grpc");
        sampled(call.body(frame.to_vec()), trace).send()
    };
    let attributes = |code: u32| {
        json!({
            "rpc.system": "grpc",
            "rpc.service": "envoy.service.auth.v3.Authorization",
            "rpc.method": "Check",
            "rpc.grpc.status_code": code,
        })
    };
    // A compressed message, which was never offered: UNIMPLEMENTED.
    let answer = call(&[1, 0, 0, 0, 0], TRACES[0]).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "12");
    let span = collector.one(TRACES[0]).await;
    assert_eq!(span["name"], path[1..]);
    assert_eq!(span["attributes"], attributes(12));
    // A question that states no product: a denial, which is an answer.
    call(&[0; 5], TRACES[1]).await.unwrap();
    let mut span = collector.one(TRACES[1]).await;
    let denied = span["attributes"].as_object_mut().unwrap();
    let id = denied.remove("tokenward.error_id").unwrap();
    let code = denied.remove("tokenward.error_code").unwrap();
    assert_eq!(code, "PRODUCT_UNKNOWN");
    assert_eq!(span["attributes"], attributes(0));
    let log = std::fs::read_to_string(server.stderr_file()).unwrap();
    let mut lines = log.lines();
    let line = lines.find(|line| line.contains(id.as_str().unwrap()));
    assert!(line.is_some_and(|line| line.contains(TRACES[1])), "{log}");
}

#[tokio::test]
async fn failed_request_has_a_span_with_an_error() {
    let collector = Collector::start();
    let house = House::of(trusting(collector.server())).await;
    let erp = house.client(NewClient::sandbox("erp")).await;
    let database = house.database();
    let hide = "ALTER TABLE slot RENAME TO hidden";
    database.execute_batch(hide).unwrap();
    let generate = house.api.authz(Method::POST, "", &erp.secret);
    let answer = house.send(sampled(generate, TRACES[0])).await;
    let show = "ALTER TABLE hidden RENAME TO slot";
    database.execute_batch(show).unwrap();
    assert_eq!(answer.status, 503, "{}", answer.body);
    let spans = collector.of(TRACES[0], 2).await;
    let server = spans.iter().find(|span| span["kind"] == SERVER).unwrap();
    assert_eq!(server["status"], ERROR);
    assert_eq!(server["attributes"]["error.type"], "503");
    let id = error_id(&answer);
    assert_eq!(server["attributes"]["tokenward.error_id"], id.as_str());
}

#[tokio::test]
async fn header_that_is_not_believed_starts_a_new_trace() {
    let collector = Collector::start();
    let trusted = House::of(trusting(collector.server())).await;
    let open = House::of(collector.server()).await;
    let good = format!("00-{}-{PARENT}-01", TRACES[0]);
    let invalid = good.replace("00-4bf9", "00-4BF9");
    for (house, path, headers) in [
        (&open, "/from-the-internet", vec![&good]),
        (&trusted, "/sent-twice", vec![&good, &good]),
        (&trusted, "/invalid", vec![&invalid]),
    ] {
        let answer = house.traced(house.public_in(path), &headers);
        let id = error_id(&expect_error(answer, 404, "NOT_FOUND").await);
        let traces = Vec::from_iter(house.traces_of(&id));
        let [Some(trace)] = traces.as_slice() else {
            panic!("{path}: {traces:?} in the log");
        };
        assert_ne!(trace, TRACES[0], "{path}");
        let span = collector.one(trace).await;
        assert_eq!(span["parent"], "", "{path}");
        assert_eq!(span["name"], "GET", "{path}");
    }
    // The internal listener starts none: checks are many, and gateways decide.
    let check = open.api.internal(Method::GET, "/check/sandbox/gst");
    let check = check.header("traceparent", &invalid);
    expect_error(open.send(check), 401, "ACCESS_TOKEN_MISSING").await;
    let later = open.api.internal(Method::GET, "/health/live");
    open.send(sampled(later, TRACES[1])).await.expect(200);
    collector.one(TRACES[1]).await;
    let all = collector.spans().await;
    let is_check = |span: &Value| span["name"].as_str().unwrap().contains("check");
    assert!(!all.iter().any(is_check), "{all:?}");
    assert!(all.iter().all(|span| span["trace"] != TRACES[0]), "{all:?}");
}

#[tokio::test]
async fn ratio_of_0_records_only_what_a_trusted_caller_records() {
    let collector = Collector::start();
    let ratio = |builder: ServerBuilder| builder.arg("--otlp-sample-ratio=0");
    let house = House::of(ratio(trusting(collector.server()))).await;
    for _ in 0..20 {
        expect_error(house.send(house.public_in("/nothing")), 404, "NOT_FOUND").await;
    }
    let recorded = sampled(house.public_in("/nothing"), TRACES[0]);
    house.send(recorded).await;
    collector.one(TRACES[0]).await;
    assert_eq!(collector.spans().await.len(), 1);
}

/// Asks a server whose collector takes no spans, waits until it has counted some as lost, and ends it.
async fn requests_go_on(endpoint: &str) {
    let mut house = House::of(exporting(endpoint).arg("--drain-seconds=1")).await;
    let asking = async {
        for _ in 0..1_000 {
            expect_error(house.send(house.public_in("/nothing")), 404, "NOT_FOUND").await;
            let live = house.api.internal(Method::GET, "/health/live");
            house.send(sampled(live, TRACES[0])).await.expect(200);
        }
    };
    // Each batch is tried for ten seconds, and no request waits for one.
    let asked = tokio::time::timeout(ANSWERS_LIMIT, asking).await;
    asked.unwrap_or_else(|_| panic!("{endpoint}: requests wait"));
    let lost = async || house.api.figure("tokenward_spans_lost_total").await;
    let counted = async { while lost().await <= Some(0.0) {} };
    let counted = tokio::time::timeout(LIMIT, counted).await;
    counted.expect("lost spans are counted");
    house.line("a line about the collector", |line| {
        let message = line["fields"]["message"].as_str().unwrap_or_default();
        message.starts_with("spans are lost")
    });
    assert!(house.server.terminate().success());
}

#[tokio::test]
async fn requests_go_on_while_the_collector_is_away() {
    requests_go_on(&format!("http://127.0.0.1:{}", free_port())).await;
}

#[tokio::test]
async fn requests_go_on_while_the_collector_hangs() {
    let collector = Collector::start();
    requests_go_on(&format!("{}/hang", collector.base)).await;
}

#[tokio::test]
async fn no_byte_that_is_sent_to_the_collector_is_a_secret_or_what_a_caller_wrote() {
    let collector = Collector::start();
    let mut house = House::of(trusting(collector.server())).await;
    let (erp, token) = house.erp().await;
    let key = house.server.admin_key();
    let link = "wv_XYyO1zjiRVGCZkOmQWhXfrzordzpLK3Y_uX4lSws";
    let mark = "word-of-the-caller";
    for text in [&token, &erp.secret, &key, link, mark] {
        for path in [
            format!("/integration/v1/authz/token/{text}?{text}"),
            format!("/integration/v1/authz/token?secret={text}"),
            format!("/{text}"),
            format!("/console/join/{text}"),
            format!("/console/clients/{text}"),
            format!("/admin/v1/clients/{text}?cursor={text}"),
        ] {
            let request = house.public_in(&path).bearer_auth(text);
            let request = request
                .header("x-clear-client-secret", text)
                .header("cookie", format!("session={text}"))
                .header("tracestate", format!("vendor={text}"))
                .header("baggage", format!("key={text}"))
                .header("user-agent", text)
                .body(text.to_owned());
            house.send(sampled(request, TRACES[0])).await;
        }
        for path in [
            format!("/check/{text}/{text}/{text}?{text}"),
            format!("/check/sandbox/gst/{text}?{text}"),
            format!("/deny/{text}"),
            format!("/{text}"),
        ] {
            let request = house.api.internal(Method::GET, &path).bearer_auth(text);
            house.send(sampled(request, TRACES[1])).await;
        }
        let method = Method::from_bytes(mark.to_uppercase().as_bytes()).unwrap();
        let path = format!("/check/sandbox/{mark}");
        let request = house.api.internal(method, &path);
        house.send(sampled(request, TRACES[1])).await;
    }
    let spans = collector.of(TRACES[1], 25).await;
    assert!(house.server.terminate().success());
    let bodies = collector.bodies().await;
    let has = |text: &str| {
        let mut parts = bodies.windows(text.len());
        parts.any(|bytes| bytes.eq_ignore_ascii_case(text.as_bytes()))
    };
    assert!(has("/check/{environment}/{product}") && has("_OTHER"));
    for text in [&token, &erp.secret, &key] {
        // The random part is what must not be known.
        assert!(!has(&text[text.len() - 64..text.len() - 8]), "{text}");
    }
    assert!(!has(link) && !has(mark) && !has(&erp.id));
    let known = BTreeSet::from(ATTRIBUTES);
    for span in spans.iter().chain(&collector.spans().await) {
        let mut names = span["attributes"].as_object().unwrap().keys();
        let all_known = names.all(|name| known.contains(name.as_str()));
        assert!(all_known && span["events"] == 0, "{span}");
    }
}

#[tokio::test]
async fn endpoint_is_refused_by_the_program_that_sends_no_traces() {
    let endpoint = "http://127.0.0.1:4318";
    let server = Server::builder().arg("--otlp-endpoint").arg(endpoint);
    server.refused(&["otlp_endpoint is set, and this program sends no traces. Build the program that sends them with: cargo build"]);
    // The variable is for all programs of a machine, and some take other addresses: a warning.
    for endpoint in [endpoint, "localhost:4317"] {
        let server = Server::builder().env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        let server = server.start();
        let warning = "OTEL_EXPORTER_OTLP_ENDPOINT is set, and this program sends no traces";
        wait_until("the warning", LIMIT, || server.output().contains(warning));
    }
}

#[tokio::test]
async fn endpoint_may_come_from_the_variable_of_opentelemetry() {
    let collector = Collector::start();
    let server = Server::builder()
        .binary(binary())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.base)
        .env("OTEL_SERVICE_NAME", "tokens")
        .start();
    let live = server.api().internal(Method::GET, "/health/live");
    let live = server.api().send(sampled(live, TRACES[0])).await.unwrap();
    live.expect(200);
    let span = collector.one(TRACES[0]).await;
    assert_eq!(span["name"], "GET /health/live");
    assert_eq!(span["resource"]["service.name"], "tokens");
}
