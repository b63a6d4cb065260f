//! PostgreSQL: one connection that writes and holds the database's node lock, a pool that reads.
//!
//! The lock is a session's advisory lock, so it ends with the connection: every write travels on the
//! connection that holds the lock, and nobody else can write through it. A warning during a commit
//! means that its outcome is unknown (`pg_cancel_backend` can make PostgreSQL report success for a
//! commit that a standby does not have), so notices are heard, not logged and forgotten.

mod batch;
mod lock;
mod member;
mod pool;
mod session;
mod suitable;
mod tls;

pub(crate) use member::{Acknowledged, Joining, MemberSession, Others, Wanted};
pub(crate) use pool::{Readers, read};
pub use session::{Transport, transport, url_with};
pub(crate) use tls::TlsFault;

use crate::driver::{CommitError, Each, judge_version, nothing_here};
use crate::error::StoreError;
use crate::handle::runtime;
use crate::schema;
use crate::timer::{self, pass_exactly};
use crate::value::{Row, Statement, Value};
use batch::{Call, in_order};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lock::{BEGIN_LOCKED, Former};
use session::{Purpose, Session, Target, state};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

/// The longest a query or commit may take; then the connection is given up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Begins a transaction, whatever level the role or the database has as its default: under a higher one, what is read
/// after waiting for a lock would be of the time before the wait.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// Begins a transaction that gives way to others. They must not be chosen to end a deadlock, for which the server looks
/// after a second: what they decided cannot be decided again.
const BEGIN_ASIDE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '200ms'";
/// The same for figures, whose commit need not be awaited.
const BEGIN_FIGURES: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '200ms';
    SET LOCAL synchronous_commit = off";
/// Tells the other nodes of new changes when the transaction is committed; each of them would find out by itself a tenth of
/// a second later. Part of the group's transaction, whose order the head lock keeps anyway: PostgreSQL lets one
/// transaction with a notification commit at a time. It carries the name of the node's sessions, so that its own one does
/// not look for what it has.
pub(crate) const HINT: &str =
    "SELECT pg_notify('tokenward_changes', current_setting('application_name'))";

/// Lets single statements take as long as they need.
const CLEAR_STATEMENT_TIMEOUT: &str = "SET statement_timeout = 0";

/// Slots and the rows of nodes are rewritten again and again: room on their pages keeps the new row beside the old one and off
/// the index. The head is rewritten by every group, and its newest row is found as the last one of an index: while a snapshot
/// is open, all rows that it could see stay. A unique index would look at each of them for every new one, hence it has none.
const TUNE: &str = "ALTER TABLE slot SET (fillfactor = 50); ALTER TABLE head SET (fillfactor = 10);
    ALTER TABLE node SET (fillfactor = 10); ALTER TABLE head DROP CONSTRAINT IF EXISTS head_pkey;
    CREATE INDEX IF NOT EXISTS head_position ON head (change_number, audit_seq)";

/// The first version of the tables with the row of the head lock.
const GATE_VERSION: i64 = 8;
/// How often an upgrade tries to have the tables to itself, and how long it leaves them to others in between.
const UPGRADE_TRIES: usize = 10;
const UPGRADE_PAUSE: Duration = Duration::from_secs(1);

/// The connection that writes.
pub(crate) struct PostgresDriver {
    target: Target,
    session: Option<Session>,
    /// The pool that reads, whose connections may lead to a server that is no longer the primary.
    readers: Option<Readers>,
    /// The session this process had before, which may still hold the lock.
    former: Option<Former>,
    /// Whether the lock is shared with other nodes.
    sharing: bool,
    turn: Turn,
}

