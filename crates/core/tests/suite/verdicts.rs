//! Every verdict of a check, each reached by the shortest story that leads to it.

use crate::world::{HOME, START, Seen, World, facts, handover, one, settings, superseded};
use tokenward_core::change::{Change, EPOCH_GENERATIONS};
use tokenward_core::check::denial::Refusal;
use tokenward_core::check::{Denial, Presented, Verdict};
use tokenward_core::client::Product;
use tokenward_core::generate;
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo};
use tokenward_core::label::Label;
use tokenward_core::restrictions::Networks;
use tokenward_core::time::BootInstant;
use uuid::Uuid;

const PERMIT_1: Seen = Seen::Permit { generation: 1 };
const PRODUCTION: Environment = Environment::Production;

/// One client; what happens to it and its token; the answer its token gets then.
fn check(story: impl FnOnce(&mut World, u32, &str), expect: Seen) {
    let (mut world, no, secret, token) = one();
    assert_eq!(world.check(&token), PERMIT_1);
    story(&mut world, no, &secret);
    assert_eq!(world.check(&token), expect);
    // A replica loaded from the records says the same.
    world.reload(true);
    assert_eq!(world.check(&token), expect, "after a reload");
}

fn deny(story: impl FnOnce(&mut World, u32, &str), expect: Denial) {
    check(story, Seen::Deny(expect));
}

#[test]
fn a_live_token_passes_and_the_permit_says_whose_it_is() {
    let (world, no, _, token) = one();
    let permit = world.permit(&token);
    let client = &world.clients[&no].0;
    assert_eq!(permit.workspace(), world.workspaces[0].id);
    assert_eq!(permit.client(), client.id);
    assert_eq!(permit.client_no(), no);
    assert_eq!(permit.label(), "erp");
    assert_eq!(permit.environment(), PRODUCTION);
    assert_eq!(permit.product(), ProductNo(0));
    assert_eq!(permit.generation(), 1);
    assert_eq!(permit.valid_till(), Some(START.plus_seconds(3600)));
}

#[test]
fn a_token_without_an_end_has_none() {
    let mut wanted = settings("erp");
    wanted.token_lifetime_seconds = None;
    let (mut world, no, secret) = World::with_client(wanted);
    let token = world.generate(no, &secret);
    world.wait(100 * 365 * 86_400);
    assert_eq!(world.permit(&token).valid_till(), None);
}

#[test]
fn what_is_no_token_is_named() {
    let (world, _, secret, token) = one();
    let check = |presented, expect| {
        let seen = world.seen(presented, PRODUCTION, "gst", HOME);
        assert_eq!(seen, Seen::Deny(expect));
    };
    check(Presented::Missing, Denial::TokenMissing);
    check(Presented::Repeated, Denial::TokenRepeated);
    check(Presented::One(""), Denial::TokenMalformed);
    check(Presented::One(&token[1..]), Denial::TokenMalformed);
    let shouted = token.to_uppercase();
    check(Presented::One(&shouted), Denial::TokenMalformed);
    let cut = Presented::One("tw-secret.production.x");
    check(cut, Denial::TokenMalformed);
    check(Presented::One(&secret), Denial::SecretUsedAsToken);
}

#[test]
fn environments_never_open_each_other() {
    let (mut world, ..) = one();
    let sandbox = world.add_client(0, Environment::Sandbox, settings("erp"));
    let secret = world.add_secret(sandbox, 0);
    let token = world.generate(sandbox, &secret);
    assert!(token.starts_with("sandbox."));
    let seen = |environment| world.seen(Presented::One(&token), environment, "gst", HOME);
    assert_eq!(seen(Environment::Sandbox), PERMIT_1);
    let mismatch = Seen::Deny(Denial::EnvironmentMismatch);
    assert_eq!(seen(PRODUCTION), mismatch);
}

#[test]
fn a_production_token_does_not_open_the_sandbox() {
    let (world, _, _, token) = one();
    let seen = world.seen(Presented::One(&token), Environment::Sandbox, "gst", HOME);
    assert_eq!(seen, Seen::Deny(Denial::EnvironmentMismatch));
}

