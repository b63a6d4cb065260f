//! Client secrets and admin keys from strangers, judged as `token` judges tokens.

#![no_main]

mod credential;

use credential::Parts;
use libfuzzer_sys::fuzz_target;
use tokenward_core::{AccessToken, AdminKey, ClientSecret};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(secret) = ClientSecret::parse(text) {
            assert_eq!(*secret.expose(), text, "a secret has one spelling");
        }
        if let Ok(key) = AdminKey::parse(text) {
            assert_eq!(*key.expose(), text, "an admin key has one spelling");
        }
    }
    let Some(parts) = Parts::of(data) else { return };
    let made = ClientSecret::from_random(parts.environment, parts.client, parts.random).expose();
    let read = ClientSecret::parse(&made).expect("a secret that was made is read");
    assert_eq!(
        (read.environment(), read.client()),
        (parts.environment, parts.client)
    );
    assert_eq!(*read.expose(), *made);
    assert!(AccessToken::parse(&made).is_err(), "a secret is no token");
    assert!(
        made.len() <= 128,
        "a secret fits the columns people keep it in"
    );
    if let Some(changed) = parts.change(&made) {
        assert!(
            ClientSecret::parse(&changed).is_err(),
            "one changed character is noticed"
        );
    }
    let made = AdminKey::from_random(parts.client.0, parts.random).expose();
    let read = AdminKey::parse(&made).expect("an admin key that was made is read");
    assert_eq!(read.id(), parts.client.0);
    if let Some(changed) = parts.change(&made) {
        assert!(
            AdminKey::parse(&changed).is_err(),
            "one changed character is noticed"
        );
    }
});
