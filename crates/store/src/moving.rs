//! Moves a whole store to another place, SQLite to PostgreSQL or back: every row is copied, read back and compared, and then
//! the new place serves and the old one no longer does. A store that must not serve has a [`Mark`] instead of its name in
//! the head row, which every version of the server refuses. This module never changes a row of the source but that name.

use crate::backup::forget_nodes;
use crate::driver::Driver;
use crate::error::StoreError;
use crate::load::{Head, load_at, read_marked_head};
use crate::member::change;
use crate::postgres::PostgresDriver;
use crate::sqlite::SqliteDriver;
use crate::store::{Location, new_head};
use crate::value::{Row, Statement, Value};
use crate::{handle, rows, schema, timer};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokenward_core::audit::{CHAIN_START, Verifier};
use tokenward_core::change::Change;
use tokenward_core::ids::{ClientId, ClientNo};
use tokenward_core::time::Timestamp;
use tokenward_core::{Keyring, Replica};
use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use uuid::Uuid;

/// Rows handed on together, and batches that wait.
const BATCH: usize = 1_000;
const WAITING: usize = 4;
/// Longest a short transaction may take.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// The table of the processes that serve; this one and that of what they have applied are left empty.
const PROCESSES: &str = "node";
const APPLIED: &str = "node_applied";
/// The table of the one row that says where a store stands.
const HEAD: &str = "head";
/// The column of that row in which a mark is kept.
const NAME: &str = "store";

const SET_NAME: &str = "UPDATE head SET store = $1";
const REPLACE_NAME: &str = "UPDATE head SET store = $1 WHERE store = $2";

/// How far a move has come for one of its two stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// The target, until it is known to be equal.
    Unfinished,
    /// The source, afterwards.
    Moved,
}

/// What stands in the head row in place of the store's name while no server may use the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The store's name.
    pub(crate) store: String,
    /// Which move it was: the same in both stores.
    id: String,
    state: State,
    /// The other store, in words.
    other: String,
    /// When, in words.
    at: String,
}

impl Mark {
    /// The mark in the column of the store's name; none in a store that servers may use.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Why no server may use the store.
    pub(crate) fn refusal(&self) -> StoreError {
        let Self { other, at, .. } = self;
        StoreError::Refused(match self.state {
            State::Moved => format!(
                "the store was moved to {other} at {at}, and changes made since are only there. Start the server on that store. \
                 To go back to this one, move the other one back with `tokenward move`, or give up those changes and every \
                 access token with `tokenward restore`"
            ),
            State::Unfinished => format!(
                "this is an unfinished copy of {other}: `tokenward move` was interrupted (begun at {at}). Run the same \
                 `tokenward move` again; until it is done the other store can be used"
            ),
        })
    }

    /// What clears the mark of a store that was moved away and is restored; an unfinished copy is refused.
    pub(crate) fn lifted(&self) -> Result<Statement, StoreError> {
        match self.state {
            State::Moved => {
                let params = vec![self.store.as_str().into()];
                Ok(Statement::one(SET_NAME, params))
            }
            State::Unfinished => Err(self.refusal()),
        }
    }
}

/// A move to make.
pub struct Move<'a> {
    /// The store to move. No server may run on it.
    pub from: &'a Location,
    /// Where to: an empty database or a file that does not exist, or what an interrupted move left there.
    pub to: &'a Location,
    /// The digest keys of the store.
    pub keyring: Arc<Keyring>,
    /// A new name for this move.
    pub id: Uuid,
    /// The time now.
    pub now: Timestamp,
    /// How long to wait before the target is opened, when a node of the source did not sign off: [`crate::NODE_WAIT`].
    pub wait: Duration,
}

/// A step of a move, for people who watch it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Rows are copied.
    Copying,
    /// Rows are read back and compared.
    Comparing,
    /// The audit chain, the change log and the replica are verified.
    Verifying,
    /// A node of the source that did not sign off may still answer checks.
    Waiting,
}

