//! What a node watches of the other nodes of its database: settings that differ, its clock, and the key for new digests.

use crate::app::App;
use std::collections::BTreeSet;
use tokenward_store::Nodes;

/// Microseconds by which a machine's clock may differ from the database's before it is warned of, and below which that is over.
const CLOCK_WARNED: u64 = 2_000_000;
const CLOCK_OVER: u64 = 1_000_000;

/// What was warned of.
#[derive(Debug, Default)]
pub(crate) struct NodesWatch {
    /// Name of the node, setting, its value and the own one.
    differing: BTreeSet<[String; 4]>,
    clock: bool,
    key_failed: bool,
}

impl NodesWatch {
    /// Looks at what the last renewal showed.
    pub(crate) async fn tick(&mut self, app: &App) {
        let nodes = app.data.store.nodes();
        self.settings(&nodes);
        self.clock(nodes.clock_ahead);
        match app.data.store.choose_newest_key().await {
            Ok(Some(id)) => {
                self.key_failed = false;
                tracing::info!(
                    key = id.0,
                    "every node has this digest key; it makes new digests from now on"
                );
            }
            Ok(None) => self.key_failed = false,
            Err(failure) => {
                if !std::mem::replace(&mut self.key_failed, true) {
                    tracing::warn!(
                        "could not choose the newest digest key for new digests; trying again: {failure}"
                    );
                }
            }
        }
    }

    /// Warns once of each setting in which another node differs.
    fn settings(&mut self, nodes: &Nodes) {
        let mut found = BTreeSet::new();
        for node in &nodes.nodes {
            for (setting, theirs, mine) in nodes.differing(node) {
                let texts = [&node.about.name, setting, theirs, mine];
                found.insert(texts.map(str::to_owned));
            }
        }
        for [node, setting, theirs, mine] in found.difference(&self.differing) {
            tracing::warn!(
                "{setting} differs between the nodes of this database: {mine:?} here, {theirs:?} on {node}. What a caller meets depends on the \
                 node that answers; give all nodes the same value"
            );
        }
        self.differing = found;
    }

    fn clock(&mut self, ahead: i64) {
        let by = ahead.unsigned_abs();
        if !self.clock && by >= CLOCK_WARNED {
            self.clock = true;
            tracing::warn!(
                seconds = ahead / 1_000_000,
                "this machine's clock is not the database's (positive: ahead of it). Tokens expire and quota days begin by each node's own \
                 clock: check the time synchronisation of both machines"
            );
        } else if self.clock && by < CLOCK_OVER {
            self.clock = false;
            tracing::info!("this machine's clock agrees with the database's again");
        }
    }
}
