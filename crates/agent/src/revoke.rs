//! `revoke`: ends the token kept and takes it out of every place. Whoever needs one afterwards generates anew; to end
//! a client for good, have an administrator delete it.

use crate::exit::End;
use std::time::Duration;
use tokenward_client::config::Parts;
use tokenward_client::issuer::Kind;

/// Revokes at the server first: a place that cannot be emptied then holds a dead token.
pub(crate) async fn revoke(parts: &Parts) -> Result<String, End> {
    let source = &parts.source;
    let stored = source.home().read().await?;
    let foreign = match &stored.entry {
        Some(entry) => !source.issuer().made(entry).await,
        None => false,
    };
    let said = match (source.issuer().kind(), &stored.entry) {
        _ if foreign => "the token kept was made for another API client or by another server: removed here, not revoked \
                         there"
            .to_owned(),
        (Kind::Tokenward, Some(entry)) => {
            source.issuer().revoke(&entry.token).await?;
            format!("revoked {}", entry.name())
        }
        (Kind::Tokenward, None) => "no token is kept; nothing was revoked".to_owned(),
        // Clear's way: a new token ends the old one. The new one is thrown away and nobody ever has it.
        (Kind::Clear, _) => {
            source.issuer().generate(None, Duration::ZERO).await?;
            "revoked by generating a token that is thrown away".to_owned()
        }
    };
    source.home().forget().await?;
    for copy in source.copies() {
        copy.forget().await?;
    }
    Ok(said)
}
