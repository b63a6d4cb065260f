//! Notices and who is told: the outbox, the webhooks, and how far the audit log was followed. Rows that are
//! no changes, in the same writer and transaction as everything else. What a notice says is not known here.

mod addresses;
mod preferences;
mod read;

pub use addresses::{
    AddressView, AddressWants, AddressWrite, NoticeAddress, folded_address, mailbox,
};
pub(crate) use addresses::{
    END_LINKS, by_link, statements as address_statements, view as address_view,
};

pub use preferences::{Delivery, EVENTS, Preferences};
pub(crate) use read::{SELECT_WEBHOOKS, webhook};

use crate::error::StoreError;
use crate::value::Statement;
use tokenward_core::audit::AuditRecord;
use tokenward_core::ids::{ClientId, Environment, WorkspaceId};
use tokenward_core::time::Timestamp;
use uuid::Uuid;

/// An address that is told by HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Its name for all time.
    pub id: Uuid,
    /// Whose clients it is told of.
    pub workspace: WorkspaceId,
    /// The URL that notices are sent to.
    pub url: String,
    /// What it is signed with, sealed.
    pub secret: Vec<u8>,
    /// The secret before, sealed, and until when it signs too.
    pub former: Option<(Vec<u8>, Timestamp)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when nothing is sent there, if so.
    pub disabled_at: Option<Timestamp>,
    /// Of which events it is notified.
    pub preferences: Preferences,
}

/// The context a webhook's signing secret is sealed in.
#[must_use]
pub fn seal_context(webhook: Uuid) -> String {
    format!("webhook {webhook}")
}

/// To whom a notice goes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// The mail server, for an address.
    Mail,
    /// A webhook.
    Webhook(Uuid),
}

impl Target {
    fn text(&self) -> String {
        match self {
            Self::Mail => "mail".to_owned(),
            Self::Webhook(id) => id.to_string(),
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "mail" => Ok(Self::Mail),
            other => Uuid::try_parse(other)
                .map(Self::Webhook)
                .map_err(|_| StoreError::Damaged(format!("target {other}"))),
        }
    }
}

/// A notice to be made, unless there is one of its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNotice {
    /// Its name, which its receiver sees.
    pub id: Uuid,
    /// What it is about and to whom: there is one notice of a key, for as long as it is kept.
    pub key: String,
    /// To whom.
    pub target: Target,
    /// The address; empty for a webhook.
    pub recipient: String,
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// About which client.
    pub client: Option<ClientId>,
    /// What happened, in a word.
    pub kind: String,
    /// What is told, as JSON.
    pub body: String,
    /// When it was made, and is due.
    pub at: Timestamp,
    /// When it is due instead, to go out with others in one mail.
    pub digest_at: Option<Timestamp>,
}

/// A notice as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Its place in the outbox.
    pub no: u64,
    /// What was to be made.
    pub made: NewNotice,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next one is due; none: it is over.
    pub due_at: Option<Timestamp>,
    /// When it was delivered.
    pub done_at: Option<Timestamp>,
    /// Why the last attempt failed; empty when it did not.
    pub last_error: String,
    /// Whether it goes out with others in one mail: held back by the limit of mails an hour, or for the mail of the day.
    pub held: bool,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    /// Of which notice.
    pub no: u64,
    /// When it was delivered, if so.
    pub done_at: Option<Timestamp>,
    /// When it is tried again, if so.
    pub due_at: Option<Timestamp>,
    /// Why it failed; empty when it did not.
    pub error: String,
}

/// A write of the outbox.
#[derive(Clone, PartialEq, Debug)]
pub enum NoticeWrite {
    /// Notices were made, and the audit log followed up to an entry if one is named.
    Made {
        /// The entry.
        followed: Option<u64>,
        /// The notices.
        notices: Vec<NewNotice>,
    },
    /// Attempts ended.
    Settled(Vec<Settled>),
    /// What is due for an address is held back and goes out later, in one mail.
    Held {
        /// The address.
        recipient: String,
        /// What is due by now.
        now: Timestamp,
        /// When it goes out.
        until: Timestamp,
    },
    /// Some of those made before a moment and over are forgotten.
    Forgotten {
        /// Rows before this moment are removed.
        before: Timestamp,
    },
}

/// A write of a webhook.
#[derive(Clone, PartialEq, Debug)]
pub enum WebhookWrite {
    /// It was made or changed: all of it as it is now.
    Put(Webhook),
    /// It was removed; what waits for it is given up.
    Removed(Uuid),
}

/// An audit entry about a client, with what is told of the client.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// The entry.
    pub entry: AuditRecord,
    /// The client's label as it is now.
    pub label: String,
    /// The client's environment.
    pub environment: Environment,
    /// Its notification e-mails.
    pub emails: Vec<String>,
}

