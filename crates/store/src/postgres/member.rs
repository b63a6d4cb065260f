//! The session of a node's membership: the statements by which it joins, renews, reads, acknowledges, looks and leaves.

use super::lock::{BEGIN_LOCKED, HOUSEKEEPER_LOCK};
use super::session::{Purpose, Session, Target, borrow};
use crate::driver::Each;
use crate::error::StoreError;
use crate::job::parse_uuid;
use crate::keys::KeyFault;
use crate::load::{digest_key, head};
use crate::nodes::{About, Coherence, Listed, NODES_MAX, Node};
use crate::value::{Row, Value};
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::change::FORMAT;
use tokenward_core::cluster::{Incarnation, Position, Row as NodeRow};
use tokenward_core::digest::{KeyId, Keyring};
use tokenward_core::time::Timestamp;
use tokio::sync::Notify;

/// The channel on which writers say that there are new changes ([`super::HINT`]).
const HINTS: &str = "tokenward_changes";
/// Longest the end of a membership may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest a read or a look may take; the server gives up a little earlier.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the database has a change that this node has: a server that lacks it, or has another at its number, must not
/// be told that this node has applied what others have there.
macro_rules! has {
    ($number:literal, $tag:literal) => {
        concat!(
            "(",
            $number,
            " = 0 OR EXISTS (SELECT 1 FROM change_log WHERE number = ",
            $number,
            " AND tag = ",
            $tag,
            "))"
        )
    };
}

/// What the node of the row `n` has applied. Each acknowledgement adds a row, which is the last one of its index: an update would
/// leave a version of the node's row that is looked at by everybody for as long as a snapshot is open, as that of a dump. Rows
/// up to what the node's row says are left out, because those that were forgotten are kept for the snapshot too.
macro_rules! acknowledged {
    () => {
        "greatest(n.acked, (SELECT a.number FROM node_applied a WHERE a.incarnation = n.incarnation AND a.number > n.acked
            ORDER BY a.number DESC LIMIT 1))"
    };
}

/// Before the statement that removes the rows `n` of nodes: forgets what these have acknowledged beyond their rows.
macro_rules! forgotten {
    ($which:literal) => {
        concat!(
            "WITH said AS (DELETE FROM node_applied a USING node n WHERE a.incarnation = n.incarnation AND a.number >= n.acked AND ",
            $which,
            ") "
        )
    };
}

/// The attempt's own number is written, not one more than was there: a count of renewals could show the same value twice
/// over a failover. Nor does an earlier attempt, given up here but still under way there, come after a later one. What was
/// acknowledged since the last renewal is said by the row itself from now on, and forgotten.
const RENEW: &str = concat!(
    "WITH said AS (DELETE FROM node_applied WHERE incarnation = $5 AND number < $2
        AND number >= (SELECT acked FROM node WHERE incarnation = $5 AND attempt < $1) AND ",
    has!("$3::bigint", "$4::bigint"),
    ") UPDATE node SET attempt = $1, acked = CASE WHEN ",
    has!("$3::bigint", "$4::bigint"),
    " THEN greatest(acked, $2::bigint) ELSE acked END, replicas = $6 WHERE incarnation = $5 AND attempt < $1"
);
/// Rows of this process's place were left by processes that are certainly dead, or by an earlier membership of this one.
const REPLACE: &str = concat!(
    forgotten!("(n.place = $1 AND n.place <> '' OR n.id = $2) AND n.incarnation <> $3"),
    "DELETE FROM node WHERE (place = $1 AND place <> '' OR id = $2) AND incarnation <> $3"
);
/// What must be known before a node may join: the key for new digests, and what the others can read.
const TERMS: &str = concat!(
    "SELECT h.digest_key, n.reads, n.about FROM ",
    head!(),
    " LEFT JOIN node n ON n.incarnation <> $1"
);
/// Under the head lock.
const CHOOSE_KEY: &str = "UPDATE head SET digest_key = $1 WHERE (change_number, audit_seq) =
    (SELECT change_number, audit_seq FROM head ORDER BY change_number DESC, audit_seq DESC LIMIT 1)";
