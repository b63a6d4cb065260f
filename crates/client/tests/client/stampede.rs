//! Many processes with many threads on one token whose life is short, all at once. Every token made must have been
//! needed, and no call may be refused in the end; nor when holders are killed at random.
//!
//! Runs for three seconds a place; `TOKENWARD_STAMPEDE_SECONDS=10` runs longer.

use crate::clear_stand_in::ClearStandIn;
use crate::wait::wait_until;
use crate::world::{World, private_file, private_folder, write_config};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROCESSES: usize = 8;
const THREADS: &str = "4";
/// A token's life, in seconds: the shortest whose half a busy machine does not sleep through.
const LIFE: u64 = 3;
/// What is left of it when it is renewed.
const MARGIN: f64 = 0.5;

fn seconds() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "says how long this test runs")]
    let asked = std::env::var("TOKENWARD_STAMPEDE_SECONDS");
    asked.ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// What all processes saw together.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) calls: u64,
    pub(crate) retried: u64,
    pub(crate) refused: u64,
    pub(crate) generated: u64,
}

fn start(folder: &Path, check_url: &str, seconds: u64) -> Child {
    let worker = tokenward_testkit::target_folder().join("examples/stampede-worker");
    assert!(
        worker.exists(),
        "{} is missing: cargo build -p tokenward-client --examples makes it (as does cargo test without --test)",
        worker.display()
    );
    Command::new(worker)
        .arg(folder.join("agent.toml"))
        .args([check_url, &seconds.to_string(), THREADS])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn finish(child: Child) -> Seen {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let number = |name: &str| json[name].as_u64().unwrap();
    Seen {
        calls: number("calls"),
        retried: number("retried"),
        refused: number("refused"),
        generated: number("generated"),
    }
}

/// Runs the stampede and adds up what it saw.
pub(crate) fn run(folder: &Path, check_url: &str) -> Seen {
    let children: Vec<Child> = (0..PROCESSES)
        .map(|_| start(folder, check_url, seconds()))
        .collect();
    let mut all = Seen::default();
    for seen in children.into_iter().map(finish) {
        all.calls += seen.calls;
        all.retried += seen.retried;
        all.refused += seen.refused;
        all.generated += seen.generated;
    }
    eprintln!("stampede of {} s: {all:?}", seconds());
    all
}

/// The most tokens that time alone can ask for: one to begin with, one each time the last has only its margin
/// (with all of its jitter) left; starting and ending takes a token's life more.
pub(crate) fn most_needed() -> u64 {
    let each = LIFE as f64 - MARGIN * 1.1;
    2 + (seconds() as f64 / each).ceil() as u64
}

#[track_caller]
pub(crate) fn judge(seen: &Seen, made: u64) {
    assert!(seen.calls > 100, "{seen:?}");
    assert_eq!(seen.refused, 0, "finally refused: {seen:?}");
    assert!(
        made <= most_needed(),
        "{made} made, {} needed: {seen:?}",
        most_needed()
    );
    // Nobody made one that nobody stored.
    assert_eq!(seen.generated, made, "{seen:?}");
}

pub(crate) fn lines(destination: &str) -> String {
    format!("margin_seconds = {MARGIN}\n[[client.erp.destination]]\n{destination}")
}

const FILE: &str = "kind = \"file\"\npath = \"token.json\"\n";

#[test]
fn on_a_file() {
    let world = World::new(LIFE);
    world.config(&lines(FILE));
    let seen = run(world.folder.path(), &world.check_url());
    judge(&seen, world.generation());
}

#[test]
fn on_an_env_file() {
    let world = World::new(LIFE);
    world.config(&lines("kind = \"dotenv\"\npath = \".env\"\n"));
    let seen = run(world.folder.path(), &world.check_url());
    judge(&seen, world.generation());
}

#[test]
fn on_a_file_against_a_server_of_clears_kind() {
    let folder = private_folder();
    let server = ClearStandIn::start("s3cret", Duration::from_secs(LIFE));
    private_file(&folder.path().join("secret"), "s3cret");
    let lines = format!("server_kind = \"clear\"\n{}", lines(FILE));
    write_config(&folder.path().join("agent.toml"), &server.base, &lines);
    let seen = run(folder.path(), &server.product_url());
    judge(&seen, server.made());
}

#[test]
fn holders_killed_at_random() {
    let world = World::new(LIFE);
    world.config(&lines(FILE));
    killed(world.folder.path(), &world.check_url(), || {
        world.generation()
    });
}

#[test]
fn holders_killed_at_random_against_a_server_of_clears_kind() {
    let folder = private_folder();
    let server = ClearStandIn::start("s3cret", Duration::from_secs(LIFE));
    private_file(&folder.path().join("secret"), "s3cret");
    let lines = format!("server_kind = \"clear\"\n{}", lines(FILE));
    write_config(&folder.path().join("agent.toml"), &server.base, &lines);
    killed(folder.path(), &server.product_url(), || server.made());
}

/// Kills a process each time a token has been made, most of them before it is stored, while the others go on.
pub(crate) fn killed(folder: &Path, check_url: &str, made: impl Fn() -> u64) {
    let mut victims: Vec<Child> = (0..PROCESSES / 2)
        .map(|_| start(folder, check_url, 600))
        .collect();
    let others: Vec<Child> = (0..PROCESSES / 2)
        .map(|_| start(folder, check_url, seconds() + 2))
        .collect();
    let mut kills = 0;
    let mut last = 0;
    for nth in 0..PROCESSES / 2 {
        wait_until("another token", Duration::from_secs(30), || {
            let now = made();
            (now > last).then(|| last = now)
        });
        let mut victim = victims.swap_remove(nth % victims.len());
        victim.kill().unwrap();
        victim.wait().unwrap();
        kills += 1;
    }
    let seen: Vec<Seen> = others.into_iter().map(finish).collect();
    let refused: u64 = seen.iter().map(|seen| seen.refused).sum();
    eprintln!("{kills} killed, {} made: {seen:?}", made());
    assert_eq!(refused, 0, "{seen:?}");
    assert!(
        made() <= most_needed() + 4 + 2 * kills,
        "the quota ran away: {}",
        made()
    );
}
