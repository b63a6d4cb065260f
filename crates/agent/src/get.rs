//! `get`: the token, for a script. It reuses what the home holds until near its end.

use crate::exit::End;
use crate::output::{complain, print};
use std::io::Read as _;
use std::sync::Arc;
use tokenward_client::config::Parts;
use tokenward_client::destination::Kind;
use tokenward_client::{AccessToken, Entry};
use zeroize::Zeroizing;

/// Longest refused token read, in bytes.
const MOST_BYTES: u64 = 1024;

/// Fetches a token and waits until every destination has it. No token is made if a further destination could not take
/// it, since the caller is there to correct that. (The daemon serves the other destinations meanwhile.)
pub(crate) async fn fetch(parts: &Parts) -> Result<Arc<Entry>, End> {
    if parts.source.peek().await?.is_none() {
        for copy in parts.source.copies() {
            match copy.check().await {
                Err(trouble) if trouble.kind == Kind::Misconfigured => return Err(trouble.into()),
                // It is tried again when there is a token, and told then.
                Err(_) | Ok(_) => {}
            }
        }
    }
    let entry = parts.source.token().await?;
    settle(parts).await;
    Ok(entry)
}

/// The token itself is good; who reads the other places must know.
async fn settle(parts: &Parts) {
    if let Err(stops) = parts.source.settle().await {
        for stop in stops {
            complain(&format!("{}: {stop}", parts.alias));
        }
    }
}

/// Prints it; `refused` takes the token that a product refused from standard input.
pub(crate) async fn get(parts: &Parts, json: bool, refused: bool) -> Result<(), End> {
    let entry = if refused {
        let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize));
        std::io::stdin()
            .take(MOST_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| End::failed(format!("standard input: {error}")))?;
        let token = AccessToken::parse(&text)
            .map_err(|error| End::failed(format!("standard input: {error}")))?;
        let entry = parts
            .source
            .after_refusal(&Arc::new(Entry::bare(token)))
            .await?;
        settle(parts).await;
        entry
    } else {
        fetch(parts).await?
    };
    let mut text = if json {
        entry.to_json()
    } else {
        Zeroizing::new(entry.token.expose().to_owned())
    };
    text.push('\n');
    print(&text)
}
