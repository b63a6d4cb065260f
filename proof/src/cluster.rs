//! Several nodes on one PostgreSQL with a synchronous standby, under load while nodes are killed, stopped and cut off from the
//! database and the standby is promoted. Any call goes to any node, or to a replica attached to one; one observer judges the
//! whole history.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tokenward_testkit::{
    Api, Broken, Network, PROGRAM_LIMIT, PgCluster, Relay, Server, ServerBuilder, finish, free_port,
};

use crate::coherence::{self, Plan};
use crate::driver::{Attached, Nodes, UNLIMITED, database_url};
use crate::history::{Clock, Event, Outcome};

/// By how much the way from a node to a replica is longer, in each direction: what is answered before a replica has it is seen.
const REPLICA_DELAY: Duration = Duration::from_millis(15);
/// How long a node may take to be ready again after what was done to it has ended: its lease, and what a loaded machine needs.
const BACK: Duration = Duration::from_secs(60);
/// Longest that a renewal over a slow way is waited for.
const RENEWAL_MAX: Duration = Duration::from_secs(20);
/// Starts of a node before the proof gives up.
const STARTS_MAX: usize = 10;
/// A lease with more seconds left than this was renewed within the last three; nodes renew every two.
const RENEWED: f64 = 6.5;
/// Looks in a row, a twentieth of a second apart, at which every lease must have been renewed: longer than the lease of before
/// the act could look so.
const QUIET: u32 = 80;
/// The load goes on for so long after the last disturbance, so that what followed from it is seen.
const REST: Duration = Duration::from_secs(5);

/// What is done to a node or to the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// SIGKILL, and a new start in its place.
    Kill,
    /// SIGTERM, and a new start in its place.
    Stop,
    /// SIGSTOP for so many seconds.
    Freeze(u64),
    /// SIGSTOP until the others have removed it; when it continues, everything between it and the database takes so many
    /// milliseconds longer in each direction, for five seconds: what it reads before its next renewal must not let it answer checks.
    Thaw(u64),
    /// The connections to the database end, and none can be made for so many seconds.
    Cut(u64),
    /// Nothing passes between the node and the database for so many seconds.
    Silence(u64),
    /// Everything between the node and the database takes so many milliseconds longer, for five seconds.
    Delay(u64),
    /// Everything between the node and the database takes so many milliseconds longer in each direction, and as soon as a renewal
    /// has been answered nothing passes any more, until after the end of the lease: it must be counted from when the renewal was sent.
    Late(u64),
    /// The sessions of all nodes are ended in the database.
    EndSessions,
    /// The primary is killed and the standby promoted.
    Failover,
    /// A commit becomes visible on the primary that the standby does not have, and then the standby is promoted. Nodes that
    /// saw it must end, and start again without a person's help.
    Ghost,
    /// The standby is promoted while the old primary goes on; that one ends seconds later.
    Usurp,
    /// The standby is promoted, and one node alone stays with the old primary, for longer than its lease lasts. What waits for
    /// a standby there is cancelled again and again, so that its commits become visible there and its renewals end with a warning.
    Split,
    /// All replicas come to be attached to the node, which gets no more calls; then they lose every way, and the node is stopped
    /// and started again. While their leases last they answer checks, so every change must wait for them.
    Detach,
}

impl Act {
    /// A short program of every kind, for a run of about three minutes.
    #[must_use]
    pub fn short() -> Vec<Act> {
        vec![
            Act::Kill,
            Act::Freeze(3),
            Act::Cut(3),
            Act::Delay(50),
            Act::Thaw(400),
            Act::Failover,
            Act::Late(1_300),
            Act::Ghost,
            Act::EndSessions,
            Act::Split,
            Act::Detach,
            Act::Stop,
        ]
    }

    /// Any of them.
    fn any(rng: &mut Rng) -> Act {
        match rng.u8(..16) {
            0..3 => Act::Kill,
            3..5 => Act::Stop,
            5..7 => Act::Freeze(rng.u64(1..15)),
            7 => Act::Thaw(rng.u64(100..1_000)),
            8..10 => Act::Cut(rng.u64(1..15)),
            10..12 => Act::Silence(rng.u64(1..15)),
            12 => match rng.bool() {
                true => Act::Delay(rng.u64(5..200)),
                false => Act::Late(rng.u64(100..1_300)),
            },
            13 => match rng.bool() {
                true => Act::EndSessions,
                false => Act::Detach,
            },
            14 => match rng.u8(..3) {
                0 => Act::Failover,
                1 => Act::Ghost,
                _ => Act::Split,
            },
            _ => Act::Usurp,
        }
    }