/// Also when the outcome of an earlier attempt was unknown, and the row is there.
const JOIN: &str = concat!(
    "INSERT INTO node (attempt, acked, incarnation, replicas, id, wait, place, about, reads, newest_key, joined_at, applies)
        SELECT $1::bigint, CASE WHEN ",
    has!("$3::bigint", "$4::bigint"),
    " THEN $2::bigint ELSE 0 END, $5::text, $6::bigint, $7::text, $8::bigint, $9::text, $10::text, $11::bigint,
        $12::bigint, $13::bigint, 1
    ON CONFLICT (incarnation) DO UPDATE SET attempt = excluded.attempt, acked = greatest(node.acked, excluded.acked)
        WHERE node.attempt < excluded.attempt"
);
/// From the change before the first that is wanted: that must still be the one applied here.
const READ: &str = concat!(
    "SELECT h.store, h.epoch, h.change_number, l.number, l.format, l.body, l.tag FROM ",
    head!(),
    " LEFT JOIN change_log l ON l.number >= $1 ORDER BY l.number"
);
/// Nobody need wait for it: when it is lost, the next renewal says it.
const NOT_AWAITED: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off";
const ACKNOWLEDGE: &str = concat!(
    "WITH older AS (UPDATE node SET acked = $1 WHERE EXISTS (SELECT 1 FROM node WHERE applies = 0)
        AND incarnation = $2 AND acked < $1 AND ",
    has!("$3::bigint", "$4::bigint"),
    ") INSERT INTO node_applied (incarnation, number) SELECT $2::text, $1::bigint WHERE ",
    has!("$3::bigint", "$4::bigint")
);
/// Always one row at least: that the server lacks the change must not look like there being no other nodes.
const ROWS: &str = concat!(
    "SELECT CASE WHEN ",
    has!("$1::bigint", "$2::bigint"),
    " THEN 1::bigint ELSE 0::bigint END, n.incarnation, n.attempt, ",
    acknowledged!(),
    ", n.wait
    FROM (SELECT 1) AS one LEFT JOIN node n ON n.incarnation <> $3"
);
/// All rows for people, the own one too; what can be lost; the clock. Always one row at least.
const LIST: &str = concat!(
    "SELECT h.change_number, current_setting('fsync'), current_setting('full_page_writes'),
    current_setting('synchronous_standby_names'), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    n.incarnation, n.attempt, ",
    acknowledged!(),
    ", n.wait, n.about, n.newest_key, n.joined_at, n.replicas, h.audit_seq FROM ",
    head!(),
    " LEFT JOIN node n ON true ORDER BY n.joined_at, n.incarnation"
);
const REMOVE: &str = concat!(
    forgotten!("n.incarnation = $1 AND n.attempt = $2"),
    "DELETE FROM node WHERE incarnation = $1 AND attempt = $2"
);
const SIGN_OFF: &str = concat!(
    forgotten!("n.incarnation = $1"),
    "DELETE FROM node WHERE incarnation = $1"
);

/// The session counts what it takes, so this is asked only while it has not got the lock.
const TRY_HOUSEKEEPING: &str = "SELECT pg_try_advisory_lock($1)";
const LEAVE_HOUSEKEEPING: &str = "SELECT pg_advisory_unlock($1)";
/// Renewals are far more frequent: a session without one for so long belongs to a process that was stopped, and must not keep
/// others from cleaning up. A server before PostgreSQL 14 has no such setting.
const END_WHEN_IDLE: &str =
    "SELECT set_config(name, '30s', false) FROM pg_settings WHERE name = 'idle_session_timeout'";
/// What a node says of itself when it joins, besides its renewal.
pub(crate) struct Joining<'a> {
    /// The name of this process, the same in all its memberships.
    pub(crate) id: &'a str,
    /// How long others wait for it, in nanoseconds.
    pub(crate) wait: u64,
    /// Proves that a row with the same one was left by a dead process; empty when nothing proves that.
    pub(crate) place: &'a str,
    /// The JSON of [`About`].
    pub(crate) about: &'a str,
    pub(crate) joined_at: Timestamp,
    pub(crate) keyring: &'a Keyring,
}

