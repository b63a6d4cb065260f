//! Delivers what is due in the outbox. Each target has a few places of its own, so that a slow one holds up
//! nobody else; what fails is tried again for three days, and then given up and shown.

use super::webhook::Message;
use super::{Post, ROUND, every, seal_context};
use crate::app::App;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::Clock;
use tokenward_store::StoreError;
use tokenward_store::notices::{Notice, NoticeWrite, Settled, Target};
use tokenward_store::people::Record;
use tokio::task::JoinSet;

/// During an outage a line a minute is enough.
static OUTAGE_LINES: crate::logs::Limit = crate::logs::Limit::new(1, 60);

/// Deliveries at once: what a small machine does beside its checks.
const AT_ONCE: usize = 64;
/// Of them to one target: a receiver that hangs keeps no more places than these.
const AT_ONCE_TO_ONE: usize = 4;
/// Targets looked at in one round; the others have their turn in the next.
const TARGETS_A_ROUND: usize = 200;
/// Seconds from each failure to the next attempt: soon after a hiccup, at last twice a day, and over after three
/// days, which outlast a weekend.
const RETRY_SECONDS: [u64; 12] = [
    2, 15, 60, 300, 900, 3_600, 7_200, 14_400, 28_800, 43_200, 64_800, 93_600,
];

/// How an attempt ended.
enum End {
    Delivered,
    Failed(String),
    /// It makes no sense to try again.
    GivenUp(String),
}

/// What is being delivered.
pub(super) struct Deliveries {
    app: Arc<App>,
    post: Arc<Post>,
    running: JoinSet<(Target, Settled)>,
    /// Notices on their way or not known to be settled: they must not start again.
    places: HashMap<Target, HashSet<u64>>,
    /// Attempts over and not yet written.
    over: Vec<(Target, Settled)>,
    /// The target looked at last.
    last: Option<Target>,
}

impl Deliveries {
    pub(super) fn new(app: Arc<App>, post: Arc<Post>) -> Self {
        Self {
            app,
            post,
            running: JoinSet::new(),
            places: HashMap::new(),
            over: Vec::new(),
            last: None,
        }
    }

    /// Delivers until `stopped`, then waits for what is on its way.
    pub(super) async fn run(mut self, stopped: impl Future<Output = ()>) {
        tokio::pin!(stopped);
        let mut round = every(ROUND);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                _ = round.tick() => {}
                Some(ended) = self.running.join_next() => self.ended(ended),
            }
            self.settle().await;
            if let Err(error) = self.start().await
                && OUTAGE_LINES.admit(self.app.clock().boot()).is_some()
            {
                tracing::warn!("notices wait: {error}");
            }
        }
        let drain = Duration::from_secs(self.app.config.drain_seconds);
        let rest = async {
            while let Some(ended) = self.running.join_next().await {
                self.ended(ended);
            }
        };
        // What is cut off here is delivered once more after the next start.
        let _ = tokio::time::timeout(drain, rest).await;
        self.settle().await;
    }

    fn ended(&mut self, ended: Result<(Target, Settled), tokio::task::JoinError>) {
        match ended {
            Ok(over) => self.over.push(over),
            // Its place stays taken until the next start: what panicked once would do so again.
            Err(error) => tracing::error!("a delivery ended badly: {error}"),
        }
    }

    /// Writes how attempts ended; what can't be written now is written later, and not tried before.
    async fn settle(&mut self) {
        while let Some(ended) = self.running.try_join_next() {
            self.ended(ended);
        }
        if self.over.is_empty() {
            return;
        }
        let settled = self.over.iter().map(|(_, settled)| settled.clone());
        let settled = NoticeWrite::Settled(settled.collect());
        if let Err(failure) = self
            .app
            .store
            .note(vec![Record::Notice(settled)], Vec::new())
            .await
        {
            tracing::warn!("could not write which notices were delivered: {failure}");
            return;
        }
        for (target, settled) in std::mem::take(&mut self.over) {
            if let Some(places) = self.places.get_mut(&target) {
                places.remove(&settled.no);
                if places.is_empty() {
                    self.places.remove(&target);
                }
            }
        }
    }

    /// Starts what is due and has a place.
    async fn start(&mut self) -> Result<(), StoreError> {
        let app = Arc::clone(&self.app);
        let reader = app.store.reader();
        let now = app.clock().wall();
        let begun = self.last.take();
        let (mut at, mut round) = (begun.clone(), false);
        for _ in 0..TARGETS_A_ROUND {
            if self.running.len() >= AT_ONCE {
                break;
            }
            let Some(target) = reader.next_target(at.as_ref()).await? else {
                if round || begun.is_none() {
                    at = None;
                    break;
                }
                (at, round) = (None, true);
                continue;
            };
            if round && begun.as_ref().is_some_and(|begun| target > *begun) {
                break;
            }
            at = Some(target.clone());
            let taken = self.places.get(&target).map_or(0, HashSet::len);
            if taken < AT_ONCE_TO_ONE {
                let due = reader.due(&target, now, 2 * AT_ONCE_TO_ONE).await?;
                self.start_some(&target, due);
            }
        }
        self.last = at;
        Ok(())
    }

    fn start_some(&mut self, target: &Target, due: Vec<Notice>) {
        for notice in due {
            let places = self.places.entry(target.clone()).or_default();
            if places.len() >= AT_ONCE_TO_ONE {
                break;
            }
            if places.insert(notice.no) {
                let (app, post) = (Arc::clone(&self.app), Arc::clone(&self.post));
                self.running.spawn(async move {
                    let end = attempt(&app, &post, &notice).await;
                    (notice.made.target.clone(), settled(&app, &notice, end))
                });
            }
        }
    }
}

