//! Which digest keys a store was written with, and how much still needs each. A start with other keys is refused before
//! anything is changed: it would take every good token, secret and admin key for unknown. This room holds fingerprints
//! and counts, never a key's bytes.

use crate::driver::{Driver, judge_version, nothing_here};
use crate::error::StoreError;
use crate::load::{digest_key, read_head};
use crate::people::Proofs;
use crate::statements as sql;
use crate::store::Location;
use crate::value::{Row, Statement, Value};
use crate::{notices, people};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::Change;
use tokenward_core::audit::{AuditRecord, Entry};
use tokenward_core::digest::{Fingerprint, KeyId, Keyring};
use tokenward_core::ids::{ClientId, ClientNo};
use tokenward_core::time::Timestamp;
use uuid::Uuid;

/// Longest the transaction that ends everything may take: it alters every client.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(600);
/// The schema version that brought the table of fingerprints.
const SINCE: i64 = 5;
/// The one that brought the key chosen by the nodes.
const CHOSEN_SINCE: i64 = 9;

/// Makes the first key of an empty store, or the one that replaces lost ones, and keeps it where the next start finds
/// it. The error is a sentence for the operator.
pub type MakeKey = Box<dyn FnOnce(KeyId) -> Result<Keyring, String> + Send>;

/// The digest keys of a start.
pub struct Keys {
    /// The keys found; none when there is no file.
    pub found: Option<Arc<Keyring>>,
    /// Makes a key with this id. Called only for an empty store, or with `replace`, when no keys were found.
    pub make: MakeKey,
    /// Whether keys that are not the store's are to take over all the same, which ends everything made with the store's
    /// own: `--new-digest-keys`. It does nothing when the keys are the store's.
    pub replace: bool,
}

impl Keys {
    /// Keys at hand.
    #[must_use]
    pub fn given(keyring: Arc<Keyring>) -> Self {
        Self {
            found: Some(keyring),
            make: Box::new(|_| Err("no digest key can be made here".into())),
            replace: false,
        }
    }
}

/// What still needs a digest key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Uses {
    /// Secrets of clients that are not deleted.
    pub secrets: u64,
    /// Live access tokens, those of a grace period included.
    pub tokens: u64,
    /// Admin keys in force.
    pub admin_keys: u64,
    /// Signing secrets of webhooks.
    pub webhooks: u64,
    /// Authenticator apps.
    pub apps: u64,
}

impl Uses {
    /// Whether nothing needs the key.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.secrets, "client secrets"),
            (self.tokens, "access tokens"),
            (self.admin_keys, "admin keys"),
            (self.webhooks, "webhook signing secrets"),
            (self.apps, "authenticator apps"),
        ];
        let named: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        match named.as_slice() {
            [] => f.write_str("nothing"),
            named => f.write_str(&named.join(", ")),
        }
    }
}

/// A digest key as a store knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredKey {
    /// The key's id.
    pub id: KeyId,
    /// Its fingerprint; none in a store that no newer version has opened yet.
    pub fingerprint: Option<Fingerprint>,
    /// When a server first started with it.
    pub first_used_at: Option<Timestamp>,
    /// What still needs it.
    pub uses: Uses,
}

/// Why these digest keys are not the store's. The texts follow the name of the key file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyFault {
    /// There is no key file.
    #[error("the file is missing, but the database was written with digest key {}. Nothing was changed. {REMEDY}", ids(.0))]
    Missing(Vec<KeyId>),
    /// The file lacks a key that is needed.
    #[error("digest key {} is missing, and {uses} in the database need it. Nothing was changed. {REMEDY}", .id.0)]
    Lacking {
        /// The key's id.
        id: KeyId,
        /// What needs it.
        uses: Uses,
    },
    /// The file lacks the key that the nodes of this database make new digests with.
    #[error("digest key {} is missing, and the nodes of this database make new digests with it. {REMEDY}", .0.0)]
    Chosen(KeyId),
    /// Another key has this id.
    #[error("digest key {} is not the one that the database was written with (fingerprint {here} in the file, {store} in the database). Nothing was changed. {REMEDY}", .id.0)]
    Different {
        /// The id of both.
        id: KeyId,
        /// The fingerprint of the key in the file.
        here: Fingerprint,
        /// The fingerprint of the store's.
        store: Fingerprint,
    },
    /// The store has no fingerprints yet, and its data shows that it was written with another key.
    #[error("digest key {} is not the one that the database was written with: its data does not fit the key. Nothing was changed. {REMEDY}", .0.0)]
    Disproved(KeyId),
}

