//! The nodes of a database.

use crate::Time;
use std::collections::BTreeMap;

words! {
    /// What is known of a node.
    NodeState {
        /// It renews its lease: it may answer checks.
        Active = "active",
        /// It has not renewed its lease lately. Changes wait for it until its lease is over; then it is removed from the list.
        Silent = "silent",
    }
}

words! {
    /// What can be lost when the database fails, by the database's own settings.
    Coherence {
        /// A synchronous standby has every answered change.
        Strict = "strict",
        /// One server: a failover to a copy of it can lose answered changes.
        SingleServer = "single_server",
        /// Commits are not durable (`fsync` or `full_page_writes` is off): a crash can lose answered changes.
        Weak = "weak",
    }
}

answers! {
    /// One node.
    pub struct Node {
        /// The id of its membership, a new one at each start.
        pub id: uuid::Uuid,
        /// Its name: the host name, or the setting `node_name`.
        pub name: String,
        /// Whether this is the node that answers.
        pub own: bool,
        /// What is known of it.
        pub state: NodeState,
        /// Its version.
        pub version: String,
        /// When it joined.
        pub joined_at: Time,
        /// How many changes it is behind the database, attached replicas included.
        pub behind: u64,
        /// Seconds since a renewal of its lease was last seen.
        pub silent_seconds: u64,
        /// Replicas attached to it.
        pub replicas: u64,
        /// The digest key that it would make new digests with once all nodes have it.
        pub newest_digest_key: Option<u8>,
        /// Settings whose value differs from that of the node that answers, with this node's value.
        pub differing_settings: BTreeMap<String, String>,
    }
}

answers! {
    /// All nodes that use the database, as one of them sees them.
    pub struct Nodes {
        /// The nodes by the time at which they joined.
        pub items: Vec<Node>,
        /// What can be lost when the database fails.
        pub coherence: Coherence,
        /// The digest key that makes new digests.
        pub digest_key: u8,
        /// By how many seconds the clock of the node that answers is ahead of the database's; negative: behind.
        pub clock_difference_seconds: f64,
    }
}
