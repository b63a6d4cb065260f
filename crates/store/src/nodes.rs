//! What a node knows of the nodes of its database, itself included: for people, for readiness, and for what is shared by
//! their number. Read with each renewal. Nothing about safety rests on it; whom answers wait for is the barrier's business.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokenward_core::digest::KeyId;
use tokenward_core::time::{BootInstant, Timestamp};
use uuid::Uuid;

/// Most nodes on one database: each looks at the others' rows every few milliseconds while answers wait.
pub const NODES_MAX: usize = 64;

/// What a node tells of itself when it joins.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct About {
    /// What people call it: the name of its machine.
    #[serde(default)]
    pub name: String,
    /// The program's version.
    #[serde(default)]
    pub version: String,
    /// The settings that should be the same on all nodes, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

impl About {
    /// What a row tells; another version may tell what this one cannot read.
    pub(crate) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// What stands in the node's row.
    ///
    /// # Panics
    /// Never: texts always have a JSON form.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and a map of texts have a JSON form")
    }
}

/// One node, as another one sees it, or itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    /// The name of its membership; a node that was removed and joins again has another one.
    pub incarnation: Uuid,
    /// Whether it is the node that tells.
    pub own: bool,
    /// What it told of itself.
    pub about: About,
    /// The key it would make new digests with, once all nodes have it; none of a version that did not say.
    pub newest_key: Option<KeyId>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Replicas attached to it.
    pub replicas: u64,
    /// Every change up to here is applied there.
    pub acknowledged: u64,
    /// For how long no new renewal of it has been seen.
    pub silent_for: Duration,
    /// For how long after its last renewal others wait for it.
    pub wait: Duration,
}

/// What can be lost when the database fails, by the database's own settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coherence {
    /// A commit is answered when a standby has it, too: a failover to that standby loses nothing.
    Strict,
    /// One server: what was answered survives its crash, but a failover to a copy can lose it.
    SingleServer,
    /// Commits are not durable: a crash of the server can lose what was answered.
    Weak,
}

impl Coherence {
    /// The level as metrics, the API and the console name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::SingleServer => "single_server",
            Self::Weak => "weak",
        }
    }

    /// By `fsync`, `full_page_writes` and `synchronous_standby_names` of the server.
    pub(crate) fn of(fsync: &str, full_page_writes: &str, standbys: &str) -> Self {
        match (fsync, full_page_writes, standbys.trim()) {
            ("on", "on", "") => Self::SingleServer,
            ("on", "on", _) => Self::Strict,
            _ => Self::Weak,
        }
    }
}

/// All nodes, as one of them sees them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nodes {
    /// The nodes by the time they joined, the one that tells included.
    pub nodes: Vec<Node>,
    /// What can be lost.
    pub coherence: Coherence,
    /// By how many microseconds this machine's clock is ahead of the database's.
    pub clock_ahead: i64,
    /// The last change in the database.
    pub change: u64,
}

/// What was read together.
pub(crate) struct Listed {
    /// Each node's last attempt, and what its row tells.
    pub(crate) rows: Vec<(i64, Node)>,
    pub(crate) coherence: Coherence,
    /// The database's clock.
    pub(crate) now: Timestamp,
    pub(crate) change: u64,
    pub(crate) audit_seq: u64,
}

/// The latest list, for everybody who asks.
pub(crate) struct List {
    /// The node that tells, as it is known where there is no list: with a file, and before the first renewal.
    own: Node,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    latest: Option<Nodes>,
    /// The last audit entry in the database.
    audit_seq: u64,
    /// Each membership's last attempt, and when it was first seen.
    seen: BTreeMap<Uuid, (i64, BootInstant)>,
}

impl List {
    pub(crate) fn new(own: Node) -> Self {
        Self {
            own,
            inner: Mutex::default(),
        }
    }

    /// Takes what was read at `boot`, when the machine's clock said `wall`.
    pub(crate) fn take(&self, listed: Listed, own: Uuid, boot: BootInstant, wall: Timestamp) {
        let mut inner = self.inner.lock();
        let before = std::mem::take(&mut inner.seen);
        let mut nodes = Vec::with_capacity(listed.rows.len());
        for (attempt, node) in listed.rows {
            let same = before
                .get(&node.incarnation)
                .filter(|(last, _)| *last == attempt);
            let since = same.map_or(boot, |(_, since)| *since);
            inner.seen.insert(node.incarnation, (attempt, since));
            nodes.push(Node {
                own: node.incarnation == own,
                silent_for: Duration::from_nanos(boot.0.saturating_sub(since.0)),
                ..node
            });
        }
        inner.audit_seq = listed.audit_seq;
        inner.latest = Some(Nodes {
            nodes,
            coherence: listed.coherence,
            clock_ahead: wall.0.saturating_sub(listed.now.0),
            change: listed.change,
        });
    }

