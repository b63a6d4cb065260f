//! The layer for Rust services with its live replica, beside the check in process; and how long a replica
//! takes to be fed from nothing, and what it weighs then.

use super::check::{BATCH, DRAWN, batch, checks, facts};
use super::http_check;
use crate::clock::{self, Real};
use crate::machine;
use crate::population::{self, PRODUCT, Texts};
use crate::process::Split;
use crate::report::{Goal, Report};
use crate::rounds;
use anyhow::{Context as _, Result};
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use hyper::body::Bytes;
use std::convert::Infallible;
use std::future::ready;
use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokenward_core::check::Presented;
use tokenward_tower::{
    CheckLayer, Checker, Endpoint, Environment, PeerAddr, Permit, Replica, Verdict,
};
use tower::{Layer as _, Service, service_fn};

type Asked = Request<Empty<Bytes>>;

/// A request as a server hands it on.
fn request(text: &str) -> Asked {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static("/e-invoice/v1/invoices");
    let headers = request.headers_mut();
    headers.insert("host", HeaderValue::from_static("api.example.com"));
    headers.insert("accept", HeaderValue::from_static("*/*"));
    let token = HeaderValue::from_str(text);
    headers.insert(
        "x-cleartax-auth-token",
        token.unwrap_or_else(|why| unreachable!("tokens are visible ASCII: {why}")),
    );
    request
        .extensions_mut()
        .insert(PeerAddr([10, 1, 2, 3].into()));
    request
}

/// Calls a service once; it must answer without waiting, with a 200.
fn call<S, R>(service: &mut S, request: Asked)
where
    S: Service<Asked, Response = Response<R>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => assert_eq!(response.status(), 200),
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("a check by a replica waits for nothing"),
    }
}

/// Decides about a request as the layer does, without handing it on.
fn decide(checker: &Checker, request: Asked) {
    let mut context = Context::from_waker(Waker::noop());
    let deciding = pin!(checker.decide(request.headers(), request.extensions()));
    match deciding.poll(&mut context) {
        Poll::Ready(Verdict::Permit(permit)) => drop(black_box(permit)),
        other => panic!("a live token must pass at once: {other:?}"),
    }
}

/// Decides about a request's token by a replica in this process, and nothing else of what the layer does.
fn check(own: &tokenward_core::Replica, request: &Asked) {
    let value = request.headers().get("x-cleartax-auth-token");
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let facts = facts();
    match own.check(Presented::One(text), black_box(&facts), &Real) {
        tokenward_core::Verdict::Permit(permit) => drop(black_box(permit)),
        other => panic!("a live token must pass: {other:?}"),
    }
}

/// Attaches a replica; the time until it vouches, and what it added to this process.
fn attached(endpoint: Endpoint, keys: &Path) -> Result<(Replica, Duration, u64)> {
    let (before, begin) = (machine::resident(), clock::wall());
    let replica = Replica::attach(endpoint, keys)?;
    // It has a thread of the runtime to itself.
    tokio::runtime::Handle::current().block_on(replica.ready());
    let took = clock::wall() - begin;
    let bytes = machine::resident().saturating_sub(before);
    Ok((replica, took, bytes))
}

pub(crate) fn run(report: &mut Report, rounds: usize, clients: u32) -> Result<()> {
    let (_data, node) = http_check::server(&Split::new(), clients)?;
    let folder = tempfile::tempdir().context("no folder")?;
    let file = gateways::replica_keys(&node, folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let (replica, took, bytes) = attached(node.internal().parse()?, &file)?;

    let own = population::replica(clients);
    let texts = Texts::draw(clients, DRAWN, 1);
    let checker = Arc::new(Checker::new(replica, Environment::Production, PRODUCT));
    // The service inside does nothing but look whether a permit came with the request.
    let mut bare = service_fn(|request: Asked| {
        black_box(request.extensions().get::<Permit>());
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let mut layer = CheckLayer::new(Arc::clone(&checker)).layer(bare);
    // A client's use is noted once a minute. Noted now, that does not fall on what is measured.
    texts
        .from(0, DRAWN)
        .for_each(|text| call(&mut layer, request(text)));
    let mut at = [0; 5];
    let [a, b, c, d, e] = &mut at;
    let measures = rounds::interleave(
        rounds,
        &mut [
            &mut || checks(&own, &texts, a, &Real),
            &mut || batch(&texts, b, |text| call(&mut bare, request(text))),
            &mut || batch(&texts, c, |text| call(&mut layer, request(text))),
            &mut || batch(&texts, d, |text| decide(&checker, request(text))),
            &mut || batch(&texts, e, |text| check(&own, &request(text))),
        ],
    );
    report.section(
        "The layer for Rust services",
        &format!(
            "{clients} clients in a node on SQLite, a live replica in this process fed by it over TCP, random tokens, processor time of the thread, {rounds} rounds of {BATCH} requests. A request has three headers and is made anew each time, with the layer and without: what the layer costs is the difference. The check in process reads the clocks, as the layer does; in a loop of nothing else, one check's wait for memory covers the beginning of the next, which a request made in between does not leave. Resident memory of this process before and after attaching; the node shares the cores."
        ),
    );
    let costs = measures.difference(2, 1);
    report.nanos("check in process", measures.median(0));
    report.nanos("a request without the layer", measures.median(1));
    report.nanos("a request with the layer", measures.median(2));
    report.nanos("what the layer costs", costs);
    let what = "of it: finding token and address, checking, noting the use";
    report.nanos(what, measures.difference(3, 1));
    let ratio = measures.difference_ratio((2, 1), 0);
    report.ratio(
        "the layer, of the check in process",
        ratio,
        Goal::AtMost(1.1),
    );
    let between = measures.difference(4, 1);
    let what = "check in process of a token that came with a request made just before";
    report.nanos(what, between);
    report.ratio("the layer, of that", costs / between, Goal::None);
    let what = "a replica of all clients, from attaching until it vouches";
    report.figure(what, format!("{:.2} s", took.as_secs_f64()));
    let each = bytes as f64 / f64::from(clients);
    report.figure("its memory", format!("{each:.1} B a client"));
    Ok(())
}
