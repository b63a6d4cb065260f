//! The people behind the console: members, invitations and sessions, as rows; and the writes of all rows that no
//! check asks for and no replica knows ([`Record`]). What is done to members and invitations is audited like a change.

use crate::counts::{self, CheckCount, SourceUse};
use crate::credential_notes::{self, CredentialNoteWrite};
use crate::error::StoreError;
use crate::notices::{self, AddressWrite, NoticeWrite, WebhookWrite};
use crate::statements as sql;
use crate::tags::{self, TagWrite};
use crate::value::{Row, Statement, Value};
use serde::{Deserialize, Serialize};
use tokenward_core::client::Role;
use tokenward_core::digest::KeyId;
use tokenward_core::ids::ClientNo;
use tokenward_core::label::Name;
use tokenward_core::time::Timestamp;
use uuid::Uuid;

/// A node without the key could not check what is made with it. Joins wait for the lock under which this runs.
const CHOOSE_KEY: &str =
    "UPDATE head SET digest_key = $1 WHERE NOT EXISTS (SELECT 1 FROM node WHERE newest_key <> $1)";

/// Bytes of the digests by which invitations and sessions are found.
pub const OPAQUE_TOKEN_DIGEST_BYTES: usize = 32;

/// Challenges about passkeys that one member may have open: those of one member make no other member's be forgotten.
pub const CHALLENGES_MAX: usize = 8;

/// The SHA-256 of a secret that a browser or a link carries; the secret itself has 256 random bits.
pub type OpaqueTokenDigest = [u8; OPAQUE_TOKEN_DIGEST_BYTES];

/// A person who may sign in.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    /// The member's name for all time.
    pub id: Uuid,
    /// The address signed in with, in lower case; unique.
    pub email: String,
    /// What people call the member.
    pub name: Name,
    /// What the member may do.
    pub role: Role,
    /// What proves that it is the member.
    pub proofs: Proofs,
    /// When the invitation was accepted.
    pub created_at: Timestamp,
    /// Since when the member may not sign in, if so.
    pub disabled_at: Option<Timestamp>,
}

/// What proves a member: digests and public keys, and one secret sealed under the server's keys.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proofs {
    /// The argon2id hash of the password in PHC form, if there is a password.
    pub password: Option<String>,
    /// The authenticator app, if there is one.
    pub totp: Option<Totp>,
    /// Digests of recovery codes not yet used, as hex.
    pub recovery: Vec<String>,
    /// Passkeys.
    pub passkeys: Vec<Passkey>,
    /// The member's name at the single sign-on provider, once known: issuer, a blank, subject.
    pub sso: Option<String>,
}

impl Proofs {
    /// Whether something besides the password is asked for.
    #[must_use]
    pub fn has_second(&self) -> bool {
        self.totp.is_some() || !self.passkeys.is_empty()
    }
}

/// An authenticator app (RFC 6238).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totp {
    /// The shared secret, sealed, as hex.
    pub sealed: String,
    /// The time step of the last code taken: no code is taken twice.
    pub last_step: u64,
}

/// The context an authenticator app's secret is sealed in: it opens for this member only.
#[must_use]
pub fn app_context(member: Uuid) -> String {
    format!("authenticator app of member {member}")
}

/// A passkey (WebAuthn credential).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkey {
    /// Its name for all time.
    pub id: Uuid,
    /// What the member calls it.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last used, if it was.
    pub last_used_at: Option<Timestamp>,
    /// The public key and counter, as the WebAuthn library keeps them.
    pub credential: serde_json::Value,
}

/// A place kept for somebody who is to become a member.
#[derive(Clone, PartialEq, Debug)]
pub struct Invitation {
    /// Its name.
    pub id: Uuid,
    /// The digest of the secret in its link.
    pub digest: OpaqueTokenDigest,
    /// Whom it is for, in lower case; empty when whoever holds the link may say (the first operator).
    pub email: String,
    /// What the member may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the link ends.
    pub expires_at: Timestamp,
    /// Who invited, as in the audit log.
    pub invited_by: String,
}

