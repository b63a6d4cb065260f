//! What an act on a client will break, told before it is done: which token dies, who used it last,
//! how much of the quota is gone. Pure functions of what the server just said.

use super::table::printable;
use super::views::{last_used, secret_line, token_used, validity};
use tokenward_api::{Client, Time, TokenState};

/// An act on a client that takes something away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// The client ends for good.
    Delete,
    /// The client stops until it is enabled.
    Disable,
    /// A new token supersedes the live one.
    Generate,
    /// The live token ends without a new one.
    Revoke,
    /// A secret ends.
    DeleteSecret(u32),
}

/// Whether the client has a token that is accepted now.
pub(crate) fn has_live_token(client: &Client) -> bool {
    client.token.state == TokenState::Live
}

/// The whole warning; `now` is the server's clock.
pub(crate) fn on_client(act: Act, client: &Client, now: Option<jiff::Timestamp>) -> String {
    let name = format!(
        "the {} API client \"{}\" ({})",
        client.environment,
        printable(&client.label),
        client.id
    );
    let first = match act {
        Act::Delete => format!("This deletes {name} permanently. This can't be undone."),
        Act::Disable => format!("This disables {name} until it is enabled again."),
        Act::Generate => format!("This makes a new access token of {name}."),
        Act::Revoke => format!("This revokes the access token of {name}."),
        Act::DeleteSecret(n) => format!("This deletes client secret {n} of {name} permanently."),
    };
    let mut lines = vec![first];
    let token = &client.token;
    let shown = match token.state {
        TokenState::None => "none".to_owned(),
        state => format!(
            "generation {}, {state}{}",
            token.generation,
            validity(token)
        ),
    };
    lines.push(format!("  token        {}", printable(&shown)));
    let (used, at) = match token.state {
        TokenState::None => (last_used(client), &client.last_used_at),
        _ => (token_used(token), &token.last_used_at),
    };
    lines.push(format!(
        "  last used    {}{}",
        printable(&used),
        ago(at.as_ref(), now)
    ));
    for secret in &client.secrets {
        lines.push(format!(
            "  secret {:<5} {}",
            secret.n,
            printable(&secret_line(secret))
        ));
    }
    lines.push(breaks(act, client));
    lines.join("\n")
}

/// The consequence, in a sentence.
fn breaks(act: Act, client: &Client) -> String {
    let live = has_live_token(client);
    let callers = match &client.token.last_used_from {
        Some(from) if live => format!(
            "Callers that use it, last seen at {}, are refused at once.",
            printable(from)
        ),
        _ if live => "Callers that use it are refused at once.".to_owned(),
        _ => "No access token is live now, so no product call breaks.".to_owned(),
    };
    match act {
        Act::Delete | Act::Disable => format!("Its secrets can't request tokens. {callers}"),
        Act::Generate => format!("{callers} They need the new token."),
        Act::Revoke => format!("{callers} Its secrets stay good and can make a new one."),
        Act::DeleteSecret(_) if client.secrets.len() > 1 => {
            "Systems that still use this secret can't request tokens. The other secret and the live token stay valid.".to_owned()
        }
        Act::DeleteSecret(_) => {
            "It is the client's only secret: no token can be made until `tokenward secret rotate`. The live token stays good.".to_owned()
        }
    }
}

/// ` (3 minutes ago)`, when both times are known.
fn ago(at: Option<&Time>, now: Option<jiff::Timestamp>) -> String {
    let at = at.and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let (Some(at), Some(now)) = (at, now) else {
        return String::new();
    };
    let seconds = now.as_second().saturating_sub(at.as_second()).max(0);
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!(" ({count} {unit}{} ago)", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::tests::example;
    use tokenward_api::{ClientToken, SecretInfo};

    #[test]
    fn each_act_says_what_it_breaks() {
        let now = "2026-11-23T10:18:40Z".parse().ok();
        let acts = [
            Act::Delete,
            Act::Disable,
            Act::Generate,
            Act::Revoke,
            Act::DeleteSecret(1),
        ];
        let told = acts.map(|act| on_client(act, &example(), now));
        insta::assert_snapshot!(told.join("\n\n"));
    }

    #[test]
    fn a_client_never_used_breaks_nothing() {
        let mut idle = example();
        idle.token = ClientToken {
            state: TokenState::None,
            ..ClientToken::default()
        };
        (idle.last_used_at, idle.last_used_from) = (None, None);
        idle.secrets = [1, 2]
            .map(|n| SecretInfo {
                n,
                ..idle.secrets[0].clone()
            })
            .into();
        let both = [Act::Delete, Act::DeleteSecret(2)].map(|act| on_client(act, &idle, None));
        insta::assert_snapshot!(both.join("\n\n"));
    }

    #[test]
    fn times_past_read_in_one_unit() {
        let check = |now: &str, expect: &str| {
            assert_eq!(
                ago(
                    Some(&Time::of("2026-11-23T10:15:30+00:00")),
                    now.parse().ok()
                ),
                expect
            );
        };
        check("2026-11-23T10:15:31Z", " (1 second ago)");
        check("2026-11-23T10:15:00Z", " (0 seconds ago)");
        check("2026-11-23T10:20:30Z", " (5 minutes ago)");
        check("2026-11-24T10:15:30Z", " (24 hours ago)");
        check("2026-12-23T10:15:30Z", " (30 days ago)");
    }
}
