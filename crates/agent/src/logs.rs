//! Log lines on standard error: what happened to which generation, never a token or a secret. Libraries below
//! log whole messages at their lower levels, so only our own lines follow the level asked for. A reader of standard
//! error that is slow, stalled or gone stops nothing here: lines wait in a bounded queue for a thread of their own, and
//! those for which there is no room are dropped and counted.

use crate::config::LogFormat;
use std::io::{IsTerminal as _, stderr};
use std::sync::{Mutex, OnceLock, PoisonError};
use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lines that wait for a reader of standard error; at a few hundred bytes each, a megabyte.
const MOST_WAITING_LINES: usize = 4096;

static WRITER: Mutex<Option<WorkerGuard>> = Mutex::new(None);
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Starts logging. Asked for twice, the first stands.
pub(crate) fn start(level: Level, format: LogFormat) {
    let targets = Targets::new()
        .with_default(Level::WARN.min(level))
        .with_target("tokenward_client", level)
        .with_target("tokenward_agent", level);
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(MOST_WAITING_LINES)
        .finish(stderr());
    let dropped = writer.error_counter();
    let registry = tracing_subscriber::registry().with(targets);
    let layer = fmt::layer().log_internal_errors(false);
    let started = match format {
        LogFormat::Json => registry.with(layer.json().with_writer(writer)).try_init(),
        LogFormat::Text => {
            let layer = layer.with_target(false).with_ansi(stderr().is_terminal());
            registry.with(layer.with_writer(writer)).try_init()
        }
    };
    if started.is_ok() {
        let _ = DROPPED.set(dropped);
        *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    }
}

/// Writes the lines that wait, for a second at most, and ends logging: before the process ends or becomes another.
pub(crate) fn finish() {
    drop(WRITER.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Lines dropped so far because they were not read in time.
pub(crate) fn dropped() -> u64 {
    let dropped = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    u64::try_from(dropped).unwrap_or(u64::MAX)
}
