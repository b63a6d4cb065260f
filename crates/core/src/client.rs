//! The API client: its settings and what is durable about it besides its slot.

use crate::digest::{Digest, KeyId};
use crate::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
use crate::label::{Label, Name, Slug};
use crate::restrictions::{Networks, Restrictions};
use crate::slot::Slot;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest token lifetime: ten years.
pub const LIFETIME_SECONDS_MAX: u32 = 315_360_000;
/// Longest hand-over: a day; a previous token that lives longer is a second token.
pub const HANDOVER_SECONDS_MAX: u32 = 86_400;
/// Longest `renew_before_seconds`: a day.
pub const RENEW_BEFORE_SECONDS_MAX: u32 = 86_400;
/// Most addresses notices go to.
pub const EMAILS_MAX: usize = 20;
/// Most products one client may be restricted to.
pub const PRODUCTS_MAX: usize = 256;
/// Secrets a client may hold at once: the one in use and the one it is being replaced by.
pub const SECRETS: usize = 2;

/// What generating again does while a token is live.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRepeat {
    /// A new token is made and the live one revoked (the seed's rule).
    Replace,
    /// The live token is returned while it has long enough to live.
    Return,
}

/// What an administrator chooses for a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Unique in its workspace and environment among clients not deleted.
    pub label: Label,
    /// The products its tokens open, sorted; none means all.
    pub products: Option<Vec<ProductNo>>,
    /// Seconds a token lives; none means for ever.
    pub token_lifetime_seconds: Option<u32>,
    /// From where its secret may be used.
    pub secret_networks: Networks,
    /// From where its tokens may be used.
    pub token_networks: Networks,
    /// Whom to tell.
    pub notification_emails: Vec<String>,
    /// What generating again does.
    pub on_repeat: OnRepeat,
    /// With `return`: seconds before its end from which a token is no longer returned.
    pub renew_before_seconds: u32,
    /// The longest hand-over a caller may ask for, in seconds; 0 means none.
    pub handover_max_seconds: u32,
}

impl Settings {
    /// The part of the settings a check asks.
    #[must_use]
    pub fn restrictions(&self) -> Restrictions {
        Restrictions::new(self.products.clone(), self.token_networks.clone())
    }
}

/// A client secret as kept: never the secret itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRecord {
    /// Which secret of this client it is, counted from 1, never used twice.
    pub n: u32,
    /// The keyed digest.
    pub digest: Digest,
    /// The key the digest was made with.
    pub key: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An API client as kept, less its slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiClient {
    /// Its place in every replica.
    pub no: ClientNo,
    /// Its public name.
    pub id: ClientId,
    /// The workspace it belongs to.
    pub workspace: WorkspaceNo,
    /// The environment it belongs to.
    pub environment: Environment,
    /// What an administrator chose.
    pub settings: Settings,
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when it is disabled, if it is.
    pub disabled_at: Option<Timestamp>,
    /// Since when it is gone for good, if it is. The record stays, so that a holder of its secret or
    /// token can be told.
    pub deleted_at: Option<Timestamp>,
    /// Its secrets, at most two; a slot's quota is counted by the same position.
    pub secrets: [Option<SecretRecord>; SECRETS],
    /// The number the next secret gets.
    pub next_secret: u32,
}

/// A workspace as kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// Its dense number.
    pub no: WorkspaceNo,
    /// Its public name.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when all its clients are disabled with it, if they are.
    pub disabled_at: Option<Timestamp>,
}

/// A product as kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Its dense number.
    pub no: ProductNo,
    /// Its name in URLs.
    pub slug: Slug,
    /// What people call it.
    pub name: Name,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Product {
    /// The slugs of the products with these numbers, sorted; numbers of no product are left out.
    #[must_use]
    pub fn slugs(numbers: &[ProductNo], products: &[Product]) -> Vec<String> {
        let slug = |no: &ProductNo| products.iter().find(|product| product.no == *no);
        let mut slugs: Vec<_> = numbers
            .iter()
            .filter_map(slug)
            .map(|product| product.slug.to_string())
            .collect();
        slugs.sort_unstable();
        slugs
    }
}

/// What the holder of an admin key may do, and where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum Role {
    /// Everything, everywhere.
    Operator,
    /// Everything about the clients of one workspace.
    WorkspaceAdmin {
        /// The workspace.
        workspace: WorkspaceId,
    },
    /// The clients of one workspace that are restricted to named products.
    ProductAdmin {
        /// The workspace.
        workspace: WorkspaceId,
        /// The products, by slug.
        products: Vec<Slug>,
    },
    /// Reads everything in one workspace, or everywhere; changes nothing.
    Auditor {
        /// The workspace; none means all.
        workspace: Option<WorkspaceId>,
    },
}

impl Role {
    /// The one workspace it is about; none means all.
    #[must_use]
    pub fn workspace(&self) -> Option<WorkspaceId> {
        match self {
            Self::Operator => None,
            Self::WorkspaceAdmin { workspace } | Self::ProductAdmin { workspace, .. } => {
                Some(*workspace)
            }
            Self::Auditor { workspace } => *workspace,
        }
    }
}

/// An admin key as kept: never the key itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminKeyRecord {
    /// Its public name, part of the key.
    pub id: Uuid,
    /// What people call it.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// The keyed digest.
    pub digest: Digest,
    /// The key the digest was made with.
    pub key: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself, if it does.
    pub expires_at: Option<Timestamp>,
    /// Since when it is revoked, if it is.
    pub revoked_at: Option<Timestamp>,
}

/// Everything a decision about one client needs, read in one moment.
#[derive(Clone, Debug)]
pub struct ClientState {
    /// The client.
    pub client: ApiClient,
    /// Its slot.
    pub slot: Slot,
    /// Its workspace.
    pub workspace: Workspace,
}

impl ClientState {
    /// Returns each secret that the client has with the tokens made with it on the UTC day of `now`. Every page and
    /// answer with a count reads it here: the place of a deleted secret keeps its count, but no secret is limited by it.
    pub fn quotas(&self, now: Timestamp) -> impl Iterator<Item = (&SecretRecord, u32)> {
        let places = self.client.secrets.iter().zip(&self.slot.quota);
        places.filter_map(move |(secret, count)| Some((secret.as_ref()?, count.used_at(now))))
    }
}
