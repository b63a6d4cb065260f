//! Delivers what is due in the outbox. Each target has a few places of its own, so that a slow one holds up
//! nobody else; what fails is tried again for three days, and then given up and shown.

use super::limit::{MailLimit, hour_began};
use super::webhook::Message;
use super::{Post, ROUND, Stuck, every, mail_recipient, seal_context};
use crate::app::App;
use crate::verbs::addresses::CONFIRM;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::ids::WorkspaceId;
use tokenward_core::time::{Clock, Timestamp};
use tokenward_store::StoreError;
use tokenward_store::notices::{Notice, NoticeWrite, Settled, Target, folded_address};
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
pub(super) type End = Result<(), Undelivered>;

/// Why a notice was not delivered.
#[derive(Clone)]
pub(super) enum Undelivered {
    Failed(String),
    /// It makes no sense to try again.
    GivenUp(String),
}

impl From<String> for Undelivered {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<StoreError> for Undelivered {
    fn from(error: StoreError) -> Self {
        crate::logs::read_failed(&error);
        Self::failed("the store could not be read")
    }
}

impl Undelivered {
    pub(super) fn given_up(why: &str) -> Self {
        Self::GivenUp(why.to_owned())
    }

    pub(super) fn failed(why: &str) -> Self {
        Self::Failed(why.to_owned())
    }
}

/// What is being delivered.
pub(super) struct Deliveries {
    app: Arc<App>,
    post: Arc<Post>,
    running: JoinSet<Over>,
    /// Notices on their way or not known to be settled: they must not start again.
    places: HashMap<Target, HashSet<u64>>,
    /// Attempts over and not yet written.
    over: Vec<Over>,
    /// How many mails each address got in this hour.
    limit: MailLimit,
    /// Who is being sent what was held back, and for which workspace: it must not start again.
    digests: HashSet<(String, WorkspaceId)>,
    /// The target looked at last.
    last: Option<Target>,
    /// Whether this node was the housekeeper in the round before.
    housekeeper: bool,
}

impl Deliveries {
    pub(super) fn new(app: Arc<App>, post: Arc<Post>) -> Self {
        Self {
            app,
            post,
            running: JoinSet::new(),
            places: HashMap::new(),
            over: Vec::new(),
            limit: MailLimit::default(),
            digests: HashSet::new(),
            last: None,
            housekeeper: false,
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
                && OUTAGE_LINES.admit(self.app.data.clock().boot()).is_some()
            {
                tracing::warn!("notices wait: {error}");
            }
        }
        let drain = Duration::from_secs(self.app.data.config.drain_seconds);
        let rest = async {
            while let Some(ended) = self.running.join_next().await {
                self.ended(ended);
            }
        };
        // What is cut off here is delivered once more after the next start.
        let _ = tokio::time::timeout(drain, rest).await;
        self.settle().await;
    }

    fn ended(&mut self, ended: Result<Over, tokio::task::JoinError>) {
        match ended {
            Ok(over) => {
                if let Some(recipient) = &over.unsent {
                    self.limit.give_back(recipient);
                }
                self.over.push(over);
            }
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
        let settled = self.over.iter().flat_map(|over| over.settled.clone());
        let settled = NoticeWrite::Settled(settled.collect());
        if let Err(failure) = self.app.data.note(vec![Record::Notice(settled)]).await {
            tracing::warn!("could not write which notices were delivered: {failure}");
            return;
        }
        for over in std::mem::take(&mut self.over) {
            if let Some(digest) = &over.digest {
                self.digests.remove(digest);
            }
            if let Some(places) = self.places.get_mut(&over.target) {
                for settled in &over.settled {
                    places.remove(&settled.no);
                }
                if places.is_empty() {
                    self.places.remove(&over.target);
                }
            }
        }
    }

    /// Starts what is due and has a place, while this node is the one that delivers. Another one that still does for a
    /// moment may deliver the same notice once more.
    async fn start(&mut self) -> Result<(), Stuck> {
        let app = Arc::clone(&self.app);
        let before = std::mem::replace(&mut self.housekeeper, app.data.store.is_housekeeper());
        if !self.housekeeper {
            return Ok(());
        }
        if !before {
            // Others have sent mails since; how many is read again.
            self.limit = MailLimit::default();
        }
        let reader = app.data.reader();
        let now = app.data.clock().wall();
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
                for notice in due.iter().filter(|notice| is_limited(notice)) {
                    let recipient = &notice.made.recipient;
                    if !self.limit.knows(recipient, now) {
                        let sent = reader.mailed_since(recipient, hour_began(now)).await?;
                        self.limit.remember(recipient, sent);
                    }
                }
                self.start_some(&target, due, now).await?;
            }
        }
        self.last = at;
        Ok(())
    }

