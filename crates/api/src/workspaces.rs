//! Workspaces.

use crate::{Name, Time};
use uuid::Uuid;

answers! {
    /// A workspace.
    pub struct Workspace {
        /// Its id.
        pub id: Uuid,
        /// Its name.
        pub name: Name,
        /// Whether its API clients, their secrets and tokens are refused.
        pub disabled: bool,
        /// Since when.
        pub disabled_at: Option<Time>,
        /// When it was created.
        pub created_at: Time,
    }
}

requests! {
    /// A new workspace.
    pub struct WorkspaceCreate {
        /// Its name.
        pub name: Name,
    }

    /// A change of a workspace. Null counts as left out.
    pub struct WorkspaceChange {
        /// Its new name.
        pub name: Option<Name>,
        /// Whether its API clients are refused.
        pub disabled: Option<bool>,
    }
}
