//! The unit of durable write. Every change of state is one of these, interpreted twice and nowhere
//! else: as SQL by the store, in memory by the replica. Values are absolute, so applying a change
//! again does nothing more; only a new epoch raises generations, so the change's number, not its
//! content, says that it was applied. No plain secret ever stands in one.

use crate::client::{
    AdminKeyRecord, ApiClient, Product, SECRETS, SecretRecord, Settings, Workspace,
};
use crate::ids::{ClientNo, ProductNo};
use crate::label::Name;
use crate::restrictions::Networks;
use crate::slot::Slot;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The format of the change log's bodies. A reader that meets a higher one must stop vouching.
pub const FORMAT: u32 = 1;

/// One change of state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// A workspace was created, renamed, disabled or enabled: its whole new record.
    WorkspacePut {
        /// The record.
        workspace: Workspace,
    },
    /// A product was created or renamed: its whole new record.
    ProductPut {
        /// The record.
        product: Product,
    },
    /// A product nobody uses was deleted.
    ProductDeleted {
        /// The product concerned.
        product: ProductNo,
    },
    /// An API client was created, with an empty slot.
    ClientCreated {
        /// The record.
        client: Box<ApiClient>,
    },
    /// A client's settings were changed: all of them as they are now.
    ClientSettingsChanged {
        /// The API client concerned.
        client: ClientNo,
        /// As they are now.
        settings: Box<Settings>,
    },
    /// A client was disabled or enabled.
    ClientDisabled {
        /// The API client concerned.
        client: ClientNo,
        /// Since when; none when it was enabled.
        at: Option<Timestamp>,
    },
    /// A client was deleted for good.
    ClientDeleted {
        /// The API client concerned.
        client: ClientNo,
        /// The time at which it happened.
        at: Timestamp,
    },
    /// A client's secrets were rotated: all of them as they are now.
    SecretsChanged {
        /// The API client concerned.
        client: ClientNo,
        /// As they are now.
        secrets: [Option<SecretRecord>; SECRETS],
        /// The number the next secret gets.
        next_secret: u32,
    },
    /// A token was issued: the slot as it is now.
    TokenIssued {
        /// The API client concerned.
        client: ClientNo,
        /// As it is now.
        slot: Box<Slot>,
    },
    /// A token, or the previous one of a hand-over, was ended, or a quota reset: the slot as it is now.
    TokenEnded {
        /// The API client concerned.
        client: ClientNo,
        /// As it is now.
        slot: Box<Slot>,
    },
    /// An admin key was made or revoked: its whole new record.
    AdminKeyPut {
        /// The record.
        key: Box<AdminKeyRecord>,
    },
    /// The store was restored: every token of every earlier epoch is ended, and every generation
    /// raised by [`EPOCH_GENERATIONS`], so that no name of a lost token is given out again.
    EpochStarted {
        /// The new epoch's name.
        epoch: Uuid,
        /// The time at which it happened.
        at: Timestamp,
    },
}

/// How far a new epoch raises every client's generation: more than 288 a day for nine years, the most
/// that can have been lost since the backup.
pub const EPOCH_GENERATIONS: u32 = 1_000_000;

impl Change {
    /// What an attached replica is told of this change: as much as a check asks, with none of the
    /// digests, addresses and names that it does not. None when a check asks nothing of it.
    #[must_use]
    pub fn for_checks(&self) -> Option<Self> {
        let settings = |settings: &Settings| Settings {
            secret_networks: Networks::default(),
            notification_emails: Vec::new(),
            ..settings.clone()
        };
        let slot = |slot: &Slot| Slot {
            quota: Default::default(),
            seal: None,
            ..slot.clone()
        };
        let mut change = self.clone();
        match &mut change {
            Self::SecretsChanged { .. } | Self::AdminKeyPut { .. } => return None,
            Self::ClientCreated { client } => {
                client.secrets = Default::default();
                client.settings = settings(&client.settings);
            }
            Self::ClientSettingsChanged { settings: all, .. } => **all = settings(all),
            Self::TokenIssued { slot: own, .. } | Self::TokenEnded { slot: own, .. } => {
                **own = slot(own);
            }
            Self::WorkspacePut { workspace } => workspace.name = Name::withheld(),
            Self::ProductPut { product } => product.name = Name::withheld(),
            Self::ProductDeleted { .. }
            | Self::ClientDisabled { .. }
            | Self::ClientDeleted { .. }
            | Self::EpochStarted { .. } => {}
        }
        Some(change)
    }

    /// The body kept in the change log.
    #[must_use]
    pub fn to_body(&self) -> String {
        serde_json::to_string(self).expect("a change is plain data with text keys")
    }

    /// Reads a body back; an unknown kind or field is an error, never a guess.
    pub fn from_body(format: u32, body: &str) -> Result<Self, UnknownChange> {
        if format != FORMAT {
            return Err(UnknownChange(format!(
                "change format {format}, this version reads {FORMAT}"
            )));
        }
        serde_json::from_str(body).map_err(|error| UnknownChange(error.to_string()))
    }
}

/// A change this version can't read: whoever meets one must stop vouching.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a change this version can't read: {0}")]
pub struct UnknownChange(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_round_trip_and_unknown_ones_are_refused() {
        let change = Change::TokenEnded {
            client: ClientNo(7),
            slot: Box::new(Slot::default()),
        };
        let body = change.to_body();
        assert_eq!(Change::from_body(FORMAT, &body).unwrap(), change);
        assert!(Change::from_body(FORMAT + 1, &body).is_err());
        assert!(Change::from_body(FORMAT, r#"{"change":"moved_to_mars"}"#).is_err());
        assert!(
            Change::from_body(FORMAT, r#"{"change":"product_deleted","product":1,"x":2}"#).is_err()
        );
        // A newer node's further field is unknown wherever it stands.
        let nested = body.replace("\"generation\":0", "\"generation\":0,\"x\":1");
        assert_ne!(nested, body);
        assert!(Change::from_body(FORMAT, &nested).is_err());
    }
}