    /// `count` acts chosen by a seed.
    #[must_use]
    pub fn program(seed: u64, count: usize) -> Vec<Act> {
        let mut rng = Rng::with_seed(seed);
        (0..count).map(|_| Act::any(&mut rng)).collect()
    }
}

/// What was seen.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// Every call.
    #[serde(skip)]
    pub history: Vec<Event>,
    /// Each act with how long the node took to be ready again after its end, in milliseconds.
    pub acts: Vec<(Act, u64)>,
    /// Nodes that ended because they had seen a commit that was lost, and were started again.
    pub ended: u64,
    /// How often a node to which nothing was done was found not to be ready.
    pub silent_elsewhere: u64,
    /// How often a replica was found not to answer checks while one node at most was disturbed.
    pub silent_replicas: u64,
    /// The longest that a change which was answered with success took, in milliseconds.
    pub longest_change: u64,
}

/// The nodes, their databases and the networks between them.
struct World {
    primary: PgCluster,
    standby: PgCluster,
    /// Of each node, its ways to the first and to the second server.
    relays: Vec<[Relay; 2]>,
    /// Which of the two ways leads to the primary.
    first: usize,
    servers: Vec<Server>,
    api: Api,
    /// Where the replicas' keys are.
    keys: tempfile::TempDir,
    /// The replicas' ways to the nodes.
    ways: Vec<Relay>,
    /// How many replicas there are.
    replicas: usize,
}

fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

impl World {
    fn start(nodes: usize) -> World {
        let primary = PgCluster::start();
        let standby = primary.standby();
        primary.wait_for_standby(true);
        let relays: Vec<[Relay; 2]> = (0..nodes)
            .map(|_| [Relay::to(primary.port()), Relay::to(standby.port())])
            .collect();
        let node = |number: usize| -> ServerBuilder {
            let [first, second] = &relays[number];
            let url = database_url(&[first.port(), second.port()]);
            let builder = Server::builder()
                .database(&url)
                .public(address())
                .internal(address())
                .arg("--node-name")
                .arg(&format!("node-{number}"));
            builder.args(&UNLIMITED)
        };
        let first = node(0).start();
        let api = first.api();
        let keys = first.data_dir().join("digest-keys").display().to_string();
        let mut servers = vec![first];
        for number in 1..nodes {
            servers.push(node(number).arg("--digest-keys").arg(&keys).start());
        }
        World {
            primary,
            standby,
            relays,
            first: 0,
            servers,
            api,
            keys: tempfile::tempdir().expect("a temporary folder"),
            ways: Vec::new(),
            replicas: 0,
        }
    }

    fn apis(&self) -> Vec<Api> {
        let key = self.servers[0].admin_key();
        let of = |server: &Server| Api::new(server.public(), server.internal(), &key);
        self.servers.iter().map(of).collect()
    }

    /// Attaches replicas, each of which begins with another node, and waits until they answer checks.
    async fn attach(&mut self, count: usize) -> Vec<Attached> {
        self.replicas = count;
        let keys = self.keys.path().join("replica-keys");
        let mut making = Command::new(self.servers[0].binary());
        making
            .args(["digest-key", "for-replicas", "--data-dir"])
            .arg(self.servers[0].data_dir())
            .arg(&keys);
        if count > 0 {
            let made = finish(&mut making, PROGRAM_LIMIT);
            let told = String::from_utf8_lossy(&made.stderr).into_owned();
            assert!(made.status.success(), "{told}");
        }
        let late = |server: &Server| {
            let address = server.internal().trim_start_matches("http://");
            let address: SocketAddr = address.parse().expect("an address");
            let relay = Relay::to(address.port());
            relay.delay(REPLICA_DELAY);
            relay
        };
        self.ways = self.servers.iter().map(late).collect();
        let way = |way: &Relay| format!("127.0.0.1:{}", way.port());
        let mut nodes: Vec<String> = self.ways.iter().map(way).collect();
        let mut attached = Vec::new();
        for _ in 0..count {
            let replica = Attached::to(&nodes, &keys);
            replica.ready().await;
            attached.push(replica);
            nodes.rotate_left(1);
        }
        attached
    }

