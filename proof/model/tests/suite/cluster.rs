//! Several nodes on one database: small scopes whole, and every way to break the rules.

use tokenward_model::cluster::Scope;

#[test]
fn no_interleaving_breaks_the_promise() {
    super::no_interleaving_breaks_the_promise::<Scope>();
}

#[test]
fn every_broken_rule_is_found() {
    super::every_broken_rule_is_found::<Scope>();
}