/// What is to be said and asked in one round trip.
#[derive(Default)]
pub(crate) struct Wanted {
    /// What is applied here.
    pub(crate) applied: Option<Acknowledged>,
    /// The head and the log from this number on.
    pub(crate) log: Option<u64>,
    /// The rows of all nodes but the one of this name, and whether the server has the change at this position.
    pub(crate) rows: Option<(Position, String)>,
}

/// The changes up to a number are applied in a node.
pub(crate) struct Acknowledged {
    pub(crate) incarnation: String,
    pub(crate) number: u64,
    /// What is applied here: a server that lacks it must not be told.
    pub(crate) at: Position,
}

impl Acknowledged {
    fn params(self) -> [Value; 4] {
        [
            Value::Int(self.number.cast_signed()),
            self.incarnation.into(),
            Value::Int(self.at.number.cast_signed()),
            Value::Int(self.at.tag.cast_signed()),
        ]
    }
}

/// The rows of the other nodes.
pub(crate) struct Others {
    /// Whether the server has the change that was asked about.
    pub(crate) here: bool,
    pub(crate) rows: Vec<NodeRow>,
}

impl Others {
    fn of(found: &[tokio_postgres::Row]) -> Result<Self, StoreError> {
        let (mut here, mut rows) = (false, Vec::new());
        for row in found {
            let row = Row::Postgres(row);
            here = row.int(0)? == 1;
            let Some(text) = row.text_or_null(1)? else {
                continue;
            };
            let incarnation = node_name(text)?;
            rows.push(NodeRow {
                incarnation: Incarnation(incarnation.as_u128()),
                attempt: row.int(2)?.cast_unsigned(),
                acknowledged: row.int(3)?.cast_unsigned(),
                wait: row.int(4)?.cast_unsigned(),
            });
        }
        Ok(Self { here, rows })
    }
}

/// The session, or how to make one.
pub(crate) struct MemberSession {
    target: Target,
    session: Option<Session>,
    /// Set while a transaction may be open: a session that is left so can only be closed.
    within: bool,
}