/// A browser that is signed in.
#[derive(Clone, PartialEq, Debug)]
pub struct Session {
    /// The digest of the secret in its cookie.
    pub digest: OpaqueTokenDigest,
    /// Its name, to be shown and to end it by.
    pub id: Uuid,
    /// The member's id.
    pub member: Uuid,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
    /// When the member last proved who they are.
    pub proved_at: Timestamp,
    /// From where it was last used.
    pub source: String,
    /// The browser, as it calls itself, cut short.
    pub agent: String,
}

/// What a browser was asked about a passkey and has not answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasskeyChallenge {
    /// Its name, which the browser sends back.
    pub id: Uuid,
    /// The member who was asked.
    pub member: Uuid,
    /// When.
    pub at: Timestamp,
    /// What the answer is judged by, as the caller keeps it.
    pub state: String,
}

/// A write of a row that is not a change.
#[derive(Clone, PartialEq, Debug)]
pub enum Record {
    /// A member was made or changed: all of it as it is now.
    MemberPut(Box<Member>),
    /// A member was removed, with all sessions.
    MemberRemoved(Uuid),
    /// An invitation was made.
    InvitationPut(Invitation),
    /// An invitation was used or withdrawn.
    InvitationRemoved(Uuid),
    /// Invitations whose links ended before this moment, or at it, are forgotten.
    InvitationsForgotten {
        /// Rows before this moment are removed.
        before: Timestamp,
    },
    /// A session began.
    SessionBegan(Session),
    /// A session went on; one that ended meanwhile stays ended.
    SessionSeen {
        /// The session's id.
        session: Uuid,
        /// The time at which it happened.
        at: Timestamp,
        /// The IP address of the caller.
        source: String,
    },
    /// The member proved again who they are; in a session that ended meanwhile it changes nothing.
    SessionProved {
        /// The session's id.
        session: Uuid,
        /// The time at which it happened.
        at: Timestamp,
    },
    /// A session ended.
    SessionEnded(Uuid),
    /// All sessions of a member ended but this one, if one is named.
    SessionsEnded {
        /// The member's id.
        member: Uuid,
        /// The session that stays, if any.
        but: Option<Uuid>,
    },
    /// Sessions last used before this moment are forgotten.
    SessionsForgotten {
        /// Rows before this moment are removed.
        before: Timestamp,
    },
    /// A browser was asked about a passkey. Of one member's the newest [`CHALLENGES_MAX`] stay.
    ChallengePut(PasskeyChallenge),
    /// A challenge was taken, to be judged. It must be there.
    ChallengeTaken(Uuid),
    /// Challenges put before this moment are forgotten.
    ChallengesForgotten {
        /// Rows before this moment are removed.
        before: Timestamp,
    },
    /// The oldest changes of the log are forgotten, some at a time.
    LogTrimmed {
        /// The last that may be.
        through: u64,
        /// Those written at or after this moment stay.
        before: Timestamp,
    },
    /// An admin key was used.
    AdminKeyUsed {
        /// The key's id.
        id: Uuid,
        /// The time at which it happened.
        at: Timestamp,
        /// From which address.
        source: String,
    },
    /// Counts are added to what was counted before.
    CountsAdded(Vec<CheckCount>),
    /// The same for sources of former and ended tokens.
    SourceUses(Vec<SourceUse>),
    /// The nodes of a shared database make new digests with this key from now on. Refused unless every node has it.
    DigestKeyChosen(KeyId),
    /// The outbox.
    Notice(NoticeWrite),
    /// A webhook.
    Webhook(WebhookWrite),
    /// Who confirmed that they want notices by mail.
    NoticeAddress(AddressWrite),
    /// A tag of a client.
    Tag(TagWrite),
    /// What people recognise a credential by.
    CredentialNote(CredentialNoteWrite),
    /// Counts of some clients are forgotten.
    CountsForgotten {
        /// The first of the clients.
        first: ClientNo,
        /// The one behind the last.
        end: ClientNo,
        /// The first day that is kept.
        before: u32,
    },
}

