//! Three nodes on one PostgreSQL, a load balancer in front of them, and the caller of both.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use gateways::{Balancer, Listeners, Running};
use tokenward_proof::driver::database_url;
use tokenward_testkit::{Api, Network, PgCluster, Relay, Server, ServerBuilder};

use crate::stage::address;

const NAMES: [&str; 3] = ["a", "b", "c"];
/// The node whose connections to the database can be cut.
pub(crate) const CUT: usize = 2;
/// Lines of a node's log shown when something went wrong.
const LOG_LINES_SHOWN: usize = 15;

/// How the nodes are started.
pub(crate) struct Plan {
    /// The binary; without it the one beside this program.
    pub(crate) binary: Option<PathBuf>,
    /// Whether ports that are easy to remember are used where they are free.
    pub(crate) prefers_ports: bool,
    /// Whether there is a synchronous standby.
    pub(crate) standby: bool,
    pub(crate) balancer: Balancer,
}

/// Everything that runs.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
    /// The way of the node [`CUT`] to each database server.
    relays: Vec<Relay>,
    /// A caller of the load balancer, with the first admin key.
    pub(crate) api: Api,
    pub(crate) balanced: Listeners,
    _balancer: Running,
    pub(crate) primary: PgCluster,
    pub(crate) standby: Option<PgCluster>,
}

impl Cluster {
    /// Starts everything and waits until it serves.
    pub(crate) fn start(plan: &Plan) -> Self {
        let port = |port| address(port, plan.prefers_ports);
        let listeners = |first: u16| Listeners {
            public: port(first),
            internal: port(first + 1),
        };
        let places = [8080, 8180, 8280].map(listeners);
        let balanced = listeners(8000);
        let (primary, standby) = tokio::task::block_in_place(|| {
            let primary = PgCluster::start();
            let standby = plan.standby.then(|| primary.standby());
            if standby.is_some() {
                primary.wait_for_standby(true);
            }
            (primary, standby)
        });
        let mut servers = vec![primary.port()];
        servers.extend(standby.as_ref().map(PgCluster::port));
        let relays: Vec<Relay> = servers.iter().copied().map(Relay::to).collect();
        let ports: Vec<u16> = relays.iter().map(Relay::port).collect();
        let (direct, cut) = (database_url(&servers), database_url(&ports));
        let nodes = tokio::task::block_in_place(|| {
            let mut nodes: Vec<Server> = Vec::new();
            for (number, (name, at)) in NAMES.into_iter().zip(places).enumerate() {
                let database = if number == CUT { &cut } else { &direct };
                let mut builder = node(plan, name, database, at, balanced);
                if let Some(first) = nodes.first() {
                    // In practice: the file, copied to the node's own data directory.
                    let keys = first.data_dir().join("digest-keys");
                    builder = builder.arg("--digest-keys").arg(text(&keys));
                }
                nodes.push(builder.start());
            }
            nodes
        });
        let balancer = plan.balancer.start(balanced, places);
        let base = |address: SocketAddr| format!("http://{address}");
        let api = Api::new(
            &base(balanced.public),
            &base(balanced.internal),
            &nodes[0].admin_key(),
        );
        Self {
            nodes,
            relays,
            api,
            balanced,
            _balancer: balancer,
            primary,
            standby,
        }
    }

    /// A caller of one node, past the load balancer.
    pub(crate) fn at(&self, number: usize) -> Api {
        let node = &self.nodes[number];
        Api::new(node.public(), node.internal(), &self.nodes[0].admin_key())
    }

    /// What the network between the node [`CUT`] and the database does from now on.
    pub(crate) fn network(&self, network: Network) {
        self.relays.iter().for_each(|relay| relay.set(network));
    }

    /// Ends everything in order and demands that it ends well.
    pub(crate) fn strike(mut self) {
        // Idle connections would keep the nodes waiting.
        self.api = self.api.with_new_connections();
        for node in &mut self.nodes {
            let status = node.terminate();
            assert!(status.success(), "a node ended with {status}");
        }
    }
}

/// After a surprise the reader sees what the nodes wrote last.
impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, node) in NAMES.iter().zip(&self.nodes) {
                let log = node.output();
                let denied = |line: &&str| line.contains("check denied");
                let lines: Vec<&str> = log.lines().filter(|line| !denied(line)).collect();
                let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
                eprintln!("\nThe last log lines of node {name}:\n{}", last.join("\n"));
            }
        }
    }
}

fn node(
    plan: &Plan,
    name: &str,
    database: &str,
    at: Listeners,
    balanced: Listeners,
) -> ServerBuilder {
    let mut builder = Server::builder()
        .without_environment()
        .database(database)
        .public(at.public)
        .internal(at.internal);
    for (flag, value) in [
        ("--node-name", name),
        ("--trusted-proxy", "127.0.0.1"),
        ("--public-url", &format!("http://{}", balanced.public)),
        // The callers of this demo generate more in a minute than a real one in a day.
        ("--quota-per-day", "1000000"),
    ] {
        builder = builder.arg(flag).arg(value);
    }
    match &plan.binary {
        Some(binary) => builder.binary(binary),
        None => builder,
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