const REMEDY: &str = "Put the right file back from your copy, copy it from another node of this database, or name it with --digest-keys. If the keys are lost, \
    `tokenward serve --new-digest-keys` starts with other keys and ends everything made with the lost ones: all access tokens, \
    client secrets, admin keys and console sessions, the signing secrets of webhooks, and authenticator apps";

fn ids(ids: &[KeyId]) -> String {
    let texts: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
    texts.join(", ")
}

const SELECT_KEYS: &str = "SELECT id, fingerprint, first_used_at FROM digest_key ORDER BY id";
/// The key that nodes make new digests with, and those that they could.
const CHOSEN: &str = "SELECT digest_key FROM head";
const NEWEST: &str = "SELECT newest_key FROM node";
const PUT_KEY: &str = "INSERT INTO digest_key (id, fingerprint, first_used_at) VALUES ($1, $2, $3)
    ON CONFLICT (id) DO NOTHING";
const FORGET_KEY: &str = "DELETE FROM digest_key WHERE id = $1";
const FORGET_KEYS: &str = "DELETE FROM digest_key";
const CHOOSE_ANEW: &str = "UPDATE head SET digest_key = 0";
const END_SECRETS: &str =
    "UPDATE client SET secret1_n = NULL, secret1_digest = NULL, secret1_key = NULL, secret1_at = NULL,
    secret2_n = NULL, secret2_digest = NULL, secret2_key = NULL, secret2_at = NULL";
const END_ADMIN_KEYS: &str = "DELETE FROM admin_key";
/// The URL stays: a disabled webhook works again once its secret is rotated and it is enabled.
const END_WEBHOOKS: &str = "UPDATE webhook SET disabled_at = $1 WHERE disabled_at IS NULL";
const SET_PROOFS: &str = "UPDATE member SET proofs = $1 WHERE id = $2";

const CLIENTS_FIRST: &str = "SELECT no, id FROM client ORDER BY no LIMIT 64";
const CLIENTS_LAST: &str = "SELECT no, id FROM client ORDER BY no DESC LIMIT 64";
const WEBHOOKS: &str = "SELECT id, secret FROM webhook LIMIT 64";
const APPS: &str = "SELECT id, proofs FROM member WHERE proofs LIKE '%sealed%'";

