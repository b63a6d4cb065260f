//! What a client secret buys: every rejection and their order, the policies, hand-over, quota, seal,
//! and what an administrator may do without a secret.

use crate::world::{HOME, START, Seen, World, handover, random, settings};
use tokenward_core::change::Change;
use tokenward_core::client::{OnRepeat, Settings};
use tokenward_core::credential::ClientSecret;
use tokenward_core::generate::{self, Answer, IssueOptions, Rejection};
use tokenward_core::ids::{ClientId, ClientNo, Environment};
use tokenward_core::restrictions::Networks;
use tokenward_core::time::{MICROS_PER_SECOND, SECONDS_PER_DAY, Timestamp};
use tokenward_core::{seal, slot};
use uuid::Uuid;

const ANY: IssueOptions = IssueOptions {
    if_match: None,
    force: false,
    handover_seconds: None,
};
const FORCE: IssueOptions = IssueOptions { force: true, ..ANY };
const ELSEWHERE: &str = "203.0.113.9";

fn if_match(generation: u32) -> IssueOptions {
    IssueOptions {
        if_match: Some(generation),
        ..ANY
    }
}

fn returning() -> Settings {
    Settings {
        on_repeat: OnRepeat::Return,
        ..settings("erp")
    }
}

/// The slot a decision would write.
fn slot_of(changes: &[Change]) -> &slot::Slot {
    match &changes[0] {
        Change::TokenIssued { slot, .. } | Change::TokenEnded { slot, .. } => slot,
        other => panic!("no slot in {other:?}"),
    }
}

#[test]
fn a_first_token_carries_all_the_contract_asks() {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    let (token, answer) = world.generate_as(no, &secret, ANY).unwrap();
    assert!(token.starts_with(&format!("1.{}_", world.clients[&no].0.id)));
    let made = (answer.generation, answer.issued_at, answer.made);
    assert_eq!(made, (1, START, true));
    assert_eq!(answer.valid_till, Some(START.plus_seconds(3600)));
    let told = (answer.previous_valid_till, answer.secret, answer.quota_left);
    assert_eq!(told, (None, Some(1), 287));
    // A client on `replace` has no sealed copy.
    assert!(world.clients[&no].1.seal.is_none());
}

/// Everything that can be wrong with a call, in the order in which it is told.
#[test]
fn rejections_come_in_a_fixed_order() {
    // Each case has one thing less wrong than the one before.
    let expected = [
        Rejection::SecretInvalid,
        Rejection::EnvironmentMismatch,
        Rejection::ClientDeleted,
        Rejection::ClientDisabled,
        Rejection::ClientDisabled,
        Rejection::AddressNotAllowed,
        Rejection::GenerationMismatch {
            generation: 1,
            valid_till: Some(START.plus_seconds(3600)),
        },
        Rejection::HandoverTooLong { max_seconds: 60 },
        Rejection::QuotaExceeded {
            retry_after_seconds: 49_470,
            limit: 1,
        },
    ];
    for (right, expect) in expected.into_iter().enumerate() {
        let [
            guessed,
            host,
            deleted,
            client,
            workspace,
            address,
            generation,
            handover,
            quota,
        ] = std::array::from_fn(|nth| right <= nth);
        let (mut world, no, secret) = World::with_client(settings("erp"));
        world.generate(no, &secret);
        let inside = Networks::parse(&["10.0.0.0/8"]).unwrap();
        world.change_settings(no, |settings| {
            settings.secret_networks = inside;
            settings.handover_max_seconds = 60;
        });
        world.quota = if quota { 1 } else { 2 };
        if deleted {
            world.delete(no);
        }
        if client {
            world.disable(no, Some(START));
        }
        world.disable_workspace(0, workspace);
        let id = world.clients[&no].0.id;
        let guess = ClientSecret::from_random(Environment::Production, id, [1; 28]).expose();
        let options = IssueOptions {
            if_match: generation.then_some(0),
            force: true,
            handover_seconds: Some(if handover { 61 } else { 60 }),
        };
        let host = match host {
            true => Environment::Sandbox,
            false => Environment::Production,
        };
        let presented = if guessed { &*guess } else { &secret };
        let source = if address { ELSEWHERE } else { HOME };
        let got = world.decide_from(no, presented, options, source, Some(host));
        assert_eq!(got.map(|_| ()), Err(expect));
    }
}