impl MemberSession {
    /// For the database at this URL; `name` is how others see the session. Connects to nothing yet.
    pub(crate) fn new(url: &str, name: &str) -> Result<Self, StoreError> {
        Ok(Self {
            target: Target::parse(url, name)?,
            session: None,
            within: false,
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        let open = self.session.as_ref();
        !self.within && open.is_some_and(|session| !session.client.is_closed())
    }

    /// Connects to the server that takes writes.
    pub(crate) async fn open(&mut self) -> Result<(), StoreError> {
        self.give_up();
        let session = Session::connect(&self.target, Purpose::Write).await;
        let session = session.map_err(|error| error.at(&self.target.place))?;
        session.listen_to(HINTS).await?;
        session.client.batch_execute(END_WHEN_IDLE).await?;
        self.session = Some(session);
        Ok(())
    }

    /// What is woken when another node has committed changes. A hint may be lost; nothing rests on it but how soon this node
    /// looks.
    pub(crate) fn hints(&self) -> Option<Arc<Notify>> {
        self.session.as_ref().map(Session::hints)
    }

    /// Closes the connection.
    pub(crate) fn give_up(&mut self) {
        self.session = None;
        self.within = false;
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        let place = &self.target.place;
        let lost = || StoreError::Unavailable(format!("{place}: not connected"));
        self.session.as_mut().ok_or_else(lost)
    }

    /// Writes one statement durably by itself; the number of rows it touched.
    async fn write(&mut self, sql: &'static str, params: &[Value]) -> Result<u64, StoreError> {
        let session = self.session()?;
        let prepared = session.prepare(sql).await?;
        session.clear_notice();
        let touched = session.client.execute(&prepared, &borrow(params)).await?;
        heard_nothing(session)?;
        Ok(touched)
    }

    /// Renews the row: attempt, acknowledged, number and tag of what is applied, incarnation, attached replicas. Answers
    /// whether it was there: another node may have removed it.
    pub(crate) async fn renew(&mut self, row: &[Value; 6]) -> Result<bool, StoreError> {
        Ok(self.write(RENEW, row).await? > 0)
    }

    /// Makes the row, under the head lock: a node that holds it and sees no other row is alone. Also agrees on the key for new
    /// digests: alone, this node's newest; else the one that the others use.
    ///
    /// # Errors
    /// [`StoreError::DigestKeys`] without that key, [`StoreError::Refused`] beside a node that reads other changes, and when
    /// there are too many nodes.
    pub(crate) async fn join(
        &mut self,
        row: &[Value; 6],
        with: &Joining<'_>,
    ) -> Result<(), StoreError> {
        self.within = true;
        let session = self.session()?;
        let (replace, join, terms, choose) = (
            session.prepare(REPLACE).await?,
            session.prepare(JOIN).await?,
            session.prepare(TERMS).await?,
            session.prepare(CHOOSE_KEY).await?,
        );
        session.clear_notice();
        let client = &session.client;
        client.batch_execute(BEGIN_LOCKED).await?;
        let (id, place): (Value, Value) = (with.id.into(), with.place.into());
        let incarnation = row[4].clone();
        client
            .execute(&replace, &[&place, &id, &incarnation])
            .await?;
        let found = client.query(&terms, &[&incarnation]).await?;
        let (mut chosen, mut others) = (None, Vec::new());
        for found in &found {
            let found = Row::Postgres(found);
            chosen = digest_key(found.int(0)?)?;
            if let Some(reads) = found.int_or_null(1)? {
                others.push((reads, found.text(2)?.to_owned()));
            }
        }
        let newest = with.keyring.newest();
        let key = agree(chosen, &others, newest, with.keyring)?;
        if Some(key) != chosen {
            let key = Value::from(u32::from(key.0));
            client.execute(&choose, &[&key]).await?;
        }
        let mut params = row.to_vec();
        params.extend([
            id,
            Value::Int(with.wait.cast_signed()),
            place,
            with.about.into(),
            Value::from(FORMAT),
            Value::from(u32::from(newest.0)),
            Value::from(with.joined_at),
        ]);
        client.execute(&join, &borrow(&params)).await?;
        client.batch_execute("COMMIT").await?;
        heard_nothing(session)?;
        self.within = false;
        with.keyring.choose(key);
        Ok(())
    }

    /// All nodes and what the server says of itself, for people.
    pub(crate) async fn list(&mut self) -> Result<Listed, StoreError> {
        let found = self.rows_of(LIST, &[]).await?;
        let mut listed = None;
        for row in &found {
            let row = Row::Postgres(row);
            let all = listed.get_or_insert(Listed {
                rows: Vec::new(),
                coherence: Coherence::of(row.text(1)?, row.text(2)?, row.text(3)?),
                now: Timestamp(row.int(4)?),
                change: row.int(0)?.cast_unsigned(),
                audit_seq: row.int(13)?.cast_unsigned(),
            });
            let Some(text) = row.text_or_null(5)? else {
                continue;
            };
            let node = Node {
                incarnation: node_name(text)?,
                acknowledged: row.int(7)?.cast_unsigned(),
                wait: Duration::from_nanos(row.int(8)?.cast_unsigned()),
                about: About::read(row.text(9)?),
                newest_key: digest_key(row.int(10)?)?,
                joined_at: Timestamp(row.int(11)?),
                replicas: row.int(12)?.cast_unsigned(),
                ..Node::default()
            };
            all.rows.push((row.int(6)?, node));
        }
        listed.ok_or_else(|| StoreError::Damaged("the head row is missing".into()))
    }

    async fn rows_of(
        &mut self,
        sql: &'static str,
        params: &[Value],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let session = self.session()?;
        let prepared = session.prepare(sql).await?;
        let params = borrow(params);
        let asking = session.client.query(&prepared, &params);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, asking).await;
        Ok(answer.map_err(|_| super::unanswered())??)
    }

    /// Reads the head and the log from `number` on.
    pub(crate) async fn read(&mut self, number: u64, each: Each<'_>) -> Result<(), StoreError> {
        let wanted = Wanted {
            log: Some(number),
            ..Wanted::default()
        };
        self.exchange(wanted, each).await.map(|_| ())
    }

    /// Says and asks everything at once, in one round trip; answers the rows of the other nodes.
    pub(crate) async fn exchange(
        &mut self,
        wanted: Wanted,
        each: Each<'_>,
    ) -> Result<Option<Others>, StoreError> {
        let Wanted { applied, log, rows } = wanted;
        self.within = applied.is_some();
        let session = self.session()?;
        let (acknowledge, read, look) = (
            session.prepare(ACKNOWLEDGE).await?,
            session.prepare(READ).await?,
            session.prepare(ROWS).await?,
        );
        let client = &session.client;
        let said = applied.map(|one| one.params());
        let saying = async {
            let Some(params) = &said else { return Ok(()) };
            let params = borrow(params);
            let (begun, done, committed) = futures_util::future::join3(
                client.batch_execute(NOT_AWAITED),
                client.execute(&acknowledge, &params),
                client.batch_execute("COMMIT"),
            )
            .await;
            begun?;
            done?;
            committed
        };
        let from = log.map(|number| [Value::Int(number.cast_signed())]);
        let reading = async {
            match &from {
                Some(from) => client.query(&read, &borrow(from)).await,
                None => Ok(Vec::new()),
            }
        };
        let at = rows.map(|(committed, own)| -> [Value; 3] {
            let (number, tag) = (committed.number.cast_signed(), committed.tag.cast_signed());
            [number.into(), tag.into(), own.into()]
        });
        let looking = async {
            match &at {
                Some(at) => client.query(&look, &borrow(at)).await.map(Some),
                None => Ok(None),
            }
        };
        // Sent in this order, without waiting for the answers in between.
        let all = futures_util::future::join3(saying, reading, looking);
        let all = tokio::time::timeout(ANSWER_TIMEOUT, all).await;
        let (said, log, rows) = all.map_err(|_| super::unanswered())?;
        said?;
        let (log, rows) = (log?, rows?);
        self.within = false;
        log.iter()
            .try_for_each(|row| each(0, &Row::Postgres(row)))?;
        rows.map(|rows| Others::of(&rows)).transpose()
    }

    /// Tries to become the node that cleans up; the lock ends with the session.
    pub(crate) async fn try_housekeeping(&mut self) -> Result<bool, StoreError> {
        let got = self
            .rows_of(TRY_HOUSEKEEPING, &[Value::Int(HOUSEKEEPER_LOCK)])
            .await?;
        Ok(got.first().is_some_and(|row| row.get(0)))
    }

    /// Lets another node clean up.
    pub(crate) async fn leave_housekeeping(&mut self) -> Result<(), StoreError> {
        let lock = [Value::Int(HOUSEKEEPER_LOCK)];
        self.rows_of(LEAVE_HOUSEKEEPING, &lock).await.map(|_| ())
    }

    /// Deletes the row of a node whose lease is over, if it still shows this attempt.
    pub(crate) async fn remove(
        &mut self,
        incarnation: String,
        attempt: u64,
    ) -> Result<(), StoreError> {
        let params = [incarnation.into(), Value::Int(attempt.cast_signed())];
        self.write(REMOVE, &params).await.map(|_| ())
    }

    /// Deletes this node's row, on a new connection if the former one is gone.
    pub(crate) async fn sign_off(&mut self, incarnation: String) -> Result<(), StoreError> {
        let leaving = async {
            if !self.is_open() {
                self.open().await?;
            }
            self.write(SIGN_OFF, &[incarnation.into()])
                .await
                .map(|_| ())
        };
        let left = tokio::time::timeout(LEAVE_TIMEOUT, leaving).await;
        left.map_err(|_| super::unanswered())?
    }

    /// Ends the session in good order.
    pub(crate) async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }
}