    /// The latest list. Without one, this node alone, which has applied every change up to `change`.
    pub(crate) fn latest(&self, change: u64) -> Nodes {
        let latest = self.inner.lock().latest.clone();
        latest.unwrap_or_else(|| Nodes {
            nodes: vec![Node {
                acknowledged: change,
                ..self.own.clone()
            }],
            // Of a file there is one, and SQLite makes each commit durable.
            coherence: Coherence::SingleServer,
            clock_ahead: 0,
            change,
        })
    }

    /// The last audit entry in the database; 0 before that is known.
    pub(crate) fn audit_seq(&self) -> u64 {
        self.inner.lock().audit_seq
    }

    /// By how many microseconds this machine's clock is ahead of the database's; 0 before that is known.
    pub(crate) fn clock_ahead(&self) -> i64 {
        let inner = self.inner.lock();
        inner.latest.as_ref().map_or(0, |all| all.clock_ahead)
    }

    /// The name of a node; its key when the list has none.
    pub(crate) fn name_of(&self, incarnation: Uuid) -> String {
        let inner = self.inner.lock();
        let mut nodes = inner.latest.iter().flat_map(|all| &all.nodes);
        let found = nodes.find(|node| node.incarnation == incarnation);
        let name = found
            .map(|node| node.about.name.clone())
            .filter(|name| !name.is_empty());
        name.unwrap_or_else(|| incarnation.to_string())
    }

    /// How many nodes there are, at least this one.
    pub(crate) fn count(&self) -> usize {
        let inner = self.inner.lock();
        inner
            .latest
            .as_ref()
            .map_or(1, |all| all.nodes.len().max(1))
    }
}

impl Nodes {
    /// The key that every node could make new digests with, when it is the same for all of them.
    #[must_use]
    pub fn key_of_all(&self) -> Option<KeyId> {
        let first = self.nodes.first()?.newest_key?;
        let all = self.nodes.iter().all(|node| node.newest_key == Some(first));
        all.then_some(first)
    }

    /// The settings of a node whose value is not that of the node that tells: name, its value, and the own one.
    pub fn differing<'a>(
        &'a self,
        node: &'a Node,
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let own = self.nodes.iter().find(|node| node.own);
        let settings = node.about.settings.iter();
        settings.filter_map(move |(name, theirs)| {
            let mine = own?.about.settings.get(name)?;
            (theirs != mine).then_some((name.as_str(), theirs.as_str(), mine.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_what_the_weakest_setting_allows() {
        let of = Coherence::of;
        assert_eq!(of("on", "on", ""), Coherence::SingleServer);
        assert_eq!(of("on", "on", "FIRST 1 (a, b)"), Coherence::Strict);
        assert_eq!(of("off", "on", "*"), Coherence::Weak);
        assert_eq!(of("on", "off", ""), Coherence::Weak);
    }

    fn row(incarnation: u128, attempt: i64, about: &str) -> (i64, Node) {
        let node = Node {
            incarnation: Uuid::from_u128(incarnation),
            about: About::read(about),
            newest_key: Some(KeyId(1)),
            ..Node::default()
        };
        (attempt, node)
    }

    fn own_node() -> Node {
        Node {
            own: true,
            ..row(1, 0, "").1
        }
    }

    fn listed(rows: Vec<(i64, Node)>) -> Listed {
        Listed {
            rows,
            coherence: Coherence::Strict,
            now: Timestamp(5),
            change: 9,
            audit_seq: 4,
        }
    }

    #[test]
    fn a_node_is_silent_from_when_its_attempt_was_first_seen() {
        let list = List::new(own_node());
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mine = r#"{"name":"a","settings":{"quota":"288","only":"here"}}"#;
        let theirs = r#"{"name":"b","settings":{"quota":"100"}}"#;
        let silent = |of: Uuid| {
            let all = list.latest(3);
            let node = all.nodes.iter().find(|node| node.incarnation == of);
            node.unwrap().silent_for.as_nanos()
        };
        assert_eq!((list.count(), list.latest(3).nodes[0].acknowledged), (1, 3));
        let rows = |attempt| vec![row(1, attempt, mine), row(2, 7, theirs)];
        list.take(listed(rows(1)), own, BootInstant(100), Timestamp(7));
        list.take(listed(rows(2)), own, BootInstant(140), Timestamp(7));
        assert_eq!((silent(own), silent(other)), (0, 40));
        let all = list.latest(3);
        assert_eq!((list.count(), all.clock_ahead), (2, 2));
        assert_eq!(list.name_of(other), "b");
        let unknown = Uuid::from_u128(3);
        assert_eq!(list.name_of(unknown), unknown.to_string());
        let theirs = all.nodes.iter().find(|node| !node.own).unwrap();
        let differing: Vec<_> = all.differing(theirs).collect();
        assert_eq!(differing, [("quota", "100", "288")]);
        assert_eq!(all.key_of_all(), Some(KeyId(1)));
        let mut behind = row(2, 8, "what this version cannot read");
        behind.1.newest_key = None;
        list.take(
            listed(vec![row(1, 3, mine), behind]),
            own,
            BootInstant(150),
            Timestamp(7),
        );
        assert_eq!(silent(other), 0);
        assert_eq!(list.latest(3).key_of_all(), None);
    }
}
