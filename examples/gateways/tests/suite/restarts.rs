//! Restarts that refuse no check: `tokenward hold` keeps the sockets while one server ends and the next one loads. Callers go on
//! through a real gateway all the time, and each answer is the true verdict. `TOKENWARD_RESTARTS` and `TOKENWARD_CLIENTS`
//! make it longer.

use crate::world::{INVOICES, World};
use gateways::{Ask, Kind, Line, PATIENT};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokenward_testkit::{NewClient, Server, wait_until};

/// Callers beside each other.
const CALLERS: usize = 8;
/// Longer than anything awaited here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

#[expect(
    clippy::disallowed_methods,
    reason = "how long a test runs is no setting of the server"
)]
fn number(name: &str, otherwise: usize) -> usize {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().expect(name))
}

/// What the callers saw.
#[derive(Default)]
struct Seen {
    answers: AtomicU64,
    slowest_ms: AtomicU64,
    stop: AtomicBool,
}

/// Asks until told to stop; each answer has this status.
#[expect(clippy::disallowed_methods, reason = "a figure for people")]
fn call(gateway: SocketAddr, token: &str, status: u16, seen: &Seen) {
    let ask = Ask::get(INVOICES).token(token).bytes();
    let open = || {
        let line = Line::open(gateway, gateways::wire::CALLER).expect("the gateway listens");
        line.wait_at_most(LIMIT).expect("a socket");
        line
    };
    let mut line = open();
    while !seen.stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        line.write(&ask).expect("the gateway reads");
        let answer = line.answer(false).expect("the gateway answers");
        assert_eq!(answer.status, status, "{}", answer.body);
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        seen.slowest_ms.fetch_max(took, Ordering::Relaxed);
        seen.answers.fetch_add(1, Ordering::Relaxed);
        if answer
            .headers
            .get("connection")
            .is_some_and(|value| value == "close")
        {
            line = open();
        }
    }
}

fn try_out(kind: &Kind) {
    let mut world = World::behind(kind, Server::builder().held(), None);
    let clients = number("TOKENWARD_CLIENTS", 2_000);
    let restarts = number("TOKENWARD_RESTARTS", 3);
    world.crowd(clients);
    let erp = world.client(NewClient::production);
    let former = world.generate(&erp);
    let token = world.generate(&erp);
    let seen = Seen::default();
    let gateway = world.gateway.address;
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            // The verdict is true in both directions.
            let (token, status) = match caller % 2 {
                0 => (&token, 200),
                _ => (&former, 401),
            };
            let seen = &seen;
            scope.spawn(move || {
                // A caller that fails ends the others, and the test by its panic.
                let ended = Ended(seen);
                call(gateway, token, status, seen);
                drop(ended);
            });
        }
        let _ended = Ended(&seen);
        for restart in 0..restarts {
            let before = seen.answers.load(Ordering::Relaxed);
            wait_until(&format!("answers before restart {restart}"), LIMIT, || {
                let stopped = seen.stop.load(Ordering::Relaxed);
                let answers = seen.answers.load(Ordering::Relaxed);
                stopped || answers >= before + 100
            });
            if seen.stop.load(Ordering::Relaxed) {
                break;
            }
            world.server.restart_child();
        }
        let before = seen.answers.load(Ordering::Relaxed);
        wait_until("answers after the last restart", LIMIT, || {
            let stopped = seen.stop.load(Ordering::Relaxed);
            stopped || seen.answers.load(Ordering::Relaxed) >= before + 100
        });
    });
    let output = world.server.output();
    assert_eq!(output.matches("restarting the server").count(), restarts);
    assert!(world.server.terminate().success(), "{output}");
    println!(
        "{}: {restarts} restarts at {clients} clients, {} answers, all true; the slowest took {} ms",
        kind.name,
        seen.answers.load(Ordering::Relaxed),
        seen.slowest_ms.load(Ordering::Relaxed)
    );
}

/// Tells all to stop, however its scope is left.
struct Ended<'a>(&'a Seen);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_check_is_refused_by_a_restart_behind_nginx() {
    try_out(&PATIENT[0]);
}

#[test]
fn no_check_is_refused_by_a_restart_behind_envoy() {
    try_out(&PATIENT[1]);
}
