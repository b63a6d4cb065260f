//! Who confirmed that they want notices by mail, per workspace and address. Rows that are no changes; a row about who is
//! told comes with an audit entry like a change. What a link looks like is not known here, only its digest.

use super::Preferences;
use crate::driver::Driver;
use crate::error::StoreError;
use crate::people::{self, Member, OpaqueTokenDigest};
use crate::reader::Reader;
use crate::value::{Row, Statement, Value};
use tokenward_core::ids::{ClientId, WorkspaceId};
use tokenward_core::time::{MICROS_PER_SECOND, SECONDS_PER_DAY, Timestamp};
use uuid::Uuid;

/// An address as addresses are compared: A to Z in lower case. Other letters stay as they are.
#[must_use]
pub fn folded_address(address: &str) -> String {
    address.to_ascii_lowercase()
}

/// The mailbox behind an address, as far as it can be told: what stands behind a `+` is a tag of the same mailbox at
/// most mail servers.
#[must_use]
pub fn mailbox(address: &str) -> String {
    let folded = folded_address(address);
    match folded.split_once('@') {
        Some((local, domain)) => {
            let name = local.split('+').next().filter(|name| !name.is_empty());
            format!("{}@{domain}", name.unwrap_or(local))
        }
        None => folded,
    }
}

/// An address that clients of a workspace name, or whose owner stopped notices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoticeAddress {
    /// Whose clients it is told of.
    pub workspace: WorkspaceId,
    /// The address ([`folded_address`]).
    pub address: String,
    /// The client that named it first; none for an address from before confirmations.
    pub client: Option<ClientId>,
    /// The digest of the secret in the confirmation link, while there is one.
    pub digest: Option<OpaqueTokenDigest>,
    /// When that link ends.
    pub link_till: Option<Timestamp>,
    /// When a client first named it.
    pub created_at: Timestamp,
    /// When its owner confirmed it; none while pending, and after the owner stopped notices.
    pub confirmed_at: Option<Timestamp>,
    /// When its owner stopped notices, if they did and have not confirmed since.
    pub stopped_at: Option<Timestamp>,
    /// Of which events it is notified, and when.
    pub preferences: Preferences,
}

/// A write of these rows.
#[derive(Clone, PartialEq, Debug)]
pub enum AddressWrite {
    /// It was made or changed: all of it as it is now.
    Put(NoticeAddress),
    /// No client names it any more.
    Removed {
        /// In which workspace.
        workspace: WorkspaceId,
        /// The address, folded.
        address: String,
    },
    /// A link goes out; one that went out before ends. Nothing happens to an address that is confirmed or gone.
    Linked {
        /// In which workspace.
        workspace: WorkspaceId,
        /// The address, folded.
        address: String,
        /// The digest of the link's secret.
        digest: OpaqueTokenDigest,
        /// When the link ends.
        till: Timestamp,
    },
    /// A confirmation mail was asked for; counted against the limits.
    Asked {
        /// For which workspace.
        workspace: WorkspaceId,
        /// To which [`mailbox`].
        mailbox: String,
        /// The time at which it happened.
        at: Timestamp,
    },
    /// What was asked for before a moment counts no more.
    AskedForgotten {
        /// Rows before this moment are removed.
        before: Timestamp,
    },
}

/// What a decision wants to see of a workspace's addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressWants {
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// Addresses that may be asked to confirm.
    pub emails: Vec<String>,
}

/// What a decision sees of a workspace's addresses.
#[derive(Clone, Debug, Default)]
pub struct AddressView {
    /// The rows of the workspace, or the one a link is for.
    pub rows: Vec<NoticeAddress>,
    /// The addresses each client that is not deleted names.
    pub named: Vec<(ClientId, Vec<String>)>,
    /// Confirmation mails asked for in the workspace within a day.
    pub asked_by_workspace: u64,
    /// When confirmation mails to the wanted mailboxes were asked for within a day, in any workspace.
    pub asked: Vec<(String, Timestamp)>,
    /// Members with one of the wanted addresses.
    pub members: Vec<Member>,
}

const OF_WORKSPACE: &str =
    "SELECT workspace, address, client, digest, link_till, created_at, confirmed_at, stopped_at,
    preferences FROM notice_address WHERE workspace = $1";