#[test]
fn nothing_wrong_is_nothing_refused() {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    let goes = |from, host| world.decide_from(no, &secret, ANY, from, host).is_ok();
    assert!(goes(ELSEWHERE, Some(Environment::Production)));
    assert!(goes("::ffff:10.1.2.3", None));
    world.disable_workspace(1, true);
    assert!(world.decide(no, &secret, ANY).is_ok());
}

#[test]
fn only_the_clients_own_secrets_count() {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    let (other, _) = world.client_with_secret(settings("crm"));
    assert_eq!(world.refusal(other, &secret, ANY), Rejection::SecretInvalid);
    // Both secrets of a rotation count, each for itself, until they are taken away.
    let second = world.add_secret(no, 1);
    assert_eq!(world.decide(no, &secret, ANY).unwrap().1.secret, Some(1));
    assert_eq!(world.decide(no, &second, ANY).unwrap().1.secret, Some(2));
    let left = [None, world.clients[&no].0.secrets[1]];
    world.change_secrets(no, left, 3);
    assert_eq!(world.refusal(no, &secret, ANY), Rejection::SecretInvalid);
    assert!(world.decide(no, &second, ANY).is_ok());
}

#[test]
fn if_match_names_the_newest_generation() {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    let check = |world: &World, wanted, expect: Result<u32, (u32, Option<Timestamp>)>| {
        let got = world.decide(no, &secret, if_match(wanted));
        let got = got.map(|(_, answer)| answer.generation);
        let expect = expect.map_err(|(generation, valid_till)| Rejection::GenerationMismatch {
            generation,
            valid_till,
        });
        assert_eq!(got, expect, "If-Match {wanted}");
    };
    check(&world, 0, Ok(1));
    check(&world, 1, Err((0, None)));
    world.generate(no, &secret);
    let till = Some(START.plus_seconds(3600));
    check(&world, 0, Err((1, till)));
    check(&world, 1, Ok(2));
    check(&world, 2, Err((1, till)));
    // The number of a token that is over still names the slot's state: whoever saw it may replace it.
    world.wait(3600);
    check(&world, 1, Ok(2));
    check(&world, 0, Err((1, None)));
    world.generate(no, &secret);
    world.revoke(no);
    check(&world, 2, Ok(3));
    check(&world, 1, Err((2, None)));
    check(&world, u32::MAX, Err((2, None)));
}

#[test]
fn of_two_callers_with_one_if_match_only_the_first_gets_a_token() {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    let first = world.generate_as(no, &secret, if_match(0)).unwrap().0;
    assert!(world.generate_as(no, &secret, if_match(0)).is_err());
    world.permits(&first, 1);
}

