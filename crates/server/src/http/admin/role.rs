//! A role in JSON, read and written: the same for admin keys and members. It never decides who may give one.

use super::problem::Problem;
use crate::verbs::roles::{self, Written};
use serde_json::{Value, json};
use tokenward_core::client::Role;
use tokenward_core::ids::WorkspaceId;
use uuid::Uuid;

/// A role as it came, in three members of a body.
pub(super) struct Sent<'a> {
    pub(super) role: &'a str,
    pub(super) workspace_id: Option<Uuid>,
    pub(super) products: Option<&'a [String]>,
}

impl Sent<'_> {
    pub(super) fn read(&self) -> Result<Role, Problem> {
        let written = Written {
            role: self.role,
            workspace: self.workspace_id.map(WorkspaceId),
            products: self.products,
        };
        Ok(written.read()?)
    }
}

/// Adds a role to what is about somebody or something that has it.
pub(super) fn told(role: &Role, mut about: Value) -> Value {
    let products = match role {
        Role::ProductAdmin { products, .. } => Some(products),
        _ => None,
    };
    about["role"] = roles::word(role).into();
    about["workspace_id"] = json!(role.workspace());
    about["products"] = json!(products);
    about
}
