//! Members, who may sign in to the console, and invitations.

use crate::{JoinPath, Name, Slug, Time};
#[cfg(feature = "openapi")]
use tokenward_core::client::PRODUCTS_MAX;
use uuid::Uuid;

words! {
    /// What an administrator may do.
    RoleName {
        /// Everything.
        Operator = "operator",
        /// Everything within one workspace.
        WorkspaceAdmin = "workspace_admin",
        /// The API clients of some products within one workspace.
        ProductAdmin = "product_admin",
        /// Read only.
        Auditor = "auditor",
    }
}

answers! {
    /// A role with what it is about.
    #[cfg_attr(feature = "openapi", schemars(inline))]
    pub struct Role {
        /// What its holder may do.
        pub role: RoleName,
        /// Within which workspace; null: all.
        pub workspace_id: Option<Uuid>,
        /// The products of a product_admin.
        #[cfg_attr(feature = "openapi", schemars(length(max = PRODUCTS_MAX)))]
        pub products: Option<Vec<Slug>>,
    }

    /// A member. Nothing that proves who they are is in it.
    pub struct Member {
        /// Their id.
        pub id: Uuid,
        /// The address they sign in with.
        pub email: String,
        /// Their name.
        pub name: Name,
        /// What they may do.
        #[serde(flatten)]
        pub role: Role,
        /// Whether they have set a password.
        pub has_password: bool,
        /// Whether they use an authenticator app.
        pub has_authenticator_app: bool,
        /// How many passkeys they have.
        pub passkeys: u64,
        /// Whether they sign in with single sign-on.
        pub single_sign_on: bool,
        /// Whether they can't sign in.
        pub disabled: bool,
        /// Since when.
        pub disabled_at: Option<Time>,
        /// When they joined.
        pub created_at: Time,
    }

    /// A member after a change.
    pub struct MemberChanged {
        /// The member.
        #[serde(flatten)]
        pub member: Member,
        /// The path of the link that a role with more rights needs.
        pub join_path: Option<JoinPath>,
    }

    /// An invitation.
    pub struct Invitation {
        /// Its id.
        pub id: Uuid,
        /// null: the holder of the first operator's link
        pub email: Option<String>,
        /// What they may do.
        #[serde(flatten)]
        pub role: Role,
        /// as in the audit log
        pub invited_by: String,
        /// When it was made.
        pub created_at: Time,
        /// When its link expires.
        pub expires_at: Time,
    }

    /// A new invitation, with its link.
    pub struct MemberInvited {
        /// The invitation.
        pub invitation: Invitation,
        /// The path of its link, which is shown once.
        pub join_path: JoinPath,
    }
}

requests! {
    /// An invitation to make.
    pub struct MemberInvite {
        /// capitals and blanks around it do not count
        #[cfg_attr(feature = "openapi", schemars(extend("pattern" = r"^\s*[^@\s,]+@[^@\s,]+\s*$", "examples" = ["asha@example.com"])))]
        pub email: String,
        /// What they may do.
        #[cfg_attr(feature = "openapi", schemars(with = "RoleName"))]
        pub role: String,
        /// for every role but operator; an auditor may do without
        pub workspace_id: Option<Uuid>,
        /// for a product_admin, and only for one
        #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Slug>>", length(min = 1, max = PRODUCTS_MAX)))]
        pub products: Option<Vec<String>>,
    }

    /// A change of a member. Null counts as left out; a role is written whole.
    pub struct MemberChange {
        /// What they may do.
        #[cfg_attr(feature = "openapi", schemars(with = "Option<RoleName>"))]
        pub role: Option<String>,
        /// for every role but operator; an auditor may do without
        pub workspace_id: Option<Uuid>,
        /// for a product_admin, and only for one
        #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Slug>>", length(min = 1, max = PRODUCTS_MAX)))]
        pub products: Option<Vec<String>>,
        /// Whether they can't sign in.
        pub disabled: Option<bool>,
    }
}