#[test]
fn return_gives_the_live_token_while_it_has_long_enough_to_live() {
    let (mut world, no, secret) = World::with_client(returning());
    let (first, _) = world.generate_as(no, &secret, ANY).unwrap();
    let again = |world: &World, options| world.decide(no, &secret, options).unwrap();
    let is_first = |answer: &Answer| *answer.token.expose() == first;
    // 3600 s to live, renewed 600 s before its end.
    for waited in [0, 2_999, 3_000, 3_599, 3_600] {
        let returned = waited < 3_000;
        world.now = START.plus_seconds(waited);
        let (changes, answer) = again(&world, ANY);
        let got = (!answer.made, changes.is_empty(), is_first(&answer));
        assert_eq!(got, (returned, returned, returned), "{waited}");
        assert_eq!(answer.generation, if returned { 1 } else { 2 });
        if returned {
            assert_eq!(answer.issued_at, START);
            assert_eq!(answer.valid_till, Some(START.plus_seconds(3600)));
            assert_eq!((answer.secret, answer.quota_left), (Some(1), 287));
        }
    }
    world.now = START;
    assert!(again(&world, FORCE).1.made);
    assert!(is_first(&again(&world, if_match(1)).1));
    // Never a token on a mismatch.
    assert!(world.decide(no, &secret, if_match(0)).is_err());
    // A spent quota does not keep the live token from its owner.
    world.quota = 1;
    assert_eq!(again(&world, ANY).1.quota_left, 0);
    assert!(world.decide(no, &secret, FORCE).is_err());
    // It is what it was: the token still passes, and it is the only one.
    world.permits(&first, 1);
}

#[test]
fn return_gives_an_endless_token_for_ever() {
    let (mut world, no, secret) = World::with_client(Settings {
        token_lifetime_seconds: None,
        ..returning()
    });
    let first = world.generate(no, &secret);
    world.wait(1_000_000_000);
    assert_eq!(world.generate(no, &secret), first);
}

#[test]
fn a_token_is_returned_only_to_the_secret_it_was_made_with() {
    let (mut world, no, secret) = World::with_client(returning());
    let other = world.add_secret(no, 1);
    let first = world.generate(no, &secret);
    let (changes, answer) = world.decide(no, &other, ANY).unwrap();
    assert!(answer.made && slot_of(&changes).seal.is_some());
    assert_eq!(world.generate(no, &secret), first);
    world.permits(&first, 1);
}

#[test]
fn the_seal_ends_with_the_token() {
    let story = |end: fn(&mut World, u32)| {
        let (mut world, no, secret) = World::with_client(returning());
        let first = world.generate(no, &secret);
        assert!(world.clients[&no].1.seal.is_some());
        end(&mut world, no);
        assert!(world.clients[&no].1.seal.is_none());
        let next = world.generate_as(no, &secret, ANY).unwrap();
        assert!(next.1.made && next.0 != first);
    };
    story(|world, no| world.revoke(no));
    story(|world, no| drop(world.generate_by_admin(no)));
    story(|world, _| world.start_epoch(1));
}

#[test]
fn the_seal_opens_with_the_secret_and_its_generation_only() {
    let (mut world, no, secret) = World::with_client(returning());
    let other = world.add_secret(no, 1);
    let token = world.generate(no, &secret);
    let sealed = world.clients[&no].1.seal.clone().unwrap();
    let opened = |secret: &str, generation| {
        let secret = ClientSecret::parse(secret).unwrap();
        seal::open(&sealed, generation, &secret).map(|token| token.expose().to_string())
    };
    assert_eq!(opened(&secret, 1), Some(token));
    assert_eq!(opened(&secret, 2), None);
    assert_eq!(opened(&other, 1), None);
    // The change log's text of the same change holds no seal.
    let change = Change::TokenIssued {
        client: ClientNo(no),
        slot: Box::new(world.clients[&no].1.clone()),
    };
    assert!(!change.to_body().contains("seal"));
}

#[test]
fn turning_return_into_replace_stops_returning() {
    let (mut world, no, secret) = World::with_client(returning());
    let first = world.generate(no, &secret);
    let mut state = world.state(no);
    // Even if the store kept the seal, nothing may come out of it any more.
    state.client.settings.on_repeat = OnRepeat::Replace;
    let caller = generate::Caller {
        secret: ClientSecret::parse(&secret).unwrap(),
        source: HOME.parse().ok(),
        host_environment: None,
    };
    let (fresh, keyring) = (world.fresh(), &world.keyring);
    let got = generate::by_secret(&state, &caller, ANY, fresh, 288, keyring, world.now);
    let (changes, answer) = got.unwrap();
    assert!(answer.made && *answer.token.expose() != first);
    assert!(slot_of(&changes).seal.is_none());
}