/// What was copied of one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopiedTable {
    /// The table's name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// A digest of them: the sum of each row's SHA-256, in hex; the same in both stores.
    pub digest: String,
}

/// What was moved, and proved equal.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Where both stores stand.
    pub head: Head,
    /// The two stores, in words.
    pub from: String,
    /// The store that servers use from now on.
    pub to: String,
    /// Every table.
    pub tables: Vec<CopiedTable>,
    /// API clients that the new store's replica holds, the deleted ones included.
    pub clients: u64,
    /// Changes of the log that were folded and compared with the tables.
    pub folded: u64,
}

/// Copies a store to an empty place, proves the copy equal to it, closes the source and opens the copy. Until the last step
/// the source can be used, and the copy can not. What was interrupted is made anew by the same call.
///
/// # Errors
/// [`StoreError::InUse`] while a server runs on either PostgreSQL database, [`StoreError::Refused`] when the target holds
/// another store or the source was moved elsewhere, [`StoreError::Damaged`] when the two differ, and when either can't be
/// read or written.
pub async fn move_store(
    wanted: &Move<'_>,
    progress: &mut dyn FnMut(Step, &str, u64),
) -> Result<Moved, StoreError> {
    let tables = tables()?;
    let mut source = open(wanted.from, false).await?;
    match source.version().await? {
        Some(schema::VERSION) => {}
        Some(_) => {
            return Err(StoreError::Refused(format!(
                "{} was written by an older version: start a server of this version on it once, stop it, and move the store then",
                described(wanted.from, &source)
            )));
        }
        None => return Err(crate::driver::nothing_here()),
    }
    let (head, mark) = read_marked_head(&mut source).await?;
    let mut target = open(wanted.to, true).await?;
    let names = (
        described(wanted.from, &source),
        described(wanted.to, &target),
    );
    let id = match &mark {
        None => wanted.id.to_string(),
        Some(mark) if mark.state == State::Moved => mark.id.clone(),
        Some(mark) => return Err(mark.refusal()),
    };
    let unfinished = Mark {
        store: head.store.to_string(),
        id,
        state: State::Unfinished,
        other: names.0.clone(),
        at: wanted.now.iso(),
    };
    begin(&mut target, &unfinished, mark.as_ref(), wanted.now).await?;
    let mut copied = Vec::new();
    for table in &tables {
        let done = copy(wanted.from, &mut target, table, &unfinished, progress).await?;
        copied.push(done);
    }
    for (table, of_source) in tables.iter().zip(&copied) {
        progress(Step::Comparing, &table.name, 0);
        let mut sum = Sum::default();
        let mut each = |_: usize, row: &Row<'_>| {
            sum.add(&unmarked(table, table.values(row)?));
            if sum.rows.is_multiple_of(BATCH as u64) {
                progress(Step::Comparing, &table.name, sum.rows);
            }
            Ok(())
        };
        target.stream(&table.select(), &mut each).await?;
        let of_target = sum.of(&table.name);
        if of_target != *of_source {
            return Err(StoreError::Damaged(format!(
                "the table {} of the copy differs: {} rows with digest {}, and {} rows with digest {} in {}. The copy is not \
                 used. Make sure that no other program writes to either store, and run the command again",
                table.name,
                of_target.rows,
                of_target.digest,
                of_source.rows,
                of_source.digest,
                names.0
            )));
        }
    }
    progress(Step::Verifying, "audit", 0);
    verify_audit(&mut target, &head).await?;
    progress(Step::Verifying, "change_log", 0);
    let (clients, folded) = verify_changes(wanted, &mut target, &head).await?;
    if let Driver::Postgres(driver) = &mut target {
        // Servers start on statistics of what is there now, not of what was there before.
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        driver.unhurried().await?;
        driver.run(&format!("ANALYZE {}", names.join(", "))).await?;
    }
    if head.nodes != (None, None) && source.is_shared() {
        progress(Step::Waiting, PROCESSES, 0);
        timer::pass(wanted.wait).await;
    }
    let moved = Mark {
        state: State::Moved,
        other: names.1.clone(),
        ..unfinished.clone()
    };
    if mark.is_none() {
        let params = vec![moved.text().into(), moved.store.as_str().into()];
        let [nodes, applied] = forget_nodes();
        let close = [Statement::one(REPLACE_NAME, params), nodes, applied];
        commit(&mut source, &close).await?;
    }
    let name = vec![head.store.to_string().into()];
    commit(&mut target, &[Statement::one(SET_NAME, name)]).await?;
    source.close().await;
    target.close().await;
    Ok(Moved {
        head,
        from: names.0,
        to: names.1,
        tables: copied,
        clients,
        folded,
    })
}

