//! How fast several nodes on one PostgreSQL answer, beside one node in the same run: the time of a generate for one caller, and
//! generates a second for many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use tokenward_proof::history::Clock;
use tokenward_testkit::{Api, ApiClient, NewClient, PgCluster, Server, fresh_binary};
use tokio::task::JoinSet;

/// Measures one node and several, in turn, on one database.
#[derive(Parser)]
struct Arguments {
    /// How many nodes beside one.
    #[arg(long, value_delimiter = ',', default_value = "3,5,10")]
    nodes: Vec<usize>,
    /// How often each is measured; the middle one counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// With a synchronous standby.
    #[arg(long)]
    standby: bool,
}

/// Callers at once where the rate is measured, and where it is the time.
const CALLERS: usize = 64;

struct World {
    cluster: PgCluster,
    _standby: Option<PgCluster>,
    servers: Vec<Server>,
    clients: Arc<Vec<ApiClient>>,
}

impl World {
    async fn start(standby: bool) -> World {
        let cluster = PgCluster::start();
        let standby = standby.then(|| {
            let standby = cluster.standby();
            cluster.wait_for_standby(true);
            standby
        });
        let mut world = World {
            cluster,
            _standby: standby,
            servers: Vec::new(),
            clients: Arc::default(),
        };
        world.grow(1);
        let api = world.servers[0].api();
        let workspace = api.workspace("speed").await.expect("a living server");
        let mut clients = Vec::new();
        for number in 0..CALLERS {
            let new = NewClient::sandbox(&format!("erp-{number}"));
            clients.push(api.client(&workspace, new).await.expect("a living server"));
        }
        world.clients = Arc::new(clients);
        world
    }

    /// Starts nodes until there are so many, or stops some.
    fn grow(&mut self, count: usize) {
        while self.servers.len() > count {
            let mut server = self.servers.pop().expect("one more than wanted");
            assert!(server.terminate().success());
        }
        while self.servers.len() < count {
            let mut builder = Server::builder()
                .binary(&fresh_binary())
                .database(&self.cluster.url())
                .arg("--quota-per-day")
                .arg("100000000")
                .arg("--secret-calls-per-second")
                .arg("0");
            if let Some(first) = self.servers.first() {
                let keys = first.data_dir().join("digest-keys");
                builder = builder
                    .arg("--digest-keys")
                    .arg(&keys.display().to_string());
            }
            self.servers.push(builder.start());
        }
    }

    fn apis(&self) -> Vec<Api> {
        let key = self.servers[0].admin_key();
        let of = |server: &Server| Api::new(server.public(), server.internal(), &key);
        self.servers.iter().map(of).collect()
    }

    /// The median and the 99th percentile of one caller's generates, each at the next node, in microseconds.
    async fn times(&self, duration: Duration) -> (u64, u64) {
        let apis = self.apis();
        let clock = Clock::start();
        let end = nanos(duration);
        let mut times = Vec::new();
        let mut at = 0;
        while clock.now() < end {
            let before = clock.now();
            let answer = apis[at % apis.len()]
                .generate(&self.clients[at % CALLERS].secret)
                .await;
            assert_eq!(answer.expect("a living server").status, 200);
            times.push((clock.now() - before) / 1_000);
            at += 1;
        }
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    }

    /// Generates a second by many callers, spread over the nodes.
    async fn rate(&self, duration: Duration) -> u64 {
        let (apis, done) = (self.apis(), Arc::new(AtomicU64::new(0)));
        let (clock, end) = (Clock::start(), nanos(duration));
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let (api, done) = (apis[number % apis.len()].clone(), Arc::clone(&done));
            let clients = Arc::clone(&self.clients);
            callers.spawn(async move {
                while clock.now() < end {
                    let answer = api.generate(&clients[number].secret).await;
                    assert_eq!(answer.expect("a living server").status, 200);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        callers.join_all().await;
        done.load(Ordering::Relaxed) * 1_000_000_000 / clock.now()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn middle<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let mut world = World::start(arguments.standby).await;
    let duration = Duration::from_secs(arguments.seconds);
    let mut counts = vec![1];
    counts.extend(&arguments.nodes);
    let mut seen: Vec<(Vec<u64>, Vec<u64>, Vec<u64>)> = vec![Default::default(); counts.len()];
    for round in 0..arguments.rounds {
        for (count, seen) in counts.iter().zip(&mut seen) {
            world.grow(*count);
            let (median, last) = world.times(duration).await;
            let rate = world.rate(duration).await;
            eprintln!("round {round}, {count} nodes: median {median} us, 99th {last} us, {rate}/s");
            seen.0.push(median);
            seen.1.push(last);
            seen.2.push(rate);
        }
    }
    let mut one = None;
    println!("nodes | median us | over one node | 99th us | generates/s | of one node");
    for (count, (median, last, rate)) in counts.into_iter().zip(seen) {
        let (median, last, rate) = (middle(median), middle(last), middle(rate));
        let (base, base_rate) = *one.get_or_insert((median, rate));
        println!(
            "{count} | {median} | {} | {last} | {rate} | {:.2}",
            median.saturating_sub(base),
            rate as f64 / base_rate as f64
        );
    }
}
