//! What can be done, each verb once: the interfaces in `http` and `grpc` call these. Nothing here
//! knows a status code.

pub mod account;
pub mod addresses;
pub mod admin_keys;
pub mod audit;
pub mod client_credentials;
pub mod clients;
pub mod counted_check;
pub mod credential_notes;
pub mod issuance;
pub mod members;
pub(crate) mod nodes;
pub mod notice_preferences;
pub mod notices;
mod one_client;
pub(crate) mod overview;
pub mod products;
pub mod roles;
pub mod settings;
pub mod sign_in;
pub mod single_sign_on;
pub mod tags;
pub mod token_state;
pub mod usage_figures;
pub mod webhooks;
pub mod workspaces;

pub use crate::auth::refused::{Conflict, Refused};

use tokenward_core::label::Name;

/// The name of something or somebody as written.
pub fn name(text: &str) -> Result<Name, Refused> {
    Name::parse(text).map_err(|why| Refused::Invalid("name", why.0))
}

/// What verbs are made of.
mod prelude {
    pub(super) use super::{Conflict, Refused};
    pub(super) use crate::auth::People;
    pub(super) use crate::auth::acting::{self, Acting};
    pub(super) use crate::auth::authority::Admin;
    pub(super) use crate::data::Data;
    pub(super) use crate::random;
    pub(super) use serde_json::json;
    pub(super) use std::net::IpAddr;
    pub(super) use std::sync::Arc;
    pub(super) use tokenward_core::Change;
    pub(super) use tokenward_core::audit::Entry;
    pub(super) use tokenward_core::ids::{ClientId, WorkspaceId};
    pub(super) use tokenward_core::time::{Clock, Timestamp};
    pub(super) use tokenward_store::people::{Member, Record};
    pub(super) use tokenward_store::{Decided, Failure, ReadSet, StoreError, View};
    pub(super) use uuid::Uuid;
    pub(super) use zeroize::Zeroizing;
}