/// How far the transaction of the moment has come.
enum Turn {
    /// There is none.
    None,
    /// It is to begin with the next thing that is sent, so that beginning takes no round trip of its own: without the
    /// head lock, or with it and the answer to this question.
    Asked(Option<&'static str>),
    /// It is to begin so with the statements that are written.
    Aside(&'static str),
    /// It has begun; these are the answers to the questions that went with the lock, until they are asked for.
    Open(Vec<Ahead>),
}

/// The answer to a question that was asked ahead.
struct Ahead {
    sql: &'static str,
    rows: Vec<Found>,
}

/// A row with the place of its parameter list.
type Found = (usize, tokio_postgres::Row);

/// Gives further parameter lists of a question, if there are any by now.
pub(crate) type More<'a> = &'a mut dyn FnMut() -> Vec<Vec<Value>>;

/// How long the head lock is waited for before more parameter lists are asked for; twice as long each time after that, so
/// that a long wait makes few statements.
const MORE_AFTER: Duration = Duration::from_micros(500);

/// Reads rows on a connection of its own, one query after the other with the same parameters, however long
/// that takes; blocks, so it belongs on a thread of its own. Each row comes with the position of its query.
pub(crate) fn read_alone(
    url: &str,
    queries: &[&str],
    params: &[Value],
    each: Each<'_>,
) -> Result<(), StoreError> {
    runtime()?.block_on(async {
        let target = Target::parse(url, "tokenward loading")?;
        let session = Session::connect(&target, Purpose::Read).await?;
        let read = async {
            session
                .client
                .batch_execute(CLEAR_STATEMENT_TIMEOUT)
                .await?;
            for (at, sql) in queries.iter().enumerate() {
                let mut of_query = |_: usize, row: &Row<'_>| each(at, row);
                session.stream(sql, params, &mut of_query).await?;
            }
            Ok(())
        };
        let read: Result<(), StoreError> = read.await;
        session.close().await;
        read.map_err(|error| error.at(&target.place))
    })
}

fn unanswered() -> StoreError {
    StoreError::Unavailable("PostgreSQL did not answer in time".into())
}

impl PostgresDriver {
    /// Connects and takes the node lock, waiting a little for a predecessor that is just ending.
    /// `node` is the name under which other nodes see this one.
    /// With `sharing`, other nodes that share may be there.
    pub(crate) async fn open(
        url: &str,
        node: &str,
        sharing: bool,
    ) -> Result<Box<Self>, StoreError> {
        let target = Target::parse(url, &format!("tokenward {node}"))?;
        let session = Session::connect(&target, Purpose::Write).await?;
        suitable::pooler(&target, &session)
            .await
            .map_err(|error| error.at(&target.place))?;
        let mut driver = Box::new(Self {
            target,
            session: None,
            readers: None,
            former: None,
            sharing,
            turn: Turn::None,
        });
        let suits = suitable::database(&driver.target, &session).await;
        suits.map_err(|error| error.at(&driver.target.place))?;
        driver.take_over(session).await?;
        Ok(driver)
    }

    /// Where the database is, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.target.place
    }

    /// Sets the pool whose connections are dropped when the session is replaced.
    pub(crate) fn with_readers(&mut self, readers: Readers) {
        self.readers = Some(readers);
    }

    /// Takes the lock of a start, or gives it back.
    pub(crate) async fn starting(&mut self, begins: bool) -> Result<(), StoreError> {
        let session = self.session()?;
        match begins {
            true => lock::start(&session.client).await,
            false => lock::started(&session.client).await,
        }
    }

    /// Makes a new session if the old one is gone, and takes the lock again.
    pub(crate) async fn reconnect(&mut self) -> Result<(), StoreError> {
        if !self.is_lost() {
            return Ok(());
        }
        self.session = None;
        let session = Session::connect(&self.target, Purpose::Write).await?;
        if let Some(readers) = &self.readers {
            // They may lead to a server that is no longer the primary.
            readers.renew()?;
        }
        self.take_over(session).await
    }

    /// Takes the node lock on a new session, which is the writer's from then on.
    async fn take_over(&mut self, session: Session) -> Result<(), StoreError> {
        lock::take(&session.client, self.former.as_ref(), self.sharing)
            .await
            .map_err(|error| error.at(&self.target.place))?;
        self.former = Some(session.myself.clone());
        self.session = Some(session);
        Ok(())
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.session
            .as_ref()
            .is_none_or(|session| session.client.is_closed())
    }

    /// Lets single statements take as long as they need.
    pub(crate) async fn unhurried(&mut self) -> Result<(), StoreError> {
        Ok(self
            .session()?
            .client
            .batch_execute(CLEAR_STATEMENT_TIMEOUT)
            .await?)
    }

    /// Ends the session in good order.
    pub(crate) async fn close(self: Box<Self>) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        self.session
            .as_mut()
            .ok_or_else(|| StoreError::Unavailable("not connected".into()))
    }

    /// Begins a transaction with the next thing that is sent; with `under_lock`, under the head lock, and with the answer
    /// to that question, which takes no parameters.
    pub(crate) fn begin(&mut self, under_lock: Option<&'static str>) {
        self.turn = Turn::Asked(under_lock);
    }

