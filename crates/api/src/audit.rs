//! The audit log.

use crate::{Hash, Time};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

answers! {
    /// An entry of the audit log.
    pub struct AuditEntry {
        /// Its number, from 1 without gaps.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
        pub seq: u64,
        /// When, to the second.
        pub at: Time,
        /// When, in microseconds since 1970, as hashed.
        pub at_micros: i64,
        /// Who: `admin-key:ID`, `member:ID`, `client:ID#SECRET`, `system` or `unverified`.
        pub actor: String,
        /// The IP address; empty when not over the network.
        pub source: String,
        /// What was done, such as `token.generate`.
        pub action: String,
        /// In which workspace, if in one.
        pub workspace_id: Option<Uuid>,
        /// On which API client, if on one.
        pub client_id: Option<Uuid>,
        /// the `x-request-id` of the answer to the request
        pub request_id: Option<Uuid>,
        /// what was changed: `from` and `to` hold the old and the new values
        #[cfg_attr(feature = "openapi", schemars(schema_with = "object"))]
        pub detail: serde_json::Value,
        /// the detail to the letter, as hashed
        pub detail_text: String,
        /// The hash of this entry and of the one before.
        pub hash: Hash,
    }

    /// A page of the audit log.
    pub struct AuditPage {
        /// The entries, oldest first.
        pub items: Vec<AuditEntry>,
        /// The number to continue after; null on the last page.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
        pub next_after: Option<u64>,
    }

    /// The number and the hash of an entry.
    pub struct AuditHead {
        /// The number; 0 of an empty log.
        pub seq: u64,
        /// The hash.
        pub hash: Hash,
    }
}

/// The result of a verification of the audit log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(transform = one_of))]
#[serde(untagged)]
pub enum AuditVerified {
    /// The log is as it was written.
    Whole(AuditWhole),
    /// It is not.
    Broken(AuditBroken),
}

/// An audit log that is as it was written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditWhole {
    /// True.
    #[cfg_attr(feature = "openapi", schemars(schema_with = "yes"))]
    pub ok: bool,
    /// How many entries there are.
    pub entries: u64,
    /// The last one.
    pub head: AuditHead,
}

/// An audit log with a missing or altered entry.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditBroken {
    /// False.
    #[cfg_attr(feature = "openapi", schemars(schema_with = "no"))]
    pub ok: bool,
    /// The number of the first entry that is not as it was written.
    pub broken_at: u64,
    /// A sentence.
    pub why: String,
}

#[cfg(feature = "openapi")]
fn object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object" })
}

#[cfg(feature = "openapi")]
fn yes(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": true })
}

#[cfg(feature = "openapi")]
fn no(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": false })
}

/// The variants exclude each other.
#[cfg(feature = "openapi")]
fn one_of(schema: &mut schemars::Schema) {
    if let Some(variants) = schema.remove("anyOf") {
        schema.insert("oneOf".to_owned(), variants);
    }
}