impl Record {
    /// Whether a decision that writes it must also write an audit entry: it gives or takes what somebody may do.
    #[must_use]
    pub fn needs_audit(&self) -> bool {
        match self {
            Self::MemberPut(_)
            | Self::MemberRemoved(_)
            | Self::InvitationPut(_)
            | Self::InvitationRemoved(_)
            | Self::Webhook(_)
            | Self::CredentialNote(_)
            | Self::Tag(_)
            | Self::DigestKeyChosen(_)
            | Self::NoticeAddress(AddressWrite::Put(_) | AddressWrite::Removed { .. }) => true,
            Self::SessionBegan(_)
            | Self::SessionSeen { .. }
            | Self::SessionProved { .. }
            | Self::SessionEnded(_)
            | Self::SessionsEnded { .. }
            | Self::SessionsForgotten { .. }
            | Self::ChallengePut(_)
            | Self::ChallengeTaken(_)
            | Self::ChallengesForgotten { .. }
            | Self::LogTrimmed { .. }
            | Self::AdminKeyUsed { .. }
            | Self::CountsAdded(_)
            | Self::SourceUses(_)
            | Self::Notice(_)
            | Self::NoticeAddress(
                AddressWrite::Linked { .. }
                | AddressWrite::Asked { .. }
                | AddressWrite::AskedForgotten { .. },
            )
            | Self::CountsForgotten { .. }
            | Self::InvitationsForgotten { .. } => false,
        }
    }

    /// Whether it is a figure: when the database server crashes a moment later, its loss does no harm.
    pub(crate) fn is_figure(&self) -> bool {
        matches!(
            self,
            Self::AdminKeyUsed { .. } | Self::CountsAdded(_) | Self::SourceUses(_)
        )
    }
}

const PUT_MEMBER: &str = "INSERT INTO member (id, email, name, role, proofs, created_at, disabled_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, role = excluded.role,
    proofs = excluded.proofs, disabled_at = excluded.disabled_at";
const REMOVE_MEMBER: &str = "DELETE FROM member WHERE id = $1";
const PUT_INVITATION: &str =
    "INSERT INTO invitation (id, digest, email, role, created_at, expires_at, invited_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const REMOVE_INVITATION: &str = "DELETE FROM invitation WHERE id = $1";
const FORGET_INVITATIONS: &str = "DELETE FROM invitation WHERE expires_at <= $1";
const BEGIN_SESSION: &str =
    "INSERT INTO session (digest, id, member, created_at, seen_at, proved_at, source, agent)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const SEE_SESSION: &str =
    "UPDATE session SET seen_at = $1, source = $2 WHERE id = $3 AND seen_at <= $1";
const PROVE_SESSION: &str = "UPDATE session SET proved_at = $1 WHERE id = $2";
const END_SESSION: &str = "DELETE FROM session WHERE id = $1";
const END_SESSIONS: &str = "DELETE FROM session WHERE member = $1";
const END_OTHER_SESSIONS: &str = "DELETE FROM session WHERE member = $1 AND id <> $2";
const PUT_CHALLENGE: &str =
    "INSERT INTO passkey_challenge (id, member, at, state) VALUES ($1, $2, $3, $4)";
const LEAVE_NEWEST_CHALLENGES: &str =
    "DELETE FROM passkey_challenge WHERE member = $1 AND id NOT IN
    (SELECT id FROM passkey_challenge WHERE member = $1 ORDER BY at DESC, id LIMIT 8)";
const TAKE_CHALLENGE: &str = "DELETE FROM passkey_challenge WHERE id = $1";
const FORGET_CHALLENGES: &str = "DELETE FROM passkey_challenge WHERE at < $1";
pub(crate) const END_ALL_CHALLENGES: &str = "DELETE FROM passkey_challenge";
pub(crate) const CHALLENGE_BY_ID: &str =
    "SELECT id, member, at, state FROM passkey_challenge WHERE id = $1";
const USE_ADMIN_KEY: &str = "INSERT INTO admin_key_use (id, at, source) VALUES ($1, $2, $3)
    ON CONFLICT (id) DO UPDATE SET at = excluded.at, source = excluded.source WHERE admin_key_use.at <= excluded.at";
