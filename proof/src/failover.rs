//! A PostgreSQL primary that goes away and a standby that is promoted, and a database that takes no writes for a while:
//! the node goes on by itself, and nothing acknowledged is lost. The node is named both servers in one URL and is never
//! restarted.

use std::time::Duration;

use crate::driver::{UNLIMITED, database_url};
use crate::history::Clock;
use tokenward_testkit::{Api, ApiClient, NewClient, PgCluster, Server, wait_until};

/// How long a write may take to succeed again before the proof gives up.
const LIMIT: Duration = Duration::from_secs(60);

/// A round that takes longer shows the node's log.
const SLOW: Duration = Duration::from_secs(3);

/// What is done to the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Fault {
    /// The primary ends, by a fast shutdown and by SIGKILL in turn, and its synchronous standby is promoted.
    Failover,
    /// `ALTER DATABASE .. SET default_transaction_read_only` on, and off again.
    ReadOnly,
}

/// How long writes took to go on in each round, from the end of the promotion or of the read-only time.
#[derive(Debug, Default)]
pub struct Report {
    /// One a round.
    pub delays: Vec<Duration>,
    /// How long PostgreSQL itself took for each promotion.
    pub promotions: Vec<Duration>,
}

impl Report {
    /// The longest of all rounds.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.delays.iter().copied().max().unwrap_or_default()
    }

    /// The one in the middle.
    #[must_use]
    pub fn median(&self) -> Duration {
        let mut sorted = self.delays.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// The node, and one client that asks it for tokens.
struct Node {
    server: Server,
    api: Api,
    client: ApiClient,
    /// The last generation that was acknowledged.
    acknowledged: u64,
}

impl Node {
    async fn start(url: &str) -> Node {
        let server = Server::builder().database(url).args(&UNLIMITED).start();
        let api = server.api();
        let workspace = api.workspace("failover").await.expect("a living server");
        api.product("gst", "GST").await.expect("a living server");
        let client = api.client(&workspace, NewClient::sandbox("erp")).await;
        Node {
            client: client.expect("a living server"),
            server,
            api,
            acknowledged: 0,
        }
    }

    /// Asks for a token; whether it was given. One that was given must be newer than every one before and be good.
    async fn write(&mut self) -> bool {
        let Ok(answer) = self.api.generate(&self.client.secret).await else {
            return false;
        };
        if answer.status != 200 {
            return false;
        }
        let token = answer.token();
        assert!(
            token.generation > self.acknowledged,
            "generation {} was acknowledged, then {} was given",
            self.acknowledged,
            token.generation
        );
        self.acknowledged = token.generation;
        let checked = self.api.check("sandbox", "gst", &token.access_token).await;
        let status = checked.map_or(0, |answer| answer.status);
        assert_eq!(status, 200, "a token just given is good");
        true
    }

    /// Asks until a token is given; answers how long that took since `from` began.
    async fn until_written(&mut self, from: Clock) -> Duration {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while !self.write().await {
            assert!(
                from.passed() < LIMIT,
                "writes do not go on:\n{}",
                self.server.output()
            );
            pause.tick().await;
        }
        from.passed()
    }

    /// Asks until none is given any more.
    async fn until_refused(&mut self) {
        let from = Clock::start();
        while self.write().await {
            assert!(from.passed() < LIMIT, "writes go on without a database");
        }
    }
}

/// Runs `rounds` rounds of a fault; calls `told` with the number and the delay of each.
///
/// # Panics
/// When writes do not go on, or an acknowledged one is lost.
pub async fn run(fault: Fault, rounds: u32, told: impl Fn(u32, Duration)) -> Report {
    match fault {
        Fault::Failover => failover(rounds, told).await,
        Fault::ReadOnly => read_only(rounds, told).await,
    }
}

async fn failover(rounds: u32, told: impl Fn(u32, Duration)) -> Report {
    let mut primary = PgCluster::start();
    let mut standby = primary.standby();
    primary.wait_for_standby(true);
    let url = database_url(&[primary.port(), standby.port()]);
    let mut node = Node::start(&url).await;
    let process = node.server.process_id();
    let mut report = Report::default();
    for round in 1..=rounds {
        for _ in 0..3 {
            node.until_written(Clock::start()).await;
        }
        if round % 2 == 0 {
            primary.kill9();
        } else {
            primary.stop();
        }
        let promotion = Clock::start();
        standby.promote();
        report.promotions.push(promotion.passed());
        // From here on the database takes writes.
        let promoted = Clock::start();
        let delay = node.until_written(promoted).await;
        if delay > SLOW {
            eprintln!(
                "round {round} was slow; the node's log:\n{}",
                node.server.output()
            );
        }
        told(round, delay);
        report.delays.push(delay);
        std::mem::swap(&mut primary, &mut standby);
        standby.follow(&primary);
        primary.wait_for_standby(true);
    }
    assert_eq!(
        node.server.process_id(),
        process,
        "the node was never restarted"
    );
    let verified = node.api.verify_audit().await.expect("a living server");
    assert_eq!(verified.json()["ok"], true);
    report
}

async fn read_only(rounds: u32, told: impl Fn(u32, Duration)) -> Report {
    let cluster = PgCluster::start();
    let mut node = Node::start(&cluster.url()).await;
    let set = |value: &str| {
        let _ = cluster.sql(
            "postgres",
            &format!("ALTER DATABASE tokenward SET default_transaction_read_only = {value}"),
        );
    };
    let mut report = Report::default();
    for round in 1..=rounds {
        node.until_written(Clock::start()).await;
        let before = node.server.output().matches("takes no writes").count();
        set("on");
        // Sessions keep what they began with, so that the disk guard ends them.
        let _ = cluster.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'tokenward%'",
        );
        // The node must meet the read-only database, not only lack a session.
        wait_until("a session to be refused", LIMIT, || {
            node.server.output().matches("takes no writes").count() > before
        });
        node.until_refused().await;
        set("off");
        let delay = node.until_written(Clock::start()).await;
        told(round, delay);
        report.delays.push(delay);
    }
    report
}
