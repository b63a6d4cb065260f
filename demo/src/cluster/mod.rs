//! What callers see while nodes and their database fail: three nodes on a PostgreSQL with a synchronous standby, and a load
//! balancer in front of them. Callers generate and check all the time; each step does something to a part, and afterwards
//! says what they saw.

mod load;
mod nodes;
#[cfg(test)]
mod rolling;

use std::{process::Command, time::Duration};

use gateways::Balancer;
use reqwest::Method;
use tokenward_testkit::{Api, Network, NewClient, PROGRAM_LIMIT, expect_json, finish};

pub(crate) use nodes::Cluster;

use self::{
    load::{Allowed, Judged, Load},
    nodes::{CUT, Plan},
};
use crate::{
    Flags,
    story::{Stopwatch, Story, heading, note, plain},
};

/// What runs, for the last line.
pub(crate) const PARTS: &str = "Nodes, load balancer and database";

/// The time between two lines of figures.
const LINE: Duration = Duration::from_secs(1);
/// The time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(10);
/// How long a condition may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// A node's lease: how long it may answer checks after its last renewal was sent.
const LEASE: Duration = Duration::from_secs(10);
/// The longest wait for a lost node: the lease and twice the pause that a machine may make, and some for the rest.
const LOST_MAX: Duration = Duration::from_secs(14);

/// A step that refuses callers nothing. Changes wait for a node while it joins, for as long as the machine takes for that.
const NOTHING: Allowed = Allowed {
    generates_failed: 0,
    longest_generate: LOST_MAX,
};
/// A step that loses a node: changes wait for it once, and what was sent to it has no answer.
const LOST: Allowed = Allowed {
    generates_failed: u64::MAX,
    longest_generate: LOST_MAX,
};

/// Tells the story; what runs then is the caller's to end.
pub(crate) async fn tell(flags: &Flags, story: &mut Story) -> Cluster {
    heading("Tokenward: three nodes on one PostgreSQL, on this machine");
    let cluster = Cluster::start(&Plan {
        binary: flags.server.clone(),
        prefers_ports: !flags.check,
        standby: true,
        balancer: Balancer::Nginx,
    });
    for (what, server) in ["node a", "node b", "node c"].iter().zip(&cluster.nodes) {
        let (public, internal) = (server.public(), server.internal());
        note(format_args!(
            "{what:<10} {public} public   {internal} internal"
        ));
    }
    let balanced = cluster.balanced;
    note(format_args!(
        "nginx      http://{} public   http://{} internal",
        balanced.public, balanced.internal
    ));
    let mut walk = Walk::begin(cluster, story, flags.patient).await;
    walk.in_good_order().await;
    walk.stop_a_node().await;
    walk.kill_a_node().await;
    walk.cut_a_node_off().await;
    walk.promote_the_standby().await;
    let cluster = walk.judge().await;
    let link = setup_link(&cluster).await;
    if !flags.check {
        invite(&cluster, &link);
    }
    cluster
}

/// The walk under way.
struct Walk<'a> {
    cluster: Cluster,
    load: Load,
    story: &'a mut Story,
    /// A token that stays valid, to ask a node whether it answers checks.
    probe: String,
    watch: Stopwatch,
    /// Whether refusals and waits are only told.
    patient: bool,
}

impl<'a> Walk<'a> {
    async fn begin(cluster: Cluster, story: &'a mut Story, patient: bool) -> Self {
        let direct = (0..cluster.nodes.len()).map(|number| cluster.at(number));
        let load = Load::start(&cluster.api, direct.collect()).await;
        let probe = probe(&cluster.api).await;
        Self {
            cluster,
            load,
            story,
            probe,
            watch: Stopwatch::start(),
            patient,
        }
    }

    async fn in_good_order(&mut self) {
        self.story.chapter(
            "Everything runs",
            "Six API clients generate through nginx, each revoking its token before; checks go through nginx and to each node.",
        );
        let load = &self.load;
        watched(load, self.watch, async {
            for _ in 0..3 {
                load.turn().await;
            }
        })
        .await;
        self.list().await;
        self.saw("a moment of normal work", Some(&NOTHING));
    }

