//! A node's membership on a shared database: its lease, renewed on a session of its own, the changes of other nodes, what
//! it acknowledges and what the others have acknowledged. The rules are the core's [`Holder`] and
//! [`AckBarrier`](tokenward_core::cluster::AckBarrier); this is their driver.
//!
//! Nothing that this session shows is believed before a renewal on it was acknowledged, and the writer's own commits never
//! extend the lease: another node counts from the renewals that it sees.

use crate::applier::{Applier, Entry};
use crate::attachments::Attachments;
use crate::driver::Each;
use crate::error::StoreError;
use crate::nodes::List;
use crate::postgres::{self, Acknowledged, MemberSession, Others, Readers, Wanted};
use crate::timer;
use crate::value::{Row, Value};
use crate::writer::Health;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokenward_core::change::Change;
use tokenward_core::cluster::{
    self, BarrierEffect, Holder, HolderEffect, HolderEvent, Incarnation, Position, Terms,
};
use tokenward_core::digest::Keyring;
use tokenward_core::sublease;
use tokenward_core::time::{BootInstant, Clock};
use tokio::sync::oneshot;
use uuid::Uuid;

/// A tenth part of a term: three of them are the longest a renewal may take, so that a second one fits into the lease.
const PATIENCE_TENTHS: u32 = 3;
/// The shortest patience, for terms that tests make short.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// Longest a join may take: it waits for the head lock.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often other nodes' changes are looked for. Without other nodes a renewal's read is enough.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The pause between two looks at the rows of the others while answers wait: at first, within [`SOON`] of the commit, and when
/// a node takes longer. A look that takes long is followed by a pause of twice its time, so that a database under load is not
/// loaded more by looks.
const LOOK_SOON: Duration = Duration::from_micros(500);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Nanoseconds in which other nodes that are well acknowledge a change.
const SOON: u64 = 30_000_000;
/// The pause before another attempt to reach the database.
const PAUSE: Duration = Duration::from_millis(200);

/// One membership.
pub(crate) struct Member<C> {
    with: Joining<C>,
    holder: Holder,
    /// The first incarnation; each further one is the next number.
    incarnations: u128,
    /// The last change that was applied here when the renewal under way was sent.
    sent: u64,
    /// What the last read showed, and when it was.
    read: Vec<Entry>,
    read_at: BootInstant,
    /// What is applied here and not yet said.
    unsaid: Option<Acknowledged>,
    /// How long the last round trip took.
    took: Duration,
    /// The attempt of the renewal under way.
    attempt: u64,
    /// The membership whose renewals on the session of the moment the readers are bound to.
    bound: Option<Incarnation>,
    /// Since when, and when last, the database lacked what is applied here.
    behind: Option<(BootInstant, BootInstant)>,
    /// Whether a renewal has let this node vouch.
    vouched: bool,
    /// Faults since the last renewal that succeeded.
    faults: u32,
}

/// What a membership is made from.
pub(crate) struct Joining<C> {
    pub(crate) session: MemberSession,
    pub(crate) applier: Arc<Applier<C>>,
    pub(crate) clock: Arc<C>,
    pub(crate) health: Arc<Health>,
    /// The store's and the epoch's name.
    pub(crate) store: (Uuid, Uuid),
    /// This process's own name, and that of its first membership.
    pub(crate) incarnation: Uuid,
    /// Proves that rows with the same one were left by dead processes; empty when nothing does.
    pub(crate) place: String,
    /// What it says of itself, as JSON.
    pub(crate) about: String,
    pub(crate) keyring: Arc<Keyring>,
    /// What is known of all nodes.
    pub(crate) list: Arc<List>,
    /// The connections that read.
    pub(crate) readers: Option<Readers>,
    /// Whether other nodes may be there.
    pub(crate) sharing: bool,
    pub(crate) terms: Terms,
    /// Told once the node vouches, or why it can't.
    pub(crate) ready: Option<oneshot::Sender<Result<(), StoreError>>>,
}

/// The text of an incarnation in its row.
fn name(incarnation: Incarnation) -> String {
    Uuid::from_u128(incarnation.0).to_string()
}

