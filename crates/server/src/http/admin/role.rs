//! A role in a body of a request: the same for admin keys and members. It never decides who may give one.

use super::problem::Problem;
use crate::verbs::roles::RoleFields;
use tokenward_core::client::Role;
use tokenward_core::ids::WorkspaceId;
use uuid::Uuid;

/// A role as it came, in three members of a body.
pub(super) struct RoleRequest<'a> {
    pub(super) role: &'a str,
    pub(super) workspace_id: Option<Uuid>,
    pub(super) products: Option<&'a [String]>,
}

impl RoleRequest<'_> {
    pub(super) fn read(&self) -> Result<Role, Problem> {
        let written = RoleFields {
            role: self.role,
            workspace: self.workspace_id.map(WorkspaceId),
            products: self.products,
        };
        Ok(written.read()?)
    }
}
