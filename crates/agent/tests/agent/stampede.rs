//! Many processes with many threads on one token whose life is short, all at once. Every token made must have been
//! needed, and no call may be refused in the end; nor when holders are killed at random.
//!
//! Runs for three seconds a place; `TOKENWARD_STAMPEDE_SECONDS=10` runs longer.

use crate::clear_stand_in::{ClearStandIn, kill_holder};
use crate::services::{AGENT_POLICY, Bao, Moto};
use crate::world::{World, agent_by};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokenward_client::config;
use tokenward_core::time::Clock as _;
use tokenward_system::MachineClock;
use tokenward_testkit::wait_until;

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
#[derive(Debug, Default, serde::Deserialize)]
struct Seen {
    calls: u64,
    retried: u64,
    refused: u64,
    generated: u64,
}

/// Starts a worker that runs for this long, or, with `input`, until it is to finish.
fn start(folder: &Path, check_url: &str, seconds: &str) -> Worker {
    let worker = tokenward_testkit::target_folder().join("examples/stampede-worker");
    assert!(
        worker.exists(),
        "{} is missing: cargo build -p tokenward-agent --examples makes it (as does cargo test without --test)",
        worker.display()
    );
    let child = Command::new(worker)
        .arg(folder.join("agent.toml"))
        .args([check_url, seconds, THREADS])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    Worker(Some(child))
}