#[test]
fn a_hand_over_is_bounded_by_the_setting_and_the_tokens_own_end() {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    let check = |world: &World, seconds, expect: Result<Option<u64>, Rejection>| {
        let got = world.decide(no, &secret, handover(seconds));
        let got = got.map(|(changes, answer)| {
            let (told, kept) = (answer.previous_valid_till, slot_of(&changes).previous);
            assert_eq!(kept.map(|previous| previous.valid_till), told);
            told.map(|till| till.seconds_since(world.now))
        });
        assert_eq!(got, expect, "{seconds} s");
    };
    let too_long = |max_seconds| Err(Rejection::HandoverTooLong { max_seconds });
    check(&world, 0, Ok(None));
    check(&world, 1, too_long(0));
    world.change_settings(no, |settings| settings.handover_max_seconds = 60);
    check(&world, 60, Ok(None)); // nothing live to hand over from
    world.generate(no, &secret);
    check(&world, 60, Ok(Some(60)));
    check(&world, 1, Ok(Some(1)));
    check(&world, 0, Ok(None));
    check(&world, 61, too_long(60));
    check(&world, u32::MAX, too_long(60));
    world.now = START.plus_seconds(3_590);
    check(&world, 60, Ok(Some(10)));
    world.now = START.plus_seconds(3_600);
    check(&world, 60, Ok(None));
    world.generate(no, &secret);
    world.revoke(no);
    check(&world, 60, Ok(None)); // revoked is revoked
}

#[test]
fn the_quota_counts_made_tokens_per_secret_and_utc_day() {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    world.quota = 3;
    let other = world.add_secret(no, 1);
    let left = |world: &mut World, secret: &str| {
        let (_, answer) = world.generate_as(no, secret, ANY).unwrap();
        answer.quota_left
    };
    assert_eq!([(); 3].map(|()| left(&mut world, &secret)), [2, 1, 0]);
    let refused = |retry_after_seconds| Rejection::QuotaExceeded {
        retry_after_seconds,
        limit: 3,
    };
    // 2026-11-23T10:15:30Z to midnight.
    assert_eq!(world.refusal(no, &secret, ANY), refused(49_470));
    let midnight = Timestamp(i64::from(START.utc_day() + 1) * SECONDS_PER_DAY * MICROS_PER_SECOND);
    world.now = Timestamp(midnight.0 - 1);
    assert_eq!(world.refusal(no, &secret, ANY), refused(1));
    // The other secret and the administrator have no part in it.
    assert_eq!(left(&mut world, &other), 2);
    world.generate_by_admin(no);
    assert_eq!(world.clients[&no].1.quota.map(|count| count.used), [3, 1]);
    world.now = midnight;
    assert_eq!(left(&mut world, &secret), 2);
    // A mismatch or a refusal makes nothing and counts nothing.
    assert!(world.decide(no, &secret, if_match(0)).is_err());
    assert_eq!(left(&mut world, &secret), 1);
}

#[test]
fn a_quota_of_nothing_makes_nothing() {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    world.quota = 0;
    let refused = world.refusal(no, &secret, ANY);
    assert!(matches!(refused, Rejection::QuotaExceeded { limit: 0, .. }));
}

