//! Who is told what: a reason is for the holder of the real token. Whoever only knows or guesses a
//! client's id learns nothing about it, in whatever state it is.

use crate::world::{HOME, Seen, World, handover, one, random, settings, superseded};
use tokenward_core::check::denial::Refusal;
use tokenward_core::check::{Denial, Presented};
use tokenward_core::credential::AccessToken;
use tokenward_core::ids::{ClientId, Environment, ProductNo};
use tokenward_core::restrictions::Networks;
use uuid::Uuid;

type Story = fn(&mut World, u32, &str);

/// Every state a client can be in.
const STORIES: [(&str, Story); 14] = [
    ("never generated", |_, _, _| ()),
    ("live", |world, no, secret| drop(world.generate(no, secret))),
    ("superseded four times", |world, no, secret| {
        (0..5).for_each(|_| drop(world.generate(no, secret)))
    }),
    ("expired", |world, no, secret| {
        world.generate(no, secret);
        world.wait(10_000);
    }),
    ("revoked", |world, no, secret| {
        world.generate(no, secret);
        world.revoke(no);
    }),
    ("in a hand-over", |world, no, secret| {
        world.change_settings(no, |settings| settings.handover_max_seconds = 60);
        world.generate(no, secret);
        world.generate_as(no, secret, handover(60)).unwrap();
    }),
    ("after a hand-over", |world, no, secret| {
        world.change_settings(no, |settings| settings.handover_max_seconds = 60);
        world.generate(no, secret);
        world.generate_as(no, secret, handover(60)).unwrap();
        world.wait(61);
    }),
    ("disabled", |world, no, secret| {
        world.generate(no, secret);
        world.disable(no, Some(world.now));
    }),
    ("in a disabled workspace", |world, no, secret| {
        world.generate(no, secret);
        world.disable_workspace(0, true);
    }),
    ("deleted", |world, no, secret| {
        world.generate(no, secret);
        world.delete(no);
    }),
    ("deleted before its first token", |world, no, _| {
        world.delete(no)
    }),
    ("for another product", |world, no, secret| {
        world.generate(no, secret);
        world.change_settings(no, |settings| settings.products = Some(vec![ProductNo(1)]));
    }),
    ("for another network", |world, no, secret| {
        world.generate(no, secret);
        let elsewhere = Networks::parse(&["192.0.2.0/24"]).unwrap();
        world.change_settings(no, |settings| settings.token_networks = elsewhere);
    }),
    ("in a new epoch", |world, no, secret| {
        world.generate(no, secret);
        world.start_epoch(1);
    }),
];

#[test]
fn a_guessed_token_of_a_real_client_is_unknown_in_every_state() {
    for (state, story) in STORIES {
        let (mut world, no, secret) = World::with_client(settings("erp"));
        story(&mut world, no, &secret);
        let client = world.clients[&no].0.id;
        let stranger = ClientId(Uuid::from_u128(client.0.as_u128() ^ 1));
        for id in [client, stranger] {
            for random in [[0; 28], [0xFF; 28], [7; 28]] {
                let guess = AccessToken::from_random(Environment::Production, id, random).expose();
                let seen = world.check(&guess);
                assert_eq!(seen, Seen::Deny(Denial::TokenUnknown), "{state}");
                let told = world.introspect(&guess);
                assert_eq!(told, Err(Refusal::Denied(Denial::TokenUnknown)), "{state}");
            }
        }
    }
}

#[test]
fn a_token_moved_to_another_client_or_environment_is_unknown() {
    let (mut world, no, _, token) = one();
    let (other, other_secret) = world.client_with_secret(settings("crm"));
    world.generate(other, &other_secret);
    let random = random(&token[39..95]);
    let with = |environment, no| {
        let id = world.clients[&no].0.id;
        AccessToken::from_random(environment, id, random).expose()
    };
    world.permits(&with(Environment::Production, no), 1);
    let moved = with(Environment::Production, other);
    world.denies(&moved, Denial::TokenUnknown);
    let sandbox = with(Environment::Sandbox, no);
    let seen = world.seen(Presented::One(&sandbox), Environment::Sandbox, "gst", HOME);
    assert_eq!(seen, Seen::Deny(Denial::TokenUnknown));
}

#[test]
fn restrictions_are_told_only_to_the_holder_of_a_live_token() {
    let (mut world, no, secret, former) = one();
    world.generate(no, &secret);
    world.change_settings(no, |settings| settings.products = Some(vec![ProductNo(1)]));
    world.denies(&former, superseded(2, world.now));
}