/// A process that ends with this value.
struct Worker(Option<Child>);

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn finish(mut worker: Worker) -> Seen {
    let child = worker.0.take().unwrap();
    let output = crate::world::finish(child);
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs the stampede and adds up what it saw.
fn run(folder: &Path, check_url: &str) -> Seen {
    let children: Vec<Worker> = (0..PROCESSES)
        .map(|_| start(folder, check_url, &seconds().to_string()))
        .collect();
    let all = together(children);
    eprintln!("stampede of {} s: {all:?}", seconds());
    all
}

/// Waits for workers and adds up what they saw.
fn together(workers: Vec<Worker>) -> Seen {
    let mut all = Seen::default();
    for seen in workers.into_iter().map(finish) {
        all.calls += seen.calls;
        all.retried += seen.retried;
        all.refused += seen.refused;
        all.generated += seen.generated;
    }
    all
}

/// The most tokens that time alone can ask for: one to begin with, one each time the last has only its margin
/// (with all of its jitter) left; starting and ending takes a token's life more.
fn most_needed() -> u64 {
    let each = LIFE as f64 - MARGIN * 1.1;
    2 + (seconds() as f64 / each).ceil() as u64
}

#[track_caller]
fn judge(seen: &Seen, made: u64) {
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

fn lines(destination: &str) -> String {
    format!("margin_seconds = {MARGIN}\n[[client.erp.destination]]\n{destination}")
}

const FILE: &str = "kind = \"file\"\npath = \"token.json\"\n";

/// A stampede on a world whose home this is.
#[track_caller]
fn stampede(world: &World) {
    let seen = run(world.folder.path(), &world.check_url());
    judge(&seen, world.generation());
}

#[test]
fn on_a_file() {
    stampede(&world(FILE));
}

#[test]
fn on_an_env_file() {
    stampede(&world("kind = \"dotenv\"\npath = \".env\"\n"));
}

#[test]
fn on_a_file_against_a_server_of_clears_kind() {
    let server = ClearStandIn::start("s3cret", Duration::from_secs(LIFE));
    let folder = server.folder(&lines(FILE));
    let seen = run(folder.path(), &server.product_url());
    judge(&seen, server.made());
}

/// As on several machines: no queue between processes, and a lease that outlasts its dead only for seconds.
const ELSEWHERE: &str = "answer_limit_seconds = 1\nlease_seconds = 2\n";

/// A world with this home.
fn world(place: &str) -> World {
    let world = World::new(LIFE);
    world.config(&lines(place));
    world
}

fn vault_world() -> (World, Bao) {
    let (world, bao) = (World::new(LIFE), Bao::start());
    let role = bao.role("agent", AGENT_POLICY);
    let place = bao.destination(world.folder.path(), &role);
    world.config(&format!("{ELSEWHERE}{}", lines(&place)));
    (world, bao)
}

fn aws_world() -> (World, Moto) {
    let (world, moto) = (World::new(LIFE), Moto::start());
    let place = moto.destination(world.folder.path());
    world.config(&format!("{ELSEWHERE}{}", lines(&place)));
    (world, moto)
}

#[test]
fn on_vault() {
    let (world, _bao) = vault_world();
    stampede(&world);
}

#[test]
fn on_aws() {
    let (world, _moto) = aws_world();
    stampede(&world);
}

#[test]
fn holders_killed_on_a_file() {
    killed_in(&world(FILE));
}

#[test]
fn holders_killed_on_vault() {
    let (world, _bao) = vault_world();
    killed_in(&world);
}

#[test]
fn holders_killed_on_aws() {
    let (world, _moto) = aws_world();
    killed_in(&world);
}

#[test]
fn holders_killed_on_a_file_against_a_server_of_clears_kind() {
    let server = ClearStandIn::start("s3cret", Duration::from_secs(LIFE));
    let folder = server.folder(&lines(FILE));
    let mut workers: Vec<Worker> = (0..PROCESSES)
        .map(|_| start(folder.path(), &server.product_url(), "input"))
        .collect();
    let lock = folder.path().join("token.json.lock");
    wait_until("the first token", LIMIT, || server.made() > 0);
    for nth in 1..=ORPHANS {
        let before = server.made();
        let lock = lock.clone();
        server.set_trap(move || kill_holder(&lock));
        wait_until("a holder killed", LIMIT, || server.trapped() == nth);
        wait_until("recovery", LIMIT, || server.made() > before + 1);
    }
    // The last one may still be ending.
    wait_until("the killed ones to be gone", LIMIT, || {
        workers.retain_mut(|worker| worker.0.as_mut().unwrap().try_wait().unwrap().is_none());
        workers.len() as u64 <= PROCESSES as u64 - ORPHANS
    });
    assert_eq!(workers.len() as u64, PROCESSES as u64 - ORPHANS);
    let (seen, made) = (together(workers), server.made());
    eprintln!("{ORPHANS} killed in between, {made} made: {seen:?}");
    assert_eq!(seen.refused, 0, "{seen:?}");
    assert!(made <= most_needed() + 6 * ORPHANS, "{made} made");
}

/// Four processes go on, and others are killed, each after it generated a token and before it stored it. In the end no process may
/// be refused, and tokens are generated only for reasons.
fn killed_in(world: &World) {
    let folder = world.folder.path();
    let keeper = Keeper::before(world.server.public());
    let config = world.text("agent.toml");
    let config = config.replace(world.server.public(), &keeper.base);
    std::fs::write(world.path("victim.toml"), config).unwrap();
    let config = config::load(&folder.join("agent.toml")).unwrap();
    let home = config.client(None).unwrap().source.home().clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stored = || runtime.block_on(home.read()).unwrap().entry;
    let others: Vec<Worker> = (0..PROCESSES / 2)
        .map(|_| start(folder, &world.check_url(), "input"))
        .collect();
    wait_until("the first token", LIMIT, || stored().map(drop));
    let (mut orphans, mut victims) = (0, 0);
    while orphans < ORPHANS {
        assert!(victims < 60, "no victim generated a token");
        victims += 1;
        let Some(kept) = stored() else { continue };
        // Told that its token was refused, it generates, unless another one has done so meanwhile. It does not get the
        // answer, so it is killed between generating and storing.
        let withheld = keeper.withheld();
        let mut victim = agent_by(folder, "victim.toml", &["get", "--refused"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = victim.stdin.take().unwrap();
        stdin.write_all(kept.token.expose().as_bytes()).unwrap();
        drop(stdin);
        let ended = wait_until("a token or the victim's end", LIMIT, || {
            let generated = (keeper.withheld() > withheld).then_some(false);
            generated.or_else(|| victim.try_wait().unwrap().map(|_| true))
        });
        if ended {
            continue;
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        orphans += 1;
        // Those who go on get over it before the next one dies: two tokens ended within one call are one too many for
        // its single retry.
        wait_until("recovery", LIMIT, || {
            let second_ago = MachineClock.wall().0 - 1_000_000;
            let kept = stored()?;
            let is_newest = kept.generation.map(u64::from) == Some(world.generation());
            (is_newest && kept.obtained_at.0 < second_ago).then_some(())
        });
    }
    let seen = together(others);
    let made = world.generation();
    eprintln!("{victims} victims, {orphans} killed in between, {made} made: {seen:?}");
    assert_eq!(seen.refused, 0, "{seen:?}");
    assert!(seen.calls > 100);
    // Each victim made one at most, each orphan cost one more, and time asked for the rest: for two while one victim
    // came and went.
    let needed = most_needed() + 3 * victims + 2 * ORPHANS;
    assert!(
        made <= needed,
        "the quota ran away: {made} made, {needed} needed"
    );
}

/// Holders to be killed between generating and storing.
const ORPHANS: u64 = 2;
/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A proxy that forwards everything but answers with a token: its callers have generated and cannot store.
struct Keeper {
    base: String,
    withheld: Arc<AtomicU64>,
}

impl Keeper {
    fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let keeper = Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            withheld: Arc::default(),
        };
        let server = server.trim_start_matches("http://").to_owned();
        let withheld = Arc::clone(&keeper.withheld);
        std::thread::spawn(move || {
            for caller in listener.incoming() {
                let (caller, server) = (caller.unwrap(), TcpStream::connect(&server).unwrap());
                let (mut from, mut to) = (caller.try_clone().unwrap(), server.try_clone().unwrap());
                // Its ends stay open until the caller has gone.
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let withheld = Arc::clone(&withheld);
                std::thread::spawn(move || forward(server, caller, &withheld));
            }
        });
        keeper
    }

    fn withheld(&self) -> u64 {
        self.withheld.load(Ordering::SeqCst)
    }
}

/// Forwards answers until one has a token, which is counted.
fn forward(mut server: TcpStream, mut caller: TcpStream, withheld: &AtomicU64) {
    let mut buffer = [0; 16_384];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        let has_token = String::from_utf8_lossy(&buffer[..count]).contains("access_token");
        if has_token {
            withheld.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if caller.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}
