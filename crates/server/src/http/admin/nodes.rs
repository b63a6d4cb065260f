//! `/nodes`

use super::prelude::*;
use crate::verbs::nodes;
use tokenward_api as api;
use tokenward_core::time::MICROS_PER_SECOND;
use tokenward_store::{Coherence, Node, Nodes};

pub(super) async fn list(call: Call) -> Answer<Json<api::Nodes>> {
    let seen = nodes::list(&call.data, &call.admin)?;
    Ok(Json(api::Nodes {
        items: seen.nodes.iter().map(|one| node(&seen, one)).collect(),
        coherence: match seen.coherence {
            Coherence::Strict => api::Coherence::Strict,
            Coherence::SingleServer => api::Coherence::SingleServer,
            Coherence::Weak => api::Coherence::Weak,
        },
        digest_key: call.data.keyring.current().0,
        clock_difference_seconds: seen.clock_ahead as f64 / MICROS_PER_SECOND as f64,
    }))
}

fn node(seen: &Nodes, node: &Node) -> api::Node {
    api::Node {
        id: node.incarnation,
        name: node.about.name.clone(),
        own: node.own,
        state: match nodes::is_silent(node) {
            true => api::NodeState::Silent,
            false => api::NodeState::Active,
        },
        version: node.about.version.clone(),
        joined_at: views::time(node.joined_at),
        behind: seen.change.saturating_sub(node.acknowledged),
        silent_seconds: node.silent_for.as_secs(),
        replicas: node.replicas,
        newest_digest_key: node.newest_key.map(|key| key.0),
        differing_settings: seen
            .differing(node)
            .map(|(name, value, _)| (name.to_owned(), value.to_owned()))
            .collect(),
    }
}