fn node_name(text: &str) -> Result<uuid::Uuid, StoreError> {
    parse_uuid(text).ok_or_else(|| StoreError::Damaged(format!("a node named {text:?}")))
}

/// The key for new digests once this node has joined these others, of which each says what changes it reads.
fn agree(
    chosen: Option<KeyId>,
    others: &[(i64, String)],
    newest: KeyId,
    keyring: &Keyring,
) -> Result<KeyId, StoreError> {
    if others.len() >= NODES_MAX {
        return Err(StoreError::Refused(format!(
            "{NODES_MAX} nodes use this database already, and no more can: stop one first"
        )));
    }
    // 0: a version that used a database alone.
    let differs = |(reads, _): &&(i64, String)| *reads != 0 && *reads != i64::from(FORMAT);
    if let Some((reads, about)) = others.iter().find(differs) {
        let about = About::read(about);
        return Err(StoreError::Refused(format!(
            "node {:?} (version {}) on this database reads changes of format {reads}, and this version writes format {FORMAT}: \
             run one version on all nodes, or stop the others first",
            about.name, about.version
        )));
    }
    match chosen {
        Some(chosen) if !others.is_empty() && keyring.ids().any(|id| id == chosen) => Ok(chosen),
        Some(chosen) if !others.is_empty() => Err(KeyFault::Chosen(chosen).into()),
        _ => Ok(newest),
    }
}