    /// SIGTERM, and a start.
    async fn stop_a_node(&mut self) {
        self.story.chapter(
            "Node b is stopped in good order, and started again",
            "SIGTERM. Expected: nothing is refused, and no change waits for a lease, because the node signs off.",
        );
        let (load, node) = (&self.load, &mut self.cluster.nodes[1]);
        watched(load, self.watch, async {
            let ended = tokio::task::block_in_place(|| node.terminate());
            assert!(ended.success(), "node b ended with {ended}");
            load.turn().await;
            tokio::task::block_in_place(|| node.restart());
            load.turn().await;
        })
        .await;
        self.saw("stop and start of node b", Some(&NOTHING));
    }

    async fn kill_a_node(&mut self) {
        self.story.chapter(
            "Node b is killed with kill -9, and started again in its place",
            "Expected: checks go on. Changes wait until the node is back, which proves that its lease is over; a generate that it \
             was carrying out has no answer.",
        );
        let (load, node) = (&self.load, &mut self.cluster.nodes[1]);
        watched(load, self.watch, async {
            tokio::task::block_in_place(|| {
                node.kill9();
                node.restart();
            });
            load.turn().await;
        })
        .await;
        self.saw("kill -9 and start of node b", Some(&LOST));
    }

    async fn cut_a_node_off(&mut self) {
        self.story.chapter(
            "Node c is cut off from the database, and connected again",
            "Expected: node c answers 503 CANNOT_VOUCH within ten seconds, and nginx asks another node. Changes wait once, until its \
             lease is over: at most 12 s. Those that were sent to it are answered 503.",
        );
        let (load, cluster) = (&self.load, &self.cluster);
        let (node, probe) = (cluster.at(CUT), &self.probe);
        let (last, silent, back) = watched(load, self.watch, async {
            cluster.network(Network::Silent);
            let cut = Stopwatch::start();
            let mut last = Duration::ZERO;
            let silent = until("node c to be silent", cut, async || {
                let asked = cut.elapsed();
                let vouches = vouches(&node, probe).await;
                if vouches {
                    last = asked;
                }
                !vouches
            })
            .await;
            load.turn().await;
            cluster.network(Network::Good);
            let mended = Stopwatch::start();
            let back = until("node c to be back", mended, async || {
                vouches(&node, probe).await
            })
            .await;
            load.turn().await;
            (last, silent, back)
        })
        .await;
        assert!(last < LEASE, "permitted {last:.1?} after the cut");
        self.story.saw(
            "node c, asked directly",
            format_args!("CANNOT_VOUCH {silent:.1?} after the cut, back after {back:.1?}"),
        );
        self.saw("cut and return of node c", Some(&LOST));
    }

    async fn promote_the_standby(&mut self) {
        self.story.chapter(
            "The primary is killed, and the standby is promoted",
            "Expected: checks go on from memory. Generates have no answer or 503 until the promotion; then they go on without a restart.",
        );
        let load = &self.load;
        let (primary, standby) = (&mut self.cluster.primary, &mut self.cluster.standby);
        let standby = standby.as_mut().expect("a standby");
        let probe = &self.probe;
        let api = &self.cluster.api;
        let (promotion, first) = watched(load, self.watch, async {
            let promotion = Stopwatch::start();
            tokio::task::block_in_place(|| {
                primary.kill9();
                standby.promote();
            });
            let promotion = promotion.elapsed();
            let promoted = Stopwatch::start();
            let workspace = async || {
                let request = api.admin(Method::POST, "/workspaces");
                let body = serde_json::json!({ "name": "After the failover" });
                let answer = api.send(request.json(&body)).await;
                // The first may have been made though its answer was lost.
                answer.is_ok_and(|answer| matches!(answer.status, 201 | 409))
            };
            let first = until("a change after the failover", promoted, workspace).await;
            load.turn().await;
            (promotion, first)
        })
        .await;
        assert!(vouches(api, probe).await);
        self.story.saw(
            "a change after the promotion",
            format_args!("{first:.1?} (the promotion itself took {promotion:.1?})"),
        );
        self.saw("failover", None);
        let (load, cluster) = (&self.load, &mut self.cluster);
        let (primary, standby) = (&mut cluster.primary, &mut cluster.standby);
        let standby = standby.as_mut().expect("a standby");
        note("the old primary becomes the new one's synchronous standby");
        watched(load, self.watch, async {
            tokio::task::block_in_place(|| {
                std::mem::swap(primary, standby);
                standby.follow(primary);
                primary.wait_for_standby(true);
            });
            load.turn().await;
        })
        .await;
        self.saw("return of the standby", None);
    }

