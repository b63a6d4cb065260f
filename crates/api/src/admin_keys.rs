//! Admin keys.

use crate::{Name, Role, ShownAdminKey, Time};
#[cfg(feature = "openapi")]
use crate::{RoleName, Slug};
#[cfg(feature = "openapi")]
use tokenward_core::client::{LIFETIME_SECONDS_MAX, PRODUCTS_MAX};
use uuid::Uuid;

/// The name of the admin key that the first start makes.
pub const FIRST_KEY: &str = "First operator";

answers! {
    /// An admin key, without the key itself.
    #[cfg_attr(feature = "openapi", schemars(rename = "AdminKey"))]
    pub struct AdminKeyInfo {
        /// Its id.
        pub id: Uuid,
        /// Its name.
        pub name: Name,
        /// What its holder may do.
        #[serde(flatten)]
        pub role: Role,
        /// When it was created.
        pub created_at: Time,
        /// who created it, as the audit log names actors; null: not known
        pub created_by: Option<String>,
        /// What people wrote to recognise it by; may be empty.
        pub note: String,
        /// When it expires; null: never.
        pub expires_at: Option<Time>,
        /// When it was revoked.
        pub revoked_at: Option<Time>,
        /// When it was last used.
        pub last_used_at: Option<Time>,
        /// From which IP address.
        pub last_used_from: Option<String>,
    }

    /// A new admin key, with the key.
    pub struct AdminKeyCreated {
        /// About the key.
        pub admin_key: AdminKeyInfo,
        /// The key, which is shown once.
        pub key: ShownAdminKey,
    }
}

requests! {
    /// A new admin key.
    pub struct AdminKeyCreate {
        /// Its name.
        pub name: Name,
        /// What its holder may do.
        #[cfg_attr(feature = "openapi", schemars(with = "RoleName"))]
        pub role: String,
        /// for every role but operator; an auditor may do without
        pub workspace_id: Option<Uuid>,
        /// for a product_admin, and only for one
        #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Slug>>", length(min = 1, max = PRODUCTS_MAX)))]
        pub products: Option<Vec<String>>,
        /// After how many seconds it expires; left out or null: never.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = LIFETIME_SECONDS_MAX)))]
        pub expires_in_seconds: Option<u64>,
        /// to recognise the key by
        pub note: Option<String>,
    }

    /// A change of an admin key.
    pub struct AdminKeyChange {
        /// to recognise the key by; empty: none
        pub note: String,
    }
}
