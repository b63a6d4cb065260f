//! `run`: renews every client's token ahead of time and keeps every destination told. Between two renewals it
//! sleeps; nothing here looks again and again.

use crate::exit::End;
use crate::health::{self, State};
use sd_notify::NotifyState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokenward_client::clock::sleep_through_suspend;
use tokenward_client::config::Config;
use tokenward_client::protocol::{Outcome, backoff};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

/// How long an end waits for a renewal under way: an answer of the server, and storing it.
const FINISH_LIMIT: Duration = Duration::from_secs(25);
/// Longest sleep between two tries after a failure: a mended place is found within a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs until told to end.
pub(crate) async fn run(config: Config, listen: Option<SocketAddr>) -> Result<(), End> {
    let failed = |error: std::io::Error| End::failed(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(failed)?;
    let look = Arc::new(Notify::new());
    let (end, ended) = watch::channel(false);
    let states: Vec<Arc<State>> = config
        .clients
        .into_values()
        .map(|parts| Arc::new(State::new(parts)))
        .collect();
    if let Some(address) = listen {
        let bound = health::serve(address, states.clone()).await?;
        tracing::info!(address = %bound, "health and metrics");
    }
    let mut tasks = tokio::task::JoinSet::new();
    for state in &states {
        let (state, all) = (state.clone(), states.clone());
        tasks.spawn(keep(state, look.clone(), ended.clone(), all));
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => look.notify_waiters(),
        }
    }
    tracing::info!("ending");
    notify(&[NotifyState::Stopping]);
    let _ = end.send(true);
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(FINISH_LIMIT, all).await.is_err() {
        tracing::warn!("a renewal under way is left behind");
    }
    Ok(())
}

/// Keeps one client's token.
async fn keep(
    state: Arc<State>,
    look: Arc<Notify>,
    mut ended: watch::Receiver<bool>,
    all: Vec<Arc<State>>,
) {
    let mut failures = 0;
    while !*ended.borrow() {
        let done = round(&state).await;
        failures = if done { 0 } else { failures + 1 };
        ready(&all);
        let due = state.parts.source.renews_in();
        let pause = if done {
            due
        } else {
            let soon = backoff(failures, 0.5, None).min(LONGEST_PAUSE);
            Some(due.unwrap_or(soon).clamp(soon, LONGEST_PAUSE))
        };
        tokio::select! {
            _ = ended.changed() => {}
            () = look.notified() => state.parts.source.forget_memory(),
            _ = sleep(pause) => {}
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => {
            if let Err(error) = sleep_through_suspend(pause).await {
                tracing::error!(%error, "no timer");
                std::future::pending().await
            }
        }
        // It never expires.
        None => std::future::pending().await,
    }
}

/// One look; true when the token will do and every place has it.
async fn round(state: &State) -> bool {
    let (alias, source) = (&state.parts.alias, &state.parts.source);
    let stop = match source.refresh().await {
        Outcome::Fresh(entry) | Outcome::Renewed(entry) => {
            if state.told(&entry) {
                source.unsettle(&entry);
                tracing::info!(client = alias, token = entry.name(), "current token");
            }
            None
        }
        Outcome::Unstored(_, trouble) => Some(trouble.to_string()),
        Outcome::Meanwhile(_, stop) => {
            tracing::warn!(client = alias, %stop, "not renewed; the current token lives still");
            state.note(Some(stop.to_string()));
            return false;
        }
        Outcome::Failed(stop) => {
            tracing::error!(client = alias, %stop, "no token");
            state.note(Some(stop.to_string()));
            return false;
        }
    };
    state.note(stop);
    let Err(stops) = source.settle().await else {
        return true;
    };
    let all: Vec<String> = stops.iter().map(ToString::to_string).collect();
    state.note(Some(all.join("; ")));
    false
}

/// Tells systemd, once every client has a living token, that who needs one may start.
fn ready(all: &[Arc<State>]) {
    let living = all.iter().filter(|state| state.lives()).count();
    let status = format!("{living} of {} clients have a living token", all.len());
    let mut news = vec![NotifyState::Status(&status)];
    if living == all.len() {
        news.push(NotifyState::Ready);
    }
    notify(&news);
}

fn notify(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        tracing::debug!(%error, "systemd was not told");
    }
}
