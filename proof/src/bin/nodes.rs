//! How fast several nodes on one PostgreSQL answer, beside one node in the same run: the time of a generate for one caller,
//! generates a second for many callers, and the processor time that a check costs.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser;
use reqwest::Method;
use tokenward_core::credential::{ClientSecret, RANDOM_BYTES};
use tokenward_proof::history::Clock;
use tokenward_testkit::{
    Api, ApiClient, NewClient, PROGRAM_LIMIT, PgCluster, Relay, Server, finish, fresh_binary,
};
use tokio::task::JoinSet;

/// Measures one node and several, in turn, on one database.
#[derive(Parser)]
struct Arguments {
    /// How many nodes beside one [default: 3,5,10; none with --against].
    #[arg(long, value_delimiter = ',')]
    nodes: Option<Vec<usize>>,
    /// How often each is measured; the middle one counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Callers at once where the rate is measured; each figure is taken for each of these, spread over the nodes.
    #[arg(long, value_delimiter = ',', default_value = "64,256")]
    callers: Vec<usize>,
    /// API clients, of which each caller has a share and goes through it; at least one for each caller.
    #[arg(long, default_value_t = 0)]
    clients: usize,
    /// With a synchronous standby.
    #[arg(long)]
    standby: bool,
    /// Microseconds by which the way to the database is longer, in each direction. A database on the same processors is so near
    /// that what several nodes cost it takes from what they get.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// Another build of the server, of which one node is measured in each round, on a database of its own, before the first one in
    /// every second round. A database that is measured more often gets more rows, and a dump of it takes longer: compare two
    /// builds without `--nodes`.
    #[arg(long)]
    against: Option<PathBuf>,
    /// The database is dumped again and again while it is measured.
    #[arg(long)]
    dump: bool,
    /// A snapshot of the database stays open, as during the dump of a large one.
    #[arg(long)]
    snapshot: bool,
    /// The rates are of calls with a wrong secret, each from another address, instead of generates.
    #[arg(long)]
    wrong: bool,
}

/// Callers that check at once: how much a node does at once is part of what a check costs.
const CHECKERS: usize = 16;

/// What was measured of one number of nodes, a value a round.
#[derive(Default)]
struct Seen {
    medians: Vec<u64>,
    lasts: Vec<u64>,
    /// A list for each number of callers.
    rates: Vec<Vec<u64>>,
    check_costs: Vec<u64>,
}

struct World {
    cluster: PgCluster,
    _standby: Option<PgCluster>,
    /// The way to the database, if it is made longer.
    relay: Option<Relay>,
    /// The program whose nodes they are.
    binary: PathBuf,
    servers: Vec<Server>,
    clients: Arc<Vec<ApiClient>>,
    /// A secret for each client that is not its own.
    wrong: Arc<Vec<String>>,
}

impl World {
    async fn start(binary: &Path, arguments: &Arguments) -> World {
        let cluster = PgCluster::start();
        let standby = arguments.standby.then(|| {
            let standby = cluster.standby();
            cluster.wait_for_standby(true);
            standby
        });
        let delay = Duration::from_micros(arguments.delay);
        let relay = (!delay.is_zero()).then(|| {
            let relay = Relay::to(cluster.port());
            relay.delay(delay);
            relay
        });
        let mut world = World {
            cluster,
            _standby: standby,
            relay,
            binary: binary.to_owned(),
            servers: Vec::new(),
            clients: Arc::default(),
            wrong: Arc::default(),
        };
        world.grow(1);
        let api = world.servers[0].api();
        api.product("gst", "GST").await.expect("a living server");
        let workspace = api.workspace("speed").await.expect("a living server");
        let mut clients = Vec::new();
        let callers = arguments.callers.iter().copied().max();
        for number in 0..callers.unwrap_or(1).max(arguments.clients) {
            let new = NewClient::sandbox(&format!("erp-{number}"));
            clients.push(api.client(&workspace, new).await.expect("a living server"));
        }
        world.wrong = Arc::new(clients.iter().map(wrong_secret).collect());
        world.clients = Arc::new(clients);
        world
    }

