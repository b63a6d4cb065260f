//! `get`: the token, for a script. It reuses what the home holds until near its end.

use super::exit::End;
use std::io::Write as _;
use tokenward_client::Entry;
use tokenward_client::config::Parts;
use zeroize::Zeroizing;

/// Fetches a token and waits until every destination has it.
pub(crate) async fn fetch(parts: &Parts) -> Result<std::sync::Arc<Entry>, End> {
    let entry = parts.source.token().await?;
    if let Err(stops) = parts.source.settle().await {
        // The token itself is good; who reads the other places must know.
        for stop in stops {
            eprintln!("tokenward-agent: {}: {stop}", parts.alias);
        }
    }
    Ok(entry)
}

/// Prints it.
pub(crate) async fn get(parts: &Parts, json: bool) -> Result<(), End> {
    let entry = fetch(parts).await?;
    let mut text = if json {
        entry.to_json()
    } else {
        Zeroizing::new(entry.token.expose().to_owned())
    };
    text.push('\n');
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| End::failed(format!("standard output: {error}")))
}