/// What each query counts, and its text: a key's id and how many. `$1` is the time.
type Count = (fn(&mut Uses) -> &mut u64, &'static str);
const COUNTS: &[Count] = &[
    (|uses| &mut uses.tokens, "SELECT s.digest_key, count(*) FROM slot s JOIN client c ON c.no = s.client
        WHERE s.digest IS NOT NULL AND s.ended IS NULL AND (s.valid_till IS NULL OR s.valid_till > $1) AND c.deleted_at IS NULL
        GROUP BY s.digest_key"),
    (|uses| &mut uses.tokens, "SELECT s.previous_key, count(*) FROM slot s JOIN client c ON c.no = s.client
        WHERE s.previous_digest IS NOT NULL AND s.previous_till > $1 AND c.deleted_at IS NULL GROUP BY s.previous_key"),
    (|uses| &mut uses.admin_keys, "SELECT digest_key, count(*) FROM admin_key
        WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) GROUP BY digest_key"),
];
const COUNTS_AT_ANY_TIME: &[Count] = &[
    (|uses| &mut uses.secrets, "SELECT secret1_key, count(*) FROM client WHERE secret1_key IS NOT NULL AND deleted_at IS NULL
        GROUP BY secret1_key"),
    (|uses| &mut uses.secrets, "SELECT secret2_key, count(*) FROM client WHERE secret2_key IS NOT NULL AND deleted_at IS NULL
        GROUP BY secret2_key"),
];
const SEALED_BY_WEBHOOKS: &str = "SELECT secret FROM webhook";
const FORMER_OF_WEBHOOKS: &str =
    "SELECT former_secret FROM webhook WHERE former_secret IS NOT NULL AND former_till > $1";
const PROOFS_WITH_APPS: &str = "SELECT proofs FROM member WHERE proofs LIKE '%sealed%'";

/// The digest keys a store was written with, and what still needs each; reads beside a running server.
///
/// # Errors
/// When the store cannot be read, or is empty.
pub fn stored_keys(location: &Location, now: Timestamp) -> Result<Vec<StoredKey>, StoreError> {
    let (version, mut known) = recorded(location)?;
    let mut uses = count(location, version, now)?;
    for key in &mut known {
        key.uses = uses.remove(&key.id).unwrap_or_default();
    }
    let unknown = uses.into_iter().map(|(id, uses)| StoredKey {
        id,
        fingerprint: None,
        first_used_at: None,
        uses,
    });
    known.extend(unknown);
    known.sort_by_key(|key| key.id);
    Ok(known)
}

/// Refuses keys that are not those the store was written with; reads beside a running server.
///
/// # Errors
/// [`StoreError::DigestKeys`], or when the store cannot be read.
pub fn judge_keys(location: &Location, ring: &Keyring, now: Timestamp) -> Result<(), StoreError> {
    let (version, known) = recorded(location)?;
    judge(location, version, &known, Some(ring), now).map(drop)
}

/// The key that the nodes of a shared database make new digests with; none in a file, or before the first node has joined.
///
/// # Errors
/// When the store cannot be read, or is empty.
pub fn chosen_key(location: &Location) -> Result<Option<KeyId>, StoreError> {
    let (version, _) = recorded(location)?;
    let chosen = rows_of(location, version >= CHOSEN_SINCE, &[CHOSEN], chosen)?;
    Ok(chosen.first().copied().flatten())
}

fn chosen(row: &Row<'_>) -> Result<Option<KeyId>, StoreError> {
    digest_key(row.int(0)?)
}

/// The schema version, and the keys on record.
fn recorded(location: &Location) -> Result<(i64, Vec<StoredKey>), StoreError> {
    let read = rows_of(location, true, &["SELECT schema FROM head"], |row| {
        row.int(0)
    });
    let read = read.map_err(|error| match error {
        // Both engines' words for a table that is not there.
        StoreError::Unavailable(text)
            if text.contains("42P01") || text.contains("no such table") =>
        {
            nothing_here()
        }
        other => other,
    })?;
    let version = read.first().copied().unwrap_or_default();
    judge_version(version)?;
    let known = rows_of(location, version >= SINCE, &[SELECT_KEYS], stored)?;
    Ok((version, known))
}

fn stored(row: &Row<'_>) -> Result<StoredKey, StoreError> {
    Ok(StoredKey {
        id: key_id(row.int(0)?)?,
        fingerprint: Some(Fingerprint(row.bytes(1)?)),
        first_used_at: Some(Timestamp(row.int(2)?)),
        uses: Uses::default(),
    })
}

fn key_id(id: i64) -> Result<KeyId, StoreError> {
    let id = u8::try_from(id);
    id.map(KeyId)
        .map_err(|_| StoreError::Damaged("the id of a digest key".into()))
}

/// What each row of each query becomes.
type Each<'a> = &'a mut (dyn FnMut(usize, &Row<'_>) -> Result<(), StoreError> + Send);

fn read_alone(
    location: &Location,
    queries: &[&'static str],
    params: &[Value],
    each: Each<'_>,
) -> Result<(), StoreError> {
    // On a thread of its own: it blocks, and the caller may be inside a runtime.
    std::thread::scope(|scope| {
        let read = scope.spawn(move || location.read_alone(queries, params, each));
        let read = read.join();
        read.map_err(|_| StoreError::Unavailable("a reader panicked".into()))?
    })
}

/// The rows of these queries, which have no parameters; none where the schema is too old for their tables.
fn rows_of<T: Send>(
    location: &Location,
    there: bool,
    queries: &[&'static str],
    decode: fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut rows = Vec::new();
    if there {
        let mut each = |_: usize, row: &Row<'_>| {
            rows.push(decode(row)?);
            Ok(())
        };
        read_alone(location, queries, &[], &mut each)?;
    }
    Ok(rows)
}

/// What needs each key, in a store of this schema version.
fn count(
    location: &Location,
    version: i64,
    now: Timestamp,
) -> Result<BTreeMap<KeyId, Uses>, StoreError> {
    let mut uses: BTreeMap<KeyId, Uses> = BTreeMap::new();
    for (counts, params) in [
        (COUNTS, vec![Value::from(now)]),
        (COUNTS_AT_ANY_TIME, vec![]),
    ] {
        let queries: Vec<&'static str> = counts.iter().map(|(_, sql)| *sql).collect();
        read_alone(location, &queries, &params, &mut |at, row| {
            let found = uses.entry(key_id(row.int(0)?)?).or_default();
            *(counts[at].0)(found) += row.int(1)?.cast_unsigned();
            Ok(())
        })?;
    }
    let mut webhook = |_: usize, row: &Row<'_>| {
        let sealed = row.bytes_or_null(0)?.and_then(<[u8]>::first);
        if let Some(id) = sealed {
            uses.entry(KeyId(*id)).or_default().webhooks += 1;
        }
        Ok(())
    };
    if version >= 4 {
        read_alone(location, &[SEALED_BY_WEBHOOKS], &[], &mut webhook)?;
        read_alone(location, &[FORMER_OF_WEBHOOKS], &[now.into()], &mut webhook)?;
    }
    let apps = rows_of(location, version >= 2, &[PROOFS_WITH_APPS], |row| {
        sealed_app(row.text(0)?)
    })?;
    for id in apps.iter().flatten().filter_map(|sealed| sealed.first()) {
        uses.entry(KeyId(*id)).or_default().apps += 1;
    }
    Ok(uses)
}

/// The sealed secret of the authenticator app in a member's proofs.
fn sealed_app(proofs: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let proofs: Proofs = people::from_json(proofs)?;
    let Some(app) = proofs.totp else {
        return Ok(None);
    };
    Ok(tokenward_core::hex::read_any(&app.sealed))
}

/// What a start does about the keys once it may write.
pub(crate) struct Settled {
    pub(crate) keyring: Arc<Keyring>,
    /// Ids whose fingerprints the store has and nothing needs any more.
    forgotten: Vec<KeyId>,
    /// Whether everything made with the store's own keys ends.
    pub(crate) replaced: bool,
}

/// Judges the keys of a start, and makes a first one for an empty store. Changes nothing in the store.
pub(crate) async fn settle(
    location: &Location,
    driver: &mut Driver,
    keys: Keys,
    now: Timestamp,
) -> Result<Settled, StoreError> {
    let Some(version) = driver.version().await? else {
        let keyring = match keys.found {
            Some(found) => found,
            None => Arc::new((keys.make)(KeyId(1)).map_err(StoreError::Refused)?),
        };
        return Ok(Settled {
            keyring,
            forgotten: Vec::new(),
            replaced: false,
        });
    };
    let known = known(driver, version).await?;
    let judged = judge(location, version, &known, keys.found.as_deref(), now);
    match (judged, keys.found) {
        (Ok(forgotten), Some(keyring)) => {
            if keys.replace {
                tracing::warn!(
                    "the digest keys are the database's own, so --new-digest-keys changes nothing; leave it out"
                );
            }
            Ok(Settled {
                keyring,
                forgotten,
                replaced: false,
            })
        }
        (Err(StoreError::DigestKeys(fault)), found) if keys.replace => {
            let highest = known.iter().map(|key| key.id.0).max().unwrap_or(1);
            let keyring = match found {
                Some(found) => found,
                None => {
                    let next = highest.checked_add(1).unwrap_or(1);
                    Arc::new((keys.make)(KeyId(next)).map_err(StoreError::Refused)?)
                }
            };
            tracing::warn!("replacing the digest keys: {}", *fault);
            Ok(Settled {
                keyring,
                forgotten: Vec::new(),
                replaced: true,
            })
        }
        (Err(error), _) => Err(error),
        (Ok(_), None) => Err(KeyFault::Missing(Vec::new()).into()),
    }
}

async fn known(driver: &mut Driver, version: i64) -> Result<Vec<StoredKey>, StoreError> {
    if version < SINCE {
        return Ok(Vec::new());
    }
    driver.rows(SELECT_KEYS, vec![], stored).await
}

/// Whether these are the store's keys; answers the ids that nothing needs any more.
fn judge(
    location: &Location,
    version: i64,
    known: &[StoredKey],
    found: Option<&Keyring>,
    now: Timestamp,
) -> Result<Vec<KeyId>, StoreError> {
    let Some(ring) = found else {
        let mut all: Vec<KeyId> = known.iter().map(|key| key.id).collect();
        if all.is_empty() {
            all.extend(count(location, version, now)?.into_keys());
        }
        return Err(KeyFault::Missing(all).into());
    };
    let here: BTreeMap<KeyId, Fingerprint> = ring.fingerprints().collect();
    for key in known {
        if let (Some(store), Some(here)) = (key.fingerprint, here.get(&key.id))
            && *here != store
        {
            let (id, here) = (key.id, *here);
            return Err(KeyFault::Different { id, here, store }.into());
        }
    }
    let told = rows_of(location, version >= CHOSEN_SINCE, &[CHOSEN, NEWEST], chosen)?;
    let (chosen, newest) = told
        .split_first()
        .map_or((None, &[][..]), |(chosen, newest)| (*chosen, newest));
    if let Some(id) = chosen.filter(|id| !here.contains_key(id)) {
        return Err(KeyFault::Chosen(id).into());
    }
    let absent = known.iter().any(|key| !here.contains_key(&key.id));
    let mut forgotten = Vec::new();
    if absent || known.is_empty() {
        for (id, uses) in count(location, version, now)? {
            if !here.contains_key(&id) && !uses.is_none() {
                return Err(KeyFault::Lacking { id, uses }.into());
            }
        }
        // Other nodes may have a key already that this one is yet to get.
        let unneeded = known
            .iter()
            .filter(|key| !here.contains_key(&key.id) && !newest.contains(&Some(key.id)));
        forgotten.extend(unneeded.map(|key| key.id));
    }
    if known.is_empty() {
        fits(location, version, ring)?;
    }
    Ok(forgotten)
}

/// Whether data of a store without fingerprints was made with these keys. What is sealed opens under its own key only,
/// and a client's id holds its number under the oldest.
fn fits(location: &Location, version: i64, ring: &Keyring) -> Result<(), StoreError> {
    let mut proved = false;
    let mut open = |context: &str, sealed: &[u8]| -> Result<(), StoreError> {
        let Some(id) = sealed.first().copied().map(KeyId) else {
            return Ok(());
        };
        if ring.ids().all(|known| known != id) {
            // Counted as needed where it is.
            return Ok(());
        }
        if ring.open_at_rest(context, sealed).is_none() {
            return Err(KeyFault::Disproved(id).into());
        }
        proved = true;
        Ok(())
    };
    let webhooks = rows_of(location, version >= 4, &[WEBHOOKS], |row| {
        let context = notices::seal_context(Uuid::from_bytes(row.bytes(0)?));
        Ok((context, row.bytes_or_null(1)?.map(<[u8]>::to_vec)))
    })?;
    let apps = rows_of(location, version >= 2, &[APPS], |row| {
        let context = people::app_context(Uuid::from_bytes(row.bytes(0)?));
        Ok((context, sealed_app(row.text(1)?)?))
    })?;
    for (context, sealed) in webhooks.iter().chain(&apps) {
        open(context, sealed.as_deref().unwrap_or_default())?;
    }
    let clients = rows_of(location, true, &[CLIENTS_FIRST, CLIENTS_LAST], |row| {
        Ok((
            ClientId(Uuid::from_bytes(row.bytes(1)?)),
            ClientNo(row.count(0)?),
        ))
    })?;
    if proved || clients.is_empty() || clients.iter().any(|(id, no)| ring.numbers(*id, *no)) {
        return Ok(());
    }
    // Key 1 is the first of every store, so that as long as it is the oldest here every client has its number under it.
    let oldest = ring.ids().next().unwrap_or(KeyId(1));
    if oldest == KeyId(1) {
        return Err(KeyFault::Disproved(oldest).into());
    }
    tracing::warn!(
        "nothing in the database shows whether these are its digest keys; they are taken for its own from now on"
    );
    Ok(())
}

/// Keeps the fingerprints of the keys, in a store that has its tables; with replaced keys also ends everything made with
/// the former ones, as one audited change under a new epoch.
pub(crate) async fn keep(
    driver: &mut Driver,
    settled: &Settled,
    epoch: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    let put = |(id, fingerprint): (KeyId, Fingerprint)| {
        let params = vec![
            u32::from(id.0).into(),
            fingerprint.0.as_slice().into(),
            now.into(),
        ];
        Statement::new(PUT_KEY, params)
    };
    let mut statements = Vec::new();
    if settled.replaced {
        statements.extend(end_everything(driver, &settled.keyring, epoch, now).await?);
        driver.unhurried().await?;
    } else {
        let forget = |id: &KeyId| Statement::new(FORGET_KEY, vec![u32::from(id.0).into()]);
        let known = known(driver, SINCE).await?;
        let here: Vec<_> = settled.keyring.fingerprints().collect();
        let all_known = here
            .iter()
            .all(|(id, _)| known.iter().any(|key| key.id == *id));
        if all_known && settled.forgotten.is_empty() {
            return Ok(());
        }
        statements.extend(settled.forgotten.iter().map(forget));
    }
    statements.extend(settled.keyring.fingerprints().map(put));
    driver.commit(&statements, COMMIT_TIMEOUT).await
}

/// The statements that end what was made with lost keys.
async fn end_everything(
    driver: &mut Driver,
    keyring: &Keyring,
    epoch: Uuid,
    now: Timestamp,
) -> Result<Vec<Statement>, StoreError> {
    let head = read_head(driver).await?;
    let change = Change::EpochStarted { epoch, at: now };
    let fingerprints: Vec<_> = keyring
        .fingerprints()
        .map(|(id, fingerprint)| serde_json::json!({ "id": id, "fingerprint": fingerprint.to_string() }))
        .collect();
    let entry = Entry::by_system(
        now,
        "digest_keys.replace",
        &serde_json::json!({ "epoch": epoch, "digest_keys": fingerprints }),
    );
    let entry = AuditRecord::new(&entry, head.audit_seq + 1, &head.audit_hash);
    let number = head.change_number + 1;
    let hash = entry.hash;
    let to = (number, entry.seq, &hash);
    let move_head = sql::move_head(to, (head.change_number, head.audit_seq), now);
    let mut statements = vec![sql::append_audit(entry)];
    statements.extend(sql::statements(&change));
    statements.push(sql::append_change(&change, number, now, &hash));
    for end in [
        END_SECRETS,
        END_ADMIN_KEYS,
        people::END_ALL_SESSIONS,
        people::WITHDRAW_ALL_INVITATIONS,
        FORGET_KEYS,
        CHOOSE_ANEW,
    ] {
        statements.push(Statement::new(end, Vec::new()));
    }
    statements.push(Statement::new(END_WEBHOOKS, vec![now.into()]));
    let mut each = |_: usize, row: &Row<'_>| {
        let mut proofs: Proofs = people::from_json(row.text(1)?)?;
        if proofs.totp.take().is_some() {
            if proofs.passkeys.is_empty() {
                // A password alone was never enough for this member.
                proofs.password = None;
                proofs.recovery.clear();
            }
            let id = Uuid::from_bytes(row.bytes(0)?);
            statements.push(Statement::new(
                SET_PROOFS,
                vec![people::json(&proofs), id.into()],
            ));
        }
        Ok(())
    };
    driver.query(APPS, &[vec![]], &mut each).await?;
    statements.push(move_head);
    Ok(statements)
}
