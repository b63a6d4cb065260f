//! The protocols model-checked: the right ones hold in every interleaving, every broken one is found.

use clap::ValueEnum;
use std::collections::BTreeSet;
use tokenward_model::{Limits, Protocol};

mod cluster;
mod sublease;

/// Explores the small scopes of a protocol whole.
fn no_interleaving_breaks_the_promise<P: Protocol>() {
    let mut reached = BTreeSet::new();
    for scope in P::small() {
        let name = scope.name();
        let explored = scope.explore(Limits::default());
        assert_eq!(explored.violation, None, "{name}");
        reached.extend(explored.reached);
    }
    // Lest the promise hold because nothing ever happens.
    assert_eq!(reached, BTreeSet::from_iter(P::situations()));
}

/// Explores every way to break a protocol.
fn every_broken_rule_is_found<P: Protocol>() {
    for broken in P::Broken::value_variants() {
        let explored = P::breaking(*broken).explore(Limits::default());
        assert!(explored.violation.is_some(), "{broken:?} was not found");
    }
}