#[test]
fn generating_again_supersedes_at_once_and_is_told_three_times() {
    let (mut world, no, secret, first) = one();
    for generation in 2..=4 {
        world.wait(7);
        let newest = world.generate(no, &secret);
        world.permits(&newest, generation);
        world.denies(&first, superseded(generation, world.now));
    }
    world.generate(no, &secret);
    // Only the last three are remembered.
    world.denies(&first, Denial::TokenUnknown);
}

#[test]
fn a_token_expires_at_its_very_end() {
    let at = START.plus_seconds(3600);
    check(|world, _, _| world.now.0 = at.0 - 1, PERMIT_1);
    deny(|world, _, _| world.now = at, Denial::TokenExpired { at });
    let late = |world: &mut World, _, _: &str| world.now = at.plus_seconds(1_000_000);
    deny(late, Denial::TokenExpired { at });
}

#[test]
fn revoked_tokens_are_told_since_when_while_that_is_known() {
    let at = Some(START.plus_seconds(5));
    let revoke = |world: &mut World, no, _: &str| {
        world.wait(5);
        world.revoke(no);
    };
    deny(revoke, Denial::TokenRevoked { at });
    // Revoked stays the reason past the planned end, and when a newer token came.
    let late = |world: &mut World, no, secret: &str| {
        revoke(world, no, secret);
        world.wait(10_000);
    };
    deny(late, Denial::TokenRevoked { at });
    let newer = |world: &mut World, no, secret: &str| {
        revoke(world, no, secret);
        world.generate(no, secret);
    };
    deny(newer, Denial::TokenRevoked { at: None });
}

#[test]
fn a_disabled_client_or_workspace_stops_its_tokens_and_enabling_revives_them() {
    let disable = |world: &mut World, no, _: &str| world.disable(no, Some(world.now));
    let and_back = |world: &mut World, no, secret: &str| {
        disable(world, no, secret);
        world.disable(no, None);
    };
    deny(disable, Denial::ClientDisabled);
    check(and_back, PERMIT_1);
    let disable = |world: &mut World, _, _: &str| world.disable_workspace(0, true);
    let and_back = |world: &mut World, no, secret: &str| {
        disable(world, no, secret);
        world.disable_workspace(0, false);
    };
    deny(disable, Denial::ClientDisabled);
    check(and_back, PERMIT_1);
    check(|world, _, _| world.disable_workspace(1, true), PERMIT_1);
}

#[test]
fn a_deleted_client_is_gone_for_good() {
    deny(|world, no, _| world.delete(no), Denial::ClientDeleted);
    // Deleted is the last word, whatever else befell the token before or befalls the client after.
    let disabled_and_enabled = |world: &mut World, no, _: &str| {
        world.revoke(no);
        world.delete(no);
        world.disable(no, None);
        world.wait(10_000);
    };
    deny(disabled_and_enabled, Denial::ClientDeleted);
}

#[test]
fn products_limit_a_live_token_at_once() {
    let only = |products: Option<Vec<u32>>| {
        move |world: &mut World, no, _: &str| {
            let products = products.map(|list| list.into_iter().map(ProductNo).collect());
            world.change_settings(no, |settings| settings.products = products);
        }
    };
    check(only(None), PERMIT_1);
    check(only(Some(vec![2, 0])), PERMIT_1);
    deny(only(Some(vec![1, 2])), Denial::ProductNotAllowed);
    deny(only(Some(vec![])), Denial::ProductNotAllowed);
}

#[test]
fn a_product_deleted_and_made_anew_is_another_product() {
    let (mut world, no, _, token) = one();
    world.change_settings(no, |settings| settings.products = Some(vec![ProductNo(0)]));
    let product = world.product(0);
    world.commit(Change::ProductDeleted {
        product: product.no,
    });
    world.denies(&token, Denial::ProductUnknown);
    let (no, before) = (ProductNo(9), product);
    let product = Product { no, ..before };
    world.commit(Change::ProductPut { product });
    world.denies(&token, Denial::ProductNotAllowed);
}

#[test]
fn an_unknown_product_is_the_gateways_fault_whatever_is_presented() {
    let (world, _, secret, token) = one();
    for presented in [
        Presented::Missing,
        Presented::Repeated,
        Presented::One(&token),
        Presented::One(&secret),
    ] {
        for product in ["", "GST", "gst ", "none"] {
            let seen = world.seen(presented, PRODUCTION, product, HOME);
            assert_eq!(seen, Seen::Deny(Denial::ProductUnknown));
        }
    }
}