async fn commit(driver: &mut Driver, statements: &[Statement]) -> Result<(), StoreError> {
    driver.commit(statements, COMMIT_TIMEOUT).await
}

/// Opens a store for this process alone.
async fn open(location: &Location, create: bool) -> Result<Driver, StoreError> {
    match location {
        Location::Sqlite(path) => {
            let driver = SqliteDriver::open(path, create)?;
            if create {
                let failed =
                    |error| StoreError::Unavailable(format!("{}: {error}", path.display()));
                let folder = path.parent().filter(|folder| *folder != Path::new(""));
                std::fs::File::open(folder.unwrap_or(Path::new(".")))
                    .and_then(|folder| folder.sync_all())
                    .map_err(failed)?;
            }
            Ok(Driver::Sqlite(driver))
        }
        Location::Postgres(url) => {
            let driver = PostgresDriver::open(url, "move", false).await?;
            let mut driver = Driver::Postgres(driver);
            driver.unhurried().await?;
            Ok(driver)
        }
    }
}

fn described(location: &Location, driver: &Driver) -> String {
    match (location, driver) {
        (Location::Sqlite(path), _) => format!("the file {}", path.display()),
        (_, Driver::Postgres(driver)) => driver.described(),
        (Location::Postgres(_), _) => String::new(),
    }
}

/// Makes the tables of an empty target with the mark in them, or empties those of an interrupted move.
async fn begin(
    target: &mut Driver,
    mark: &Mark,
    of_source: Option<&Mark>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if target.version().await?.is_none() {
        if let Some(moved) = of_source {
            return Err(moved.refusal());
        }
        let fresh = new_head(&mark.text(), Uuid::nil(), now);
        target.migrate(Some(&fresh)).await?;
        return Ok(());
    }
    target.migrate(None).await?;
    target.unhurried().await?;
    let names = target.rows("SELECT store FROM head", vec![], |row| {
        Ok(row.text(0)?.to_owned())
    });
    let name = names.await?.pop().unwrap_or_default();
    let found = Mark::read(&name).filter(|found| found.state == State::Unfinished);
    match (found, of_source) {
        (Some(found), None) if found.store == mark.store => {}
        (Some(found), Some(moved)) if found.id == moved.id => {}
        (_, Some(moved)) => return Err(moved.refusal()),
        (Some(found), None) => {
            return Err(StoreError::Refused(format!(
                "the target holds an unfinished copy of another store, {}. Finish that move, or name an empty target",
                found.other
            )));
        }
        (None, None) => {
            return Err(StoreError::Refused(
                "the target already holds a store, and a move overwrites none. Name an empty database or a data directory \
                 without tokenward.sqlite; if that store is not needed any more, move the file away or drop its tables first"
                    .into(),
            ));
        }
    }
    let again = Statement::one(SET_NAME, vec![mark.text().into()]);
    commit(target, &[again]).await
}

/// A table as the newest migration leaves it.
#[derive(Clone)]
struct Table {
    name: String,
    columns: Vec<(String, Type)>,
}

