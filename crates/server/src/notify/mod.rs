//! Telling people and programs what happens to API clients, by e-mail and webhook. Three loops that never meet
//! a caller: one follows the audit log and makes notices of it (`follow`), one looks round for what time
//! brings (`scan`), one delivers what is in the outbox (`deliver`). The outbox is in the database, and the log is
//! followed in the same transaction that fills it: a notice is delivered at least once, or given up and shown. Of several
//! nodes the housekeeper does it ([`tokenward_store::Store::is_housekeeper`]); two of them for a moment do no harm, because
//! there is one notice of a key and the cursor never moves back.

mod deliver;
mod event;
mod follow;
mod limit;
mod listeners;
mod mail;
mod mail_recipient;
mod scan;
mod webhook;

pub use mail::MailUnusable;
pub(crate) use mail::check as check_mail;
pub(crate) use tokenward_store::notices::seal_context;

use crate::app::App;
use deliver::Deliveries;
use follow::Follower;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::Clock as _;
use tokenward_store::{Failure, StoreError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// During an outage a line a minute is enough.
static OUTAGE_LINES: crate::logs::Limit = crate::logs::Limit::new(1, 60);

/// How often it is looked whether there is something to tell.
const ROUND: Duration = Duration::from_secs(1);

/// Why a step was not done; it is done again.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error("a read failed: {0}")]
    Read(#[from] StoreError),
    #[error("a write failed: {0}")]
    Write(#[from] Failure),
}

/// What delivers: the mail server, if there is one, and HTTP.
pub(crate) struct Post {
    mail: Option<mail::Mailer>,
    webhooks: webhook::Poster,
}

impl Post {
    /// From the configuration.
    pub(crate) fn open(app: &App) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self {
            mail: mail::Mailer::open(&app.data.config)?,
            webhooks: webhook::Poster::open(&app.data.config)?,
        })
    }
}

/// Tells until told to stop, then waits for what is being delivered.
pub(crate) async fn run(app: Arc<App>, post: Post, stop: watch::Receiver<bool>) {
    let stopped = || {
        let mut stop = stop.clone();
        async move { drop(stop.wait_for(|stop| *stop).await) }
    };
    let following = async {
        tokio::select! {
            () = follow(&app) => {}
            () = stopped() => {}
        }
    };
    let scanning = async {
        tokio::select! {
            () = scan(&app) => {}
            () = stopped() => {}
        }
    };
    let deliveries = Deliveries::new(Arc::clone(&app), Arc::new(post));
    tokio::join!(following, scanning, deliveries.run(stopped()));
}

async fn follow(app: &App) {
    let mut follower = Follower::default();
    let mut round = every(ROUND);
    loop {
        round.tick().await;
        loop {
            match follower.step(app).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(stuck) => {
                    if OUTAGE_LINES.admit(app.data.clock().boot()).is_some() {
                        tracing::warn!("notices wait: {stuck}");
                    }
                    break;
                }
            }
        }
    }
}

async fn scan(app: &App) {
    let mut round = every(Duration::from_secs(app.data.config.notice_scan_seconds));
    loop {
        round.tick().await;
        if let Err(stuck) = scan::look_round(app).await {
            tracing::warn!("the look round for notices was cut short: {stuck}");
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Whether anybody wants to hear anything, and can.
async fn anybody_listens(app: &App) -> Result<bool, StoreError> {
    let listening = app.data.reader().listening().await?;
    Ok(listening.webhooks || listening.emails && app.data.config.mail_url.is_some())
}
