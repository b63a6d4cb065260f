//! Readers beside a writer: no check may be answered from a mix of two states. The writer moves
//! between states none of which permits, chosen so that parts of two neighbours together would.

use crate::world::{AT_START, START, World, facts, one, settings};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokenward_core::change::{Change, FORMAT};
use tokenward_core::check::{Presented, Verdict};
use tokenward_core::client::{Settings, Workspace};
use tokenward_core::ids::{ClientNo, Environment, ProductNo};
use tokenward_core::restrictions::Networks;

/// Rounds of changes at least, and checks answered beside them at least.
const ROUNDS: u64 = 20_000;
const CHECKS: u64 = 20_000;
/// A run that got no further by then fails instead of going on for ever.
const ROUNDS_MAX: u64 = 5_000_000;
const READERS: usize = 2;

/// Applies the cycle of changes over and over while readers check; none may ever be permitted. Each
/// cycle must lead back to the state it began with.
fn never_permits(world: &World, cycle: &[Change], token: &str) {
    let writing = AtomicBool::new(true);
    let checks = AtomicU64::new(0);
    let replica = &world.replica;
    let facts = facts();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    while writing.load(Ordering::Relaxed) {
                        let verdict = replica.check(Presented::One(token), &facts, &AT_START);
                        assert!(matches!(verdict, Verdict::Deny(_)), "{verdict:?}");
                        checks.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let changes: Vec<_> = cycle
            .iter()
            .map(|change| Change::from_body(FORMAT, &change.to_body()).unwrap())
            .collect();
        for round in 0..ROUNDS_MAX {
            for change in &changes {
                replica.apply(std::slice::from_ref(change), round).unwrap();
                // A pause of ever another length, so that readers get through and meet every moment.
                (0..round % 97).for_each(|_| std::hint::spin_loop());
            }
            let enough = round >= ROUNDS && checks.load(Ordering::Relaxed) >= CHECKS;
            if enough || readers.iter().any(|reader| reader.is_finished()) {
                break;
            }
        }
        writing.store(false, Ordering::Relaxed);
    });
    let checks = checks.into_inner();
    assert!(checks >= CHECKS, "the readers hardly ran");
}

fn workspace(world: &World, disabled: bool) -> Change {
    let disabled_at = disabled.then_some(START);
    Change::WorkspacePut {
        workspace: Workspace {
            disabled_at,
            ..world.workspaces[0].clone()
        },
    }
}

fn put(no: u32, settings: Settings) -> Change {
    Change::ClientSettingsChanged {
        client: ClientNo(no),
        settings: Box::new(settings),
    }
}

fn products(world: &World, no: u32, products: Option<u32>) -> Change {
    let mut settings = world.clients[&no].0.settings.clone();
    settings.products = products.map(|product| vec![ProductNo(product)]);
    put(no, settings)
}

fn without(product: u32) -> Change {
    Change::ProductDeleted {
        product: ProductNo(product),
    }
}

#[test]
fn narrowing_products_before_enabling_the_workspace_never_lets_anything_pass() {
    let (mut world, no, _, token) = one();
    world.disable_workspace(0, true);
    let cycle = [
        products(&world, no, Some(1)),
        workspace(&world, false),
        workspace(&world, true),
        products(&world, no, None),
    ];
    never_permits(&world, &cycle, &token);
}

#[test]
fn a_token_is_never_seen_with_anothers_end() {
    // The old token is past its time; the new one lives long but is another token. Old digest and new
    // end together would let the old one pass.
    let (mut world, no, secret, token) = one();
    let mut old = world.clients[&no].1.clone();
    old.token.as_mut().unwrap().valid_till = Some(START);
    world.generate(no, &secret);
    let new = world.clients[&no].1.clone();
    let issue = |slot: &tokenward_core::Slot| Change::TokenIssued {
        client: ClientNo(no),
        slot: Box::new(slot.clone()),
    };
    world.commit(issue(&old));
    never_permits(&world, &[issue(&new), issue(&old)], &token);
}