    /// Begins a transaction of rows that no decision reads with the statements that are written.
    pub(crate) fn begin_aside(&mut self, figures: bool) {
        self.turn = Turn::Aside(if figures { BEGIN_FIGURES } else { BEGIN_ASIDE });
    }

    pub(crate) async fn query(
        &mut self,
        sql: &'static str,
        lists: &[Vec<Value>],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let answer = tokio::time::timeout(STATEMENT_TIMEOUT, self.ask(sql, lists)).await;
        let rows = self.judge(answer).await?;
        rows.iter()
            .try_for_each(|(at, row)| each(*at, &Row::Postgres(row)))
    }

    /// Takes the head lock that was asked for, and asks a question with it. While the lock is waited for, `more` gives more of its
    /// parameter lists; their rows then come with the lock. All rows are kept until they are asked for.
    pub(crate) async fn ask_ahead(
        &mut self,
        sql: &'static str,
        lists: &[Vec<Value>],
        more: More<'_>,
    ) -> Result<(), StoreError> {
        let Turn::Asked(Some(ahead)) = self.turn else {
            return Ok(());
        };
        let locking = self.lock(ahead, Some((sql, lists)), Some(more));
        let answer = tokio::time::timeout(STATEMENT_TIMEOUT, locking).await;
        self.judge(answer).await
    }

