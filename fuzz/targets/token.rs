//! Access tokens from strangers: any text is refused or is exactly the text the parsed token stands for; a
//! token made from the same bytes is read back, and no longer once a character is changed.

#![no_main]

mod credential;

use credential::Parts;
use libfuzzer_sys::fuzz_target;
use tokenward_core::{AccessToken, ClientSecret};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = AccessToken::parse(text)
    {
        assert_eq!(*token.expose(), text, "a token has one spelling");
    }
    let Some(parts) = Parts::of(data) else { return };
    let made = AccessToken::from_random(parts.environment, parts.client, parts.random).expose();
    let read = AccessToken::parse(&made).expect("a token that was made is read");
    assert_eq!(
        (read.environment(), read.client()),
        (parts.environment, parts.client)
    );
    assert_eq!(*read.expose(), *made);
    assert!(ClientSecret::parse(&made).is_err(), "a token is no secret");
    if let Some(changed) = parts.change(&made) {
        assert!(
            AccessToken::parse(&changed).is_err(),
            "one changed character is noticed"
        );
    }
});
