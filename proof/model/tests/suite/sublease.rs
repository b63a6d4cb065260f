//! The sub-lease protocol: small scopes whole, and nineteen ways to break it.

use tokenward_model::sublease::Scope;

#[test]
fn no_interleaving_breaks_the_promise() {
    super::no_interleaving_breaks_the_promise::<Scope>();
}

#[test]
fn every_broken_rule_is_found() {
    super::every_broken_rule_is_found::<Scope>();
}
