//! Admin keys: prove, read, create, revoke.

use super::prelude::*;
use super::{credential_notes, roles};
use crate::auth::authority::is_in_force;
use crate::auth::refused_credentials;
use std::collections::BTreeMap;
use tokenward_core::AdminKey;
use tokenward_core::client::{AdminKeyRecord, Role};
use tokenward_store::Credential;

/// Why an admin key does not open the door.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAdmitted {
    /// Unknown, revoked, expired or wrong: all look the same.
    Unknown,
    /// This source guessed too often: seconds to wait.
    Throttled(u64),
    /// The server could not do it.
    Unavailable,
}

/// The administrator who presents a key.
pub async fn admit(
    people: &People,
    text: &str,
    source: Option<IpAddr>,
) -> Result<Admin, NotAdmitted> {
    let presented = AdminKey::from_chosen(text).map_err(|_| NotAdmitted::Unknown)?;
    let clock = people.data.clock();
    let read = people.data.reader().admin_key(presented.id());
    let read = people.data.proving(read).await;
    let known = read.map_err(|error| {
        crate::logs::read_failed(&error);
        NotAdmitted::Unavailable
    })?;
    let now = clock.wall();
    if let Some(key) = known {
        let digest = people.data.keyring.admin(key.key, &presented);
        let proved = digest.is_some_and(|digest| digest.matches(&key.digest));
        let reason = match proved {
            true if is_in_force(&key, now) => {
                return Ok(Admin {
                    credential: Credential::AdminKey(key.id),
                    role: key.role,
                    source,
                });
            }
            true if key.revoked_at.is_some() => "revoked",
            true => "expired",
            false => "wrong key",
        };
        refused_credentials::admin_key(people, source, &key, reason);
    }
    // A right key is never refused for others' wrong ones.
    match people.throttle.charge(source, presented.id(), &clock) {
        Ok(()) => Err(NotAdmitted::Unknown),
        Err(retry_after_seconds) => Err(NotAdmitted::Throttled(retry_after_seconds)),
    }
}

/// Every admin key, for operators.
pub async fn list(data: &Data, admin: &Admin) -> Result<Vec<AdminKeyRecord>, Refused> {
    admin.must_operate()?;
    Ok(data.reader().admin_keys().await?)
}

/// When admin keys were last used and from where, to within a minute after a crash; who may list keys may know it.
pub async fn last_uses(data: &Data) -> Result<BTreeMap<Uuid, (Timestamp, String)>, Refused> {
    let stored = data.reader().admin_key_uses().await?;
    let stored = stored
        .into_iter()
        .map(|(id, at, source)| (id, (at, source)));
    let mut uses: BTreeMap<_, _> = stored.collect();
    // What is in memory is never older.
    uses.extend(data.admin_uses.all());
    Ok(uses)
}

/// Why the last operator's key stays.
pub const LAST: &str = "this is the last operator's key without an end; make another first";

/// Whether no other operator's key without an end works.
#[must_use]
pub fn is_last(key: &AdminKeyRecord, all: &[AdminKeyRecord]) -> bool {
    let lasts = |other: &AdminKeyRecord| {
        other.role == Role::Operator
            && other.revoked_at.is_none()
            && other.expires_at.is_none()
            && other.id != key.id
    };
    key.role == Role::Operator && !all.iter().any(lasts)
}

/// Makes an admin key; it is told here and never again.
pub async fn create(
    data: &Data,
    admin: Admin,
    name: &str,
    role: Role,
    expires_in_seconds: Option<u64>,
    note: &str,
) -> Result<(AdminKeyRecord, AdminKey), Refused> {
    admin.must_operate()?;
    let note = credential_notes::parse(note)?;
    let name = super::name(name)?;
    let workspace = role.workspace();
    let wants = ReadSet {
        workspace,
        products: true,
        admin_keys: true,
        ..ReadSet::default()
    };
    let keyring = Arc::clone(&data.keyring);
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        roles::check(&role, view)?;
        let key = AdminKey::from_random(random::uuid(), random::bytes());
        let current = keyring.current();
        let digest = keyring
            .admin(current, &key)
            .ok_or(Refused::Failed(tokenward_store::Failure::Unavailable))?;
        let record = AdminKeyRecord {
            id: key.id(),
            name,
            role,
            digest,
            key: current,
            created_at: view.now,
            expires_at: expires_in_seconds.map(|seconds| view.now.plus_seconds(seconds)),
            revoked_at: None,
        };
        let detail = json!({
            "admin_key": record.id, "name": record.name, "role": record.role,
            "expires_at": record.expires_at.map(Timestamp::iso),
        });
        let entry = acting.entry("admin_key.create", workspace, None, &detail);
        let changes = vec![Change::AdminKeyPut {
            key: Box::new(record.clone()),
        }];
        let mut decided = Decided::changes(changes, entry);
        let note = credential_notes::made(acting, record.id, 0, &note);
        decided.records.push(note);
        Ok((decided, (record, key)))
    });
    decided.await
}

/// Revokes an admin key; the last operator's stays, or nobody could ever act again.
pub async fn revoke(data: &Data, admin: Admin, id: Uuid) -> Result<AdminKeyRecord, Refused> {
    admin.must_operate()?;
    let wants = ReadSet {
        admin_keys: true,
        ..ReadSet::default()
    };
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        let mut record = view
            .admin_keys
            .iter()
            .find(|record| record.id == id)
            .cloned()
            .ok_or(Refused::NotFound("admin key"))?;
        if record.revoked_at.is_some() {
            return Ok((Decided::nothing(), record));
        }
        if is_last(&record, &view.admin_keys) {
            return Err(Refused::Conflict(Conflict::LastOperator, LAST.into()));
        }
        record.revoked_at = Some(view.now);
        let detail = json!({ "admin_key": record.id, "name": record.name, "role": record.role });
        let entry = acting.entry("admin_key.revoke", None, None, &detail);
        let changes = vec![Change::AdminKeyPut {
            key: Box::new(record.clone()),
        }];
        Ok((Decided::changes(changes, entry), record))
    });
    decided.await
}
