//! Reading a whole store: the head, and the replica at a start.

use crate::applier::Entry;
use crate::driver::Driver;
use crate::error::StoreError;
use crate::job::{Next, parse_uuid};
use crate::member::change;
use crate::moving::Mark;
use crate::rows;
use crate::store::Location;
use crate::value::{Row, Value};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use tokenward_core::cluster::Position;
use tokenward_core::digest::KeyId;
use tokenward_core::ids::{ClientId, ClientNo, ProductNo, WorkspaceNo};
use tokenward_core::label::Label;
use tokenward_core::replica::{LoadedClient, Loading};
use tokenward_core::restrictions::Restrictions;
use tokenward_core::slot::Slot;
use tokenward_core::time::Timestamp;
use tokenward_core::{Keyring, Replica};
use uuid::Uuid;

/// Clients handed on together.
const BATCH: usize = 512;
/// Batches waiting to be put into the replica, of each part.
const WAITING: usize = 4;
/// Most parts the clients are read in, each on a connection and a thread of its own: reading rows is what a
/// start takes its time for.
const PARTS_MAX: usize = 4;
/// Fewer clients are not worth a part.
const PART_MIN: u32 = 1_000;

/// Where a store stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The store's name, given at its creation.
    pub store: Uuid,
    /// The epoch; every restore begins a new one.
    pub epoch: Uuid,
    /// The number of the last change.
    pub change_number: u64,
    /// The number of the last audit entry.
    pub audit_seq: u64,
    /// The hash of the audit chain.
    pub audit_hash: [u8; 32],
    /// The latest time that was written.
    pub clock: Timestamp,
    /// The key that nodes of a shared database make new digests with; none before the first has joined.
    pub(crate) digest_key: Option<KeyId>,
    /// The tag beside the last change.
    pub(crate) tag: u64,
    /// The first and the last name of the nodes that have a row.
    pub(crate) nodes: (Option<String>, Option<String>),
}

impl Head {
    /// Where the history stands.
    pub(crate) fn position(&self) -> Position {
        Position {
            number: self.change_number,
            tag: self.tag,
        }
    }

    /// Whether no node but the one of this name has a row.
    pub(crate) fn is_alone(&self, node: &str) -> bool {
        let other = |name: &Option<String>| name.as_deref().is_some_and(|name| name != node);
        !other(&self.nodes.0) && !other(&self.nodes.1)
    }
}

/// The tag of the changes of a transaction after which the audit chain ends in this hash.
pub(crate) fn tag(hash: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The newest version of the head row. Every group writes one, and PostgreSQL keeps all that an open snapshot, as that of a
/// dump, could still see: read without this order, each of them would be looked at.
macro_rules! head {
    () => {
        "(SELECT * FROM head ORDER BY change_number DESC, audit_seq DESC LIMIT 1) AS h"
    };
}
pub(crate) use head;

/// The head, and whether the newest rows of the change log and of the audit log are those that it names. They are found by
/// subqueries, because PostgreSQL may join tables that were short when the plan was made by reading all of them.
pub(crate) const SELECT_HEAD: &str = concat!(
    "SELECT h.store, h.epoch, h.change_number, h.audit_seq, h.audit_hash, h.clock,
    (SELECT l.tag FROM change_log l WHERE l.number = h.change_number), (SELECT a.hash FROM audit a WHERE a.seq = h.audit_seq),
    (SELECT min(id) FROM node), (SELECT max(id) FROM node), h.digest_key FROM ",
    head!()
);
const SELECT_NEXT: &str = "SELECT (SELECT coalesce(max(no) + 1, 0) FROM client),
    (SELECT coalesce(max(no) + 1, 0) FROM workspace), (SELECT next_product FROM head)";

/// The key chosen for new digests, as the head row has it.
pub(crate) fn digest_key(id: i64) -> Result<Option<KeyId>, StoreError> {
    let id = u8::try_from(id).map_err(|_| StoreError::Damaged("the key for new digests".into()))?;
    Ok((id != 0).then_some(KeyId(id)))
}

/// Reads the head row of a store that servers may use.
///
/// # Errors
/// [`StoreError::Diverged`] when the newest change or audit entry is not the one that the head names, and
/// [`StoreError::Refused`] when the store was moved away or is an unfinished copy.
pub(crate) async fn read_head(driver: &mut Driver) -> Result<Head, StoreError> {
    match read_marked_head(driver).await? {
        (head, None) => Ok(head),
        (_, Some(mark)) => Err(mark.refusal()),
    }
}

/// The same of any store, with what a move has written into it.
pub(crate) async fn read_marked_head(
    driver: &mut Driver,
) -> Result<(Head, Option<Mark>), StoreError> {
    let (mut head, mut whole, mut mark) = (None, true, None);
    let mut each = |_: usize, row: &Row<'_>| {
        let uuid = |text: &str| {
            parse_uuid(text).ok_or_else(|| StoreError::Damaged("a name in the head row".into()))
        };
        let name = |column| Ok::<_, StoreError>(row.text_or_null(column)?.map(str::to_owned));
        mark = Mark::read(row.text(0)?);
        let store = mark.as_ref().map_or(row.text(0)?, |mark| &mark.store);
        head = Some(Head {
            store: uuid(store)?,
            epoch: uuid(row.text(1)?)?,
            change_number: row.int(2)?.cast_unsigned(),
            audit_seq: row.int(3)?.cast_unsigned(),
            audit_hash: row.bytes(4)?,
            clock: Timestamp(row.int(5)?),
            tag: row.int_or_null(6)?.unwrap_or_default().cast_unsigned(),
            nodes: (name(8)?, name(9)?),
            digest_key: digest_key(row.int(10)?)?,
        });
        whole = (row.int(2)? == 0 || row.int_or_null(6)?.is_some())
            && (row.int(3)? == 0 || row.bytes_or_null(7)? == row.bytes_or_null(4)?);
        Ok(())
    };
    driver.query(SELECT_HEAD, &[vec![]], &mut each).await?;
    if !whole {
        return Err(StoreError::Diverged(
            "its newest change or audit entry is not the one that its head names".into(),
        ));
    }
    let head = head.ok_or_else(|| StoreError::Damaged("the head row is missing".into()))?;
    Ok((head, mark))
}