impl<C: Clock> Member<C> {
    pub(crate) fn new(with: Joining<C>) -> Self {
        let first = with.incarnation.as_u128();
        let holder = Holder::new(
            with.terms,
            sublease::Terms::STANDARD.wait,
            Incarnation(first),
            with.applier.position(),
            with.applier.attachments.acknowledged_here(),
        );
        Self {
            with,
            holder,
            incarnations: first,
            sent: 0,
            read: Vec::new(),
            read_at: BootInstant(0),
            unsaid: None,
            took: Duration::ZERO,
            attempt: 0,
            bound: None,
            behind: None,
            vouched: false,
            faults: 0,
        }
    }

    fn attached(&self) -> &Attachments<C> {
        &self.with.applier.attachments
    }

    /// Keeps the membership until it is told to stop; then signs off, unless attached replicas may still vouch.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                biased;
                _ = &mut stop => break,
                () = self.go_on() => {}
            }
            if self.with.ready.is_none() && self.with.health.expelled.load(Ordering::SeqCst) {
                // What is left is to wait for the end.
                let _ = stop.await;
                return;
            }
        }
        let idle = self.attached().is_quiet(self.with.clock.boot());
        self.step(HolderEvent::Leave { idle }).await;
        self.with.applier.stop_vouching();
        self.with.session.close().await;
    }

    /// One thing: a connection, a renewal, or a look. Given up at any await when the process is to stop.
    async fn go_on(&mut self) {
        if !self.with.session.is_open() {
            self.with.health.housekeeper.store(false, Ordering::SeqCst);
            self.bound = None;
            if self.faults > 1 {
                timer::pass(PAUSE).await;
            }
            match self.with.session.open().await {
                Ok(()) => {
                    self.step(HolderEvent::Connected).await;
                    self.list().await;
                    if self.vouched
                        && let Some(ready) = self.with.ready.take()
                    {
                        let _ = ready.send(Ok(()));
                    }
                    self.clean_up().await;
                }
                Err(error) => self.failed(&error).await,
            }
            return;
        }
        let now = self.with.clock.boot();
        let due = self.holder.next_tick();
        let left = due.map_or(LOOK_EVERY, |at| {
            Duration::from_nanos(at.0.saturating_sub(now.0))
        });
        if left.is_zero() {
            self.step(HolderEvent::Tick).await;
            if self.holder.is_trusted() {
                self.exchange(false, true).await;
                self.list().await;
                self.clean_up().await;
            }
            return;
        }
        let waiting = self.with.applier.waits_since(now);
        let pause = match (waiting, self.with.sharing) {
            (Some(since), _) if now.0.saturating_sub(since.0) < SOON => {
                LOOK_SOON.max(self.took * 2).min(LOOK_AGAIN)
            }
            (Some(_), _) => LOOK_AGAIN,
            (None, true) => LOOK_EVERY,
            (None, false) => left,
        };
        let Some(hints) = self.with.session.hints() else {
            return;
        };
        let hinted = tokio::select! {
            biased;
            () = hints.notified() => true,
            () = self.attached().woken_for_nodes() => false,
            () = timer::pass_exactly(pause.min(left)) => false,
        };
        // A hint may have been lost.
        let overdue = now.0.saturating_sub(self.read_at.0) >= nanos(LOOK_EVERY);
        self.look(hinted || overdue).await;
    }

    /// Lets the readers lead only to servers that have the first renewal of this session: before the lease that it gives, so that
    /// who reads that lease first reads nothing from a server that was the primary before.
    fn bind_readers(&mut self) {
        let incarnation = self.holder.incarnation();
        if self.bound == Some(incarnation) {
            return;
        }
        self.bound = Some(incarnation);
        if let Some(readers) = &self.with.readers
            && let Err(error) = readers.bind(name(incarnation), self.attempt.cast_signed())
        {
            tracing::error!("the connections that read were not made anew: {error}");
        }
    }

    /// Tries to become the node that cleans up, while this one vouches.
    async fn clean_up(&mut self) {
        let is = self.with.health.housekeeper.load(Ordering::SeqCst);
        if is || !self.holder.is_trusted() {
            return;
        }
        match self.with.session.try_housekeeping().await {
            Ok(got) => self.with.health.housekeeper.store(got, Ordering::SeqCst),
            Err(error) => self.failed(&error).await,
        }
    }

    /// Says what is applied here, and reads whom answers still wait for; with `log`, or when it is known to have grown, also what
    /// other nodes, or an own commit of unknown outcome, have changed.
    async fn look(&mut self, log: bool) {
        self.sync().await;
        if self.holder.is_trusted() {
            let log = log && self.with.sharing || self.with.applier.is_behind();
            self.exchange(log, false).await;
        }
        // What was read is applied now.
        if self.unsaid.is_some() {
            self.exchange(false, false).await;
        }
    }

    /// Tells the holder what has happened here since.
    async fn sync(&mut self) {
        let position = self.with.applier.position();
        self.step(HolderEvent::Applied { position }).await;
        let through = self.attached().acknowledged_here();
        self.step(HolderEvent::Answered { through }).await;
    }

    /// One round trip: says what is applied here, reads the log if wanted, and the other nodes' rows when answers wait for
    /// them; with `unasked`, in any case.
    async fn exchange(&mut self, log: bool, unasked: bool) {
        let applied = self.holder.applied();
        let look = self.attached().wanted_look(unasked);
        let own = name(self.holder.incarnation());
        let wanted = Wanted {
            applied: self.unsaid.take(),
            log: log.then_some(applied.number),
            rows: look.map(|(_, committed)| (committed, own)),
        };
        if wanted.applied.is_none() && wanted.log.is_none() && wanted.rows.is_none() {
            return;
        }
        let from = self.with.clock.boot();
        let mut read = log.then(|| LogRead::new(applied, self.with.store));
        let each: Each<'_> = &mut |_, row| read.iter_mut().try_for_each(|read| read.row(row));
        let others = match self.with.session.exchange(wanted, each).await {
            Ok(others) => others,
            Err(error) => return self.failed(&error).await,
        };
        let now = self.with.clock.boot();
        self.took = Duration::from_nanos(now.0.saturating_sub(from.0));
        if let Some(read) = read {
            match self.judge(read) {
                Ok(upto) => self.step(HolderEvent::Looked { upto }).await,
                Err(error) => return self.failed(&error).await,
            }
        }
        if let (Some((look, committed)), Some(others)) = (look, others) {
            self.rows(look, committed, others).await;
        }
    }

    /// Tells the barrier of the other nodes' rows, and removes those whose lease is over.
    async fn rows(&mut self, look: u64, committed: Position, Others { here, rows }: Others) {
        let holds = if here { committed.number } else { 0 };
        for effect in self.attached().rows(look, holds, rows) {
            if let BarrierEffect::Remove {
                incarnation,
                attempt,
            } = effect
            {
                let node = self.with.list.name_of(Uuid::from_u128(incarnation.0));
                tracing::info!("node {node:?} did not renew its lease and was removed");
                let removed = self.with.session.remove(name(incarnation), attempt).await;
                if let Err(error) = removed {
                    return self.failed(&error).await;
                }
            }
        }
    }

    /// Reads what people want to know of the nodes.
    async fn list(&mut self) {
        if !self.holder.is_trusted() {
            return;
        }
        match self.with.session.list().await {
            Ok(listed) => {
                let own = Uuid::from_u128(self.holder.incarnation().0);
                let clock = &self.with.clock;
                self.with.list.take(listed, own, clock.boot(), clock.wall());
            }
            Err(error) => self.failed(&error).await,
        }
    }

    /// Takes an event, and every event that follows from what it wants done.
    async fn step(&mut self, event: HolderEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.holder.step(event, self.with.clock.boot()) {
                match self.carry_out(effect).await {
                    Ok(more) => events.extend(more),
                    Err(event) => {
                        // The rest of the effects must not be carried out.
                        events.clear();
                        events.push_back(event);
                        break;
                    }
                }
            }
        }
    }

    /// Carries one effect out; answers what came of it.
    async fn carry_out(&mut self, effect: HolderEffect) -> Result<Vec<HolderEvent>, HolderEvent> {
        match effect {
            HolderEffect::Write {
                incarnation,
                join,
                attempt,
                acknowledged,
                at,
            } => {
                self.renew(incarnation, join, attempt, acknowledged, at)
                    .await
            }
            HolderEffect::Apply { .. } => {
                let entries = std::mem::take(&mut self.read);
                self.with.applier.take(entries).map_err(|error| {
                    self.end(&error);
                    HolderEvent::Unreadable
                })?;
                Ok(Vec::new())
            }
            HolderEffect::Vouch { until } => {
                self.faults = 0;
                self.with.health.renewed.store(true, Ordering::Relaxed);
                self.bind_readers();
                self.with.applier.vouch(until);
                // The renewal was durable, so what was applied here when it was sent is, too.
                let proven = std::mem::take(&mut self.sent);
                self.with.health.proven.fetch_max(proven, Ordering::Relaxed);
                self.vouched = true;
                Ok(Vec::new())
            }
            HolderEffect::Acknowledge {
                incarnation,
                number,
                at,
            } => {
                // Said with what is asked next.
                self.unsaid = self.attached().is_heard(number).then(|| Acknowledged {
                    incarnation: name(incarnation),
                    number,
                    at,
                });
                Ok(Vec::new())
            }
            HolderEffect::StopVouching => {
                self.with.applier.stop_vouching();
                let had = self.with.health.housekeeper.swap(false, Ordering::SeqCst);
                if had && self.with.session.is_open() {
                    let left = self.with.session.leave_housekeeping().await;
                    left.map_err(|error| self.fault(&error))?;
                }
                Ok(Vec::new())
            }
            HolderEffect::SignOff { incarnation } => {
                let left = self.with.session.sign_off(name(incarnation)).await;
                if let Err(error) = left {
                    tracing::warn!(
                        "could not sign off from the database; other nodes wait until this one's lease is over: {error}"
                    );
                }
                Ok(Vec::new())
            }
            HolderEffect::End(_) => Ok(Vec::new()),
        }
    }

    /// Writes this node's row, durably, and reads the log after that.
    async fn renew(
        &mut self,
        incarnation: Incarnation,
        join: bool,
        attempt: u64,
        acknowledged: u64,
        at: Position,
    ) -> Result<Vec<HolderEvent>, HolderEvent> {
        self.sent = at.number;
        self.attempt = attempt;
        let row = [
            Value::Int(attempt.cast_signed()),
            Value::Int(acknowledged.cast_signed()),
            Value::Int(at.number.cast_signed()),
            Value::Int(at.tag.cast_signed()),
            name(incarnation).into(),
            Value::Int(i64::try_from(self.attached().counts().attached).unwrap_or(i64::MAX)),
        ];
        let written = if join {
            let id = self.with.incarnation.to_string();
            let with = postgres::Joining {
                id: &id,
                wait: self.with.terms.wait,
                place: &self.with.place,
                about: &self.with.about,
                joined_at: self.with.clock.wall(),
                keyring: &self.with.keyring,
            };
            let joining = self.with.session.join(&row, &with);
            match tokio::time::timeout(JOIN_TIMEOUT, joining).await {
                Ok(joined) => joined.map(|()| true),
                Err(_) => Err(StoreError::Unavailable("joining took too long".into())),
            }
        } else {
            let term = Duration::from_nanos(self.with.terms.term);
            let patience = (term / 10 * PATIENCE_TENTHS).max(PATIENCE_MIN);
            let renewing = self.with.session.renew(&row);
            match tokio::time::timeout(patience, renewing).await {
                Ok(renewed) => renewed,
                Err(_) => Err(StoreError::Unavailable("a renewal took too long".into())),
            }
        };
        match written {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("this node was removed by another one, and joins again");
                self.incarnations = self.incarnations.wrapping_add(1);
                let next = Incarnation(self.incarnations);
                return Ok(vec![HolderEvent::Missing { attempt, next }]);
            }
            Err(error) => return Err(self.fault(&error)),
        }
        // Before the read is sent: it counts only because it follows the acknowledgement.
        let upto = match self.read().await {
            Ok(upto) => upto,
            Err(error) => return Err(self.fault(&error)),
        };
        Ok(vec![
            HolderEvent::Written { attempt },
            HolderEvent::Read { attempt, upto },
        ])
    }

    /// Reads the log from what is applied here on, makes sure that it is the same history, and keeps what is new.
    async fn read(&mut self) -> Result<Position, StoreError> {
        let mut read = LogRead::new(self.holder.applied(), self.with.store);
        let from = read.applied.number;
        let each: Each<'_> = &mut |_, row| read.row(row);
        self.with.session.read(from, each).await?;
        self.judge(read)
    }

    /// Judges what was read of the log, and keeps what is new; answers its last change.
    fn judge(&mut self, read: LogRead) -> Result<Position, StoreError> {
        let LogRead {
            applied,
            last,
            head,
            found,
            same,
            whole,
            entries,
            ..
        } = read;
        if !same {
            return Err(StoreError::Diverged(
                "it was restored, exchanged, or has another history".into(),
            ));
        }
        if head < applied.number {
            if self.is_behind_for_good() {
                return Err(StoreError::Diverged(format!(
                    "it ends at change {head}, but change {} was visible in it before: a failover lost commits that had not \
                     been answered",
                    applied.number
                )));
            }
            return Err(StoreError::Unavailable(format!(
                "this server is behind: it ends at change {head}, and change {} is applied here",
                applied.number
            )));
        }
        if !found || !whole || last.number != head {
            return Err(StoreError::Diverged(
                "its change log has gaps, or no longer goes back far enough".into(),
            ));
        }
        self.behind = None;
        self.read = entries;
        self.read_at = self.with.clock.boot();
        Ok(last)
    }

    /// Whether only servers that lack what is applied here have been found for as long as any lease lasts. One that still
    /// answers as the former primary is soon gone or left; a primary that lacks a change which no standby had (a commit whose
    /// wait was cancelled, or a crash) will never have it, and only a new start can load what it has.
    fn is_behind_for_good(&mut self) -> bool {
        let now = self.with.clock.boot();
        let wait = self.with.terms.wait;
        let recent = self
            .behind
            .filter(|(_, last)| now.0.saturating_sub(last.0) < wait);
        let since = recent.map_or(now, |(since, _)| since);
        self.behind = Some((since, now));
        now.0.saturating_sub(since.0) >= wait
    }

    async fn failed(&mut self, error: &StoreError) {
        let event = self.fault(error);
        self.step(event).await;
    }

    /// A fault of the session: what was under way is given up, the lease stays as it was.
    fn fault(&mut self, error: &StoreError) -> HolderEvent {
        self.with.session.give_up();
        self.unsaid = None;
        self.with.health.housekeeper.store(false, Ordering::SeqCst);
        self.faults = self.faults.saturating_add(1);
        self.with.health.renewed.store(false, Ordering::Relaxed);
        if let Some(ready) = self.with.ready.take() {
            let told = match error {
                StoreError::Refused(text) => StoreError::Refused(text.clone()),
                StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
                StoreError::DigestKeys(fault) => StoreError::DigestKeys(fault.clone()),
                error => StoreError::Unavailable(error.to_string()),
            };
            let _ = ready.send(Err(told));
        }
        if error.is_final() {
            self.end(error);
            return HolderEvent::Diverged;
        }
        match self.faults {
            1 => tracing::error!("the lease was not renewed: {error}"),
            _ => tracing::debug!(faults = self.faults, "the lease was not renewed: {error}"),
        }
        HolderEvent::Disconnected
    }

    /// This process must not vouch any more.
    fn end(&self, error: &StoreError) {
        self.with.applier.end(&self.with.health, error);
    }
}