    /// Tells the figures of a step and demands what it allows.
    fn saw(&mut self, step: &str, allowed: Option<&Allowed>) {
        let seen = self.load.step();
        let judged = self.load.judged();
        self.story.saw(
            step,
            format_args!(
                "{} generates, longest {:.1?}, {} without a token ({:.1?}); {} checks, longest {:.1?}, {} refused",
                seen.generates,
                seen.longest_generate,
                seen.generates_failed,
                seen.longest_failed,
                seen.checks,
                seen.longest_check,
                seen.checks_failed,
            ),
        );
        let wrong = judged.violations.len();
        self.story.saw(
            "old tokens accepted, or other wrong verdicts, so far",
            format_args!("{wrong} of {}", judged.accepted + judged.denied),
        );
        assert_eq!(wrong, 0, "{}", judged.violations[0]);
        assert_eq!(seen.lost_or_doubled, 0, "generates lost or doubled");
        let judged = allowed
            .filter(|_| !self.patient)
            .map(|allowed| seen.demand(allowed, &self.load));
        if judged == Some(Judged::MachineStalled) {
            note(format_args!(
                "this machine stood still for {:.1?}: refusals and waits of this step are not judged",
                seen.stall
            ));
        }
    }

    /// Ends the load and judges its whole history.
    async fn judge(mut self) -> Cluster {
        self.story.chapter(
            "The history of all answers",
            "Each verdict must fit what had been answered before it was asked for, at whichever node.",
        );
        self.load.end().await;
        let judged = self.load.judged();
        for violation in &judged.violations {
            plain(violation);
        }
        assert!(judged.violations.is_empty(), "wrong verdicts");
        assert!(
            judged.accepted > 0 && judged.denied > 0 && judged.changed > 0,
            "nothing was seen"
        );
        self.story.saw(
            "generates answered with a token",
            format_args!("{}, {} of unknown outcome", judged.changed, judged.unknown),
        );
        self.story.saw(
            "checks permitted, denied, without a verdict",
            format_args!(
                "{}, {}, {}",
                judged.accepted, judged.denied, judged.without_verdict
            ),
        );
        self.story.saw("wrong verdicts", 0);
        let verified = expect_json(self.cluster.api.verify_audit(), 200).await;
        assert_eq!(verified["ok"], true, "{verified}");
        self.story.saw("the audit log, verified", "ok");
        self.cluster
    }

    /// Shows what `tokenward node list` prints once the node that answers has seen the others.
    async fn list(&self) {
        let mut told = String::new();
        let listed = async || {
            let output = tokio::task::block_in_place(|| {
                finish(&mut node_list(&self.cluster), PROGRAM_LIMIT)
            });
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}");
            told = String::from_utf8_lossy(&output.stdout).into_owned();
            let is = |name| {
                let mut names = told
                    .lines()
                    .filter_map(|line| line.split_whitespace().next());
                names.any(|listed| listed == name)
            };
            ["a", "b", "c"].into_iter().all(is)
        };
        until("all nodes to be listed", Stopwatch::start(), listed).await;
        note("tokenward node list");
        for line in told.lines() {
            plain(format_args!("      {line}"));
        }
    }
}

