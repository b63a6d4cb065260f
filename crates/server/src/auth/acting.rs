//! Authority is decided where the act is decided: inside the writer, on the administrator's credential as the database
//! has it then. Every verb that writes for an administrator goes through [`decide`]. Nothing else can make an
//! [`Acting`], and only an [`Acting`] makes audit entries of administrators, without which the store writes nothing.

use super::authority::{Admin, goes_on, is_in_force};
use super::refused::Refused;
use crate::data::Data;
use serde_json::Value;
use std::ops::Deref;
use tokenward_core::audit::Entry;
use tokenward_core::ids::{ClientId, WorkspaceId};
use tokenward_core::time::Timestamp;
use tokenward_store::{CredentialRow, Decided, Failure, ReadSet, View};

/// Why an administrator who was admitted may not act any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// The admin key was revoked or expired, the session ended, or the member was disabled or removed.
    Credential,
    /// The member has another role.
    Role,
}

/// An administrator inside the writer: their credential is good and their role is the one they were admitted with.
pub struct Acting {
    admin: Admin,
    now: Timestamp,
}

impl Deref for Acting {
    type Target = Admin;

    fn deref(&self) -> &Admin {
        &self.admin
    }
}

impl Acting {
    /// The administrator, if the credential in the view still admits them with the same role.
    fn new(admin: Admin, view: &View) -> Result<Self, Lost> {
        let role = match &view.actor {
            Some(CredentialRow::AdminKey(key)) if is_in_force(key, view.now) => &key.role,
            Some(CredentialRow::Session(both)) if goes_on(&both.0, &both.1, view.now) => {
                &both.0.role
            }
            _ => return Err(Lost::Credential),
        };
        // What the verb has checked already, it has checked with the role of the admission.
        match *role == admin.role {
            true => Ok(Self {
                admin,
                now: view.now,
            }),
            false => Err(Lost::Role),
        }
    }

    /// The audit entry of an act of this administrator.
    #[must_use]
    pub fn entry(
        &self,
        action: &'static str,
        workspace: Option<WorkspaceId>,
        client: Option<ClientId>,
        detail: &Value,
    ) -> Entry {
        Entry {
            at: self.now,
            actor: self.admin.who(),
            source: self.admin.source,
            action,
            workspace,
            client,
            detail: detail.to_string(),
        }
    }
}

/// Takes a decision of an administrator. The decision is not asked when the credential has ended or the role has
/// changed since the admission, however long ago that was.
///
/// # Errors
/// What the decision refuses with; [`Lost`] and [`Failure`] as the error type puts them.
pub async fn decide<T, E, F>(data: &Data, admin: Admin, wants: ReadSet, decision: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Lost> + From<Failure> + Send + 'static,
    F: FnOnce(&Acting, &View) -> Result<(Decided, T), E> + Send + 'static,
{
    let wants = ReadSet {
        actor: Some(admin.credential),
        ..wants
    };
    let decided = data.decide(wants, move |view: &View| {
        let acting = Acting::new(admin, view)?;
        decision(&acting, view)
    });
    decided.await?
}

impl From<Lost> for Refused {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Credential => Self::NotAdmitted,
            Lost::Role => Self::Forbidden(
                "your role was changed while the request was under way; nothing was done",
            ),
        }
    }
}
