//! `status`: what the home holds and what the server says. It never generates.

use crate::exit::End;
use serde_json::{Value, json};
use tokenward_client::clock;
use tokenward_client::config::Parts;
use tokenward_client::issuer::Kind;

/// Everything known of one client.
pub(crate) async fn status(parts: &Parts) -> Result<Value, End> {
    let source = &parts.source;
    let issuer = source.issuer();
    let server = match issuer.kind() {
        Kind::Tokenward => issuer.account().await.map(|account| {
            json!({
                "generation": account.generation,
                "live": account.live,
                "valid_till": account.valid_till.map(|till| till.iso()),
                "quota_left": account.quota_left,
            })
        }),
        Kind::Clear => issuer.status().await.map(|_| json!({})),
    };
    let server = server.unwrap_or_else(|refusal| json!({"trouble": refusal.to_string()}));
    let home = source.home();
    let stored = home.read().await?;
    let now = issuer.clock().now();
    let entry = stored.entry.as_ref();
    let is_ours = match entry {
        Some(entry) => Some(issuer.made(entry).await),
        None => None,
    };
    Ok(json!({
        "client": parts.alias,
        "home": home.place(),
        "copies": source.copies().iter().map(|copy| copy.place()).collect::<Vec<_>>(),
        "token": entry.map(|entry| json!({
            "generation": entry.generation,
            "is_of_this_client": is_ours,
            "valid_till": entry.valid_till.map(|till| till.iso()),
            "seconds_left": entry.valid_till.map(|till| clock::until(now, till).as_secs()),
            "renews_in_seconds": source.policy().renew_at(entry, 0.0).map(|at| clock::until(now, at).as_secs()),
            "made_today": entry.tally.today(now),
            "budget_per_day": source.policy().budget_per_day,
            "held_until": entry.held_until.filter(|until| *until > now).map(|until| until.iso()),
        })),
        "server": server,
        "server_address": issuer.address(),
        "clock_seconds_behind": issuer.clock().seconds_behind(),
    }))
}

/// The same for people.
pub(crate) fn lines(status: &Value) -> String {
    let text = |path: &str| match status.pointer(path) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut rows = vec![("client", text("/client")), ("home", text("/home"))];
    if status["token"].is_null() {
        rows.push(("token", "none kept".to_owned()));
    } else {
        rows.push(("generation", text("/token/generation")));
        if text("/token/is_of_this_client") == "false" {
            let what =
                "the token was made for another API client or by another server, and is not used";
            rows.push(("note", what.to_owned()));
        }
        let till = match text("/token/valid_till").as_str() {
            "-" => "never expires".to_owned(),
            till => format!("{till} ({} s left)", text("/token/seconds_left")),
        };
        rows.push(("valid till", till));
        rows.push((
            "renewed in",
            format!("{} s at the latest", text("/token/renews_in_seconds")),
        ));
        let made = format!(
            "{} of {}",
            text("/token/made_today"),
            text("/token/budget_per_day")
        );
        rows.push(("made today", made));
        if text("/token/held_until") != "-" {
            rows.push(("held until", text("/token/held_until")));
        }
    }
    rows.push(("server", text("/server_address")));
    match text("/server/trouble").as_str() {
        "-" => {
            let live = match status.pointer("/server/live") {
                Some(Value::Bool(true)) => "live",
                Some(Value::Bool(false)) => "not live",
                _ => "it does not tell",
            };
            rows.push((
                "server's newest",
                format!("generation {}, {live}", text("/server/generation")),
            ));
            rows.push(("quota left", text("/server/quota_left")));
        }
        trouble => rows.push(("server", trouble.to_owned())),
    }
    rows.iter()
        .map(|(name, value)| format!("{name:<16} {value}\n"))
        .collect()
}