/// The head and the log as read from the change that was applied last.
struct LogRead {
    store: (String, String),
    applied: Position,
    /// The last change read.
    last: Position,
    /// The last change by the head row.
    head: u64,
    /// Whether the change applied last is there.
    found: bool,
    /// Whether it is the same history.
    same: bool,
    /// Whether no number is missing.
    whole: bool,
    entries: Vec<Entry>,
}

impl LogRead {
    fn new(applied: Position, (store, epoch): (Uuid, Uuid)) -> Self {
        Self {
            store: (store.to_string(), epoch.to_string()),
            applied,
            last: applied,
            head: 0,
            found: applied.number == 0,
            same: true,
            whole: true,
            entries: Vec::new(),
        }
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        self.same &= (row.text(0)?, row.text(1)?) == (&*self.store.0, &*self.store.1);
        self.head = row.int(2)?.cast_unsigned();
        let Some(number) = row.int_or_null(3)? else {
            return Ok(());
        };
        let position = Position {
            number: number.cast_unsigned(),
            tag: row.int(6)?.cast_unsigned(),
        };
        if position.number == self.applied.number {
            self.found = true;
            self.same &= position.tag == self.applied.tag;
            return Ok(());
        }
        self.whole &= position.number == self.last.number + 1;
        self.last = position;
        self.entries.push(Entry {
            position,
            change: (row.count(4)?, row.text(5)?.to_owned()),
        });
        Ok(())
    }
}

/// A change as the log has it.
pub(crate) fn change((format, body): &(u32, String)) -> Result<Change, StoreError> {
    Change::from_body(*format, body).map_err(|error| StoreError::CannotApply(error.to_string()))
}

/// The terms of a node whose lease lasts so long.
pub(crate) fn terms(term: Duration) -> Terms {
    Terms::new(nanos(term), cluster::STANDARD.pause)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