#[test]
fn networks_limit_a_live_token_at_once() {
    let (mut world, no, _, token) = one();
    let networks = Networks::parse(&["10.0.0.0/8", "2001:db8::/32"]).unwrap();
    world.change_settings(no, |settings| settings.token_networks = networks);
    let check = |from, expect| {
        let seen = world.seen(Presented::One(&token), PRODUCTION, "gst", from);
        assert_eq!(seen, expect, "{from}");
    };
    check("10.255.255.255", PERMIT_1);
    check("::ffff:10.0.0.1", PERMIT_1);
    check("2001:db8::7", PERMIT_1);
    check("11.0.0.0", Seen::Deny(Denial::AddressNotAllowed));
    check("2001:db9::", Seen::Deny(Denial::AddressNotAllowed));
    check("::10.0.0.1", Seen::Deny(Denial::AddressNotAllowed));
}

#[test]
fn labels_travel_encoded_and_change_at_once() {
    let (mut world, no, _, token) = one();
    let longest = "ü".repeat(32);
    for (label, expect) in [
        ("Süd 100%", "S%C3%BCd 100%25"),
        ("台帳", "%E5%8F%B0%E5%B8%B3"),
        (longest.as_str(), &"%C3%BC".repeat(32)),
        ("x", "x"),
        ("erp", "erp"),
    ] {
        let label = Label::parse(label).unwrap();
        world.change_settings(no, |settings| settings.label = label);
        assert_eq!(world.permit(&token).label(), expect);
        assert_eq!(world.introspect(&token).unwrap().label, expect);
    }
}

#[test]
fn many_labels_cross_from_one_chunk_of_memory_to_the_next() {
    let (mut world, _, _, token) = one();
    // More than two chunks of a mebibyte of the longest labels.
    for n in 0..12_000 {
        let label = format!("{n:05}{}", "ü".repeat(29));
        world.add_client(0, PRODUCTION, settings(&label));
    }
    let (no, secret) = world.client_with_secret(settings("the last one"));
    let last = world.generate(no, &secret);
    assert_eq!(world.permit(&last).label(), "the last one");
    assert_eq!(world.permit(&token).label(), "erp");
}

#[test]
fn a_hand_over_lets_the_previous_token_live_on_and_no_longer() {
    let (mut world, no, secret, first) = one();
    world.change_settings(no, |settings| settings.handover_max_seconds = 60);
    world.wait(10);
    let issued = world.now;
    let (second, answer) = world.generate_as(no, &secret, handover(60)).unwrap();
    let end = issued.plus_seconds(60);
    assert_eq!(answer.previous_valid_till, Some(end));
    assert_eq!(world.permit(&first).valid_till(), Some(end));
    assert_eq!(world.check(&first), PERMIT_1);
    world.permits(&second, 2);
    world.now.0 = end.0 - 1;
    assert_eq!(world.check(&first), PERMIT_1);
    world.now = end;
    world.denies(&first, superseded(2, issued));
    world.permits(&second, 2);
}

#[test]
fn a_hand_over_can_be_ended_revoked_and_repeated_but_never_three_live() {
    let begin = || {
        let (mut world, no, secret, first) = one();
        world.change_settings(no, |settings| settings.handover_max_seconds = 60);
        let second = world.generate_as(no, &secret, handover(60)).unwrap().0;
        (world, no, secret, first, second)
    };
    let superseded = |world: &World, generation| Seen::Deny(superseded(generation, world.now));

    let (mut world, no, _, first, second) = begin();
    world.commit(generate::end_previous(&world.state(no)).unwrap());
    assert_eq!(world.check(&first), superseded(&world, 2));
    world.permits(&second, 2);

    let (mut world, no, _, first, second) = begin();
    world.revoke(no);
    assert_eq!(world.check(&first), superseded(&world, 2));
    let at = Some(world.now);
    world.denies(&second, Denial::TokenRevoked { at });

    let (mut world, no, secret, first, second) = begin();
    let third = world.generate_as(no, &secret, handover(60)).unwrap().0;
    assert_eq!(world.check(&first), superseded(&world, 3));
    world.permits(&second, 2);
    world.permits(&third, 3);

    // Both tokens of a hand-over are bound by the client's state.
    let (mut world, no, _, first, second) = begin();
    world.disable(no, Some(world.now));
    world.denies(&first, Denial::ClientDisabled);
    world.denies(&second, Denial::ClientDisabled);
}