/// Reads the numbers the next new things get.
pub(crate) async fn read_next(driver: &mut Driver) -> Result<Next, StoreError> {
    let next = driver.rows(SELECT_NEXT, vec![], |row| {
        Ok(Next {
            client: ClientNo(row.count(0)?),
            workspace: WorkspaceNo(row.count(1)?),
            product: ProductNo(row.count(2)?),
        })
    });
    let none = || StoreError::Damaged("no answer to a count".into());
    next.await?.pop().ok_or_else(none)
}

/// The log from the change before the first that is wanted.
const LOG_FROM: &str =
    "SELECT number, format, body, tag FROM change_log WHERE number >= $1 ORDER BY number LIMIT $2";
/// Changes read together while loading.
const LOG_BATCH: u32 = 10_000;

/// Reads up to `most` changes after `from`, which must be in the log itself.
pub(crate) async fn read_log(
    driver: &mut Driver,
    from: Position,
    most: u32,
) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    let (mut last, mut follows) = (from, from.number == 0);
    let mut each = |_: usize, row: &Row<'_>| {
        let position = Position {
            number: row.int(0)?.cast_unsigned(),
            tag: row.int(3)?.cast_unsigned(),
        };
        if position.number == from.number {
            follows = position == from;
            return Ok(());
        }
        follows &= position.number == last.number + 1;
        last = position;
        let change = (row.count(1)?, row.text(2)?.to_owned());
        entries.push(Entry { position, change });
        Ok(())
    };
    let params = vec![from.number.cast_signed().into(), (most + 1).into()];
    driver.query(LOG_FROM, &[params], &mut each).await?;
    match follows {
        true => Ok(entries),
        false => Err(StoreError::Diverged(
            "its change log has gaps, does not go back far enough, or is another one".into(),
        )),
    }
}

/// Loads all of a store into a new replica, and answers where the history stood. It has no lease: who vouches for it is
/// decided by the caller. Others may write meanwhile: changes are absolute, so a state that was read while changes were made
/// is right once all of them are applied (decision 0040).
pub(crate) async fn load(
    location: &Location,
    driver: &mut Driver,
    keyring: Arc<Keyring>,
) -> Result<(Replica, Position), StoreError> {
    let head = read_head(driver).await?;
    load_at(head, location, driver, keyring).await
}

/// The same for a store whose head row was read.
pub(crate) async fn load_at(
    head: Head,
    location: &Location,
    driver: &mut Driver,
    keyring: Arc<Keyring>,
) -> Result<(Replica, Position), StoreError> {
    let next = read_next(driver).await?;
    let replica = Replica::new(keyring, next.client.index());
    let mut loading = replica.loading();
    let mut each = |_: usize, row: &Row<'_>| Ok(loading.workspace(&rows::workspace(row, 0)?)?);
    driver.stream(rows::SELECT_WORKSPACES, &mut each).await?;
    let mut each = |_: usize, row: &Row<'_>| {
        loading.product(&rows::product(row)?);
        Ok(())
    };
    driver.stream(rows::SELECT_PRODUCTS, &mut each).await?;
    load_clients(location, next.client, &mut loading)?;
    loading.finish(head.change_number);
    let mut position = head.position();
    loop {
        let entries = read_log(driver, position, LOG_BATCH).await?;
        for entry in &entries {
            replica.apply(&[change(&entry.change)?], entry.position.number)?;
            position = entry.position;
        }
        if entries.len() < LOG_BATCH as usize {
            return Ok((replica, position));
        }
    }
}