    fn network(&self, number: usize, network: Network) {
        for relay in &self.relays[number] {
            relay.set(network);
        }
    }

    /// Makes the ways between a node and the database so many milliseconds longer, in each direction.
    fn slow(&self, number: usize, millis: u64) {
        for relay in &self.relays[number] {
            relay.delay(Duration::from_millis(millis));
        }
    }

    /// Does one thing and undoes it; returns once the nodes should recover.
    async fn act(&mut self, act: Act, number: usize) {
        match act {
            Act::Kill => {
                self.servers[number].kill9();
                start_again(&mut self.servers[number]);
            }
            Act::Stop => {
                assert!(self.servers[number].terminate().success());
                start_again(&mut self.servers[number]);
            }
            Act::Freeze(seconds) => {
                self.servers[number].freeze();
                pass(seconds * 1_000).await;
                self.servers[number].thaw();
            }
            Act::Thaw(millis) => {
                self.servers[number].freeze();
                pass(17_000).await;
                self.slow(number, millis);
                self.servers[number].thaw();
                pass(5_000).await;
                self.slow(number, 0);
            }
            Act::Cut(seconds) => {
                self.network(number, Network::Cut);
                pass(seconds * 1_000).await;
                self.network(number, Network::Good);
            }
            Act::Silence(seconds) => {
                self.network(number, Network::Silent);
                pass(seconds * 1_000).await;
                self.network(number, Network::Good);
            }
            Act::Delay(millis) => {
                self.slow(number, millis);
                pass(5_000).await;
                self.slow(number, 0);
            }
            Act::Late(millis) => {
                self.slow(number, millis);
                renewed(&self.apis()[number]).await;
                self.network(number, Network::Silent);
                pass(14_000).await;
                self.slow(number, 0);
                self.network(number, Network::Good);
            }
            Act::Detach => {
                let others = self.ways.iter().enumerate();
                others
                    .filter(|(node, _)| *node != number)
                    .for_each(|(_, way)| way.set(Network::Cut));
                attached(&self.apis()[number], self.replicas).await;
                // By then the nodes of before wait no more for them, and what was asked of this one has been answered.
                pass(8_000).await;
                self.ways[number].set(Network::Cut);
                assert!(self.servers[number].terminate().success());
                start_again(&mut self.servers[number]);
                pass(8_000).await;
                self.ways.iter().for_each(|way| way.set(Network::Good));
            }
            Act::EndSessions => {
                let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE application_name LIKE 'tokenward%'";
                let _ = self.primary.sql("tokenward", end);
            }
            Act::Failover => {
                self.primary.kill9();
                self.standby.promote();
                self.rebuild();
            }
            Act::Ghost => {
                self.standby.kill9();
                self.cancel_waits(20).await;
                self.primary.kill9();
                self.standby.start_again();
                self.standby.promote();
                self.rebuild();
            }
            Act::Usurp => {
                self.standby.promote();
                pass(4_000).await;
                self.primary.kill9();
                self.rebuild();
            }
            Act::Split => {
                let (old, new) = (self.first, 1 - self.first);
                for (node, relays) in self.relays.iter().enumerate() {
                    relays[if node == number { new } else { old }].set(Network::Cut);
                }
                self.standby.promote();
                self.cancel_waits(220).await;
                self.primary.kill9();
                self.relays
                    .iter()
                    .flatten()
                    .for_each(|relay| relay.set(Network::Good));
                self.rebuild();
            }
        }
    }

    /// Of the commits that wait for the standby all become visible, so many tenths of a second long.
    async fn cancel_waits(&self, tenths: u32) {
        let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        for _ in 0..tenths {
            let _ = self.primary.sql("postgres", cancel);
            pass(100).await;
        }
    }

    /// Makes the former primary a standby of the new one.
    fn rebuild(&mut self) {
        std::mem::swap(&mut self.primary, &mut self.standby);
        self.first = 1 - self.first;
        self.standby.follow(&self.primary);
        self.primary.wait_for_standby(true);
    }
}

/// Lets time pass.
async fn pass(millis: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(millis), std::future::pending::<()>()).await;
}

/// No node is left out of the watch.
const NONE: usize = usize::MAX;
/// Every node is.
const ALL: usize = usize::MAX - 1;

/// Looks all the time whether the nodes to which nothing is done are ready.
struct Watch {
    seen: Arc<Silence>,
    task: tokio::task::JoinHandle<()>,
}

