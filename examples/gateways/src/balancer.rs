//! Load balancers in front of three nodes of Tokenward: their public listeners at one address, their internal ones at another.

use crate::gateway::{HAPROXY, HAPROXY_WORDS, NGINX, NGINX_WORDS, Running, launch};
use std::net::SocketAddr;
use tokenward_testkit::free_port;

/// Ports the recipes are written for.
const PUBLIC_PORT: &str = "8000";
const INTERNAL_PORT: &str = "8001";
/// nginx's own, for generates.
const GENERATE_PORT: &str = "8002";
const NODE_PORTS: [(&str, &str); 3] = [("8080", "8081"), ("8180", "8181"), ("8280", "8281")];

/// Which program balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancer {
    /// nginx, from `nodes-nginx`.
    Nginx,
    /// HAProxy, from `nodes-haproxy`.
    Haproxy,
}

/// The two listeners of a node, or of a load balancer.
#[derive(Debug, Clone, Copy)]
pub struct Listeners {
    /// For clients and administrators.
    pub public: SocketAddr,
    /// For checks.
    pub internal: SocketAddr,
}

impl Balancer {
    /// Starts it at `own` in front of three nodes, and waits until it listens.
    ///
    /// # Panics
    /// When its program is missing, or ends; the message says how to get it, or holds its output.
    #[must_use]
    pub fn start(self, own: Listeners, nodes: [Listeners; 3]) -> Running {
        let port = |address: SocketAddr| address.port().to_string();
        let mut replacements = vec![
            (PUBLIC_PORT.to_owned(), port(own.public)),
            (INTERNAL_PORT.to_owned(), port(own.internal)),
        ];
        for ((public, internal), node) in NODE_PORTS.iter().zip(nodes) {
            replacements.push(((*public).to_owned(), port(node.public)));
            replacements.push(((*internal).to_owned(), port(node.internal)));
        }
        if self == Self::Nginx {
            replacements.push((GENERATE_PORT.to_owned(), free_port().to_string()));
        }
        // A port that is the recipe's own needs no replacement.
        replacements.retain(|(from, to)| from != to);
        let (recipe, program, words): (_, _, &[&str]) = match self {
            Self::Nginx => ("nodes-nginx", &NGINX, &NGINX_WORDS),
            Self::Haproxy => ("nodes-haproxy", &HAPROXY, &HAPROXY_WORDS),
        };
        launch(recipe, &replacements, own.public, program, words)
    }
}