pub(crate) const SELECT_ADMIN_KEY_USES: &str = "SELECT id, at, source FROM admin_key_use";
const FORGET_SESSIONS: &str = "DELETE FROM session WHERE seen_at < $1";

pub(crate) const END_ALL_SESSIONS: &str = "DELETE FROM session";
pub(crate) const WITHDRAW_ALL_INVITATIONS: &str = "DELETE FROM invitation";

pub(crate) const SELECT_MEMBERS: &str =
    "SELECT id, email, name, role, proofs, created_at, disabled_at FROM member";
pub(crate) const MEMBER_BY_ID: &str =
    "SELECT id, email, name, role, proofs, created_at, disabled_at FROM member WHERE id = $1";
pub(crate) const MEMBER_BY_EMAIL: &str =
    "SELECT id, email, name, role, proofs, created_at, disabled_at FROM member WHERE email = $1";
pub(crate) const SELECT_INVITATIONS: &str =
    "SELECT id, digest, email, role, created_at, expires_at, invited_by FROM invitation";
pub(crate) const SELECT_SESSIONS: &str =
    "SELECT digest, id, member, created_at, seen_at, proved_at, source, agent FROM session";
pub(crate) const SESSION_BY_ID: &str =
    "SELECT digest, id, member, created_at, seen_at, proved_at, source, agent
    FROM session WHERE id = $1";

/// What a record does to the tables.
pub(crate) fn statements(record: &Record) -> Vec<Statement> {
    match record {
        Record::MemberPut(member) => vec![Statement::one(
            PUT_MEMBER,
            vec![
                member.id.into(),
                member.email.as_str().into(),
                member.name.as_str().into(),
                json(&member.role),
                json(&member.proofs),
                member.created_at.into(),
                member.disabled_at.into(),
            ],
        )],
        Record::MemberRemoved(id) => vec![
            Statement::new(END_SESSIONS, vec![(*id).into()]),
            Statement::one(REMOVE_MEMBER, vec![(*id).into()]),
        ],
        Record::InvitationPut(invitation) => vec![Statement::one(
            PUT_INVITATION,
            vec![
                invitation.id.into(),
                invitation.digest.as_slice().into(),
                invitation.email.as_str().into(),
                json(&invitation.role),
                invitation.created_at.into(),
                invitation.expires_at.into(),
                invitation.invited_by.as_str().into(),
            ],
        )],
        Record::InvitationRemoved(id) => {
            vec![Statement::one(REMOVE_INVITATION, vec![(*id).into()])]
        }
        Record::InvitationsForgotten { before } => {
            vec![Statement::new(FORGET_INVITATIONS, vec![(*before).into()])]
        }
        Record::SessionBegan(session) => vec![Statement::one(
            BEGIN_SESSION,
            vec![
                session.digest.as_slice().into(),
                session.id.into(),
                session.member.into(),
                session.created_at.into(),
                session.seen_at.into(),
                session.proved_at.into(),
                session.source.as_str().into(),
                session.agent.as_str().into(),
            ],
        )],
        Record::SessionSeen {
            session,
            at,
            source,
        } => vec![Statement::new(
            SEE_SESSION,
            vec![(*at).into(), source.as_str().into(), (*session).into()],
        )],
        Record::SessionProved { session, at } => vec![Statement::new(
            PROVE_SESSION,
            vec![(*at).into(), (*session).into()],
        )],
        Record::SessionEnded(id) => vec![Statement::new(END_SESSION, vec![(*id).into()])],
        Record::SessionsEnded { member, but: None } => {
            vec![Statement::new(END_SESSIONS, vec![(*member).into()])]
        }
        Record::SessionsEnded {
            member,
            but: Some(but),
        } => vec![Statement::new(
            END_OTHER_SESSIONS,
            vec![(*member).into(), (*but).into()],
        )],
        Record::SessionsForgotten { before } => {
            vec![Statement::new(FORGET_SESSIONS, vec![(*before).into()])]
        }
        Record::ChallengePut(challenge) => vec![
            Statement::one(
                PUT_CHALLENGE,
                vec![
                    challenge.id.into(),
                    challenge.member.into(),
                    challenge.at.into(),
                    challenge.state.as_str().into(),
                ],
            ),
            Statement::new(LEAVE_NEWEST_CHALLENGES, vec![challenge.member.into()]),
        ],
        Record::ChallengeTaken(id) => vec![Statement::one(TAKE_CHALLENGE, vec![(*id).into()])],
        Record::ChallengesForgotten { before } => {
            vec![Statement::new(FORGET_CHALLENGES, vec![(*before).into()])]
        }
        Record::LogTrimmed { through, before } => vec![sql::trim_log(*through, *before)],
        Record::AdminKeyUsed { id, at, source } => vec![Statement::new(
            USE_ADMIN_KEY,
            vec![(*id).into(), (*at).into(), source.as_str().into()],
        )],
        Record::CountsAdded(added) => counts::add_counts(added),
        Record::SourceUses(uses) => counts::add_stale_uses(uses),
        Record::DigestKeyChosen(id) => {
            vec![Statement::one(CHOOSE_KEY, vec![u32::from(id.0).into()])]
        }
        Record::Notice(write) => notices::statements(write),
        Record::Webhook(write) => notices::webhook_statements(write),
        Record::NoticeAddress(write) => notices::address_statements(write),
        Record::Tag(write) => tags::statements(write),
        Record::CredentialNote(write) => credential_notes::statements(write),
        Record::CountsForgotten { first, end, before } => counts::forget(*first, *end, *before),
    }
}

