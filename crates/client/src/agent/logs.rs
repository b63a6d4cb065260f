//! Log lines on standard error: what happened to which generation, never a token or a secret. Libraries below
//! log whole messages at their lower levels, so only our own lines follow the level asked for.

use std::io::{IsTerminal as _, stderr};
use tokenward_client::config::LogFormat;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging. Asked for twice, the first stands.
pub(crate) fn start(level: Level, format: LogFormat) {
    let targets = Targets::new()
        .with_default(Level::WARN.min(level))
        .with_target("tokenward_client", level)
        .with_target("tokenward_agent", level);
    let registry = tracing_subscriber::registry().with(targets);
    let _ = match format {
        LogFormat::Json => registry
            .with(fmt::layer().json().with_writer(stderr))
            .try_init(),
        LogFormat::Text => {
            let layer = fmt::layer()
                .with_target(false)
                .with_ansi(stderr().is_terminal());
            registry.with(layer.with_writer(stderr)).try_init()
        }
    };
}