    /// Starts nodes until there are so many, or stops some.
    fn grow(&mut self, count: usize) {
        while self.servers.len() > count {
            let mut server = self.servers.pop().expect("one more than wanted");
            assert!(server.terminate().success());
        }
        let direct = self.cluster.url();
        let url = match &self.relay {
            Some(relay) => {
                let (own, relayed) = (self.cluster.port().to_string(), relay.port().to_string());
                direct.replacen(&own, &relayed, 1)
            }
            None => direct,
        };
        while self.servers.len() < count {
            let mut builder = Server::builder()
                .binary(&self.binary)
                .database(&url)
                .args(&["--quota-per-day", "100000000"])
                .args(&["--secret-calls-per-second", "0"])
                .args(&["--trusted-proxy", "127.0.0.1"]);
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
                .generate(&self.clients[at % self.clients.len()].secret)
                .await;
            assert_eq!(answer.expect("a living server").status, 200);
            times.push((clock.now() - before) / 1_000);
            at += 1;
        }
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    }

    /// Generates, or calls with a wrong secret, a second by many callers, spread over the nodes.
    async fn rate(&self, count: usize, wrong: bool, duration: Duration) -> u64 {
        let (apis, done) = (self.apis(), Arc::new(AtomicU64::new(0)));
        let (clock, end) = (Clock::start(), nanos(duration));
        let mut callers = JoinSet::new();
        for number in 0..count {
            let (api, done) = (apis[number % apis.len()].clone(), Arc::clone(&done));
            let (clients, secrets) = (Arc::clone(&self.clients), Arc::clone(&self.wrong));
            callers.spawn(async move {
                let mut source = 0_u32;
                let mut own = (number..clients.len()).step_by(count).cycle();
                while clock.now() < end {
                    let (answer, expected) = if wrong {
                        // Calls from one address would be throttled.
                        source += 1;
                        let address = Ipv6Addr::from(u128::from(source) << 64);
                        let call = api.authz(Method::POST, "", &secrets[number]);
                        let call = call.header("x-forwarded-for", address.to_string());
                        (api.send(call).await, 401)
                    } else {
                        let client = own.next().unwrap_or(number);
                        (api.generate(&clients[client].secret).await, 200)
                    };
                    assert_eq!(answer.expect("a living server").status, expected);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        callers.join_all().await;
        done.load(Ordering::Relaxed) * 1_000_000_000 / clock.now()
    }

    /// Processor time of a node for each check, in nanoseconds, while many callers check there and nobody asks the others: on
    /// processors that nodes share, what they take from each other would be in it. The middle of all nodes.
    async fn check_cost(&self, duration: Duration) -> u64 {
        let apis = self.apis();
        let generated = apis[0].generate(&self.clients[0].secret).await;
        let token = generated.expect("a living server").json()["access_token"]
            .as_str()
            .expect("a token")
            .to_owned();
        let mut costs = Vec::new();
        for (api, server) in apis.iter().zip(&self.servers) {
            let done = Arc::new(AtomicU64::new(0));
            let (clock, end) = (Clock::start(), nanos(duration));
            let before = processor_time(server);
            let mut callers = JoinSet::new();
            for _ in 0..CHECKERS {
                let (api, token, done) = (api.clone(), token.clone(), Arc::clone(&done));
                callers.spawn(async move {
                    while clock.now() < end {
                        let answer = api.check("sandbox", "gst", &token).await;
                        assert_eq!(answer.expect("a living server").status, 200);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            callers.join_all().await;
            let used = processor_time(server) - before;
            costs.push(used / done.load(Ordering::Relaxed).max(1));
        }
        middle(costs)
    }
}

/// Processor time of a server so far, in nanoseconds: fields 14 and 15 of `/proc/PID/stat`, in hundredths of a second
/// (proc(5)).
fn processor_time(server: &Server) -> u64 {
    let path = format!("/proc/{}/stat", server.process_id());
    let stat = std::fs::read_to_string(path).expect("a running process");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    let ticks = |at: usize| fields.split(' ').nth(at).map(str::parse::<u64>);
    let used = [11, 12].map(|at| ticks(at).expect("so many fields").expect("a number"));
    used.iter().sum::<u64>() * 10_000_000
}

/// A well-formed secret of a client, which it does not have.
fn wrong_secret(client: &ApiClient) -> String {
    let own = ClientSecret::parse(&client.secret).expect("a secret of the server");
    let other = ClientSecret::from_random(own.environment(), own.client(), [7; RANDOM_BYTES]);
    other.expose().to_string()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn middle<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Measures so many nodes of a world.
async fn measure(world: &mut World, nodes: usize, arguments: &Arguments, seen: &mut Seen) {
    let duration = Duration::from_secs(arguments.seconds);
    world.grow(nodes);
    let (median, last) = world.times(duration).await;
    eprintln!("    median {median} us, 99th {last} us");
    seen.medians.push(median);
    seen.lasts.push(last);
    seen.rates.resize(arguments.callers.len(), Vec::new());
    for (callers, rates) in arguments.callers.iter().zip(&mut seen.rates) {
        let rate = world.rate(*callers, arguments.wrong, duration).await;
        eprintln!("    {callers} callers: {rate} calls/s");
        rates.push(rate);
    }
    let cost = world.check_cost(duration).await;
    eprintln!("    {cost} ns of processor time for a check");
    seen.check_costs.push(cost);
}

/// Ended with the program.
struct Snapshot(Child);

impl Drop for Snapshot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens a snapshot of a world's database.
fn snapshot(world: &World) -> Snapshot {
    let opened = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT change_number FROM head; SELECT pg_sleep(86400)";
    let mut psql = Command::new("psql");
    psql.arg(world.cluster.url())
        .args(["-qAtc", opened])
        .stdout(Stdio::null());
    Snapshot(psql.spawn().expect("psql runs"))
}

/// Which world is being measured; none any more at the end.
const ENDED: usize = usize::MAX;

/// Dumps the database of the world that is being measured again and again, until the measurements have ended.
fn dump(worlds: &[World], measured: &Arc<AtomicUsize>) -> std::thread::JoinHandle<u64> {
    let urls: Vec<String> = worlds.iter().map(|world| world.cluster.url()).collect();
    let measured = Arc::clone(measured);
    std::thread::spawn(move || {
        let mut done = 0;
        while let Some(url) = urls.get(measured.load(Ordering::Relaxed)) {
            let dumped = finish(Command::new("pg_dump").arg(url), PROGRAM_LIMIT);
            assert!(dumped.status.success());
            done += 1;
        }
        done
    })
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let mut worlds = vec![World::start(&fresh_binary(), &arguments).await];
    let mut subjects = vec![(0, 1)];
    if let Some(other) = &arguments.against {
        worlds.push(World::start(other, &arguments).await);
        subjects.push((1, 1));
    }
    let nodes = arguments.nodes.as_deref();
    let others: &[usize] = if subjects.len() > 1 { &[] } else { &[3, 5, 10] };
    subjects.extend(nodes.unwrap_or(others).iter().map(|count| (0, *count)));
    let mut all: Vec<Seen> = subjects.iter().map(|_| Seen::default()).collect();
    let measured = Arc::new(AtomicUsize::new(0));
    let _snapshots: Vec<_> = worlds
        .iter()
        .filter(|_| arguments.snapshot)
        .map(snapshot)
        .collect();
    let dumping = arguments.dump.then(|| dump(&worlds, &measured));
    for round in 0..arguments.rounds {
        let mut turns: Vec<_> = subjects.iter().zip(&mut all).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for ((world, count), seen) in turns {
            eprintln!(
                "round {round}, {count} nodes of {}",
                worlds[*world].binary.display()
            );
            measured.store(*world, Ordering::Relaxed);
            measure(&mut worlds[*world], *count, &arguments, seen).await;
        }
    }
    measured.store(ENDED, Ordering::Relaxed);
    if let Some(dumping) = dumping {
        let dumps = dumping.join().expect("dumps that succeed");
        println!("{dumps} dumps were taken meanwhile");
    }
    let mut one: Option<(u64, Vec<u64>)> = None;
    print!("nodes | median us | over one node | 99th us");
    for callers in &arguments.callers {
        print!(" | calls/s of {callers} callers | of one node");
    }
    println!(" | ns for a check");
    for ((world, count), seen) in subjects.into_iter().zip(all) {
        let (median, last) = (middle(seen.medians), middle(seen.lasts));
        let rates: Vec<u64> = seen.rates.into_iter().map(middle).collect();
        let (base, base_rates) = one.get_or_insert_with(|| (median, rates.clone()));
        let other = if world == 0 {
            ""
        } else {
            " of the other build"
        };
        print!(
            "{count}{other} | {median} | {} | {last}",
            i128::from(median) - i128::from(*base)
        );
        for (rate, base) in rates.iter().zip(base_rates) {
            print!(" | {rate} | {:.2}", *rate as f64 / *base as f64);
        }
        println!(" | {}", middle(seen.check_costs));
    }
}
