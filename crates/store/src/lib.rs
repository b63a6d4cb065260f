//! The only home of SQL. Domain-typed reads and writes over two engines, SQLite and PostgreSQL, with
//! one SQL text for both. Writes are [`tokenward_core::Change`]s, committed in groups by one writer
//! that also feeds the replica; nothing is answered before it is durable and applied.
//!
//! This room never decides what may be done (the core does) and knows nothing of HTTP.

mod applier;
mod attachments;
mod backup;
mod checkpoint;
pub mod counts;
mod credential_notes;
mod driver;
mod error;
mod group;
mod handle;
mod job;
mod keys;
mod load;
mod member;
mod moving;
mod nodes;
pub mod notices;
pub mod people;
mod postgres;
mod queue;
mod reader;
mod resume;
mod rows;
mod schema;
mod sqlite;
mod statements;
mod store;
mod tags;
mod timer;
mod upgrade;
mod value;
mod views;
mod writer;

pub use attachments::{ATTACHED_MAX, Attached, AttachmentCounts, Attachments, Fed};
pub use backup::{LOG_GROWTH_MAX, NODE_WAIT, Restored, backup, restore, try_restore};
pub use credential_notes::{CredentialNote, CredentialNoteWrite};
pub use error::{Failure, StoreError};
pub use handle::WriterHandle;
pub use job::{Credential, CredentialRow, Decided, Next, ReadSet, View};
pub use keys::{KeyFault, Keys, MakeKey, StoredKey, Uses, chosen_key, judge_keys, stored_keys};
pub use moving::{CopiedTable, Move, Moved, Step, move_store};
pub use nodes::{About, Coherence, NODES_MAX, Node, Nodes};
pub use postgres::{Transport, transport, url_with};
pub use reader::{
    AuditFilter, ClientFilter, ClientOrder, ClientSecrets, ClientTotals, PAGE_MAX, Reader,
    StateFilter, Use,
};
pub use store::{Head, Location, NodeIdentity, Options, Store, TERM};
pub use tags::TagWrite;
