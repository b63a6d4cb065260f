//! The check over HTTP against a bare hyper server that returns the same headers.

use crate::load::{self, Outcome};
use crate::population::{PRODUCT, Texts};
use crate::process::{self, Bare, Split};
use crate::report::{Goal, Report};
use crate::rounds::median;
use crate::seed;
use anyhow::{Context as _, Result, ensure};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokenward_testkit::Server;

/// Connections kept.
const CONNECTIONS: usize = 64;
/// How long each side is loaded in a round.
const SPAN: Duration = Duration::from_millis(1500);
/// Tokens drawn.
const DRAWN: usize = 500_000;

/// One side of the comparison.
struct Side {
    address: SocketAddr,
    process: u32,
    seen: Seen,
}

/// What was seen of it, a value a round, and in all.
#[derive(Default)]
struct Seen {
    rates: Vec<f64>,
    p99: Vec<f64>,
    busy: Vec<f64>,
    answers: u64,
    user: Duration,
    system: Duration,
}

impl Side {
    fn new(address: SocketAddr, process: u32) -> Self {
        Self {
            address,
            process,
            seen: Seen::default(),
        }
    }

    fn load(&mut self, counts: bool, request: impl FnMut(&mut Vec<u8>)) -> Result<()> {
        let before = process::times(self.process);
        let outcome: Outcome = load::run(self.address, CONNECTIONS, SPAN, request)?.all(200)?;
        let after = process::times(self.process);
        if counts {
            let (user, system) = (after.0 - before.0, after.1 - before.1);
            let (seen, used) = (&mut self.seen, (user + system).as_secs_f64());
            seen.rates.push(outcome.rate());
            seen.p99.push(outcome.quantile_ms(0.99));
            seen.busy.push(used / outcome.span.as_secs_f64());
            seen.answers += outcome.micros.len() as u64;
            seen.user += user;
            seen.system += system;
        }
        Ok(())
    }
}

impl Seen {
    /// Microseconds of processor time an answer: user mode, kernel.
    fn cost(&self) -> (f64, f64) {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.answers as f64;
        (each(self.user), each(self.system))
    }
}

/// A server on SQLite with the population, on the server's core, and its data folder.
pub(crate) fn server(split: &Split, clients: u32) -> Result<(TempDir, Server)> {
    let (folder, builder) = seed::store(None, clients)?;
    split.starting();
    let server = builder.args(&["--check-threads", "1"]).start();
    split.take(server.process_id())?;
    Ok((folder, server))
}

/// The address in a base URL.
pub(crate) fn address(base: &str) -> Result<SocketAddr> {
    let text = base.strip_prefix("http://").unwrap_or(base);
    text.parse()
        .with_context(|| format!("{base} is no address"))
}

/// The head of a check up to its token.
pub(crate) fn head() -> String {
    format!("GET /check/production/{PRODUCT} HTTP/1.1\r\nhost: checker\r\nx-cleartax-auth-token: ")
}

/// The headers of an answer, less those that a server adds by itself.
fn headers(answer: &str) -> Vec<(String, String)> {
    let head = answer.split("\r\n\r\n").next().unwrap_or("");
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let own = |name: &str| {
        name.eq_ignore_ascii_case("date") || name.eq_ignore_ascii_case("content-length")
    };
    pairs
        .filter(|(name, _)| !own(name))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

pub(crate) fn run(report: &mut Report, rounds: usize, clients: u32) -> Result<()> {
    let split = Split::new();
    let (_folder, server) = server(&split, clients)?;
    let texts = Texts::draw(clients, DRAWN, 4);
    let check = address(server.internal())?;
    let head = head();
    let mut next = 0;
    let mut request = |out: &mut Vec<u8>| {
        next += 1;
        out.extend_from_slice(head.as_bytes());
        texts
            .from(next, 1)
            .for_each(|text| out.extend_from_slice(text.as_bytes()));
        out.extend_from_slice(b"\r\n\r\n");
    };
    let mut first = Vec::new();
    request(&mut first);
    let sample = load::ask(check, &String::from_utf8_lossy(&first))?;
    let good = sample.starts_with("HTTP/1.1 200");
    ensure!(good, "the first check was answered {sample:?}");
    let bare = Bare::start(&headers(&sample))?;
    let same = load::ask(bare.address, &String::from_utf8_lossy(&first))?;
    let (own, others) = (sample.len(), same.len());
    ensure!(
        own == others,
        "the bare server's answer has {others} bytes, the check's {own}"
    );
    split.loading();
    let mut sides = [
        Side::new(bare.address, bare.id()),
        Side::new(check, server.process_id()),
    ];
    for round in 0..=rounds {
        // The first round warms up both.
        for turn in 0..2 {
            sides[(round + turn) % 2].load(round > 0, &mut request)?;
        }
    }
    let [floor, ours] = sides.map(|side| side.seen);
    report.section(
        "Check over HTTP",
        &format!(
            "{clients} clients, random tokens, {CONNECTIONS} kept connections, server on one core and load on the other, {rounds} interleaved rounds of {} ms. The floor is hyper on a current-thread runtime answering every request with the same {} bytes.",
            SPAN.as_millis(),
            sample.len()
        ),
    );
    let pairs = ours.rates.iter().zip(&floor.rates);
    let ratio = median(pairs.map(|(ours, floor)| ours / floor).collect());
    for (name, side) in [("bare hyper", &floor), ("check", &ours)] {
        let (user, system) = side.cost();
        let rate = median(side.rates.clone());
        report.figure(format!("{name}: answers a second"), format!("{rate:.0}"));
        let goal = match name {
            "check" => Goal::AtMost(1.5),
            _ => Goal::None,
        };
        let what = format!("{name}: user time an answer");
        report.line(&what, &format!("{user:.2} us"), user, goal);
        let what = format!("{name}: kernel time an answer");
        report.figure(what, format!("{system:.2} us"));
        let (p99, busy) = (median(side.p99.clone()), median(side.busy.clone()));
        let what = format!("{name}: p99, share of its core used");
        report.figure(what, format!("{p99:.2} ms, {busy:.2}"));
    }
    report.line(
        "check, of bare hyper",
        &format!("{ratio:.3}"),
        ratio,
        Goal::AtLeast(0.95),
    );
    Ok(())
}
