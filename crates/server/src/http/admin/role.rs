//! A role in JSON, read and written: the same for admin keys and members. It never decides who may give one.

use super::problem::Problem;
use serde_json::{Value, json};
use tokenward_core::client::{PRODUCTS_MAX, Role};
use tokenward_core::ids::WorkspaceId;
use tokenward_core::label::Slug;
use uuid::Uuid;

/// A role as it came, in three members of a body.
pub(super) struct Sent<'a> {
    pub(super) role: &'a str,
    pub(super) workspace_id: Option<Uuid>,
    pub(super) products: Option<&'a [String]>,
}

impl Sent<'_> {
    pub(super) fn read(&self) -> Result<Role, Problem> {
        let workspace = self.workspace_id.map(WorkspaceId);
        let needed = || {
            Problem::invalid(
                Some("workspace_id"),
                "This role is about one workspace: name it.",
            )
        };
        if self.role != "product_admin" && self.products.is_some() {
            return Err(Problem::invalid(
                Some("products"),
                "Only a product_admin names products.",
            ));
        }
        match self.role {
            "operator" if workspace.is_some() => Err(Problem::invalid(
                Some("workspace_id"),
                "An operator is about all workspaces.",
            )),
            "operator" => Ok(Role::Operator),
            "workspace_admin" => Ok(Role::WorkspaceAdmin {
                workspace: workspace.ok_or_else(needed)?,
            }),
            "product_admin" => {
                let slugs = self.products.unwrap_or_default();
                if slugs.is_empty() || slugs.len() > PRODUCTS_MAX {
                    return Err(Problem::invalid(
                        Some("products"),
                        format!("A product_admin names 1 to {PRODUCTS_MAX} products."),
                    ));
                }
                let parsed: Result<Vec<_>, _> =
                    slugs.iter().map(|slug| Slug::parse(slug)).collect();
                let products = parsed.map_err(|why| Problem::invalid(Some("products"), why.0))?;
                Ok(Role::ProductAdmin {
                    workspace: workspace.ok_or_else(needed)?,
                    products,
                })
            }
            "auditor" => Ok(Role::Auditor { workspace }),
            _ => Err(Problem::invalid(
                Some("role"),
                "The roles are operator, workspace_admin, product_admin and auditor.",
            )),
        }
    }
}

/// Adds a role to what is about somebody or something that has it.
pub(super) fn told(role: &Role, mut about: Value) -> Value {
    let (word, workspace, products) = match role {
        Role::Operator => ("operator", None, None),
        Role::WorkspaceAdmin { workspace } => ("workspace_admin", Some(*workspace), None),
        Role::ProductAdmin {
            workspace,
            products,
        } => ("product_admin", Some(*workspace), Some(products)),
        Role::Auditor { workspace } => ("auditor", *workspace, None),
    };
    about["role"] = word.into();
    about["workspace_id"] = json!(workspace);
    about["products"] = json!(products);
    about
}