/// The tables to copy, as this program's migrations make them; the head last.
fn tables() -> Result<Vec<Table>, StoreError> {
    let empty = Connection::open_in_memory()?;
    for migration in schema::MIGRATIONS {
        empty.execute_batch(&schema::for_sqlite(migration))?;
    }
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ($1, $2) ORDER BY name = $3, name";
    let mut names = empty.prepare(sql)?;
    let names = names.query_map([PROCESSES, APPLIED, HEAD], |row| row.get::<_, String>(0))?;
    let mut tables = Vec::new();
    for name in names {
        let name = name?;
        let mut about = empty.prepare("SELECT name, type FROM pragma_table_info($1)")?;
        let columns = about.query_map([&name], |row| {
            let kind = match row.get::<_, String>(1)?.as_str() {
                "TEXT" => Type::TEXT,
                "BLOB" => Type::BYTEA,
                _ => Type::INT8,
            };
            Ok((row.get(0)?, kind))
        })?;
        let columns = columns.collect::<Result<_, _>>()?;
        tables.push(Table { name, columns });
    }
    Ok(tables)
}

impl Table {
    fn columns(&self) -> String {
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        names.join(", ")
    }

    fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.columns(), self.name)
    }

    fn insert(&self) -> String {
        let params: Vec<String> = (1..=self.columns.len()).map(|n| format!("${n}")).collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.name,
            self.columns(),
            params.join(", ")
        )
    }

    fn copy_in(&self) -> String {
        format!(
            "COPY {} ({}) FROM STDIN (FORMAT binary)",
            self.name,
            self.columns()
        )
    }

    fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|(_, kind)| kind.clone()).collect()
    }

    fn values(&self, row: &Row<'_>) -> Result<Vec<Value>, StoreError> {
        let value = |(at, (name, kind)): (usize, &(String, Type))| {
            let value = match *kind {
                Type::TEXT => row.text_or_null(at).map(Value::from),
                Type::BYTEA => row.bytes_or_null(at).map(Value::from),
                _ => row.int_or_null(at).map(Value::from),
            };
            value.map_err(|_| {
                StoreError::Damaged(format!(
                    "{}.{name} holds a value of another type",
                    self.name
                ))
            })
        };
        self.columns.iter().enumerate().map(value).collect()
    }
}

/// The row without the mark: what both stores must agree on.
fn unmarked(table: &Table, mut values: Vec<Value>) -> Vec<Value> {
    if table.name == HEAD {
        for ((column, _), value) in table.columns.iter().zip(&mut values) {
            if let (NAME, Value::Text(text)) = (column.as_str(), &mut *value)
                && let Some(mark) = Mark::read(text)
            {
                *value = mark.store.into();
            }
        }
    }
    values
}

/// A digest of rows in any order.
#[derive(Default)]
struct Sum {
    rows: u64,
    lanes: [u64; 4],
}

impl Sum {
    fn add(&mut self, values: &[Value]) {
        let mut hash = Sha256::new();
        for value in values {
            let (kind, bytes) = match value {
                Value::Null => (0_u8, Vec::new()),
                Value::Int(value) => (1, value.to_be_bytes().to_vec()),
                Value::Text(text) => (2, text.as_bytes().to_vec()),
                Value::Bytes(bytes) => (3, bytes.clone()),
            };
            hash.update([kind]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(&bytes);
        }
        let hash: [u8; 32] = hash.finalize().into();
        for (lane, part) in self.lanes.iter_mut().zip(hash.chunks_exact(8)) {
            let part = part
                .iter()
                .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            *lane = lane.wrapping_add(part);
        }
        self.rows += 1;
    }

    fn of(&self, name: &str) -> CopiedTable {
        let [a, b, c, d] = self.lanes;
        CopiedTable {
            name: name.to_owned(),
            rows: self.rows,
            digest: format!("{a:016x}{b:016x}{c:016x}{d:016x}"),
        }
    }
}

type Batch = Vec<Vec<Value>>;
type Reading = JoinHandle<Result<(), StoreError>>;

/// Reads the rows of a table on a thread and a connection of its own.
fn reading(
    from: &Location,
    select: String,
    table: &Table,
) -> Result<(mpsc::Receiver<Batch>, Reading), StoreError> {
    let (hand_on, arriving) = mpsc::channel(WAITING);
    let (from, table) = (from.clone(), table.clone());
    let read = move || {
        let given_up = |_| StoreError::Unavailable("the move was given up".into());
        let mut batch = Batch::new();
        let mut each = |_: usize, row: &Row<'_>| {
            batch.push(table.values(row)?);
            if batch.len() == BATCH {
                hand_on
                    .blocking_send(std::mem::take(&mut batch))
                    .map_err(given_up)?;
            }
            Ok(())
        };
        from.read_alone(&[&select], &[], &mut each)?;
        hand_on.blocking_send(batch).map_err(given_up)
    };
    Ok((arriving, handle::thread("reading", read)?))
}