/// A client and its token, which nothing revokes.
async fn probe(api: &Api) -> String {
    let workspace = api.workspace("Probe").await.expect("an answer");
    let client = api.client(&workspace, NewClient::production("probe")).await;
    let secret = client.expect("an answer").secret;
    let token = api.generate(&secret).await.expect("an answer").token();
    token.access_token
}

/// Whether a valid token is permitted; else the node must say that it has no lease.
async fn vouches(api: &Api, token: &str) -> bool {
    let answer = api.check("production", "e-invoice", token).await;
    let answer = answer.expect("an answer");
    if answer.status != 200 {
        answer.expect_error(503, "CANNOT_VOUCH");
        return false;
    }
    true
}

/// Looks until a condition holds; how long it took since `watch` began.
async fn until(what: &str, watch: Stopwatch, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let mut look = tokio::time::interval(LOOK);
    while !condition().await {
        assert!(
            watch.elapsed() < LIMIT,
            "waited {LIMIT:?} in vain for {what}"
        );
        look.tick().await;
    }
    watch.elapsed()
}

/// Carries out a step and tells the figures of the load meanwhile.
async fn watched<T>(load: &Load, watch: Stopwatch, step: impl Future<Output = T>) -> T {
    // A task of its own, because a step may hold up this one. It ends with its set.
    let mut narrator = tokio::task::JoinSet::new();
    let lines = load.lines();
    narrator.spawn(async move {
        let mut line = tokio::time::interval(LINE);
        line.tick().await;
        loop {
            line.tick().await;
            let seen = lines.take();
            note(format_args!(
                "{:>4.0} s  generates {:>4} (refused {}, longest {:>6.1?})   checks {:>5} (refused {}, longest {:>6.1?})",
                watch.elapsed().as_secs_f64(),
                seen.generates,
                seen.generates_failed,
                seen.longest_generate.max(seen.longest_failed),
                seen.checks,
                seen.checks_failed,
                seen.longest_check,
            ));
        }
    });
    step.await
}

/// The command that lists the nodes.
fn node_list(cluster: &Cluster) -> Command {
    let first = &cluster.nodes[0];
    let mut command = Command::new(first.binary());
    command.args(["node", "list", "--url", first.public()]);
    command.arg("--admin-key-file");
    command.arg(first.data_dir().join("admin-key"));
    command
}

/// The link for the console's first operator. Each start makes a new one, so that of the node that started last works.
async fn setup_link(cluster: &Cluster) -> String {
    for node in &cluster.nodes {
        let Ok(link) = std::fs::read_to_string(node.data_dir().join("console-link")) else {
            continue;
        };
        let link = link.trim().to_owned();
        let path = link.trim_start_matches(&format!("http://{}", cluster.balanced.public));
        let page = cluster.api.public(Method::GET, path);
        if cluster.api.send(page).await.expect("an answer").status == 200 {
            return link;
        }
    }
    panic!("no node has a link to the console that works");
}

/// Says where everything is found.
fn invite(cluster: &Cluster, link: &str) {
    let first = &cluster.nodes[0];
    let key = first.data_dir().join("admin-key");
    heading("Everything stays up. The console's status page shows the nodes:");
    plain(format_args!(
        "console    {link}\nadmin API  http://{}/admin/v1/nodes\nadmin key  {}",
        cluster.balanced.public,
        key.display()
    ));
    for (node, name) in cluster.nodes.iter().zip(["a", "b", "c"]) {
        plain(format_args!(
            "node {name}     process {}, log {}",
            node.process_id(),
            node.stderr_file().display()
        ));
    }
    plain(format_args!("nodes      {}", spelled(&node_list(cluster))));
    heading("Ctrl-C ends nodes, load balancer and database and removes their data.");
}

/// A command as a person types it.
fn spelled(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(std::ffi::OsStr::to_string_lossy).collect();
    words.join(" ")
}