    /// After a question: undoes the transaction when it failed, and gives the session up when it is of no more use.
    async fn judge<T>(
        &mut self,
        answer: Result<Result<T, StoreError>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.undo().await;
                self.sound_out().await;
                Err(error)
            }
            Err(_) => {
                // An answer that still comes would be taken for that of the next question.
                self.give_session_up();
                Err(unanswered())
            }
        }
    }

    /// The rows, each with the place of its parameter list; begins the transaction that was asked for.
    async fn ask(
        &mut self,
        sql: &'static str,
        lists: &[Vec<Value>],
    ) -> Result<Vec<Found>, StoreError> {
        match self.turn {
            Turn::Asked(Some(ahead)) => {
                let question = (ahead != sql).then_some((sql, lists));
                self.lock(ahead, question, None).await?;
            }
            Turn::Asked(None) => {
                self.session()?.client.batch_execute(BEGIN).await?;
                self.turn = Turn::Open(Vec::new());
            }
            _ => {}
        }
        if let Turn::Open(ahead) = &mut self.turn
            && let Some(at) = ahead.iter().position(|one| one.sql == sql)
        {
            return Ok(ahead.swap_remove(at).rows);
        }
        let session = self.session()?;
        let question = session.question(sql, lists).await?;
        session.ask(question).await
    }

    /// Begins a transaction under the head lock, with the answers to `ahead`, which takes no parameters, and to `question`, of
    /// which `more` gives more parameter lists while the lock is waited for.
    async fn lock(
        &mut self,
        ahead: &'static str,
        question: Option<(&'static str, &[Vec<Value>])>,
        mut more: Option<More<'_>>,
    ) -> Result<(), StoreError> {
        let session = self
            .session
            .as_mut()
            .ok_or_else(|| StoreError::Unavailable("not connected".into()))?;
        let head = session.prepare(ahead).await?;
        let (sql, lists) = question.unwrap_or(("", &[]));
        // Nothing can be prepared while the lock is waited for.
        let further = match &more {
            Some(_) => Some(session.prepare_for_lists(sql).await?),
            None => None,
        };
        let asked = match question {
            Some(_) => Some(session.question(sql, lists).await?),
            None => None,
        };
        let session = &*session;
        let first = async {
            match asked {
                Some(asked) => session.ask(asked).await,
                None => Ok(Vec::new()),
            }
        };
        // Sent in this order, without waiting for the answers in between.
        let mut opening = pin!(futures_util::future::join3(
            session.client.simple_query(BEGIN_LOCKED),
            session.client.query(&head, &[]),
            first,
        ));
        let (mut under_way, mut answered) = (FuturesUnordered::new(), Vec::new());
        let (mut count, mut pause) = (lists.len(), MORE_AFTER);
        let (locked, head, first) = loop {
            let (Some(more), Some(prepared)) = (&mut more, &further) else {
                break opening.as_mut().await;
            };
            tokio::select! {
                biased;
                opened = &mut opening => break opened,
                // Polling is what sends a question; the answer comes after the lock.
                Some(answer) = under_way.next() => answered.push(answer),
                () = pass_exactly(pause) => {
                    pause *= 2;
                    let lists = more();
                    let from = count;
                    count += lists.len();
                    if !lists.is_empty() {
                        let prepared = prepared.clone();
                        under_way.push(async move {
                            let rows = session.ask(batch::question_of_many(prepared, &lists)).await?;
                            let placed = rows.into_iter().map(|(at, row)| (from + at, row));
                            Ok::<Vec<Found>, StoreError>(placed.collect())
                        });
                    }
                }
            }
        };
        self.turn = Turn::Open(Vec::new());
        let is_row = |one: &SimpleQueryMessage| matches!(one, SimpleQueryMessage::Row(_));
        if !locked?.iter().any(is_row) {
            return Err(StoreError::Damaged(
                "the row of the head lock is missing".into(),
            ));
        }
        let head = head?.into_iter().map(|row| (0, row)).collect();
        let mut rows = first?;
        answered.extend(under_way.collect::<Vec<_>>().await);
        for answer in answered {
            rows.extend(answer?);
        }
        let mut kept = vec![Ahead {
            sql: ahead,
            rows: head,
        }];
        if question.is_some() {
            kept.push(Ahead { sql, rows });
        }
        self.turn = Turn::Open(kept);
        Ok(())
    }

    /// Ends the transaction of the moment, if there is one, without its writes.
    pub(crate) async fn undo(&mut self) {
        let Turn::Open(_) = std::mem::replace(&mut self.turn, Turn::None) else {
            return;
        };
        let Some(session) = &self.session else { return };
        let undoing = session.client.batch_execute("ROLLBACK");
        if !matches!(
            tokio::time::timeout(STATEMENT_TIMEOUT, undoing).await,
            Ok(Ok(()))
        ) {
            self.session = None;
        }
    }

    /// Closes the connection; the server undoes what was not committed on it.
    pub(crate) fn give_session_up(&mut self) {
        self.session = None;
        self.turn = Turn::None;
    }

    /// After a failure: gives the session up unless it still answers and may still write. A server that was made
    /// read-only, or a standby reached by the former primary's address, answers well for ever; only another session
    /// finds the way back.
    async fn sound_out(&mut self) {
        let Some(session) = &self.session else { return };
        let answer = tokio::time::timeout(STATEMENT_TIMEOUT, state(&session.client)).await;
        if !matches!(answer, Ok(Ok(state)) if state.serves(Purpose::Write).is_ok()) {
            self.session = None;
        }
    }

    pub(crate) async fn stream(&mut self, sql: &str, each: Each<'_>) -> Result<(), StoreError> {
        self.unhurried().await?;
        let session = self.session()?;
        session.stream(sql, &[], each).await?;
        Ok(session
            .client
            .batch_execute(session::SET_STATEMENT_TIMEOUT)
            .await?)
    }

    /// Where the database is, in words for people.
    pub(crate) fn described(&self) -> String {
        let Target {
            place, database, ..
        } = &self.target;
        format!("the database {database} of {place}")
    }

    /// Begins `COPY ... FROM STDIN` in the binary format, as a transaction of its own; rows are of these types.
    pub(crate) async fn copy_in(
        &mut self,
        sql: &str,
        types: &[Type],
    ) -> Result<Pin<Box<BinaryCopyInWriter>>, StoreError> {
        let sink = self.session()?.client.copy_in(sql).await?;
        Ok(Box::pin(BinaryCopyInWriter::new(sink, types)))
    }

    /// Runs statements that take as long as they need.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        Ok(self.session()?.client.batch_execute(sql).await?)
    }

    /// Sends all statements and COMMIT in one go and reads the answers. A statement that fails makes the server undo the
    /// transaction at COMMIT; one that touches another number of rows than it must fails by itself (`batch::checked`).
    pub(crate) async fn finish(
        &mut self,
        statements: &[Statement],
        patience: Duration,
    ) -> Result<(), CommitError> {
        let begin = match self.turn {
            Turn::None => return Ok(()),
            Turn::Asked(_) => Some(BEGIN),
            Turn::Aside(begin) => Some(begin),
            Turn::Open(_) => None,
        };
        let session = self.session().map_err(CommitError::RolledBack)?;
        let preparing = tokio::time::timeout(patience, session.calls_of(statements));
        let prepared = preparing.await;
        // COMMIT was not sent: the server undoes the transaction with the connection, if that is given up.
        let calls = self
            .judge(prepared)
            .await
            .map_err(CommitError::RolledBack)?;
        self.turn = Turn::None;
        let session = self.session().map_err(CommitError::RolledBack)?;
        session.clear_notice();
        let sending = session.carry_out(begin, &calls);
        let trouble = match tokio::time::timeout(patience, sending).await {
            Ok(Ok(())) if !session.noticed() => return Ok(()),
            Ok(Ok(())) => StoreError::Unavailable("the server warned during a commit".into()),
            Ok(Err(CommitError::Unknown(error))) => error,
            Ok(Err(error)) => {
                if !matches!(error, CommitError::Refused(_) | CommitError::Contended(_)) {
                    self.sound_out().await;
                }
                return Err(error);
            }
            Err(_) => unanswered(),
        };
        // Nobody knows what became of it. The head lock is free only when the transaction has ended, so what is read
        // under it then is the outcome, and what is decided then comes after it.
        self.session = None;
        Err(CommitError::Unknown(trouble))
    }

    /// The schema version; none in an empty database.
    pub(crate) async fn version(&mut self) -> Result<Option<i64>, StoreError> {
        let client = &self.session()?.client;
        let row = client
            .query_one("SELECT to_regclass('head') IS NULL", &[])
            .await?;
        if row.get(0) {
            return Ok(None);
        }
        let head = client.query_opt("SELECT schema FROM head", &[]).await?;
        let found = head.ok_or_else(|| StoreError::Damaged("the head row is missing".into()))?;
        judge_version(found.get(0))?;
        Ok(Some(found.get(0)))
    }

    /// Makes or upgrades the tables.
    pub(crate) async fn migrate(&mut self, fresh: Option<&Statement>) -> Result<bool, StoreError> {
        let found = self.version().await?;
        if found == Some(schema::VERSION) {
            return Ok(false);
        }
        if found.is_none() && fresh.is_none() {
            return Err(nothing_here());
        }
        match found {
            None => self.session()?.client.batch_execute(BEGIN).await?,
            Some(found) => self.take_tables(found).await?,
        }
        let upgraded = self.upgrade(found.unwrap_or_default(), fresh).await;
        let end = if upgraded.is_ok() {
            "COMMIT"
        } else {
            "ROLLBACK"
        };
        let ended = self.session()?.client.batch_execute(end).await;
        upgraded?;
        ended?;
        Ok(found.is_none())
    }

    async fn upgrade(&mut self, found: i64, fresh: Option<&Statement>) -> Result<(), StoreError> {
        let client = &self.session()?.client;
        for migration in schema::missing(found) {
            let migration = schema::for_postgres(migration);
            client.batch_execute(&migration).await?;
        }
        if found == 0
            && let Some(fresh) = fresh
        {
            let params = session::borrow(&fresh.params);
            client.execute(fresh.sql, &params).await?;
        }
        let version = schema::VERSION;
        client.execute(schema::SET_VERSION, &[&version]).await?;
        Ok(client.batch_execute(TUNE).await?)
    }

    /// Begins a transaction that has the tables which all nodes use, in the order in which they use them. A dump is not waited
    /// for: whatever other nodes want of a table for which this waits would wait too, renewals among it.
    async fn take_tables(&mut self, found: i64) -> Result<(), StoreError> {
        let gate = if found < GATE_VERSION {
            ""
        } else {
            "SELECT 1 FROM gate FOR UPDATE;"
        };
        let take = format!(
            "{BEGIN}; SET LOCAL lock_timeout = '100ms'; {gate}
            LOCK TABLE head, node, slot IN ACCESS EXCLUSIVE MODE; SET LOCAL lock_timeout = '1s'"
        );
        let place = self.target.place.clone();
        let client = &self.session()?.client;
        for pause in [UPGRADE_PAUSE; UPGRADE_TRIES] {
            match client.batch_execute(&take).await {
                Ok(()) => return Ok(()),
                Err(error) => match error.code() {
                    Some(&(SqlState::LOCK_NOT_AVAILABLE | SqlState::T_R_DEADLOCK_DETECTED)) => {
                        client.batch_execute("ROLLBACK").await?;
                    }
                    _ => return Err(error.into()),
                },
            }
            timer::pass(pause).await;
        }
        Err(StoreError::Unavailable(format!(
            "{place}: the tables must be upgraded, but another session is using them, as a dump does: start again when it has ended"
        )))
    }
}