/// Copies a table into the target, which loses the rows it has in it.
async fn copy(
    from: &Location,
    target: &mut Driver,
    table: &Table,
    mark: &Mark,
    progress: &mut dyn FnMut(Step, &str, u64),
) -> Result<CopiedTable, StoreError> {
    progress(Step::Copying, &table.name, 0);
    let (mut arriving, thread) = reading(from, table.select(), table)?;
    let mut sum = Sum::default();
    if table.name != HEAD {
        clear(target, table).await?;
    }
    let mut sink = match &mut *target {
        Driver::Postgres(driver) if table.name != HEAD => {
            Some(driver.copy_in(&table.copy_in(), &table.types()).await?)
        }
        _ => None,
    };
    let insert = table.insert();
    while let Some(batch) = arriving.recv().await {
        let batch: Batch = batch.into_iter().map(|row| unmarked(table, row)).collect();
        batch.iter().for_each(|row| sum.add(row));
        match (&mut *target, &mut sink) {
            (target, _) if table.name == HEAD => put_head(target, table, batch, mark).await?,
            (Driver::Postgres(_), Some(sink)) => {
                for row in &batch {
                    sink.as_mut().write_raw(row).await?;
                }
            }
            (Driver::Sqlite(driver), _) => driver.insert(&insert, &batch)?,
            (Driver::Postgres(_), None) => {}
        }
        progress(Step::Copying, &table.name, sum.rows);
    }
    let read = thread.join();
    read.map_err(|_| StoreError::Unavailable("the reader of the source panicked".into()))??;
    if let Some(mut sink) = sink {
        sink.as_mut().finish().await?;
    }
    if let Driver::Postgres(driver) = target
        && table.name == "notice"
    {
        driver.run(schema::NUMBER_ON).await?;
    }
    Ok(sum.of(&table.name))
}

async fn clear(target: &mut Driver, table: &Table) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {}", table.name);
    match target {
        Driver::Postgres(driver) => driver.run(&sql).await,
        Driver::Sqlite(driver) => driver.insert(&sql, &[Vec::new()]),
    }
}

/// Replaces the head row by the source's, still with the mark.
async fn put_head(
    target: &mut Driver,
    table: &Table,
    batch: Batch,
    mark: &Mark,
) -> Result<(), StoreError> {
    // Statements are texts of the program; this one is made of its migrations, once in a process.
    let insert: &'static str = table.insert().leak();
    let mut statements = vec![Statement::new("DELETE FROM head", Vec::new())];
    for mut row in batch {
        for ((column, _), value) in table.columns.iter().zip(&mut row) {
            if column == NAME {
                *value = mark.text().into();
            }
        }
        statements.push(Statement::one(insert, row));
    }
    commit(target, &statements).await
}