    async fn start_some(
        &mut self,
        target: &Target,
        due: Vec<Notice>,
        now: Timestamp,
    ) -> Result<(), Stuck> {
        let mut held = BTreeMap::new();
        for notice in due {
            let places = self.places.entry(target.clone()).or_default();
            if places.len() >= AT_ONCE_TO_ONE {
                break;
            }
            if places.contains(&notice.no) {
                continue;
            }
            let recipient = notice.made.recipient.clone();
            let digest = (folded_address(&recipient), notice.made.workspace);
            if notice.held && self.digests.contains(&digest) {
                continue;
            }
            if is_limited(&notice)
                && let Err(until) = self.limit.take(&recipient, now)
            {
                held.insert(recipient, until);
                continue;
            }
            places.insert(notice.no);
            let (app, post) = (Arc::clone(&self.app), Arc::clone(&self.post));
            if notice.held {
                self.digests.insert(digest.clone());
                self.running.spawn(async move {
                    let over = mail_recipient::held(&app, &post, &notice, now).await;
                    Over {
                        digest: Some(digest),
                        ..over
                    }
                });
            } else {
                self.running.spawn(async move {
                    let end = attempt(&app, &post, &notice).await;
                    Over::one(&app, &notice, end)
                });
            }
        }
        if held.is_empty() {
            return Ok(());
        }
        let hold = |(recipient, until)| {
            Record::Notice(NoticeWrite::Held {
                recipient,
                now,
                until,
            })
        };
        let records = held.into_iter().map(hold).collect();
        Ok(self.app.data.note(records).await?)
    }
}

/// Whether the notice counts against the limit of mails an hour. Confirmation mails have limits of their own.
fn is_limited(notice: &Notice) -> bool {
    notice.made.target == Target::Mail && notice.made.kind != CONFIRM
}

/// An attempt that is over.
pub(super) struct Over {
    target: Target,
    /// Whom it sent what was held back.
    digest: Option<(String, WorkspaceId)>,
    /// The address that was counted and got nothing.
    unsent: Option<String>,
    settled: Vec<Settled>,
}

impl Over {
    /// An attempt at one notice.
    pub(super) fn one(app: &App, notice: &Notice, end: End) -> Self {
        let unsent = is_limited(notice) && end.is_err();
        Self {
            target: notice.made.target.clone(),
            digest: None,
            unsent: unsent.then(|| notice.made.recipient.clone()),
            settled: vec![settled(app, notice, end)],
        }
    }

    /// An attempt at several notices to one address in one mail.
    pub(super) fn many(app: &App, first: &Notice, all: Vec<(Notice, End)>) -> Self {
        let sent = all.iter().any(|(_, end)| end.is_ok());
        Self {
            target: first.made.target.clone(),
            digest: None,
            unsent: (!sent).then(|| first.made.recipient.clone()),
            settled: all
                .into_iter()
                .map(|(notice, end)| settled(app, &notice, end))
                .collect(),
        }
    }
}

async fn attempt(app: &App, post: &Post, notice: &Notice) -> End {
    let made = &notice.made;
    let Target::Webhook(id) = &made.target else {
        return mail_recipient::one(app, post, notice).await;
    };
    let found = app.data.reader().webhook(*id).await?;
    let webhook = found.ok_or_else(|| Undelivered::given_up("the webhook was deleted"))?;
    if webhook.disabled_at.is_some() {
        return Err(Undelivered::given_up("the webhook was disabled"));
    }
    let now = app.data.clock().wall();
    let former = webhook.former.filter(|(_, till)| now < *till);
    let sealed = [Some(webhook.secret), former.map(|(sealed, _)| sealed)];
    let open = |sealed: Vec<u8>| app.data.keyring.open_at_rest(&seal_context(*id), &sealed);
    let secrets: Vec<_> = sealed.into_iter().flatten().filter_map(open).collect();
    if secrets.is_empty() {
        let why = "its secret can't be read: is the digest key gone?";
        return Err(Undelivered::failed(why));
    }
    let message = Message {
        id: made.id,
        body: &made.body,
        at: app.data.clock().system(),
        secrets: &secrets,
    };
    Ok(post.webhooks.post(&webhook.url, &message).await?)
}

fn settled(app: &App, notice: &Notice, end: End) -> Settled {
    let now = app.data.clock().wall();
    let (done_at, due_at, error, outcome) = match end {
        Ok(()) => (Some(now), None, String::new(), "DELIVERED"),
        Err(Undelivered::GivenUp(why)) => (None, None, why, "GIVEN_UP"),
        Err(Undelivered::Failed(why)) => {
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
    app.data.metrics.notice(outcome);
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