impl Session {
    /// Rows as they come: there may be millions.
    async fn stream(&self, sql: &str, params: &[Value], each: Each<'_>) -> Result<(), StoreError> {
        let rows = self.client.query_raw(sql, session::borrow(params)).await?;
        let mut rows = pin!(rows.ready_chunks(256));
        while let Some(chunk) = rows.next().await {
            for row in chunk {
                each(0, &Row::Postgres(&row?))?;
            }
        }
        Ok(())
    }

    /// The calls that carry statements out.
    async fn calls_of<'a>(
        &mut self,
        statements: &'a [Statement],
    ) -> Result<Vec<Call<'a>>, StoreError> {
        let runs: Vec<_> = batch::runs(statements).collect();
        let of_tokens = runs.len().min(4);
        let mut calls = Vec::from_iter(self.call_of_tokens(&runs[..of_tokens]).await?);
        let done = if calls.is_empty() { 0 } else { of_tokens };
        for run in &runs[done..] {
            calls.extend(self.calls(run).await?);
        }
        Ok(calls)
    }

    /// BEGIN where it is wanted, the calls, and COMMIT, to the end of the last answer.
    async fn carry_out(
        &self,
        begin: Option<&'static str>,
        calls: &[Call<'_>],
    ) -> Result<(), CommitError> {
        let client = &self.client;
        let plain = |wanted: Option<&'static str>| -> batch::Answer<'_> {
            Box::pin(async move {
                match wanted {
                    Some(sql) => client.batch_execute(sql).await.map(|()| 0),
                    None => Ok(0),
                }
            })
        };
        let first = plain(begin);
        let rest = calls.iter().map(|call| call.execute(client));
        let last = plain(Some("COMMIT"));
        let answers = in_order(std::iter::once(first).chain(rest).chain([last])).await;
        let mut answers = answers.into_iter();
        if let Some(Err(error)) = answers.next() {
            return Err(batch::failed(error));
        }
        for (call, answer) in calls.iter().zip(answers.by_ref()) {
            call.judge(answer)?;
        }
        match answers.next() {
            Some(Err(error)) => Err(CommitError::Unknown(error.into())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::statements::{APPEND_AUDIT, APPEND_CHANGE, MOVE_HEAD, UPDATE_SLOT};
    use std::sync::mpsc;
    use tokenward_testkit::PgCluster;

    /// Runs a test on a database with empty tables.
    pub(super) fn on_tables(test: impl AsyncFnOnce(&PgCluster, Box<PostgresDriver>)) {
        let cluster = PgCluster::builder().setting("fsync", "off").start();
        runtime().unwrap().block_on(async {
            let mut driver = PostgresDriver::open(&cluster.url(), "test", true).await.unwrap();
            let head = "INSERT INTO head (one, schema, store, epoch, change_number, audit_seq, audit_hash, next_product)
                VALUES (1, 10, '', '', 5, 0, '', 0)";
            driver.migrate(Some(&Statement::one(head, Vec::new()))).await.unwrap();
            test(&cluster, driver).await;
        });
    }

    /// The numbers that a question finds, each with the place of its parameter list.
    async fn numbers(
        driver: &mut PostgresDriver,
        sql: &'static str,
        lists: &[Vec<Value>],
    ) -> Vec<(usize, i64)> {
        let mut found = Vec::new();
        let mut each = |at: usize, row: &Row<'_>| {
            found.push((at, row.int(0)?));
            Ok(())
        };
        driver.query(sql, lists, &mut each).await.unwrap();
        found.sort_unstable();
        found
    }

    const SQUARE: &str = "SELECT $1::bigint * $1::bigint";
    const HEAD: &str = "SELECT change_number FROM head";
    /// 3,000 groups of one token each, as far as they write the head.
    const MANY_GROUPS: &str = "DO $$ BEGIN FOR n IN 1..3000 LOOP
        UPDATE head SET change_number = n + 5, audit_seq = n WHERE change_number = n + 4 AND audit_seq = n - 1; COMMIT; END LOOP; END $$";

    #[test]
    fn what_is_asked_while_the_lock_is_waited_for_is_answered_with_it() {
        on_tables(async |cluster, mut driver| {
            // Another node has its turn until all has been asked.
            let (url, (asked, all)) = (cluster.url(), mpsc::channel::<()>());
            let (has, had) = tokio::sync::oneshot::channel();
            let other = std::thread::spawn(move || {
                runtime().unwrap().block_on(async {
                    let mut other = PostgresDriver::open(&url, "other", true).await.unwrap();
                    other.begin(Some(HEAD));
                    numbers(&mut other, HEAD, &[vec![]]).await;
                    has.send(()).unwrap();
                    all.recv_timeout(STATEMENT_TIMEOUT).unwrap();
                    other.undo().await;
                    other.close().await;
                });
            });
            had.await.unwrap();
            let list = |number: i64| vec![Value::Int(number)];
            // Nothing by the first look, two lists by the second, one by the third.
            let mut later = vec![vec![list(4)], vec![list(2), list(3)], vec![]];
            let mut more = || {
                let lists = later.pop().unwrap_or_default();
                if later.is_empty() {
                    let _ = asked.send(());
                }
                lists
            };
            driver.begin(Some(HEAD));
            let first = [list(1)];
            let asking = driver.ask_ahead(SQUARE, &first, &mut more);
            asking.await.unwrap();
            let squares = numbers(&mut driver, SQUARE, &[1, 2, 3, 4].map(list)).await;
            assert_eq!(squares, [(0, 1), (1, 4), (2, 9), (3, 16)]);
            assert_eq!(numbers(&mut driver, HEAD, &[vec![]]).await, [(0, 5)]);
            // What was kept is kept once.
            let again = numbers(&mut driver, SQUARE, &[list(7)]).await;
            assert_eq!(again, [(0, 49)]);
            driver.undo().await;
            driver.close().await;
            other.join().unwrap();
        });
    }

    /// What so many tokens write from where the head stands, the last of them for client `last`.
    fn of_tokens(tokens: i64, head: (i64, i64), last: i64) -> Vec<Statement> {
        let text = |text: &str| Value::from(text);
        let bytes = || Value::from([7_u8; 32].as_slice());
        let moved = vec![(head.0 + tokens).into(), (head.1 + tokens).into(), bytes()];
        let from = [0_i64, head.0, head.1].map(Value::from);
        let moved = moved.into_iter().chain(from).collect();
        let mut all = vec![Statement::fence(MOVE_HEAD, moved)];
        for n in 1..=tokens {
            let seq = (head.1 + n).into();
            let place = [seq, 0_i64.into(), text("a"), text("s"), text("t")];
            let rest = [bytes(), bytes(), text("{}"), bytes()];
            let params = place.into_iter().chain(rest).collect();
            all.push(Statement::one(APPEND_AUDIT, params));
        }
        for n in 1..=tokens {
            let mut params: Vec<Value> = (0..20_i64).map(Value::from).collect();
            for digest in [1, 11, 14] {
                params[digest] = bytes();
            }
            params[19] = if n == tokens { last } else { n }.into();
            all.push(Statement::one(UPDATE_SLOT, params));
        }
        for n in 1..=tokens {
            let number = (head.0 + n).into();
            let params = vec![number, 0_i64.into(), 1_i64.into(), text("{}"), 0_i64.into()];
            all.push(Statement::one(APPEND_CHANGE, params));
        }
        all
    }

    /// Opens a snapshot, as a dump does.
    pub(super) async fn snapshot(cluster: &PgCluster) -> Box<PostgresDriver> {
        const BEGIN: &str =
            "SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ";
        let dump = PostgresDriver::open(&cluster.url(), "dump", true).await;
        let mut dump = dump.unwrap();
        dump.run(BEGIN).await.unwrap();
        numbers(&mut dump, HEAD, &[vec![]]).await;
        dump
    }

    /// The most pages that one part of a plan looks at. The parts that nothing else reads are not in the figures of the whole.
    fn most_pages(plan: &serde_json::Value) -> i64 {
        let own = |kind: &str| plan[kind].as_i64().unwrap();
        let parts = plan["Plans"].as_array().into_iter().flatten();
        let whole = own("Shared Hit Blocks") + own("Shared Read Blocks");
        parts.map(most_pages).fold(whole, i64::max)
    }

    /// Makes sure that a statement with these values looks at few pages: those of indexes, the newest rows, and what the last
    /// statements left there.
    pub(super) async fn looks_at_few_pages(driver: &mut PostgresDriver, sql: &str, values: &str) {
        const PAGES_MAX: i64 = 20;
        let prepare = format!("DEALLOCATE ALL; PREPARE planned AS {sql}");
        driver.run(&prepare).await.unwrap();
        let client = &driver.session().unwrap().client;
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE planned{values}");
        let answer = client.simple_query(&explain).await.unwrap();
        let plan = answer.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: serde_json::Value = serde_json::from_str(plan.unwrap()).unwrap();
        let pages = most_pages(&plan[0]["Plan"]);
        assert!(pages <= PAGES_MAX, "{pages} pages for {sql}: {plan:#}");
        client.batch_execute("DEALLOCATE ALL").await.unwrap();
    }

    #[test]
    fn former_versions_of_the_head_are_not_read_while_a_snapshot_is_open() {
        on_tables(async |cluster, mut driver| {
            let dump = snapshot(cluster).await;
            driver.run(MANY_GROUPS).await.unwrap();
            for (sql, values) in [
                (crate::load::SELECT_HEAD, ""),
                (MOVE_HEAD, "(3006, 3001, '', 0, 3005, 3000)"),
                (crate::statements::KEEP_TIME_SOON, "(9)"),
            ] {
                looks_at_few_pages(&mut driver, sql, values).await;
            }
            dump.close().await;
            driver.close().await;
        });
    }

    #[test]
    fn an_upgrade_does_not_wait_for_a_dump() {
        on_tables(async |cluster, mut driver| {
            let older = "DROP TABLE node_applied; DROP INDEX node_id; ALTER TABLE node DROP COLUMN applies; UPDATE head SET schema = 15";
            driver.run(older).await.unwrap();
            let mut dump = snapshot(cluster).await;
            numbers(&mut dump, "SELECT count(*) FROM node", &[vec![]]).await;
            let refused = driver.migrate(None).await.unwrap_err();
            let text = refused.to_string();
            assert!(text.contains("start again when it has ended"), "{text}");
            assert_eq!(driver.version().await.unwrap(), Some(15));
            dump.run("ROLLBACK").await.unwrap();
            driver.migrate(None).await.unwrap();
            assert_eq!(driver.version().await.unwrap(), Some(schema::VERSION));
            dump.close().await;
            driver.close().await;
        });
    }

    #[test]
    fn what_tokens_write_is_one_statement_that_is_carried_out_whole_or_not_at_all() {
        const ROWS: &str = "SELECT (SELECT change_number FROM head), (SELECT count(*) FROM audit),
            (SELECT count(*) FROM slot WHERE generation = 0 AND seal IS NOT NULL), (SELECT count(*) FROM change_log)";
        on_tables(async |_, mut driver| {
            let slots = "INSERT INTO slot (client, generation, former_reasons, quota1_day, quota1_used, quota2_day, quota2_used)
                SELECT n, 9, 0, 0, 0, 0, 0 FROM generate_series(1, 4) AS n";
            driver.run(slots).await.unwrap();
            let (mut head, mut found) = ((5, 0), 0);
            let (yes, no) = (true, false);
            let once = [(1, 1, no), (3, 3, no), (1, 1, yes), (3, 3, yes)];
            let last = [(1, 99, no), (3, 99, no), (2, 4, no)];
            for (tokens, last, stale) in once.into_iter().chain(last) {
                let expected = if stale { (head.0 - 1, head.1) } else { head };
                let statements = of_tokens(tokens, expected, last);
                let session = driver.session().unwrap();
                assert_eq!(session.calls_of(&statements).await.unwrap().len(), 1);
                driver.begin(None);
                match driver.finish(&statements, STATEMENT_TIMEOUT).await {
                    Ok(()) => {
                        head = (head.0 + tokens, head.1 + tokens);
                        found = found.max(last);
                    }
                    // Another wrote, or one of the group makes no sense.
                    Err(CommitError::RolledBack(_)) => assert!(stale),
                    Err(CommitError::Refused(_)) => assert_eq!(last, 99),
                    Err(other) => panic!("{tokens} tokens, {last}, {stale}: {other:?}"),
                }
                let mut rows = Vec::new();
                let mut each = |_: usize, row: &Row<'_>| {
                    rows.extend((0..4).map(|at| row.int(at).unwrap()));
                    Ok(())
                };
                driver.query(ROWS, &[vec![]], &mut each).await.unwrap();
                let slots = if found == 4 { 3 + 1 } else { found };
                let expected = [head.0, head.1, slots, head.0 - 5];
                assert_eq!(rows, expected, "{tokens}, {last}");
            }
            assert_eq!(head, (11, 6));
            // Of two updates of one slot in one statement only one would count.
            let twice = of_tokens(2, head, 1);
            let session = driver.session().unwrap();
            assert!(session.calls_of(&twice).await.unwrap().len() > 1);
            driver.close().await;
        });
    }
}