const BY_LINK: &str =
    "SELECT workspace, address, client, digest, link_till, created_at, confirmed_at, stopped_at,
    preferences FROM notice_address WHERE digest = $1";
const NAMED: &str = "SELECT c.id, c.emails FROM client c JOIN workspace w ON w.no = c.workspace
    WHERE w.id = $1 AND c.deleted_at IS NULL AND c.emails <> ''";
const ASKED_BY_WORKSPACE: &str =
    "SELECT count(*) FROM confirmation_mail WHERE workspace = $1 AND at > $2";
const ASKED: &str = "SELECT mailbox, at FROM confirmation_mail WHERE mailbox = $1 AND at > $2";
const PUT: &str =
    "INSERT INTO notice_address (workspace, address, client, digest, link_till, created_at, confirmed_at, stopped_at,
    preferences)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (workspace, address) DO UPDATE SET client = excluded.client, digest = excluded.digest,
    link_till = excluded.link_till, confirmed_at = excluded.confirmed_at, stopped_at = excluded.stopped_at,
    preferences = excluded.preferences";
const REMOVE: &str =
    "DELETE FROM notice_address WHERE workspace = $1 AND address = $2 AND stopped_at IS NULL";
const LINK: &str = "UPDATE notice_address SET digest = $1, link_till = $2
    WHERE workspace = $3 AND address = $4 AND confirmed_at IS NULL";
const ASK: &str = "INSERT INTO confirmation_mail (workspace, mailbox, at) VALUES ($1, $2, $3)";
const FORGET_ASKED: &str = "DELETE FROM confirmation_mail WHERE at < $1";
/// A link that was used since a backup must not work again.
pub(crate) const END_LINKS: &str = "UPDATE notice_address SET digest = NULL, link_till = NULL";

fn row(row: &Row<'_>) -> Result<NoticeAddress, StoreError> {
    let digest = row.bytes_or_null(3)?;
    let digest = digest.map(OpaqueTokenDigest::try_from).transpose();
    Ok(NoticeAddress {
        workspace: WorkspaceId(Uuid::from_bytes(row.bytes(0)?)),
        address: row.text(1)?.to_owned(),
        client: row
            .bytes_or_null(2)?
            .and_then(|bytes| Uuid::from_slice(bytes).ok())
            .map(ClientId),
        digest: digest.map_err(|_| StoreError::Damaged("the digest of a link".into()))?,
        link_till: row.int_or_null(4)?.map(Timestamp),
        created_at: Timestamp(row.int(5)?),
        confirmed_at: row.int_or_null(6)?.map(Timestamp),
        stopped_at: row.int_or_null(7)?.map(Timestamp),
        preferences: Preferences::parse(row.text(8)?)?,
    })
}

/// Reads what a decision wants to see.
pub(crate) async fn view(
    driver: &mut Driver,
    want: &AddressWants,
    now: Timestamp,
) -> Result<AddressView, StoreError> {
    let mut view = AddressView::default();
    let workspace: Vec<Value> = vec![want.workspace.0.into()];
    view.rows = driver.rows(OF_WORKSPACE, workspace.clone(), row).await?;
    let named = driver.rows(NAMED, workspace, |row| {
        let emails = row.text(1)?.split(',').map(str::to_owned).collect();
        Ok((ClientId(Uuid::from_bytes(row.bytes(0)?)), emails))
    });
    view.named = named.await?;
    let since = Timestamp(now.0 - SECONDS_PER_DAY * MICROS_PER_SECOND);
    let params = vec![want.workspace.0.into(), since.into()];
    let asked = driver.rows(ASKED_BY_WORKSPACE, params, |row| row.int(0));
    view.asked_by_workspace = asked.await?.pop().map_or(0, i64::cast_unsigned);
    if want.emails.is_empty() {
        return Ok(view);
    }
    let mailboxes: std::collections::BTreeSet<_> =
        want.emails.iter().map(|email| mailbox(email)).collect();
    let lists: Vec<Vec<Value>> = mailboxes
        .into_iter()
        .map(|mailbox| vec![mailbox.into(), since.into()])
        .collect();
    let mut each = |_: usize, row: &Row<'_>| {
        view.asked
            .push((row.text(0)?.to_owned(), Timestamp(row.int(1)?)));
        Ok(())
    };
    driver.query(ASKED, &lists, &mut each).await?;
    let emails = want.emails.iter();
    let lists: Vec<Vec<Value>> = emails
        .map(|email| vec![folded_address(email).into()])
        .collect();
    let mut each = |_: usize, row: &Row<'_>| {
        view.members.push(people::member(row)?);
        Ok(())
    };
    driver
        .query(people::MEMBER_BY_EMAIL, &lists, &mut each)
        .await?;
    Ok(view)
}

