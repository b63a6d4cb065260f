//! The state of the server.

use crate::RoleName;
use uuid::Uuid;

words! {
    /// The database of a server.
    Engine {
        /// A file in the data directory.
        Sqlite = "sqlite",
        /// A PostgreSQL server.
        Postgres = "postgres",
    }
}

answers! {
    /// The server's state. An admin key of one workspace sees the first four members only.
    pub struct Status {
        /// The server's version.
        pub version: String,
        /// The role of the admin key in use.
        pub role: RoleName,
        /// Whether tokens can be checked.
        pub vouching: bool,
        /// Whether the database takes changes.
        pub writable: bool,
        /// The number of the last change.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(required))]
        pub change_number: Option<u64>,
        /// The number of the last audit entry.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(required))]
        pub audit_seq: Option<u64>,
        /// The id of the epoch, which a restore changes.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(required))]
        pub epoch: Option<Uuid>,
        /// How many API clients there are.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(required))]
        pub clients: Option<u64>,
        /// The database in use.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(required))]
        pub engine: Option<Engine>,
        /// Tokens that a client secret can generate in a day.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(required))]
        pub quota_per_day: Option<u32>,
    }
}
