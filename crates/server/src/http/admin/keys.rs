//! `/admin-keys`

use super::body::Body;
use super::extract::{Path, Signed, id};
use super::problem::{Answer, Problem};
use super::views;
use crate::app::App;
use crate::verbs::admin_keys;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokenward_core::client::{LIFETIME_SECONDS_MAX, Role};
use tokenward_core::ids::WorkspaceId;
use tokenward_core::label::Slug;
use uuid::Uuid;

/// Body of a creation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    name: String,
    role: String,
    workspace_id: Option<Uuid>,
    products: Option<Vec<String>>,
    expires_in_seconds: Option<u64>,
}

impl Create {
    fn role(&self) -> Result<Role, Problem> {
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
        match self.role.as_str() {
            "operator" if workspace.is_some() => Err(Problem::invalid(
                Some("workspace_id"),
                "An operator is about all workspaces.",
            )),
            "operator" => Ok(Role::Operator),
            "workspace_admin" => Ok(Role::WorkspaceAdmin {
                workspace: workspace.ok_or_else(needed)?,
            }),
            "product_admin" => {
                let slugs = self.products.as_deref().unwrap_or_default();
                if slugs.is_empty() || slugs.len() > 256 {
                    return Err(Problem::invalid(
                        Some("products"),
                        "A product_admin names 1 to 256 products.",
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

pub(super) async fn list(State(app): State<Arc<App>>, Signed(admin): Signed) -> Answer {
    let items = admin_keys::list(&app, &admin)
        .await?
        .iter()
        .map(views::admin_key)
        .collect();
    Ok(views::answer(StatusCode::OK, &views::page(items, None)))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Body(body): Body<Create>,
) -> Answer {
    let most = u64::from(LIFETIME_SECONDS_MAX);
    if body
        .expires_in_seconds
        .is_some_and(|seconds| !(1..=most).contains(&seconds))
    {
        return Err(Problem::invalid(
            Some("expires_in_seconds"),
            format!("This must be 1 to {most} seconds."),
        ));
    }
    let (record, key) = admin_keys::create(
        &app,
        admin,
        &body.name,
        body.role()?,
        body.expires_in_seconds,
    )
    .await?;
    let body = json!({ "admin_key": views::admin_key(&record), "key": key.expose().as_str() });
    Ok(views::answer(StatusCode::CREATED, &body))
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Signed(admin): Signed,
    Path(text): Path<String>,
) -> Answer {
    let record = admin_keys::revoke(&app, admin, id(&text, "admin key")?).await?;
    Ok(views::answer(StatusCode::OK, &views::admin_key(&record)))
}