pub(crate) fn json(value: &impl Serialize) -> Value {
    let text = serde_json::to_string(value).expect("a record is plain data with text keys");
    text.into()
}

pub(crate) fn from_json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(error.to_string()))
}

pub(crate) fn admin_key_use(row: &Row<'_>) -> Result<(Uuid, Timestamp, String), StoreError> {
    Ok((
        uuid(row, 0)?,
        Timestamp(row.int(1)?),
        row.text(2)?.to_owned(),
    ))
}

fn uuid(row: &Row<'_>, column: usize) -> Result<Uuid, StoreError> {
    row.bytes(column).map(Uuid::from_bytes)
}

pub(crate) fn member(row: &Row<'_>) -> Result<Member, StoreError> {
    Ok(Member {
        id: uuid(row, 0)?,
        email: row.text(1)?.to_owned(),
        name: Name::stored(row.text(2)?).map_err(|why| StoreError::Damaged(why.0))?,
        role: from_json(row.text(3)?)?,
        proofs: from_json(row.text(4)?)?,
        created_at: Timestamp(row.int(5)?),
        disabled_at: row.int_or_null(6)?.map(Timestamp),
    })
}

pub(crate) fn invitation(row: &Row<'_>) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: uuid(row, 0)?,
        digest: row.bytes(1)?,
        email: row.text(2)?.to_owned(),
        role: from_json(row.text(3)?)?,
        created_at: Timestamp(row.int(4)?),
        expires_at: Timestamp(row.int(5)?),
        invited_by: row.text(6)?.to_owned(),
    })
}

pub(crate) fn session(row: &Row<'_>) -> Result<Session, StoreError> {
    Ok(Session {
        digest: row.bytes(0)?,
        id: uuid(row, 1)?,
        member: uuid(row, 2)?,
        created_at: Timestamp(row.int(3)?),
        seen_at: Timestamp(row.int(4)?),
        proved_at: Timestamp(row.int(5)?),
        source: row.text(6)?.to_owned(),
        agent: row.text(7)?.to_owned(),
    })
}

pub(crate) fn challenge(row: &Row<'_>) -> Result<PasskeyChallenge, StoreError> {
    Ok(PasskeyChallenge {
        id: uuid(row, 0)?,
        member: uuid(row, 1)?,
        at: Timestamp(row.int(2)?),
        state: row.text(3)?.to_owned(),
    })
}
