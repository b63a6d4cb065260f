//! What passes, and what the product learns then: who calls, in our words only.

use crate::Row;
use crate::world::{IDENTITY, INVOICES, World};
use gateways::{Ask, Seen};

pub(crate) const ROWS: &[Row] = &[
    ("a permit tells the product who calls", who_calls),
    ("every method passes, and so does a bearer", methods),
    ("no forged identity reaches a product", forged),
    ("no header can take our identity away", taken_away),
    (
        "the product learns the caller's address from the gateway",
        address,
    ),
];

fn who_calls(world: &mut World) {
    let ask = Ask::get(INVOICES).token(&world.token);
    let answer = world.ask(&ask).expect(200);
    assert_eq!(answer.body, "e-invoice");
    identity_is_ours(world, &ask);
}

/// The one request that reached the product bears our identity exactly, and nothing like it.
#[track_caller]
fn identity_is_ours(world: &World, ask: &Ask) {
    let seen = world.reached();
    let told = world.check(ask).expect(200);
    for name in IDENTITY {
        let ours = told.header(name);
        let theirs = seen.all(name);
        // An empty one may arrive as none: it says the same.
        let right = theirs == [ours] || (ours.is_empty() && theirs.is_empty());
        assert!(right, "{name}: {theirs:?} instead of {ours:?}");
    }
    nothing_else(&seen);
}

/// No header that could be taken for one of ours, but ours.
#[track_caller]
fn nothing_else(seen: &Seen) {
    for (name, value) in &seen.headers {
        let alike: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        if alike.starts_with("x-tokenward") {
            assert!(IDENTITY.contains(&name.as_str()), "{name}: {value}");
        }
        assert!(!value.contains("forged"), "{name}: {value}");
    }
}

fn methods(world: &mut World) {
    let token = world.token.clone();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let mut ask = Ask::of(method, INVOICES).header("Authorization", &format!("Bearer {token}"));
        if matches!(method, "POST" | "PUT" | "PATCH") {
            ask = ask.body(b"an invoice");
        }
        world.ask(&ask).expect(200);
        let seen = world.reached();
        assert_eq!(seen.line, format!("{method} {INVOICES}"));
    }
}

/// The ways in which one header's name can be spelt so that some reader takes it for another.
fn spellings(name: &str) -> Vec<String> {
    let capital = name
        .split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect::<Vec<_>>()
        .join("-");
    vec![
        name.to_owned(),
        name.to_uppercase(),
        capital,
        name.replace('-', "_"),
        name.to_uppercase().replace('-', "_"),
        // Half and half, either way round.
        name.replacen('-', "_", 1),
        name.replace("tokenward-", "tokenward_"),
        name.replace('-', "."),
    ]
}

fn forged(world: &mut World) {
    let names = IDENTITY.iter().copied().chain(["x-tokenward-denial"]);
    for name in names {
        for spelling in spellings(name) {
            for times in 1..=2 {
                let mut ask = Ask::get(INVOICES).token(&world.token);
                for _ in 0..times {
                    ask = ask.header(&spelling, "forged");
                }
                let answer = world.ask(&ask);
                let seen = world.e_invoice.take();
                // To refuse such a request outright is as good.
                assert!(
                    answer.status == 200 && seen.len() == 1
                        || answer.status == 400 && seen.is_empty(),
                    "{spelling}: {answer:?} {seen:#?}"
                );
                if let Some(seen) = seen.first() {
                    nothing_else(seen);
                    assert_eq!(seen.all("x-tokenward-product"), ["e-invoice"], "{spelling}");
                }
            }
        }
    }
}

/// `Connection` names headers that a proxy takes away (RFC 9110, section 7.6.1): it must not take
/// the product's knowledge of its caller, nor make the token invisible and the request pass.
fn taken_away(world: &mut World) {
    for name in IDENTITY
        .iter()
        .copied()
        .chain(["x-forwarded-for", "x-cleartax-auth-token"])
    {
        let ask = Ask::get(INVOICES)
            .token(&world.token)
            .header("Connection", &format!("close, {name}"));
        let answer = world.ask(&ask);
        match world.e_invoice.take().first() {
            Some(seen) => {
                let permitted = Ask::get(INVOICES).token(&world.token);
                let told = world.check(&permitted).expect(200);
                for name in IDENTITY.iter().take(6) {
                    assert_eq!(seen.all(name), [told.header(name)], "{name}");
                }
                assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.9"]);
            }
            None => assert!((400..500).contains(&answer.status), "{name}: {answer:?}"),
        }
    }
}

fn address(world: &mut World) {
    for forged in [
        "198.51.100.7",
        "127.0.0.1",
        "10.0.0.1, 198.51.100.7",
        "unknown",
    ] {
        let ask = Ask::get(INVOICES)
            .token(&world.token)
            .header("X-Forwarded-For", forged)
            .header("X-Forwarded-For", forged);
        world.ask(&ask).expect(200);
        assert_eq!(
            world.reached().all("x-forwarded-for"),
            ["127.0.0.9"],
            "{forged}"
        );
    }
}