/// Who wants to hear anything at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listening {
    /// Whether there is a webhook that is not disabled.
    pub webhooks: bool,
    /// Whether a client has notification e-mails.
    pub emails: bool,
}

/// A node that was the housekeeper before must not move the cursor back.
const FOLLOW: &str = "INSERT INTO notice_cursor (one, seq) VALUES (1, $1)
    ON CONFLICT (one) DO UPDATE SET seq = excluded.seq WHERE notice_cursor.seq < excluded.seq";
/// The database gives the number: two nodes may make notices at the same time.
const MAKE: &str =
    "INSERT INTO notice (id, key, target, recipient, workspace, client, kind, body, created_at, due_at,
    held, attempts, last_error)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, '')
    ON CONFLICT (key) DO NOTHING";
/// What was delivered stays so, although another node that was the housekeeper for a moment failed with it.
const SETTLE: &str =
    "UPDATE notice SET attempts = attempts + 1, done_at = $1, due_at = $2, last_error = $3
    WHERE done_at IS NULL AND no = $4";
/// Confirmation mails have limits of their own.
const HOLD: &str = "UPDATE notice SET due_at = $1, held = 1
    WHERE target = 'mail' AND recipient = $2 AND due_at <= $3 AND kind <> 'address.confirm'";
const FORGET: &str = "DELETE FROM notice WHERE no IN
    (SELECT no FROM notice WHERE created_at < $1 AND due_at IS NULL ORDER BY created_at LIMIT 1000)";
const PUT_WEBHOOK: &str = "INSERT INTO webhook (id, workspace, url, secret, former_secret, former_till, created_at, disabled_at,
    preferences)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (id) DO UPDATE SET url = excluded.url, secret = excluded.secret, former_secret = excluded.former_secret,
    former_till = excluded.former_till, disabled_at = excluded.disabled_at, preferences = excluded.preferences";
const REMOVE_WEBHOOK: &str = "DELETE FROM webhook WHERE id = $1";
const REMOVE_NOTE: &str = "DELETE FROM credential_note WHERE owner = $1";
const GIVE_UP: &str = "UPDATE notice SET due_at = NULL, last_error = 'the webhook was deleted'
    WHERE target = $1 AND due_at IS NOT NULL";

/// What a write does to the tables.
pub(crate) fn statements(write: &NoticeWrite) -> Vec<Statement> {
    match write {
        NoticeWrite::Made { followed, notices } => {
            let follow = followed.map(|seq| Statement::new(FOLLOW, vec![seq.cast_signed().into()]));
            follow.into_iter().chain(notices.iter().map(make)).collect()
        }
        NoticeWrite::Settled(all) => all.iter().map(settle).collect(),
        NoticeWrite::Held {
            recipient,
            now,
            until,
        } => vec![Statement::new(
            HOLD,
            vec![(*until).into(), recipient.as_str().into(), (*now).into()],
        )],
        NoticeWrite::Forgotten { before } => {
            vec![Statement::new(FORGET, vec![(*before).into()])]
        }
    }
}

fn make(notice: &NewNotice) -> Statement {
    let params = vec![
        notice.id.into(),
        notice.key.as_str().into(),
        notice.target.text().into(),
        notice.recipient.as_str().into(),
        notice.workspace.0.into(),
        notice.client.map(|id| id.0).into(),
        notice.kind.as_str().into(),
        notice.body.as_str().into(),
        notice.at.into(),
        notice.digest_at.unwrap_or(notice.at).into(),
        u32::from(notice.digest_at.is_some()).into(),
    ];
    Statement::new(MAKE, params)
}

fn settle(settled: &Settled) -> Statement {
    let params = vec![
        settled.done_at.into(),
        settled.due_at.into(),
        settled.error.as_str().into(),
        settled.no.cast_signed().into(),
    ];
    Statement::new(SETTLE, params)
}

/// What a write of a webhook does to the tables.
pub(crate) fn webhook_statements(write: &WebhookWrite) -> Vec<Statement> {
    match write {
        WebhookWrite::Put(webhook) => {
            let former = webhook.former.as_ref();
            let params = vec![
                webhook.id.into(),
                webhook.workspace.0.into(),
                webhook.url.as_str().into(),
                webhook.secret.as_slice().into(),
                former.map(|(secret, _)| secret.as_slice()).into(),
                former.map(|(_, till)| *till).into(),
                webhook.created_at.into(),
                webhook.disabled_at.into(),
                webhook.preferences.text().into(),
            ];
            vec![Statement::one(PUT_WEBHOOK, params)]
        }
        WebhookWrite::Removed(id) => vec![
            Statement::one(REMOVE_WEBHOOK, vec![(*id).into()]),
            Statement::new(REMOVE_NOTE, vec![(*id).into()]),
            Statement::new(GIVE_UP, vec![Target::Webhook(*id).text().into()]),
        ],
    }
}
