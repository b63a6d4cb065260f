//! Several nodes on one database: small scopes whole, and every way to break the rules.

use std::collections::BTreeSet;
use tokenward_model::Limits;
use tokenward_model::cluster::{Broken, REACHED, Scope, explore};

#[test]
fn no_interleaving_breaks_the_promise() {
    let mut reached = BTreeSet::new();
    for scope in Scope::small() {
        let name = scope.name;
        let explored = explore(scope, Limits::default());
        assert_eq!(explored.violation, None, "{name}");
        reached.extend(explored.reached);
    }
    // Lest the promise hold because nothing ever happens.
    let all: BTreeSet<_> = REACHED.iter().map(|(name, _)| *name).collect();
    assert_eq!(reached, all);
}

#[test]
fn every_broken_rule_is_found() {
    for broken in Broken::ALL {
        let explored = explore(Scope::breaking(broken), Limits::default());
        assert!(explored.violation.is_some(), "{broken:?} was not found");
    }
}
