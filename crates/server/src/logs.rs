//! Log lines: structured, with a request id, never a secret.

use crate::config::{Config, LogFormat};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging to standard error. Asked for twice (in tests), the first stands.
pub fn start(config: &Config) {
    let mut targets: Targets = config
        .log
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    // These print whole request heads and statements with their parameters at their lower levels.
    for noisy in ["hyper", "h2", "tokio_postgres", "rustls"] {
        targets = targets.with_target(noisy, tracing::Level::WARN);
    }
    let registry = tracing_subscriber::registry().with(targets);
    let _ = match config.log_format {
        LogFormat::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry
                .with(
                    tracing_subscriber::fmt::layer()
                        .with_ansi(colour)
                        .with_writer(std::io::stderr),
                )
                .try_init()
        }
    };
}

/// A path as it may be logged: whoever puts a credential into a URL finds it cut out here, and no
/// control character reaches a terminal.
#[must_use]
pub fn safe(path: &str) -> String {
    let finds = tokenward_core::scan::scan(path.as_bytes());
    let mut out = String::with_capacity(path.len().min(256));
    let mut at = 0;
    for find in finds {
        out.push_str(&path[at..find.start]);
        out.push_str("(credential)");
        at = find.end;
    }
    out.push_str(&path[at..]);
    let plain = |c: char| if c.is_control() { '?' } else { c };
    out.chars().map(plain).take(256).collect()
}