/// Reads all clients below `next` and their slots, in parts side by side. Blocks: the writer's thread has nothing
/// else to do yet.
fn load_clients(
    location: &Location,
    next: ClientNo,
    loading: &mut Loading<'_>,
) -> Result<(), StoreError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let worth = (next.0 / PART_MIN).max(1) as usize;
    let parts = cores.min(PARTS_MAX).min(worth) as u32;
    std::thread::scope(|scope| {
        let (hand_on, arriving) = sync_channel(WAITING * parts as usize);
        let readers: Vec<_> = split(next.0, parts)
            .map(|part| {
                let hand_on = hand_on.clone();
                scope.spawn(move || read_part(location, part, &hand_on))
            })
            .collect();
        drop(hand_on);
        let (mut clients, mut slots) = (0, 0);
        let placed = arriving.iter().try_for_each(|batch| match batch {
            Batch::Clients(batch) => {
                clients += batch.len();
                batch.iter().try_for_each(|client| loading.client(client))
            }
            Batch::Slots(batch) => {
                slots += batch.len();
                let put = |(client, slot): &(ClientNo, Slot)| loading.slot(*client, slot);
                batch.iter().try_for_each(put)
            }
        });
        // With nobody to take any more, each part ends at its next batch.
        drop(arriving);
        let read: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        placed?;
        for part in read {
            part.map_err(|_| StoreError::Unavailable("a reader of clients panicked".into()))??;
        }
        if clients != slots {
            let told = format!("{clients} clients have {slots} slots");
            return Err(StoreError::Damaged(told));
        }
        Ok(())
    })
}

/// The numbers below `end` in `parts` ranges.
fn split(end: u32, parts: u32) -> impl Iterator<Item = Range<u32>> {
    let step = end.div_ceil(parts);
    let at = move |part: u32| part.saturating_mul(step).min(end);
    (0..parts).map(move |part| at(part)..at(part + 1))
}

/// Reads the clients with these numbers, and then their slots.
fn read_part(
    location: &Location,
    part: Range<u32>,
    hand_on: &SyncSender<Batch>,
) -> Result<(), StoreError> {
    let nobody = |_| StoreError::Unavailable("the loading was given up".into());
    let (mut clients, mut slots) = (Vec::new(), Vec::new());
    let mut each = |query: usize, row: &Row<'_>| {
        if query == 0 {
            clients.push(client(row)?);
            if clients.len() == BATCH {
                let full = std::mem::take(&mut clients);
                hand_on.send(Batch::Clients(full)).map_err(nobody)?;
            }
        } else {
            // No slot overtakes its client.
            if !clients.is_empty() {
                let last = std::mem::take(&mut clients);
                hand_on.send(Batch::Clients(last)).map_err(nobody)?;
            }
            slots.push((ClientNo(row.count(0)?), rows::slot(row, 1)?));
            if slots.len() == BATCH {
                let full = std::mem::take(&mut slots);
                hand_on.send(Batch::Slots(full)).map_err(nobody)?;
            }
        }
        Ok(())
    };
    let queries = [rows::LOAD_CLIENTS, rows::LOAD_SLOTS];
    let params = [Value::from(part.start), Value::from(part.end)];
    location.read_alone(&queries, &params, &mut each)?;
    hand_on.send(Batch::Clients(clients)).map_err(nobody)?;
    hand_on.send(Batch::Slots(slots)).map_err(nobody)
}

/// What was read and is handed on together.
enum Batch {
    Clients(Vec<LoadedClient>),
    Slots(Vec<(ClientNo, Slot)>),
}

/// A client of [`rows::LOAD_CLIENTS`].
fn client(row: &Row<'_>) -> Result<LoadedClient, StoreError> {
    let products = row.text_or_null(5)?.map(rows::products).transpose()?;
    Ok(LoadedClient {
        no: ClientNo(row.count(0)?),
        id: ClientId(Uuid::from_bytes(row.bytes(1)?)),
        workspace: WorkspaceNo(row.count(2)?),
        environment: rows::environment(row.int(3)?)?,
        label: Label::stored(row.text(4)?).map_err(|error| StoreError::Damaged(error.0))?,
        restrictions: Restrictions::new(products, rows::networks(row.text(6)?)?),
        disabled: row.int_or_null(7)?.is_some(),
        deleted: row.int_or_null(8)?.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_of_it_and_none_twice() {
        for (end, parts) in [(0, 1), (1, 1), (7, 3), (100_001, 2), (u32::MAX, 4)] {
            let mut next = 0;
            for part in split(end, parts) {
                assert_eq!(part.start, next, "{end} in {parts}");
                next = part.end;
            }
            assert_eq!(next, end, "{end} in {parts}");
        }
    }
}