/// Which node is left out of the watch, and how often others were found to be silent.
struct Silence {
    except: AtomicUsize,
    nodes: AtomicU64,
    replicas: AtomicU64,
}

impl Watch {
    fn start(apis: &[Api], nodes: &Arc<Nodes>) -> Watch {
        let seen = Arc::new(Silence {
            except: AtomicUsize::new(NONE),
            nodes: AtomicU64::new(0),
            replicas: AtomicU64::new(0),
        });
        let (apis, nodes, found) = (apis.to_vec(), Arc::clone(nodes), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let left_out = || found.except.load(Ordering::SeqCst);
            loop {
                for (number, replica) in nodes.attached().iter().enumerate() {
                    if left_out() != ALL && !replica.is_vouching() && left_out() != ALL {
                        eprintln!("replica {number} answers no checks");
                        found.replicas.fetch_add(1, Ordering::SeqCst);
                    }
                }
                for (number, api) in apis.iter().enumerate() {
                    let before = left_out();
                    // One that is slow to answer says nothing.
                    let asked = before != ALL && before != number;
                    if !asked || readiness(api, Duration::from_secs(5)).await != Some(503) {
                        continue;
                    }
                    // Something may have begun to be done to it meanwhile.
                    if left_out() == before {
                        eprintln!("node {number} is silent, and nothing is done to it");
                        found.nodes.fetch_add(1, Ordering::SeqCst);
                    }
                }
                pass(50).await;
            }
        });
        Watch { seen, task }
    }

    fn except(&self, number: usize) {
        self.seen.except.store(number, Ordering::SeqCst);
    }

    fn end(self) -> (u64, u64) {
        self.task.abort();
        let count = |one: &AtomicU64| one.load(Ordering::SeqCst);
        (count(&self.seen.nodes), count(&self.seen.replicas))
    }
}

/// The status with which a node says whether it is ready; none when it does not answer in time.
async fn readiness(api: &Api, limit: Duration) -> Option<u16> {
    let ready = api.internal(reqwest::Method::GET, "/health/ready");
    let asked = tokio::time::timeout(limit, ready.send()).await;
    Some(asked.ok()?.ok()?.status().as_u16())
}

/// Looks until it is so, for as long as a node may take since `from` began.
async fn until(from: Clock, missing: impl Fn() -> String, mut so: impl AsyncFnMut() -> bool) {
    while !so().await {
        assert!(from.passed() < BACK, "{}", missing());
        pass(20).await;
    }
}

/// Starts a node in its place, as a supervisor would: again when the database does not answer in time.
fn start_again(server: &mut Server) {
    let mut refused = String::new();
    for _ in 0..STARTS_MAX {
        match server.try_restart() {
            Ok(()) => return,
            Err(error) => refused = error.to_string(),
        }
    }
    panic!("{refused}");
}

/// Starts nodes again that end by themselves, as a supervisor would, until each is ready; how many did.
async fn until_back(servers: &mut [Server], apis: &[Api]) -> u64 {
    let (mut ended, mut quiet) = (0, 0);
    let from = Clock::start();
    while quiet < QUIET {
        for server in servers.iter_mut() {
            if !server.is_running() {
                ended += 1;
                start_again(server);
                quiet = 0;
            }
        }
        let mut renewed = true;
        for api in apis {
            renewed &= lease_left(api).await > RENEWED;
        }
        quiet = if renewed { quiet + 1 } else { 0 };
        let log = || servers[0].output();
        assert!(from.passed() < BACK, "not every node is back:\n{}", log());
        pass(50).await;
    }
    ended
}

/// A figure of a node's metrics; `None` when it does not say.
async fn figure(api: &Api, name: &str) -> Option<f64> {
    let asked = tokio::time::timeout(Duration::from_secs(1), api.metrics()).await;
    let body = asked.ok()?.ok()?.body;
    let line = body.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok())
}

/// Seconds left of a node's lease; 0 when it does not say.
async fn lease_left(api: &Api) -> f64 {
    let left = figure(api, "tokenward_lease_seconds_left ").await;
    left.unwrap_or(0.0)
}

/// Returns when so many replicas are attached to a node.
async fn attached(api: &Api, count: usize) {
    let missing = || "not every replica came to the node".to_owned();
    let replicas = async || figure(api, "tokenward_replicas ").await.unwrap_or(0.0);
    until(Clock::start(), missing, async || {
        replicas().await >= count as f64
    })
    .await;
}