/// Follows the audit chain from its first entry to the head.
pub(crate) async fn verify_audit(target: &mut Driver, head: &Head) -> Result<(), StoreError> {
    let mut verifier = Verifier::default();
    let mut each = |_: usize, row: &Row<'_>| {
        let entry = rows::audit(row)?;
        let next = verifier.next(&entry);
        next.map_err(|broken| {
            StoreError::Damaged(format!(
                "the audit log does not verify: {broken}. The source is no better; `tokenward audit verify` tells more"
            ))
        })
    };
    let sql = "SELECT seq, at, actor, source, action, workspace, client, detail, hash FROM audit ORDER BY seq";
    target.stream(sql, &mut each).await?;
    let end = match verifier.head() {
        (0, _) => (0, CHAIN_START),
        end => end,
    };
    if end != (head.audit_seq, head.audit_hash) {
        return Err(StoreError::Damaged(format!(
            "the audit log ends at entry {}, and the head names entry {}",
            end.0, head.audit_seq
        )));
    }
    Ok(())
}

/// Loads the copy as a start does and folds its change log, which must make the same; how many clients it holds, and how
/// many changes were folded.
async fn verify_changes(
    wanted: &Move<'_>,
    target: &mut Driver,
    head: &Head,
) -> Result<(u64, u64), StoreError> {
    let (found, _) = read_marked_head(target).await?;
    let keyring = Arc::clone(&wanted.keyring);
    let (replica, position) = load_at(found, wanted.to, target, keyring).await?;
    if position != head.position() {
        return Err(StoreError::Damaged(format!(
            "the change log ends at change {}, and the head names change {}",
            position.number, head.change_number
        )));
    }
    let (mut first, mut last, mut epoch) = (None, 0, 0);
    let mut each = |_: usize, row: &Row<'_>| {
        let number = row.int(0)?.cast_unsigned();
        if first.is_some() && number != last + 1 {
            return Err(StoreError::Damaged(format!(
                "the change log has a gap before change {number}"
            )));
        }
        first.get_or_insert(number);
        last = number;
        if let Change::EpochStarted { .. } = change(&(row.count(1)?, row.text(2)?.to_owned()))? {
            epoch = number;
        }
        Ok(())
    };
    const LOG: &str = "SELECT number, format, body FROM change_log ORDER BY number";
    target.stream(LOG, &mut each).await?;
    let loaded = views(target, &replica).await?;
    let products = replica.product_numbers();
    let clients = replica.client_count() as u64;
    // All changes make the state out of nothing. Some of the latest, which say what is and not what differs, leave it as it
    // is; only an epoch adds to what is there.
    let (replica, after) = match first {
        Some(1) => (Replica::new(Arc::clone(&wanted.keyring), 0), 0),
        _ => (replica, epoch),
    };
    let mut folded = 0;
    let mut each = |_: usize, row: &Row<'_>| {
        let number = row.int(0)?.cast_unsigned();
        if number > after {
            let change = change(&(row.count(1)?, row.text(2)?.to_owned()))?;
            replica.apply(&[change], number)?;
            folded += 1;
        }
        Ok(())
    };
    target.stream(LOG, &mut each).await?;
    if views(target, &replica).await? != loaded || replica.product_numbers() != products {
        return Err(StoreError::Damaged(
            "the tables are not what the change log makes of them".into(),
        ));
    }
    Ok((clients, folded))
}

/// A hash of what a replica holds of each client, in the order of their numbers.
async fn views(driver: &mut Driver, replica: &Replica) -> Result<Vec<[u8; 16]>, StoreError> {
    let mut views = Vec::new();
    let mut each = |_: usize, row: &Row<'_>| {
        let (no, id) = (
            ClientNo(row.count(0)?),
            ClientId(Uuid::from_bytes(row.bytes(1)?)),
        );
        let view = Sha256::digest(format!("{:?}", replica.view_of(no, id)));
        let mut short = [0; 16];
        short.copy_from_slice(&view[..16]);
        views.push(short);
        Ok(())
    };
    driver
        .stream("SELECT no, id FROM client ORDER BY no", &mut each)
        .await?;
    Ok(views)
}