/// Reads the row that a confirmation link is for.
pub(crate) async fn by_link(
    driver: &mut Driver,
    digest: &OpaqueTokenDigest,
) -> Result<Vec<NoticeAddress>, StoreError> {
    driver
        .rows(BY_LINK, vec![digest.as_slice().into()], row)
        .await
}

/// What a write does to the tables.
pub(crate) fn statements(write: &AddressWrite) -> Vec<Statement> {
    let one = match write {
        AddressWrite::Put(address) => Statement::one(
            PUT,
            vec![
                address.workspace.0.into(),
                address.address.as_str().into(),
                address.client.map(|id| id.0).into(),
                address.digest.as_ref().map(<[u8; 32]>::as_slice).into(),
                address.link_till.into(),
                address.created_at.into(),
                address.confirmed_at.into(),
                address.stopped_at.into(),
                address.preferences.text().into(),
            ],
        ),
        AddressWrite::Removed { workspace, address } => {
            Statement::new(REMOVE, vec![workspace.0.into(), address.as_str().into()])
        }
        AddressWrite::Linked {
            workspace,
            address,
            digest,
            till,
        } => Statement::new(
            LINK,
            vec![
                digest.as_slice().into(),
                (*till).into(),
                workspace.0.into(),
                address.as_str().into(),
            ],
        ),
        AddressWrite::Asked {
            workspace,
            mailbox,
            at,
        } => Statement::one(
            ASK,
            vec![workspace.0.into(), mailbox.as_str().into(), (*at).into()],
        ),
        AddressWrite::AskedForgotten { before } => {
            Statement::new(FORGET_ASKED, vec![(*before).into()])
        }
    };
    vec![one]
}

impl Reader {
    /// Every address of a workspace.
    pub async fn notice_addresses(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Vec<NoticeAddress>, StoreError> {
        self.rows(OF_WORKSPACE, vec![workspace.0.into()], row).await
    }

    /// One address of a workspace, folded.
    pub async fn notice_address(
        &self,
        workspace: WorkspaceId,
        address: &str,
    ) -> Result<Option<NoticeAddress>, StoreError> {
        let sql = format!("{OF_WORKSPACE} AND address = $2");
        let params = vec![workspace.0.into(), address.into()];
        self.row(sql, params, row).await
    }

    /// The address that the confirmation link with this digest is for.
    pub async fn notice_address_by_link(
        &self,
        digest: &OpaqueTokenDigest,
    ) -> Result<Option<NoticeAddress>, StoreError> {
        self.row(BY_LINK, vec![digest.as_slice().into()], row).await
    }

    /// Notices that were delivered to an address by mail since a moment.
    pub async fn mailed_since(&self, recipient: &str, since: Timestamp) -> Result<u64, StoreError> {
        let sql =
            "SELECT count(*) FROM notice WHERE target = 'mail' AND recipient = $1 AND done_at >= $2
            AND kind <> 'address.confirm'";
        let params = vec![recipient.into(), since.into()];
        let count = self.row(sql, params, |row| Ok(row.int(0)?.cast_unsigned()));
        Ok(count.await?.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_and_the_case_name_the_same_mailbox() {
        for (address, expected) in [
            ("Ops@Example.com", "ops@example.com"),
            ("ops+tokens+x@example.com", "ops@example.com"),
            ("+x@example.com", "+x@example.com"),
            ("none", "none"),
        ] {
            assert_eq!(mailbox(address), expected);
        }
        assert_eq!(folded_address("Ops+X@Example.com"), "ops+x@example.com");
    }
}
