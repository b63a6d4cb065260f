//! A role as people and programs write it, for members and admin keys alike: read, and held against what exists. Who
//! may give one is decided in `authority` and `members`.

use super::prelude::*;
use crate::auth::authority::is_in_force;
use tokenward_core::client::{PRODUCTS_MAX, Role};
use tokenward_core::label::Slug;

/// A role as it came, in three members of a body or a form.
#[derive(Clone, Copy, Debug)]
pub struct RoleFields<'a> {
    /// Its word: [`word`].
    pub role: &'a str,
    /// The workspace it is about.
    pub workspace: Option<WorkspaceId>,
    /// The products it is about, by slug.
    pub products: Option<&'a [String]>,
}

impl RoleFields<'_> {
    /// The role, if the three go together.
    pub fn read(&self) -> Result<Role, Refused> {
        let wrong = |field, why: &str| Refused::Invalid(field, why.to_owned());
        let needed = || {
            let why = "this role is about one workspace: name it";
            self.workspace.ok_or_else(|| wrong("workspace_id", why))
        };
        if self.role != "product_admin" && self.products.is_some() {
            return Err(wrong("products", "only a product admin names products"));
        }
        match self.role {
            "operator" if self.workspace.is_some() => {
                Err(wrong("workspace_id", "an operator is about all workspaces"))
            }
            "operator" => Ok(Role::Operator),
            "workspace_admin" => Ok(Role::WorkspaceAdmin {
                workspace: needed()?,
            }),
            "product_admin" => Ok(Role::ProductAdmin {
                products: slugs(self.products.unwrap_or_default())?,
                workspace: needed()?,
            }),
            "auditor" => Ok(Role::Auditor {
                workspace: self.workspace,
            }),
            _ => Err(wrong(
                "role",
                "the roles are operator, workspace_admin, product_admin and auditor",
            )),
        }
    }
}

fn slugs(texts: &[String]) -> Result<Vec<Slug>, Refused> {
    if texts.is_empty() || texts.len() > PRODUCTS_MAX {
        let why = format!("a product admin names 1 to {PRODUCTS_MAX} products");
        return Err(Refused::Invalid("products", why));
    }
    let parsed: Result<Vec<Slug>, _> = texts.iter().map(|slug| Slug::parse(slug)).collect();
    parsed.map_err(|why| Refused::Invalid("products", why.0))
}

/// The word of a role.
#[must_use]
pub fn word(role: &Role) -> &'static str {
    match role {
        Role::Operator => "operator",
        Role::WorkspaceAdmin { .. } => "workspace_admin",
        Role::ProductAdmin { .. } => "product_admin",
        Role::Auditor { .. } => "auditor",
    }
}

/// Whether the role of an admin key in force, a member or an open invitation names a product. The view holds them all.
pub(super) fn named(slug: &Slug, view: &View) -> bool {
    let keys = view.admin_keys.iter();
    let keys = keys.filter(|key| is_in_force(key, view.now));
    let open = view.invitations.iter();
    let open = open.filter(|one| view.now < one.expires_at);
    let mut roles = keys
        .map(|key| &key.role)
        .chain(view.members.iter().map(|member| &member.role))
        .chain(open.map(|one| &one.role));
    roles.any(|role| match role {
        Role::ProductAdmin { products, .. } => products.contains(slug),
        _ => false,
    })
}

/// Whether a role names things that exist. The view holds its workspace and all products.
pub fn check(role: &Role, view: &View) -> Result<(), Refused> {
    if role.workspace().is_some() && view.workspace.is_none() {
        let why = "there is no such workspace";
        return Err(Refused::Invalid("workspace_id", why.into()));
    }
    let Role::ProductAdmin { products, .. } = role else {
        return Ok(());
    };
    let exists = |slug: &Slug| view.products.iter().any(|product| product.slug == *slug);
    match products.iter().find(|slug| !exists(slug)) {
        Some(slug) => {
            let why = format!("there is no product {slug}");
            Err(Refused::Invalid("products", why))
        }
        None => Ok(()),
    }
}