/// Returns when a renewal that was sent meanwhile has been answered; the first that is seen may have been sent before.
async fn renewed(api: &Api) {
    let from = Clock::start();
    let (mut before, mut seen) = (lease_left(api).await, 0);
    while seen < 2 && from.passed() < RENEWAL_MAX {
        pass(10).await;
        let left = lease_left(api).await;
        seen += u32::from(left > before + 0.5);
        before = left;
    }
}

/// Returns when every node is ready; how long that took, in milliseconds.
async fn until_ready(servers: &[Server], apis: &[Api]) -> u64 {
    let from = Clock::start();
    for (server, api) in servers.iter().zip(apis) {
        let missing = || format!("a node is not ready again:\n{}", server.output());
        let second = Duration::from_secs(1);
        until(from, missing, async || {
            readiness(api, second).await == Some(200)
        })
        .await;
    }
    from.now() / 1_000_000
}

/// Returns when every replica answers checks.
async fn until_vouching(replicas: &[Attached]) {
    let missing = || "a replica does not answer checks again".to_owned();
    let from = Clock::start();
    for replica in replicas {
        until(from, missing, async || replica.is_vouching()).await;
    }
}

/// Starts `count` nodes and so many replicas, puts load on all of them and carries the acts out, one after the other, each on a node chosen by the
/// seed. `told` is called with each act and how many milliseconds the nodes then took to be ready.
///
/// # Errors
/// When a connection breaks while things are set up.
///
/// # Panics
/// When a node does not come back, ends by itself, or the audit log is not whole.
pub async fn run(
    (count, replicas): (usize, usize),
    seed: u64,
    acts: &[Act],
    mut told: impl FnMut(Act, usize, u64),
) -> Result<Seen, Broken> {
    let mut world = World::start(count);
    let apis = world.apis();
    let attached = world.attach(replicas).await;
    let nodes = Arc::new(Nodes::new(apis.clone()).with(attached));
    let mut rng = Rng::with_seed(seed);
    // The load ends when the acts have, whatever they take.
    let plan = Plan {
        writers: 10,
        checkers: 6,
        clients: 24,
        ..Plan::new(seed, Duration::from_secs(86_400))
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let prepared = coherence::Prepared::new(&nodes, plan).await?;
    let loading = tokio::spawn(prepared.run_until(stopped));
    pass(2_000).await;
    let watch = Watch::start(&apis, &nodes);
    let mut done = Vec::new();
    let mut ended = 0;
    for act in acts {
        let number = rng.usize(..count);
        let one = !matches!(
            act,
            Act::EndSessions | Act::Failover | Act::Ghost | Act::Usurp | Act::Split | Act::Detach
        );
        match act {
            Act::Detach => nodes.leave_out(number),
            _ => nodes.disturb((one || *act == Act::Split).then_some(number)),
        }
        watch.except(if one { number } else { ALL });
        world.act(*act, number).await;
        if matches!(act, Act::Ghost | Act::Split) {
            ended += until_back(&mut world.servers, &apis).await;
        }
        let took = until_ready(&world.servers, &apis).await;
        if *act == Act::Detach {
            until_vouching(nodes.attached()).await;
        }
        nodes.disturb(None);
        watch.except(NONE);
        told(*act, number, took);
        done.push((*act, took));
        pass(1_000).await;
    }
    pass(u64::try_from(REST.as_millis()).unwrap_or(u64::MAX)).await;
    let (silent_elsewhere, silent_replicas) = watch.end();
    let _ = stop.send(true);
    let history = loading.await.expect("the load does not panic");
    let verified = world.api.verify_audit().await?;
    assert_eq!(verified.json()["ok"], true, "{}", verified.body);
    for server in &mut world.servers {
        assert!(
            server.is_running(),
            "a node ended by itself:\n{}",
            server.output()
        );
    }
    let longest = history
        .iter()
        .filter(|event| {
            event.is_change() && matches!(event.outcome, Outcome::Generated { .. } | Outcome::Done)
        })
        .map(|event| (event.returned - event.invoked) / 1_000_000);
    Ok(Seen {
        longest_change: longest.max().unwrap_or_default(),
        acts: done,
        ended,
        silent_elsewhere,
        silent_replicas,
        history,
    })
}
