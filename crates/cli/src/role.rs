//! Roles as flags: the same for admin keys and members.

use super::error::CliError;
use super::session::{Session, slug};
use clap::ValueEnum;
use uuid::Uuid;

/// What an administrator may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Everything.
    Operator,
    /// Everything within one workspace.
    #[value(alias = "workspace_admin")]
    WorkspaceAdmin,
    /// Clients of the named products within one workspace.
    #[value(alias = "product_admin")]
    ProductAdmin,
    /// Read only.
    Auditor,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::WorkspaceAdmin => "workspace_admin",
            Self::ProductAdmin => "product_admin",
            Self::Auditor => "auditor",
        }
    }
}

/// What a role is about.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Within {
    /// Within this workspace alone: id or exact name.
    #[arg(long, short = 'w', requires = "role")]
    workspace: Option<String>,
    /// For this product alone; may be repeated.
    #[arg(long = "product", value_name = "SLUG", value_parser = slug, requires = "role")]
    products: Vec<String>,
}

impl Within {
    /// The id of the workspace and the slugs of the products, where they are given.
    pub(crate) async fn resolve(
        self,
        session: &Session,
    ) -> Result<(Option<Uuid>, Option<Vec<String>>), CliError> {
        let workspace = match &self.workspace {
            Some(name) => Some(session.workspace_id(name).await?),
            None => None,
        };
        Ok((
            workspace,
            (!self.products.is_empty()).then_some(self.products),
        ))
    }
}
