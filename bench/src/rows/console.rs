//! The console's pages with a hundred thousand clients in one workspace, at rest and while checks run at full speed.

use super::http_check::{address, head, server};
use crate::clock;
use crate::load;
use crate::population::{self, Texts};
use crate::process::Split;
use crate::report::{Goal, Report};
use crate::rounds::median;
use anyhow::{Context as _, Result, bail};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Connections the checks come by.
const CONNECTIONS: usize = 64;
/// How long checks are loaded at a time.
const SPAN: Duration = Duration::from_millis(1500);
/// Tokens drawn.
const DRAWN: usize = 100_000;
/// What a page may take and still feel immediate, in milliseconds.
const IMMEDIATE_MS: f64 = 100.0;

/// Puts every client into the first workspace, and notes uses of half of them.
fn gather(file: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    connection.execute("UPDATE client SET workspace = 0", ())?;
    connection.execute(
        "INSERT INTO client_use (client, at, source, product) SELECT no, created_at, '192.0.2.7', 0 FROM client WHERE no % 2 = 0",
        (),
    )?;
    Ok(())
}

/// A request of a browser.
fn get(path: &str, cookie: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: console\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n")
}

/// The first operator's cookie.
fn joined(public: SocketAddr, link: &str) -> Result<String> {
    let at = link.find("/console/").context("no link")?;
    let form = "email=a%40example.com&name=A&password=plum-tractor-7-galaxy&password_again=plum-tractor-7-galaxy";
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: console\r\nsec-fetch-site: same-origin\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{form}",
        link[at..].trim(),
        form.len()
    );
    let answer = load::ask(public, &request)?;
    let cookie = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|line| line.split(';').next());
    let cookie = cookie.with_context(|| format!("no cookie: {answer}"))?;
    Ok(cookie.to_owned())
}

/// How long each of some loads of a page took, in milliseconds.
fn page(public: SocketAddr, path: &str, cookie: &str, rounds: usize) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for round in 0..=rounds {
        let before = clock::wall();
        let answer = load::ask(public, &get(path, cookie))?;
        if !answer.starts_with("HTTP/1.1 200") {
            bail!("{path}: {}", answer.lines().next().unwrap_or(""));
        }
        if round > 0 {
            took.push((clock::wall() - before).as_secs_f64() * 1e3);
        }
    }
    Ok(took)
}

pub(crate) fn run(report: &mut Report, rounds: usize, clients: u32) -> Result<()> {
    let split = Split::new();
    let (folder, mut server) = server(&split, clients)?;
    server.terminate();
    gather(&folder.path().join("tokenward.sqlite"))?;
    server.restart();
    let (public, check) = (address(server.public())?, address(server.internal())?);
    let link = std::fs::read_to_string(folder.path().join("console-link"));
    let cookie = joined(public, &link?)?;
    let keyring = population::keyring();
    let (workspace, client) = (
        population::workspace_id(0),
        population::id(&keyring, clients / 2),
    );
    let list = format!("/console/w/{workspace}/production");
    let label = population::label(clients / 3);
    let pages = [
        ("first page of the list", list.clone()),
        (
            "a page from the middle",
            format!("{list}?before={}", clients / 2),
        ),
        ("search that finds one", format!("{list}?q={label}")),
        ("search that finds none", format!("{list}?q=no+such+label")),
        ("those with a live token", format!("{list}?state=live")),
        ("those never used", format!("{list}?state=never-used")),
        ("the list by name", format!("{list}?sort=name")),
        ("the list by last use", format!("{list}?sort=used")),
        ("the list by expiration", format!("{list}?sort=expires")),
        ("those disabled: none", format!("{list}?state=disabled")),
        ("one client's page", format!("/console/clients/{client}")),
        ("the audit log", "/console/audit".to_owned()),
    ];
    let texts = Texts::draw(clients, DRAWN, 4);
    let head = head();
    report.section(
        "The console",
        &format!(
            "{clients} clients in one workspace on SQLite, medians of {rounds} loads of each page by a new connection, at rest and while {CONNECTIONS} connections check tokens as fast as they are answered."
        ),
    );
    let (mut busy, stop) = (Vec::new(), AtomicBool::new(false));
    let rate = std::thread::scope(|scope| -> Result<f64> {
        let mut at_rest = Vec::new();
        for (_, path) in &pages {
            at_rest.push(page(public, path, &cookie, rounds)?);
        }
        let checking = scope.spawn(|| -> Result<f64> {
            split.loading();
            let (mut next, mut rates) = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let request = |out: &mut Vec<u8>| {
                    next += 1;
                    out.extend_from_slice(head.as_bytes());
                    let text = texts.from(next, 1);
                    text.for_each(|text| out.extend_from_slice(text.as_bytes()));
                    out.extend_from_slice(b"\r\n\r\n");
                };
                rates.push(
                    load::run(check, CONNECTIONS, SPAN, request)?
                        .all(200)?
                        .rate(),
                );
            }
            Ok(median(rates))
        });
        let loaded: Result<Vec<_>> = pages
            .iter()
            .map(|(_, path)| page(public, path, &cookie, rounds))
            .collect();
        stop.store(true, Ordering::Relaxed);
        let rate = checking.join().expect("the load generator")?;
        for ((name, _), (rest, loaded)) in pages.iter().zip(at_rest.into_iter().zip(loaded?)) {
            busy.push((*name, median(rest), median(loaded)));
        }
        Ok(rate)
    })?;
    for (name, rest, loaded) in busy {
        let goal = Goal::AtMost(IMMEDIATE_MS);
        report.line(name, &format!("{rest:.1} ms"), rest, goal);
        let name = format!("{name}, while checks run");
        report.figure(name, format!("{loaded:.1} ms"));
    }
    report.figure("checks a second meanwhile", format!("{rate:.0}"));
    Ok(())
}