/// A notice with a commit means that its outcome is unknown: PostgreSQL reports success for a commit whose wait for the
/// standby was cancelled, and warns.
fn heard_nothing(session: &Session) -> Result<(), StoreError> {
    match session.noticed() {
        true => Err(StoreError::Unavailable(
            "the server warned during a commit".into(),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{looks_at_few_pages, on_tables, snapshot};
    use super::*;
    use tokenward_testkit::PgCluster;

    /// A renewal or a join: this attempt, nothing acknowledged, nothing applied.
    fn row(attempt: i64) -> [Value; 6] {
        let mut row = [attempt, 0, 0, 0, 0, 0].map(Value::Int);
        row[4] = name(7).into();
        row
    }

    fn name(node: u128) -> String {
        uuid::Uuid::from_u128(node).to_string()
    }

    /// A session on which this attempt has joined.
    async fn joined(cluster: &PgCluster, keyring: &Keyring, attempt: i64) -> MemberSession {
        let mut session = MemberSession::new(&cluster.url(), "test").unwrap();
        session.open().await.unwrap();
        session
            .join(&row(attempt), &joining(keyring))
            .await
            .unwrap();
        session
    }

    async fn exchange(session: &mut MemberSession, wanted: Wanted) -> Option<Others> {
        let each: Each<'_> = &mut |_, _| Ok(());
        session.exchange(wanted, each).await.unwrap()
    }

    /// What a node of this name reads of the others.
    async fn others(session: &mut MemberSession, reader: String) -> Others {
        let wanted = Wanted {
            rows: Some((Position::default(), reader)),
            ..Wanted::default()
        };
        exchange(session, wanted).await.unwrap()
    }

    fn keyring() -> Keyring {
        let key = tokenward_core::digest::DigestKey::new(KeyId(1), [7; 32]);
        Keyring::new(vec![key]).unwrap()
    }

    fn joining(keyring: &Keyring) -> Joining<'_> {
        Joining {
            id: "process",
            wait: 1,
            place: "node",
            about: "{}",
            joined_at: Timestamp(0),
            keyring,
        }
    }

    async fn attempt(session: &mut MemberSession) -> u64 {
        let Others { here, rows } = others(session, String::new()).await;
        assert!(here, "the beginning is in every history");
        assert_eq!(rows.len(), 1);
        rows[0].attempt
    }

    /// Says that the changes up to `number` are applied.
    async fn acknowledge(session: &mut MemberSession, number: u64) {
        let applied = Acknowledged {
            incarnation: name(7),
            number,
            at: Position::default(),
        };
        let wanted = Wanted {
            applied: Some(applied),
            ..Wanted::default()
        };
        assert!(exchange(session, wanted).await.is_none());
    }

    /// What a node of this name reads of what the others have applied.
    async fn said_by(session: &mut MemberSession, reader: u128) -> Vec<(u128, u64)> {
        let rows = others(session, name(reader)).await.rows.into_iter();
        rows.map(|row| (row.incarnation.0, row.acknowledged))
            .collect()
    }

    #[test]
    fn former_acknowledgements_are_not_read_while_a_snapshot_is_open() {
        on_tables(async |cluster, mut driver| {
            let mut session = joined(cluster, &keyring(), 1).await;
            let dump = snapshot(cluster).await;
            for number in 1..=3000 {
                acknowledge(&mut session, number).await;
                if number % 1000 == 0 {
                    let mut renewal = row(1 + number.cast_signed() / 1000);
                    renewal[1] = (number.cast_signed() - 5).into();
                    session.renew(&renewal).await.unwrap();
                }
            }
            let counts = "SELECT (SELECT count(*) FROM node_applied), (SELECT acked FROM node)";
            let counts = cluster.sql("tokenward", counts);
            assert_eq!(counts, "6|2995", "a renewal says what was said before it");
            let me = name(7);
            for (sql, values) in [
                (ROWS, "(0, 0, 'another')".to_owned()),
                (ACKNOWLEDGE, format!("(3001, '{me}', 0, 0)")),
                (RENEW, format!("(5, 2999, 0, 0, '{me}', 0)")),
                (LIST, String::new()),
                // Nothing is acknowledged beyond the row, as at a node that is alone by now.
                (RENEW, format!("(6, 4000, 0, 0, '{me}', 0)")),
                (ROWS, "(0, 0, 'another')".to_owned()),
                (LIST, String::new()),
                (SIGN_OFF, format!("('{me}')")),
            ] {
                looks_at_few_pages(&mut driver, sql, &values).await;
            }
            dump.close().await;
            driver.close().await;
        });
    }

    #[test]
    fn nodes_of_an_older_version_read_acknowledgements_where_they_look() {
        on_tables(async |cluster, driver| {
            let mut session = joined(cluster, &keyring(), 1).await;
            let acked = || cluster.sql("tokenward", "SELECT acked FROM node WHERE id = 'process'");
            acknowledge(&mut session, 3).await;
            assert_eq!(acked(), "0", "only its own version is there");
            assert_eq!(said_by(&mut session, 9).await, [(7, 3)]);
            let older = "INSERT INTO node (incarnation, id, attempt, acked, wait)
                VALUES ('00000000-0000-0000-0000-000000000009', 'older', 1, 2, 1)";
            let _ = cluster.sql("tokenward", older);
            acknowledge(&mut session, 4).await;
            assert_eq!(acked(), "4");
            // Each reads the other's, wherever it is.
            assert_eq!(said_by(&mut session, 9).await, [(7, 4)]);
            assert_eq!(said_by(&mut session, 7).await, [(9, 2)]);
            let of_older =
                "DELETE FROM node_applied; UPDATE node SET acked = 5 WHERE id = 'process'";
            let _ = cluster.sql("tokenward", of_older);
            assert_eq!(said_by(&mut session, 9).await, [(7, 5)]);
            driver.close().await;
        });
    }

    #[test]
    fn what_arrives_late_shows_no_attempt_again() {
        on_tables(async |cluster, driver| {
            let keyring = keyring();
            let with = joining(&keyring);
            let mut session = joined(cluster, &keyring, 5).await;
            assert!(session.renew(&row(6)).await.unwrap());
            assert_eq!(attempt(&mut session).await, 6);
            // Sent before, given up, and carried out only now.
            assert!(!session.renew(&row(4)).await.unwrap());
            session.join(&row(3), &with).await.unwrap();
            assert_eq!(attempt(&mut session).await, 6);
            // Another membership of the same node takes its place.
            let mut next = row(7);
            next[4] = name(8).into();
            session.join(&next, &with).await.unwrap();
            assert!(!session.renew(&row(9)).await.unwrap());
            assert_eq!(attempt(&mut session).await, 7);
            session.remove(name(8), 6).await.unwrap();
            assert_eq!(attempt(&mut session).await, 7, "it has renewed since");
            driver.close().await;
        });
    }
}