#[test]
fn a_product_made_anew_is_never_mixed_with_the_old_restrictions() {
    let mut world = World::new();
    let (no, secret) = world.client_with_secret(settings("erp"));
    world.change_settings(no, |settings| settings.products = Some(vec![ProductNo(7)]));
    let token = world.generate(no, &secret);
    let gst = world.product(0);
    let other = tokenward_core::client::Product {
        no: ProductNo(7),
        ..gst.clone()
    };
    // Number 0 while the client may use 7, number 7 while it may use 0.
    let cycle = [
        products(&world, no, Some(1)),
        without(0),
        Change::ProductPut { product: other },
        products(&world, no, Some(0)),
        products(&world, no, Some(1)),
        without(7),
        Change::ProductPut { product: gst },
        products(&world, no, Some(7)),
    ];
    never_permits(&world, &cycle, &token);
}

#[test]
fn restrictions_change_whole_with_the_label() {
    // Never the networks of one and the products of the other: each alone refuses `gst` from home.
    let (mut world, no, _, token) = one();
    let elsewhere = Networks::parse(&["192.0.2.0/24"]).unwrap();
    let mut first = world.clients[&no].0.settings.clone();
    let mut second = first.clone();
    first.token_networks = elsewhere;
    second.products = Some(vec![ProductNo(1)]);
    let cycle = [put(no, second), put(no, first.clone())];
    world.commit(put(no, first));
    never_permits(&world, &cycle, &token);
}

#[test]
fn growing_never_loses_a_client() {
    // Thousands of clients arrive, the index is replaced by larger ones; a known token always passes.
    let (world, _, _, token) = one();
    let facts = facts();
    let (mut other, ..) = one();
    let from = other.log.len();
    for n in 0..5_000 {
        other.add_client(0, Environment::Production, settings(&format!("erp-{n}")));
    }
    let writing = AtomicBool::new(true);
    let replica = &world.replica;
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while writing.load(Ordering::Relaxed) {
                    let verdict = replica.check(Presented::One(&token), &facts, &AT_START);
                    assert!(matches!(verdict, Verdict::Permit(_)), "{verdict:?}");
                }
            });
        }
        for change in other.log[from..].chunks(1) {
            replica.apply(change, 1).unwrap();
        }
        writing.store(false, Ordering::Relaxed);
    });
    assert_eq!(world.replica.client_count(), 5_001);
}

#[test]
fn a_long_change_is_seen_by_nobody_before_its_end() {
    // A new epoch ends the tokens of thousands of clients, one after the other, as one change. Whoever
    // saw the first client's token ended must never again see the last one's pass.
    const CLIENTS: u32 = 3_000;
    let mut world = World::new();
    let mut tokens = Vec::new();
    for n in 0..CLIENTS {
        let no = world.add_client(0, Environment::Production, settings(&format!("erp-{n}")));
        tokens.push(world.generate_by_admin(no));
    }
    let (first, last) = (&tokens[0], &tokens[tokens.len() - 1]);
    let facts = facts();
    let epoch = Change::EpochStarted {
        epoch: uuid::Uuid::from_u128(1),
        at: START,
    };
    for _ in 0..20 {
        let replica = world.reloaded(&world.keys);
        replica.lease().grant_for_ever();
        let passes = |token: &str| {
            let verdict = replica.check(Presented::One(token), &facts, &AT_START);
            matches!(verdict, Verdict::Permit(_))
        };
        let begun = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    assert!(passes(first) && passes(last));
                    begun.fetch_add(1, Ordering::Release);
                    while passes(first) {}
                    assert!(!passes(last), "the change was seen half done");
                });
            }
            while begun.load(Ordering::Acquire) < READERS as u64 {
                std::hint::spin_loop();
            }
            replica.apply(std::slice::from_ref(&epoch), 1).unwrap();
        });
    }
}