async fn attempt(app: &App, post: &Post, notice: &Notice) -> End {
    let made = &notice.made;
    let ended = match &made.target {
        Target::Mail => match &post.mail {
            Some(mail) => mail.send(&made.recipient, made.id, &made.body).await,
            None => Err("no mail server is configured".into()),
        },
        Target::Webhook(id) => {
            let webhook = match app.store.reader().webhook(*id).await {
                Ok(Some(webhook)) => webhook,
                Ok(None) => return End::GivenUp("the webhook was deleted".into()),
                Err(error) => {
                    crate::logs::read_failed(&error);
                    return End::Failed("the store could not be read".into());
                }
            };
            if webhook.disabled_at.is_some() {
                return End::GivenUp("the webhook was disabled".into());
            }
            let now = app.clock().wall();
            let former = webhook.former.filter(|(_, till)| now < *till);
            let sealed = [Some(webhook.secret), former.map(|(sealed, _)| sealed)];
            let open = |sealed: Vec<u8>| app.keyring.open_at_rest(&seal_context(*id), &sealed);
            let secrets: Vec<_> = sealed.into_iter().flatten().filter_map(open).collect();
            if secrets.is_empty() {
                return End::Failed("its secret can't be read: is the digest key gone?".into());
            }
            let message = Message {
                id: made.id,
                body: &made.body,
                at: app.clock().system(),
                secrets: &secrets,
            };
            post.webhooks.post(&webhook.url, &message).await
        }
    };
    match ended {
        Ok(()) => End::Delivered,
        Err(why) => End::Failed(why),
    }
}

fn settled(app: &App, notice: &Notice, end: End) -> Settled {
    let now = app.clock().wall();
    let (done_at, due_at, error, outcome) = match end {
        End::Delivered => (Some(now), None, String::new(), "DELIVERED"),
        End::GivenUp(why) => (None, None, why, "GIVEN_UP"),
        End::Failed(why) => {
            let wait = RETRY_SECONDS.get(notice.attempts as usize);
            let due_at = wait.map(|seconds| now.plus_seconds(*seconds));
            let outcome = if due_at.is_some() {
                "FAILED"
            } else {
                "GIVEN_UP"
            };
            (None, due_at, why, outcome)
        }
    };
    app.metrics.notice(outcome);
    Settled {
        no: notice.no,
        done_at,
        due_at,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_go_on_for_about_three_days_at_growing_distances() {
        assert!(RETRY_SECONDS.is_sorted());
        let days = RETRY_SECONDS.iter().sum::<u64>() / 86_400;
        assert_eq!(days, 2, "and most of a third one");
    }
}
