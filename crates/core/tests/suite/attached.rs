//! A replica attached to another: copied while changes run, fed what a check asks of each change. It must
//! come to hold exactly what the other does, and to answer alike.

use crate::machine::{Pair, Step, steps};
use crate::world::{AT_START, World, facts, settings};
use proptest::prelude::*;
use std::sync::Arc;
use tokenward_core::attach::ReplicaKeys;
use tokenward_core::change::{Change, FORMAT};
use tokenward_core::check::{Presented, Verdict};
use tokenward_core::ids::Environment;
use tokenward_core::replica::{CannotApply, Replica};

/// A change as an attached replica gets it.
fn fed(change: &Change) -> Vec<Change> {
    let body = change.for_checks().map(|change| change.to_body());
    let read = body.map(|body| Change::from_body(FORMAT, &body).unwrap());
    read.into_iter().collect()
}

/// An empty replica that holds the replica keys only.
fn empty(world: &World) -> Replica {
    let keys = ReplicaKeys::of(&world.keyring);
    Replica::new(Arc::new(ReplicaKeys::ring(keys.text()).unwrap()), 0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_made_among_changes_becomes_the_same(
        steps in steps(),
        begun in 0.0..1.0_f64,
        between in prop::collection::vec(0..8_usize, 8),
    ) {
        let mut pair = Pair::new();
        // An epoch begins only with a restore, never while anybody is attached; a reload makes a new world.
        let lasting = steps.into_iter().filter(|step| !matches!(step, Step::Epoch | Step::Reload(_)));
        lasting.for_each(|step| pair.take(step));
        let world = pair.world;
        let log = &world.log;
        let base = (log.len() as f64 * begun) as usize;

        let node = Replica::new(Arc::clone(&world.keyring), 0);
        node.apply(&log[..base], base as u64).unwrap();
        let attached = empty(&world);
        let mut loading = attached.loading();
        let mut later = log[base..].iter();
        let mut copying = node.copying();
        for count in between {
            // Some changes reach the node between two parts of the copy.
            later.by_ref().take(count).for_each(|change| node.apply(std::slice::from_ref(change), 0).unwrap());
            if let Some(part) = copying.next() {
                loading.part(&part).unwrap();
            }
        }
        copying.for_each(|part| loading.part(&part).unwrap());
        later.for_each(|change| node.apply(std::slice::from_ref(change), 0).unwrap());
        loading.finish(base as u64);
        for (number, change) in (base as u64 + 1..).zip(&log[base..]) {
            attached.apply(&fed(change), number).unwrap();
        }

        for (client, _) in world.clients.values() {
            prop_assert_eq!(attached.view(client), world.replica.view(client));
            prop_assert!(attached.view(client).is_some());
        }
        prop_assert_eq!(attached.product_numbers(), world.replica.product_numbers());
        prop_assert_eq!(attached.applied(), log.len() as u64);
    }

    #[test]
    fn no_part_makes_it_panic(parts in prop::collection::vec((0..7_u8, prop::collection::vec(any::<u8>(), 0..400)), 0..6)) {
        let world = World::new();
        let attached = empty(&world);
        let mut loading = attached.loading();
        for (kind, bytes) in parts {
            let part = [&[kind][..], &bytes].concat();
            let _: Result<(), CannotApply> = loading.part(&part);
        }
    }
}

#[test]
fn it_answers_like_the_one_it_was_copied_from() {
    let mut world = World::new();
    // A long label, a client found by the index only, restrictions.
    let mut tokens = Vec::new();
    for n in 0..600 {
        let mut wanted = settings(&format!("{n} Außenhandel"));
        if n % 3 == 0 {
            wanted.products = Some(vec![world.products[n % 2].no]);
        }
        let no = world.add_client(0, Environment::Production, wanted);
        tokens.push(world.generate_by_admin(no));
    }
    let attached = empty(&world);
    let mut loading = attached.loading();
    let parts: Vec<_> = world.replica.copying().collect();
    // Slots, their index, restrictions, workspaces, products: in parts a thread can make between two checks.
    assert!(parts.len() > 5 && parts.iter().all(|part| part.len() < 100_000));
    parts.iter().for_each(|part| loading.part(part).unwrap());
    loading.finish(world.log.len() as u64);
    let clock = AT_START;
    let ask = |replica: &Replica, token: &str| {
        let facts = facts();
        replica.check(Presented::One(token), &facts, &clock)
    };
    // Without a lease it says neither yes nor no.
    assert!(matches!(ask(&attached, &tokens[1]), Verdict::CannotVouch));
    attached.lease().grant_for_ever();
    for token in &tokens {
        let (own, theirs) = (ask(&world.replica, token), ask(&attached, token));
        assert_eq!(format!("{own:?}"), format!("{theirs:?}"));
    }
}

#[test]
fn what_is_fed_holds_nothing_a_check_does_not_ask() {
    let mut world = World::new();
    let mut wanted = settings("erp");
    wanted.notification_emails = vec!["someone@example.com".into()];
    let no = world.add_client(0, Environment::Production, wanted);
    world.add_secret(no, 0);
    world.generate_by_admin(no);
    let digest = |at: usize| world.state(no).client.secrets[at].unwrap().digest.to_hex();
    let told: Vec<_> = world
        .log
        .iter()
        .filter_map(Change::for_checks)
        .map(|change| change.to_body())
        .collect();
    let told = told.join("\n");
    let whole: Vec<_> = world.log.iter().map(Change::to_body).collect();
    let whole = whole.join("\n");
    for hidden in [digest(0).as_str(), "someone@example.com", "Acme"] {
        assert!(whole.contains(hidden), "{hidden}");
        assert!(!told.contains(hidden), "{hidden}");
    }
}
