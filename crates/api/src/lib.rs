//! The admin API of Tokenward as types: the body of each request and answer, written once.
//!
//! The server's handlers take and return these structs, its OpenAPI document is derived from them (feature `openapi`),
//! and the command line reads them. They hold no type of the server and do no I/O.
//!
//! A body of an answer reads a missing member as its default, and a word that it does not know as `Unknown`, so that a
//! caller can read a server of another version. A body of a request refuses members that it does not know.

#[macro_use]
mod values;

mod admin_keys;
mod audit;
pub mod audit_csv;
pub mod audit_text;
mod clients;
mod members;
mod nodes;
mod notices;
mod problem;
mod products;
mod status;
mod usage;
mod workspaces;

pub use admin_keys::{AdminKeyChange, AdminKeyCreate, AdminKeyCreated, AdminKeyInfo, FIRST_KEY};
pub use audit::{AuditBroken, AuditEntry, AuditHead, AuditPage, AuditVerified, AuditWhole};
pub use clients::{
    Client, ClientCreate, ClientCreated, ClientDelete, ClientPatch, ClientSettings, ClientState,
    ClientToken, ConfirmationMails, NotificationAddress, NotificationState, OnRepeat, SecretChange,
    SecretCreate, SecretCreated, SecretInfo, Setting, TAG_BYTES_MAX, TAGS_MAX, TokenByAdmin,
    TokenState, Unlimited,
};
pub use members::{
    Invitation, Member, MemberChange, MemberChanged, MemberInvite, MemberInvited, Role, RoleName,
};
pub use nodes::{Coherence, Node, NodeState, Nodes};
pub use notices::{
    AddressChange, Notice, NoticeDelivery, NoticeEvent, NoticeMade, NoticePage, NoticePreference,
    NoticeState, PreferenceChange, Webhook, WebhookChange, WebhookCreate, WebhookWithSecret,
    WorkspaceAddress,
};
pub use problem::Problem;
pub use products::{Product, ProductPut};
pub use status::{Engine, Status};
pub use usage::{StaleUse, Usage, UsageCount, UsageSource};
#[cfg(feature = "openapi")]
pub use values::schema;
pub use values::{
    Cursor, Day, Environment, Hash, JoinPath, Label, Name, Network, NoticeCursor, Outcome, Page,
    ShownAccessToken, ShownAdminKey, ShownClientSecret, ShownWebhookSecret, Slug, Time,
};
pub use workspaces::{Workspace, WorkspaceChange, WorkspaceCreate};
