//! `doctor`: looks at every part in the order in which a token passes them, says what is wrong and how to mend it.
//! It generates nothing and changes nothing but taking, and giving back, the home's lease.

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tokenward_client::config::Parts;
use tokenward_client::destination::{Destination, LeaseRequest, Leasing};
use tokenward_client::issuer::Kind;

/// A clock that is off by more than this is worth a word, in seconds.
const CLOCK_TOLERANCE: i64 = 5;

/// How a look ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Good,
    Odd,
    Bad,
}

/// One look.
#[derive(Debug)]
pub(crate) struct Finding {
    what: &'static str,
    pub(crate) verdict: Verdict,
    says: String,
}

impl Finding {
    fn new(what: &'static str, verdict: Verdict, says: impl Into<String>) -> Self {
        let says = says.into();
        Self {
            what,
            verdict,
            says,
        }
    }

    /// For people.
    pub(crate) fn line(&self) -> String {
        let word = match self.verdict {
            Verdict::Good => "ok  ",
            Verdict::Odd => "odd ",
            Verdict::Bad => "BAD ",
        };
        format!("{word} {:<8} {}", self.what, self.says)
    }

    /// For programs.
    pub(crate) fn json(&self, alias: &str) -> Value {
        let verdict = match self.verdict {
            Verdict::Good => "ok",
            Verdict::Odd => "odd",
            Verdict::Bad => "bad",
        };
        json!({"client": alias, "part": self.what, "verdict": verdict, "says": self.says})
    }
}

/// Looks at one client.
pub(crate) async fn look(config: &Path, parts: &Parts) -> Vec<Finding> {
    let mut found = vec![file(config)];
    found.push(secret(parts).await);
    let generation = server(parts, &mut found).await;
    home(parts, generation, &mut found).await;
    for copy in parts.source.copies() {
        let well = if copy.as_home().is_some() {
            copy.place()
        } else {
            format!("{} (write-only)", copy.place())
        };
        found.push(check("copy", copy.as_ref(), well).await);
    }
    found
}

/// Whether a place could take a token, and what its use costs.
async fn check(what: &'static str, place: &dyn Destination, well: String) -> Finding {
    match place.check().await {
        Ok(None) => Finding::new(what, Verdict::Good, well),
        Ok(Some(cost)) => Finding::new(what, Verdict::Odd, format!("{}: {cost}", place.place())),
        Err(trouble) => Finding::new(what, Verdict::Bad, trouble.to_string()),
    }
}

fn file(config: &Path) -> Finding {
    let shown = config.display();
    match std::fs::metadata(config) {
        Ok(found) if found.permissions().mode() & 0o022 != 0 => Finding::new(
            "config",
            Verdict::Bad,
            format!(
                "{shown}: others can change it, and so where the secret is sent: run chmod go-w {shown}"
            ),
        ),
        Ok(_) => Finding::new("config", Verdict::Good, shown.to_string()),
        Err(error) => Finding::new("config", Verdict::Bad, format!("{shown}: {error}")),
    }
}

async fn secret(parts: &Parts) -> Finding {
    let source = parts.source.issuer().secret();
    match source.secret().await {
        Err(trouble) => Finding::new("secret", Verdict::Bad, trouble.to_string()),
        Ok(secret) => {
            let says = match tokenward_core::ClientSecret::parse(secret.expose()) {
                Ok(known) => format!("{}, for {}", source.name(), known.environment().as_str()),
                Err(_) if parts.source.issuer().kind() == Kind::Clear => source.name(),
                Err(_) => {
                    let says = format!(
                        "{}: not in the shape of Tokenward's secrets; was it copied whole?",
                        source.name()
                    );
                    return Finding::new("secret", Verdict::Bad, says);
                }
            };
            Finding::new("secret", Verdict::Good, says)
        }
    }
}

/// The server's newest generation, where it tells.
async fn server(parts: &Parts, found: &mut Vec<Finding>) -> Option<u32> {
    let issuer = parts.source.issuer();
    let mut generation = None;
    let answered = match issuer.kind() {
        Kind::Tokenward => issuer.account().await.map(|account| {
            generation = Some(account.generation);
            let left = account
                .quota_left
                .map_or("-".to_owned(), |left| left.to_string());
            format!(
                "{}: takes the secret, quota left today {left}",
                issuer.address()
            )
        }),
        Kind::Clear => issuer.status().await.map(|_| {
            format!(
                "{}: answers (only generating shows whether it takes the secret)",
                issuer.address()
            )
        }),
    };
    found.push(match answered {
        Ok(says) => Finding::new("server", Verdict::Good, says),
        Err(refusal) => Finding::new("server", Verdict::Bad, refusal.to_string()),
    });
    if let Some(behind) = issuer.clock().seconds_behind() {
        found.push(if behind.abs() > CLOCK_TOLERANCE {
            let says = format!(
                "this machine is {} s {}: tokens are judged by the server's clock all the same; set it by NTP",
                behind.abs(),
                if behind > 0 { "behind" } else { "ahead" }
            );
            Finding::new("clock", Verdict::Odd, says)
        } else {
            Finding::new("clock", Verdict::Good, "agrees with the server's")
        });
    }
    generation
}

async fn home(parts: &Parts, generation: Option<u32>, found: &mut Vec<Finding>) {
    let place = parts.source.home();
    let Some(shared) = place.as_home() else {
        found.push(Finding::new("home", Verdict::Bad, "it cannot be shared"));
        return;
    };
    match shared.read().await {
        Err(trouble) => found.push(Finding::new("home", Verdict::Bad, trouble.to_string())),
        Ok(stored) => {
            let now = parts.source.issuer().clock().now();
            let foreign = match &stored.entry {
                Some(entry) => !parts.source.issuer().made(entry).await,
                None => false,
            };
            found.push(match stored.entry {
                Some(_) if foreign => Finding::new(
                    "home",
                    Verdict::Odd,
                    format!(
                        "{}: holds a token of another API client or another server. It is not used; the next token \
                         replaces it",
                        place.place()
                    ),
                ),
                None => Finding::new("home", Verdict::Good, format!("{}: empty", place.place())),
                Some(entry) if entry.held_until.is_some_and(|until| until > now) => Finding::new(
                    "home",
                    Verdict::Bad,
                    "tokens kept here were ended by another holder of the client secret, twice: \
                     give each installation an API client of its own, or let all share this home",
                ),
                Some(entry) if entry.generation < generation => Finding::new(
                    "home",
                    Verdict::Odd,
                    format!(
                        "{}: holds generation {}, but the server's newest is {}: somebody generates elsewhere",
                        place.place(),
                        entry.generation.unwrap_or(0),
                        generation.unwrap_or(0)
                    ),
                ),
                Some(entry) => {
                    Finding::new("home", Verdict::Good, format!("{}: {}", place.place(), entry.name()))
                }
            });
        }
    }
    let wish = LeaseRequest {
        ttl: Duration::from_secs(5),
        queue: None,
    };
    let lease = match shared.lease(&wish).await {
        Ok(Leasing::Busy) => Finding::new("lease", Verdict::Odd, "somebody renews right now"),
        Ok(Leasing::Taken(lease)) => {
            let checked = check("write", place.as_ref(), "a token can be stored".to_owned()).await;
            found.push(checked);
            match shared.release(lease).await {
                Ok(()) => Finding::new("lease", Verdict::Good, "can be taken and given back"),
                Err(trouble) => Finding::new("lease", Verdict::Bad, trouble.to_string()),
            }
        }
        Err(trouble) => Finding::new("lease", Verdict::Bad, trouble.to_string()),
    };
    found.push(lease);
}
