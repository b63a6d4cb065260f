//! What is written each second besides what callers ask for: when clients were last used, and what was
//! counted of them. No caller waits for it, and losing it loses figures only. Each node writes its own figures; old rows are
//! deleted by the housekeeper.

use crate::app::App;
use crate::auth::passkeys;
use tokenward_core::ids::ClientNo;
use tokenward_core::time::{Clock, Timestamp};
use tokenward_store::Failure;
use tokenward_store::counts::DAYS_KEPT;
use tokenward_store::people::Record;

/// During an outage a line a minute is enough.
static OUTAGE_LINES: crate::logs::Limit = crate::logs::Limit::new(1, 60);

/// Uses, and rows of counts of each kind, written at once and in a second: some hundredths of one core.
/// When more clients than that are used, what is written lags behind what is counted.
const ROWS_AT_ONCE: usize = 2_000;
/// Clients whose old counts are forgotten at once: at most some ten thousand rows to look at.
const CLIENTS_A_STEP: u32 = 1_000;

/// How often the change log is trimmed: after so many changes, and after so many seconds, because changes grow old.
const TRIM_CHANGES: u64 = 1_024;
const TRIM_SECONDS: u64 = 60;

/// Seconds that Tokenward's time must be ahead of the machine's clock to be worth a warning, and below which it is over.
const AHEAD_WARNED: f64 = 2.0;
const AHEAD_OVER: f64 = 1.0;

/// How far the old counts are forgotten, and what was warned of.
#[derive(Debug, Default)]
pub(crate) struct Housekeeping {
    /// Whether the machine's clock is known to be behind.
    behind: bool,
    /// The day on which all of them last were.
    done: u32,
    /// The first client whose are not yet.
    next: u32,
    /// The last change when the log was trimmed, and when that was, in seconds of the boot clock.
    trimmed: (u64, u64),
}

impl Housekeeping {
    /// Does a second's work; answers whether anything was written.
    pub(crate) async fn tick(&mut self, app: &App) -> bool {
        self.compare_clocks(app);
        let nodes = app.data.nodes();
        app.people.share_limits(nodes);
        app.issuance.share_limits(nodes);
        let today = app.data.today();
        crate::auth::attempts::write(&app.people, false).await;
        let mut records = app.data.admin_uses.take(false);
        if app.data.store.is_housekeeper() {
            records.extend(self.forget(app, today));
            self.trim_log(app).await;
        }
        write(app, app.data.hour(), records).await
    }

    /// Trims the change log. No caller waits for it, and the next run makes up for one that failed.
    async fn trim_log(&mut self, app: &App) {
        let now = app.data.clock().boot().0 / 1_000_000_000;
        let last = app.data.replica().applied();
        let changes = last.saturating_sub(self.trimmed.0);
        let seconds = now.saturating_sub(self.trimmed.1);
        let aged = app.data.store.is_shared() && seconds >= TRIM_SECONDS;
        if changes < TRIM_CHANGES && !aged {
            return;
        }
        self.trimmed = (last, now);
        if let Err(failure) = app.data.store.trim_log().await
            && OUTAGE_LINES.admit(app.data.clock().boot()).is_some()
        {
            tracing::warn!("the change log was not trimmed: {failure}");
        }
    }

    /// Warns once when the machine's clock falls behind Tokenward's time.
    fn compare_clocks(&mut self, app: &App) {
        let ahead = app.data.clock().ahead().as_secs_f64();
        if !self.behind && ahead >= AHEAD_WARNED {
            self.behind = true;
            tracing::warn!(
                seconds = ahead.round(),
                "the system clock is behind the latest time that this store has seen: it was set back, or was ahead before. \
                 Tokenward's time does not go back, so that expired tokens stay expired; it runs slightly slower until both \
                 agree. Check the machine's time synchronisation"
            );
        } else if self.behind && ahead < AHEAD_OVER {
            self.behind = false;
            tracing::info!("the system clock has caught up with Tokenward's time");
        }
    }

    /// Once a day all clients' old counts are forgotten, step by step, and before the first step the invitations and the
    /// challenges that have ended. Another node that has done it today does it once more in vain.
    fn forget(&mut self, app: &App, today: u32) -> Vec<Record> {
        if self.done == today {
            return Vec::new();
        }
        let first = self.next;
        let before = app.data.clock().wall();
        let unanswered = Timestamp(before.0 - passkeys::CEREMONY_MICROS);
        let ended = [
            Record::InvitationsForgotten { before },
            Record::ChallengesForgotten { before: unanswered },
        ];
        let ended = ended.into_iter().filter(|_| first == 0);
        self.next += CLIENTS_A_STEP;
        if self.next as usize >= app.data.replica().client_count() {
            (self.done, self.next) = (today, 0);
        }
        let counts = Record::CountsForgotten {
            first: ClientNo(first),
            end: ClientNo(first + CLIENTS_A_STEP),
            before: today.saturating_sub(DAYS_KEPT),
        };
        ended.chain([counts]).collect()
    }
}

/// Writes everything that is held, at a stop.
pub(crate) async fn write_all(app: &App) {
    crate::auth::attempts::write(&app.people, true).await;
    let mut records = app.data.admin_uses.take(true);
    while write(app, app.data.hour(), std::mem::take(&mut records)).await {}
}

/// Writes some of what is held; answers whether there was anything, and it was written.
async fn write(app: &App, hour: u32, mut records: Vec<Record>) -> bool {
    let uses = app.data.usage.take(ROWS_AT_ONCE);
    let (taken, lost) = app.data.counts.take(hour, ROWS_AT_ONCE);
    app.data.metrics.counts_lost(lost);
    if !taken.counts.is_empty() {
        records.push(Record::CountsAdded(taken.counts));
    }
    if !taken.sources.is_empty() {
        records.push(Record::SourceUses(taken.sources));
    }
    if uses.is_empty() && records.is_empty() {
        return false;
    }
    match app.data.store.note(records, uses).await {
        Ok(_) => app.data.counts.written(),
        Err(failure) => {
            if OUTAGE_LINES.admit(app.data.clock().boot()).is_some() {
                tracing::warn!("could not write what clients were used for: {failure}");
            }
            match failure {
                // Written again, they might be counted twice.
                Failure::OutcomeUnknown => app.data.counts.written(),
                _ => app.data.counts.not_written(),
            }
            return false;
        }
    }
    true
}