#[test]
fn tokens_outlive_a_rotation_of_the_digest_key() {
    let (mut world, no, secret, first) = one();
    world.reload(true);
    assert_eq!(world.check(&first), PERMIT_1);
    // The new token is digested under the new key, the former one was under the old.
    let second = world.generate(no, &secret);
    world.denies(&first, superseded(2, world.now));
    world.permits(&second, 2);
    // A hand-over across a rotation: the previous token under the old key, the newest under the new.
    world.reload(true);
    world.change_settings(no, |settings| settings.handover_max_seconds = 60);
    let third = world.generate_as(no, &secret, handover(60)).unwrap().0;
    world.permits(&second, 2);
    world.permits(&third, 3);
}

#[test]
fn a_key_removed_from_the_ring_ends_its_tokens() {
    let (mut world, _, _, token) = one();
    world.replica = world.reloaded(&[2]);
    world.replica.lease().grant_for_ever();
    world.denies(&token, Denial::TokenUnknown);
}

#[test]
fn clients_are_found_whether_or_not_their_id_tells_their_number() {
    let mut world = World::new();
    let tokens = [0, 1, 2, 3, 4, 5].map(|n| {
        let (no, secret) = world.client_with_secret(settings(&format!("erp-{n}")));
        (no, world.generate(no, &secret), secret)
    });
    let check = |world: &World, tokens: &[(u32, String, String)]| {
        for (no, token, _) in tokens {
            let client = &world.clients[no].0;
            assert_eq!(world.permit(token).client_no(), *no);
            assert!(world.replica.may_know(client.id));
            assert!(world.replica.view(client).is_some());
        }
        let stranger = ClientId(Uuid::from_u128(5));
        assert!(!world.replica.may_know(stranger));
    };
    check(&world, &tokens);
    // Once the oldest key is gone, no id tells a number any more.
    world.reload(true);
    let again = tokens.map(|(no, _, secret)| (no, world.generate(no, &secret), secret));
    world.keys.remove(0);
    world.replica = world.reloaded(&world.keys);
    world.replica.lease().grant_for_ever();
    check(&world, &again);
}

#[test]
fn a_new_epoch_ends_every_token_of_every_earlier_one() {
    let (mut world, no, secret, former) = one();
    world.change_settings(no, |settings| settings.handover_max_seconds = 60);
    let newest = world.generate_as(no, &secret, handover(60)).unwrap().0;
    let (silent, silent_secret) = world.client_with_secret(settings("never generated"));
    world.wait(9);
    let at = world.now;
    world.start_epoch(1);
    world.denies(&newest, Denial::TokenRevoked { at: Some(at) });
    let raised = 2 + EPOCH_GENERATIONS;
    world.denies(&former, superseded(raised, START));
    world.reload(false);
    world.denies(&newest, Denial::TokenRevoked { at: Some(at) });
    // Applying said what loading says.
    world.generate_as(no, &secret, handover(60)).unwrap();
    world.generate_as(no, &secret, handover(60)).unwrap();
    world.start_epoch(2);
    let client = &world.clients[&no].0;
    let reloaded = world.reloaded(&world.keys).view(client);
    assert_eq!(world.replica.view(client), reloaded);
    let raised = world.clients[&no].1.generation;
    // Secrets stay good, and no name of a lost token is given out again.
    let next = world.generate(no, &secret);
    world.permits(&next, raised + 1);
    world.denies(&newest, Denial::TokenRevoked { at: None });
    let first = world.generate(silent, &silent_secret);
    world.permits(&first, 1 + 2 * EPOCH_GENERATIONS);
}

#[test]
fn without_a_lease_nothing_is_answered() {
    let (mut world, no, secret, token) = one();
    world.delete(no);
    let lease = world.replica.lease();
    lease.end();
    for presented in [
        Presented::Missing,
        Presented::Repeated,
        Presented::One("x"),
        Presented::One(&secret),
        Presented::One(&token),
    ] {
        for product in ["gst", "none"] {
            for environment in [PRODUCTION, Environment::Sandbox] {
                let seen = world.seen(presented, environment, product, HOME);
                assert_eq!(seen, Seen::CannotVouch);
            }
        }
    }
    assert_eq!(world.introspect(&token), Err(Refusal::CannotVouch));
    assert_eq!(world.introspect("x"), Err(Refusal::CannotVouch));
    lease.extend(BootInstant(1));
    world.denies(&token, Denial::ClientDeleted);
}

