//! Round trips, near misses and silence of the three credentials.

use super::*;
use proptest::prelude::*;

fn id() -> Uuid {
    Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
}

#[test]
fn shapes_are_those_of_the_contract() {
    let token = AccessToken::from_random(Environment::Production, ClientId(id()), [7; 28]);
    let text = token.expose();
    assert_eq!(text.len(), 103);
    assert!(text.starts_with("1.01234567-89ab-cdef-0123-456789abcdef_0707"));
    let sandbox = AccessToken::from_random(Environment::Sandbox, ClientId(id()), [7; 28]);
    assert_eq!(sandbox.expose().len(), 111);
    let secret =
        ClientSecret::from_random(Environment::Production, ClientId(id()), [9; 28]).expose();
    assert!(secret.len() <= 128 && secret.starts_with("tw-secret.production.01234567-"));
    let charset = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    assert!(secret.chars().all(charset));
}

#[test]
fn the_checksum_is_plain_crc_32_over_all_before_it() {
    let text = AccessToken::from_random(Environment::Sandbox, ClientId(id()), [1; 28]).expose();
    let (before, sum) = text.split_at(text.len() - 8);
    assert_eq!(format!("{:08x}", crc32fast::hash(before.as_bytes())), sum);
}

#[test]
fn near_misses_are_refused() {
    let text =
        AccessToken::from_random(Environment::Production, ClientId(id()), [0xab; 28]).expose();
    let check = |bad: String| assert!(AccessToken::parse(&bad).is_err(), "{}", bad.len());
    check(text.to_uppercase());
    check(format!(" {}", *text));
    check(format!("{}\0", *text));
    check(format!("sandbox.{}", *text));
    check(text.replace('_', "-"));
    check(text[..102].to_owned());
    check(text.replacen("ab", "ac", 2));
    check(String::new());
    check("é".repeat(52));
    assert!(ClientSecret::parse(&text).is_err());
    assert!(AdminKey::parse(&text).is_err());
}

#[test]
fn debug_tells_nothing() {
    let token = AccessToken::from_random(Environment::Production, ClientId(id()), [7; 28]);
    assert_eq!(format!("{token:?}"), "AccessToken(redacted)");
}

proptest! {
    #[test]
    fn every_credential_round_trips(raw in any::<u128>(), random in any::<[u8; 28]>(), sandbox: bool) {
        let environment = if sandbox { Environment::Sandbox } else { Environment::Production };
        let id = Uuid::from_u128(raw);
        let text = AccessToken::from_random(environment, ClientId(id), random).expose();
        let token = AccessToken::parse(&text).unwrap();
        prop_assert_eq!((token.environment, token.client.0, *token.random()), (environment, id, random));
        let text = ClientSecret::from_random(environment, ClientId(id), random).expose();
        let secret = ClientSecret::parse(&text).unwrap();
        prop_assert_eq!((secret.environment, secret.client.0, *secret.random()), (environment, id, random));
        let text = AdminKey::from_random(id, random).expose();
        let key = AdminKey::parse(&text).unwrap();
        prop_assert_eq!((key.id, *key.random()), (id, random));
    }

    #[test]
    fn parsers_never_panic(text in ".{0,200}") {
        let _ = AccessToken::parse(&text);
        let _ = ClientSecret::parse(&text);
        let _ = AdminKey::parse(&text);
    }

    #[test]
    fn one_changed_character_is_always_noticed(at in 0_usize..103, to in "[0-9a-f_.-]") {
        let text = AccessToken::from_random(Environment::Production, ClientId(id()), [0x5c; 28]).expose();
        let mut changed = text.to_string();
        changed.replace_range(at..=at, &to);
        prop_assert_eq!(AccessToken::parse(&changed).is_ok(), changed == *text);
    }
}