#[test]
fn a_secret_is_digested_anew_once_the_key_was_rotated() {
    let (mut world, no, secret) = World::with_client(returning());
    let other = world.add_secret(no, 1);
    let records = |world: &World| world.clients[&no].0.secrets.map(Option::unwrap);
    let keys = |world: &World| records(world).map(|record| record.key.0);
    world.generate(no, &secret);
    world.reload(true);
    // Returning the live token makes nothing durable.
    let (changes, answer) = world.decide(no, &secret, ANY).unwrap();
    assert!(changes.is_empty() && !answer.made);
    assert_eq!(keys(&world), [1, 1]);
    world.generate_as(no, &secret, FORCE).unwrap();
    assert_eq!(keys(&world), [2, 1]);
    // Once is enough.
    assert_eq!(world.decide(no, &secret, FORCE).unwrap().0.len(), 1);
    world.generate_as(no, &other, FORCE).unwrap();
    assert_eq!(keys(&world), [2, 2]);
    assert_eq!(records(&world).map(|record| record.n), [1, 2]);
    assert_eq!(world.clients[&no].0.next_secret, 3);
}

#[test]
fn an_administrator_generates_without_secret_quota_and_seal() {
    let (mut world, no, secret) = World::with_client(returning());
    world.quota = 0;
    let decide = |world: &World| {
        generate::by_admin(&world.state(no), world.fresh(), &world.keyring, world.now)
    };
    let (changes, answer) = decide(&world).unwrap();
    let made = (answer.generation, answer.secret, answer.made);
    assert_eq!(made, (1, None, true));
    assert!(slot_of(&changes).seal.is_none());
    let token = world.generate_by_admin(no);
    world.permits(&token, 1);
    // Without a seal there is nothing to return: the secret's next call makes a new token.
    world.quota = 1;
    assert!(world.decide(no, &secret, ANY).unwrap().1.made);
    let refused = |world: &World| decide(world).map(|_| ()).unwrap_err();
    world.disable_workspace(0, true);
    assert_eq!(refused(&world), Rejection::ClientDisabled);
    world.disable_workspace(0, false);
    world.disable(no, Some(START));
    assert_eq!(refused(&world), Rejection::ClientDisabled);
    world.delete(no);
    assert_eq!(refused(&world), Rejection::ClientDeleted);
}

#[test]
fn revoking_ends_what_lives_and_nothing_else() {
    let (mut world, no, secret) = World::with_client(settings("erp"));
    let revoke = |world: &World| generate::revoke(&world.state(no), world.now);
    assert_eq!(revoke(&world), None);
    world.generate(no, &secret);
    assert!(revoke(&world).is_some());
    world.revoke(no);
    assert_eq!(revoke(&world), None);
    world.generate(no, &secret);
    world.wait(3600);
    assert_eq!(revoke(&world), None, "expired by itself");
    assert_eq!(generate::end_previous(&world.state(no)), None);
}

#[test]
fn ending_the_previous_token_leaves_the_newest_and_its_seal() {
    let (mut world, no, secret) = World::with_client(Settings {
        handover_max_seconds: 60,
        ..returning()
    });
    let first = world.generate(no, &secret);
    let force = IssueOptions {
        force: true,
        ..handover(60)
    };
    let second = world.generate_as(no, &secret, force).unwrap().0;
    world.permits(&first, 1);
    // While the hand-over lasts, the returned answer tells its end.
    let (_, told) = world.decide(no, &secret, ANY).unwrap();
    assert_eq!(told.previous_valid_till, Some(START.plus_seconds(60)));
    world.commit(generate::end_previous(&world.state(no)).unwrap());
    assert_ne!(world.check(&first), Seen::Permit { generation: 1 });
    assert_eq!(world.generate(no, &secret), second);
}

#[test]
fn a_secret_of_another_environment_or_client_never_matches() {
    let (world, no, secret) = World::with_client(settings("erp"));
    let parsed = ClientSecret::parse(&secret).unwrap();
    let random = random(&secret[secret.len() - 64..secret.len() - 8]);
    let id = parsed.client();
    let check = |environment, id, expect: bool| {
        let moved = ClientSecret::from_random(environment, id, random).expose();
        assert_eq!(world.decide(no, &moved, ANY).is_ok(), expect);
    };
    check(Environment::Production, id, true);
    check(Environment::Sandbox, id, false);
    check(Environment::Production, ClientId(Uuid::from_u128(9)), false);
}
