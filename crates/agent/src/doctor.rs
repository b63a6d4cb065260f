//! `doctor`: looks at every part in the order in which a token passes them, says what is wrong and how to mend it.
//! It generates nothing and changes nothing but taking, and giving back, the home's lease.

use serde_json::{Value, json};
use std::fmt::Display;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokenward_client::Entry;
use tokenward_client::config::Parts;
use tokenward_client::destination::{Destination, LeaseRequest};
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

    /// What was found well, or what is wrong.
    fn of(what: &'static str, looked: Result<String, impl Display>) -> Self {
        match looked {
            Ok(says) => Self::new(what, Verdict::Good, says),
            Err(trouble) => Self::new(what, Verdict::Bad, trouble.to_string()),
        }
    }

    /// For people.
    pub(crate) fn line(&self) -> String {
        let word = match self.verdict {
            Verdict::Bad => "BAD",
            other => other.word(),
        };
        format!("{word:<4} {:<8} {}", self.what, self.says)
    }

    /// For programs.
    pub(crate) fn json(&self, alias: &str) -> Value {
        let verdict = self.verdict.word();
        json!({"client": alias, "part": self.what, "verdict": verdict, "says": self.says})
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Odd => "odd",
            Self::Bad => "bad",
        }
    }
}

/// Looks at one client.
pub(crate) async fn look(config: &Path, parts: &Parts) -> Vec<Finding> {
    let mut found = vec![file(config)];
    found.push(secret(parts).await);
    let generation = server(parts, &mut found).await;
    home(parts, generation, &mut found).await;
    for copy in parts.source.copies() {
        let well = if copy.clone().into_home().is_some() {
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
        Ok(Some(cost)) => Finding::new(what, Verdict::Odd, format!("{}: {cost}", place.place())),
        checked => Finding::of(what, checked.map(|_| well)),
    }
}

fn file(config: &Path) -> Finding {
    let shown = config.display();
    let looked = match std::fs::metadata(config) {
        Ok(found) if found.permissions().mode() & 0o022 != 0 => Err(format!(
            "{shown}: others can change it, and so where the secret is sent: run chmod go-w {shown}"
        )),
        Ok(_) => Ok(shown.to_string()),
        Err(error) => Err(format!("{shown}: {error}")),
    };
    Finding::of("config", looked)
}

async fn secret(parts: &Parts) -> Finding {
    let source = parts.source.issuer().secret();
    let name = source.name();
    let looked = match source.secret().await {
        Err(trouble) => Err(trouble.to_string()),
        Ok(secret) => match tokenward_core::ClientSecret::parse(secret.expose()) {
            Ok(known) => Ok(format!("{name}, for {}", known.environment().as_str())),
            Err(_) if parts.source.issuer().kind() == Kind::Clear => Ok(name),
            Err(_) => Err(format!(
                "{name}: not in the shape of Tokenward's secrets; was it copied whole?"
            )),
        },
    };
    Finding::of("secret", looked)
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
    found.push(Finding::of("server", answered));
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
    let home = parts.source.home();
    found.push(match home.read().await {
        Err(trouble) => Finding::of("home", Err(trouble)),
        Ok(stored) => held(parts, generation, stored.entry).await,
    });
    let wish = LeaseRequest {
        ttl: Duration::from_secs(5),
        queue: None,
    };
    let lease = match home.lease(&wish).await {
        Ok(None) => Finding::new("lease", Verdict::Odd, "somebody renews right now"),
        Ok(Some(lease)) => {
            let checked = check("write", &**home, "a token can be stored".to_owned()).await;
            found.push(checked);
            let released = home.release(lease).await;
            Finding::of(
                "lease",
                released.map(|()| "can be taken and given back".to_owned()),
            )
        }
        Err(trouble) => Finding::of("lease", Err(trouble)),
    };
    found.push(lease);
}

/// What the home holds.
async fn held(parts: &Parts, generation: Option<u32>, entry: Option<Arc<Entry>>) -> Finding {
    let issuer = parts.source.issuer();
    let place = parts.source.home().place();
    let (verdict, says) = match entry {
        None => (Verdict::Good, format!("{place}: empty")),
        Some(entry) if !issuer.made(&entry).await => (
            Verdict::Odd,
            format!(
                "{place}: holds a token of another API client or another server. It is not used; the next token \
                 replaces it"
            ),
        ),
        Some(entry)
            if entry
                .held_until
                .is_some_and(|until| until > issuer.clock().now()) =>
        {
            (
                Verdict::Bad,
                "tokens kept here were ended by another holder of the client secret, twice: \
             give each installation an API client of its own, or let all share this home"
                    .to_owned(),
            )
        }
        Some(entry) if entry.generation < generation => (
            Verdict::Odd,
            format!(
                "{place}: holds generation {}, but the server's newest is {}: somebody generates elsewhere",
                entry.generation.unwrap_or(0),
                generation.unwrap_or(0)
            ),
        ),
        Some(entry) => (Verdict::Good, format!("{place}: {}", entry.name())),
    };
    Finding::new("home", verdict, says)
}