/// A clock whose reading is the moment at which something happens: whatever happens after the
/// replica was read and before the clock was.
struct Meanwhile<'a>(&'a dyn Fn());

impl tokenward_core::time::Clock for Meanwhile<'_> {
    fn wall(&self) -> tokenward_core::Timestamp {
        START
    }
    fn boot(&self) -> BootInstant {
        (self.0)();
        BootInstant(10)
    }
}

#[test]
fn a_lease_that_ended_while_the_slot_was_read_does_not_vouch() {
    let (world, _, _, token) = one();
    let facts = facts();
    let check = |until: u64, meanwhile: &dyn Fn()| {
        world.replica.lease().end();
        world.replica.lease().extend(BootInstant(until));
        let (shown, clock) = (Presented::One(&token), Meanwhile(meanwhile));
        world.replica.check(shown, &facts, &clock)
    };
    assert!(matches!(check(11, &|| ()), Verdict::Permit(_)));
    // The clock says the lease is over.
    assert!(matches!(check(10, &|| ()), Verdict::CannotVouch));
    // A renewal that arrives after the slot was read covers the next check, not this one.
    let renewed = || world.replica.lease().extend(BootInstant(1_000));
    assert!(matches!(check(10, &renewed), Verdict::CannotVouch));
}

#[test]
fn a_change_that_cannot_be_applied_ends_the_lease() {
    let (world, _, _, token) = one();
    let (client, at) = (ClientNo(77), None);
    let nobody = Change::ClientDisabled { client, at };
    assert!(world.replica.apply(&[nobody], 99).is_err());
    assert_eq!(world.check(&token), Seen::CannotVouch);
}

#[test]
fn introspection_tells_of_live_tokens_only() {
    let (mut world, no, secret, token) = one();
    let both = Some(vec![ProductNo(2), ProductNo(0)]);
    world.change_settings(no, |settings| settings.products = both);
    let told = world.introspect(&token).unwrap();
    assert_eq!(told.products.unwrap(), ["e-invoice", "gst"]);
    assert_eq!((told.generation, told.issued_at), (1, Some(START)));
    assert_eq!(told.client, world.clients[&no].0.id);
    assert_eq!(told.workspace, world.workspaces[0].id);
    assert_eq!(told.valid_till, Some(START.plus_seconds(3600)));
    assert_eq!(told.environment, PRODUCTION);
    let next = world.generate(no, &secret);
    let refused = |text: &str, why| assert_eq!(world.introspect(text), Err(Refusal::Denied(why)));
    refused(&token, superseded(2, START));
    refused(&secret, Denial::SecretUsedAsToken);
    world.change_settings(no, |settings| settings.products = None);
    assert_eq!(world.introspect(&next).unwrap().products, None);
}

#[test]
fn use_is_noted_once_an_interval_and_survives_changes() {
    let (mut world, no, secret, token) = one();
    let note = |world: &World, now| world.replica.note_use(no, 1, now, 60);
    assert!(note(&world, 1_000));
    assert!(!note(&world, 1_059));
    assert!(note(&world, 1_060));
    assert!(!note(&world, 1_058), "another thread's clock is behind");
    world.change_settings(no, |settings| settings.products = Some(vec![ProductNo(0)]));
    let next = world.generate(no, &secret);
    // A change of the client forgets nothing.
    assert!(!note(&world, 1_100));
    world.permits(&next, 2);
    assert_ne!(world.check(&token), PERMIT_1);
    // A newer token's first use is noted at once; the older one's in a grace period is not noted beside it.
    let of = |generation, now| world.replica.note_use(no, generation, now, 60);
    assert!(of(2, 1_101) && !of(2, 1_102) && !of(1, 1_103) && !of(1, 1_160));
    // A minute later each is noted once.
    assert!(of(1, 1_161) && of(2, 1_162));
    assert!(of(3, 1_170) && !of(259, 1_171), "only eight bits are kept");
    assert!(of(3, u32::MAX) && !of(3, u32::MAX));
    assert!(!world.replica.note_use(70_000, 1, 1, 60), "no such client");
}
