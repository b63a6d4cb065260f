//! What an administrator may do. Every admin verb asks here, with the thing it is about in hand.

use super::refused::Refused;
use std::net::IpAddr;
use tokenward_core::audit::Actor;
use tokenward_core::client::{AdminKeyRecord, ClientState, Product, Role};
use tokenward_core::ids::{ProductNo, WorkspaceId};
use tokenward_core::time::Timestamp;
use tokenward_store::Credential;
use tokenward_store::people::{Member, Session};

/// Seconds without use after which a session is over.
const IDLE_SECONDS: u64 = 2 * 3_600;
/// Seconds after which a session is over however much it is used.
pub(crate) const LONGEST_SECONDS: u64 = 24 * 3_600;

/// An administrator as admitted: who, as what, from where. That is enough to read. To write, the credential and the
/// role are looked at again inside the writer ([`super::acting`]).
#[derive(Clone, Debug)]
pub struct Admin {
    /// What they were admitted by: an admin key, or a session of a member in the console.
    pub credential: Credential,
    /// What they might do when they were admitted.
    pub role: Role,
    /// From where; none when that is not known.
    pub source: Option<IpAddr>,
}

const READ_ONLY: Refused = Refused::Forbidden("an auditor reads only");
const OPERATORS: Refused = Refused::Forbidden("only an operator may do this");
const NO_WORKSPACE: Refused = Refused::NotFound("workspace");
const NO_CLIENT: Refused = Refused::NotFound("client");

impl Admin {
    /// Who, for the audit log.
    #[must_use]
    pub fn who(&self) -> Actor {
        match self.credential {
            Credential::AdminKey(id) => Actor::AdminKey(id),
            Credential::Session { member, .. } => Actor::Member(member),
        }
    }

    /// Whether it sees every client of the workspaces that it sees. A product admin sees some.
    #[must_use]
    pub fn sees_all_clients(&self) -> bool {
        !matches!(self.role, Role::ProductAdmin { .. })
    }

    /// Whether everything is open to it.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        matches!(self.role, Role::Operator)
    }

    /// The one workspace its role is about; none means all.
    #[must_use]
    pub fn own_workspace(&self) -> Option<WorkspaceId> {
        self.role.workspace()
    }

    /// Whether it may see a workspace.
    #[must_use]
    pub fn sees_workspace(&self, id: WorkspaceId) -> bool {
        self.own_workspace().is_none_or(|own| own == id)
    }

    /// Whether it may see a client: a product admin only those of its products.
    #[must_use]
    pub fn sees_client(&self, state: &ClientState, products: &[Product]) -> bool {
        self.sees_workspace(state.workspace.id)
            && self.reaches(state.client.settings.products.as_deref(), products)
    }

    /// Whether a set of products is within a product admin's.
    fn reaches(&self, wanted: Option<&[ProductNo]>, products: &[Product]) -> bool {
        match (&self.role, wanted) {
            (Role::ProductAdmin { .. }, None) => false,
            (Role::ProductAdmin { products: own, .. }, Some(wanted)) => {
                !wanted.is_empty()
                    && wanted.iter().all(|no| {
                        products
                            .iter()
                            .any(|product| product.no == *no && own.contains(&product.slug))
                    })
            }
            _ => true,
        }
    }

    /// Whether it manages members and webhooks, of its workspace or of all.
    #[must_use]
    pub fn administers(&self) -> bool {
        matches!(self.role, Role::Operator | Role::WorkspaceAdmin { .. })
    }

    /// For those who manage members.
    pub fn must_administer(&self) -> Result<(), Refused> {
        match self.administers() {
            true => Ok(()),
            false => Err(Refused::Forbidden(
                "only operators and workspace admins manage members",
            )),
        }
    }

    /// Whether it may change anything at all.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self.role, Role::Auditor { .. })
    }

    /// For those who may change anything at all.
    pub fn must_write(&self) -> Result<(), Refused> {
        if self.writes() {
            Ok(())
        } else {
            Err(READ_ONLY)
        }
    }

    /// For operators only.
    pub fn must_operate(&self) -> Result<(), Refused> {
        match &self.role {
            Role::Operator => Ok(()),
            Role::Auditor { .. } => Err(READ_ONLY),
            _ => Err(OPERATORS),
        }
    }

    /// For those who see a workspace.
    pub fn must_see_workspace(&self, id: WorkspaceId) -> Result<(), Refused> {
        if self.sees_workspace(id) {
            Ok(())
        } else {
            Err(NO_WORKSPACE)
        }
    }

    /// For those who see a client.
    pub fn must_see_client(
        &self,
        state: &ClientState,
        products: &[Product],
    ) -> Result<(), Refused> {
        if self.sees_client(state, products) {
            Ok(())
        } else {
            Err(NO_CLIENT)
        }
    }

    /// For those who may change clients in a workspace, with these products.
    pub fn must_manage(
        &self,
        workspace: WorkspaceId,
        wanted: Option<&[ProductNo]>,
        products: &[Product],
    ) -> Result<(), Refused> {
        self.must_see_workspace(workspace)?;
        self.must_write()?;
        if !self.reaches(wanted, products) {
            return Err(Refused::Forbidden(
                "a product admin's clients must be restricted to the admin's own products",
            ));
        }
        Ok(())
    }

    /// For those who may change this client.
    pub fn must_change(&self, state: &ClientState, products: &[Product]) -> Result<(), Refused> {
        self.must_see_client(state, products)?;
        self.must_write()
    }

    /// For those who may read the whole audit log of a scope.
    pub fn must_audit(&self) -> Result<(), Refused> {
        match &self.role {
            Role::ProductAdmin { .. } => Err(Refused::Forbidden(
                "a product admin may not read the audit log",
            )),
            _ => Ok(()),
        }
    }

    /// For those who may see how the server itself is set up.
    pub fn must_see_settings(&self) -> Result<(), Refused> {
        match &self.role {
            Role::Operator | Role::Auditor { workspace: None } => Ok(()),
            _ => Err(OPERATORS),
        }
    }
}

/// Whether an admin key is neither revoked nor expired.
pub(crate) fn is_in_force(record: &AdminKeyRecord, now: Timestamp) -> bool {
    record.revoked_at.is_none() && record.expires_at.is_none_or(|end| now < end)
}

/// Whether a member may go on in a session: neither disabled nor idle for too long.
pub(crate) fn goes_on(member: &Member, session: &Session, now: Timestamp) -> bool {
    member.disabled_at.is_none()
        && now.seconds_since(session.seen_at) < IDLE_SECONDS
        && now.seconds_since(session.created_at) < LONGEST_SECONDS
}
