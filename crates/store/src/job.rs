//! A write before it is decided: what it wants to see, and a decision taken on that view inside the
//! writer, so that nothing can change between seeing and writing.

use crate::error::Failure;
use crate::notices::{AddressView, AddressWants, Webhook};
use crate::people::{Invitation, Member, OpaqueTokenDigest, PasskeyChallenge, Record, Session};
use crate::reader::Use;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokenward_core::Change;
use tokenward_core::audit::Entry;
use tokenward_core::client::{AdminKeyRecord, ClientState, Product, Workspace};
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
use tokenward_core::label::Label;
use tokenward_core::time::{BootInstant, Timestamp};
use tokio::sync::oneshot;
use uuid::Uuid;

/// What an administrator was admitted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Credential {
    /// An admin key, by its id.
    AdminKey(Uuid),
    /// A member's session in the console.
    Session {
        /// The member's id.
        member: Uuid,
        /// The session's id.
        session: Uuid,
    },
}

/// A credential as the database has it at the time of a decision.
#[derive(Clone, Debug)]
pub enum CredentialRow {
    /// An admin key, which may be revoked or expired.
    AdminKey(AdminKeyRecord),
    /// A session that has not ended, and its member, who may be disabled.
    Session(Box<(Member, Session)>),
}

/// What a decision wants to see. One that wants a client only is decided in a group with others;
/// every other runs alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadSet {
    /// This client, its slot and workspace.
    pub client: Option<ClientId>,
    /// This workspace.
    pub workspace: Option<WorkspaceId>,
    /// Whether another client than the one wanted has a label with this one's key.
    pub label: Option<(WorkspaceId, Environment, Label)>,
    /// All products.
    pub products: bool,
    /// Whether any client not deleted names this product.
    pub product_use: Option<ProductNo>,
    /// All admin keys.
    pub admin_keys: bool,
    /// All members and invitations.
    pub people: bool,
    /// This member alone.
    pub member: Option<Uuid>,
    /// All webhooks of this workspace.
    pub webhooks: Option<WorkspaceId>,
    /// Who in a workspace is told by mail, and who may be.
    pub addresses: Option<AddressWants>,
    /// The address that the confirmation link with this digest is for.
    pub link: Option<OpaqueTokenDigest>,
    /// The challenge about a passkey of this name.
    pub challenge: Option<Uuid>,
    /// What the acting administrator was admitted by.
    pub actor: Option<Credential>,
    /// Whether the decision itself proves who acts, as a sign-in does. Without this or `actor`, an audit entry of an
    /// administrator is refused.
    pub proves: bool,
    /// Whether it only adds rows that no decision reads, such as counts: it is written without waiting for other writers.
    pub aside: bool,
}

impl ReadSet {
    /// A decision about one client.
    #[must_use]
    pub fn client(id: ClientId) -> Self {
        Self {
            client: Some(id),
            ..Self::default()
        }
    }

    pub(crate) fn alone(&self) -> bool {
        let client_only = Self {
            client: self.client,
            proves: self.proves,
            aside: self.aside,
            ..Self::default()
        };
        self.client.is_none() || *self != client_only
    }
}

/// The numbers the next new things get.
#[derive(Clone, Copy, Debug, Default)]
pub struct Next {
    /// The next client's.
    pub client: ClientNo,
    /// The next workspace's.
    pub workspace: WorkspaceNo,
    /// The next product's.
    pub product: ProductNo,
}

/// What a decision sees: the durable state, with nothing undecided before it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The time of the decision.
    pub now: Timestamp,
    /// The client wanted, if it exists.
    pub client: Option<ClientState>,
    /// The workspace wanted, if it exists.
    pub workspace: Option<Workspace>,
    /// Whether the label wanted is taken.
    pub label_taken: bool,
    /// All products, if wanted.
    pub products: Vec<Product>,
    /// How many clients name the product wanted.
    pub product_users: u64,
    /// All admin keys, if wanted.
    pub admin_keys: Vec<AdminKeyRecord>,
    /// All members, or the one wanted.
    pub members: Vec<Member>,
    /// All invitations, if wanted.
    pub invitations: Vec<Invitation>,
    /// The webhooks wanted.
    pub webhooks: Vec<Webhook>,
    /// The addresses wanted.
    pub addresses: AddressView,
    /// The challenge wanted, if it is there.
    pub challenge: Option<PasskeyChallenge>,
    /// The acting administrator's credential, if wanted and still there.
    pub actor: Option<CredentialRow>,
    /// The numbers the next new things get; those of a decision that runs alone.
    pub next: Next,
}

/// What a decision writes; empty when it refuses.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// Their audit entries; every change needs one.
    pub audit: Vec<Entry>,
    /// Uses to remember; neither changes nor audited.
    pub uses: Vec<Use>,
    /// Rows that no check asks for. Those about who may do what need an audit entry like a change.
    pub records: Vec<Record>,
}

impl Decided {
    /// Nothing to write.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Changes, and what the audit log says of them.
    #[must_use]
    pub fn changes(changes: Vec<Change>, entry: Entry) -> Self {
        Self {
            changes,
            audit: vec![entry],
            ..Self::default()
        }
    }

    /// Records, and what the audit log says of them.
    #[must_use]
    pub fn records(records: Vec<Record>, entry: Entry) -> Self {
        Self {
            records,
            audit: vec![entry],
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.audit.is_empty()
            && self.uses.is_empty()
            && self.records.is_empty()
    }
}

/// A write waiting for the writer.
pub(crate) trait Job: Send {
    fn wants(&self) -> &ReadSet;
    /// When it was asked for, on the boot clock.
    fn asked(&self) -> BootInstant;
    /// Whether nobody waits for the answer any more; then it must not happen later either.
    fn abandoned(&self) -> bool;
    fn decide(&mut self, view: &View) -> Decided;
    fn settle(self: Box<Self>, outcome: Result<(), Failure>);
}

/// The one kind of job: a closure over the view, whose answer is handed over once it is durable.
pub(crate) struct Typed<T, E, F> {
    pub(crate) wants: ReadSet,
    pub(crate) asked: BootInstant,
    pub(crate) decide: Option<F>,
    pub(crate) answer: Option<Result<T, E>>,
    pub(crate) reply: oneshot::Sender<Result<Result<T, E>, Failure>>,
}

impl<T, E, F> Job for Typed<T, E, F>
where
    T: Send,
    E: Send,
    F: FnOnce(&View) -> Result<(Decided, T), E> + Send,
{
    fn wants(&self) -> &ReadSet {
        &self.wants
    }

    fn asked(&self) -> BootInstant {
        self.asked
    }

    fn abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn decide(&mut self, view: &View) -> Decided {
        let Some(decide) = self.decide.take() else {
            return Decided::nothing();
        };
        // A decision that panics must not take the writer, and with it everybody's writes, along.
        match catch_unwind(AssertUnwindSafe(|| decide(view))) {
            Ok(Ok((decided, answer))) => {
                self.answer = Some(Ok(answer));
                decided
            }
            Ok(Err(refusal)) => {
                self.answer = Some(Err(refusal));
                Decided::nothing()
            }
            Err(_) => {
                tracing::error!("a decision panicked; nothing of it was written");
                Decided::nothing()
            }
        }
    }

    fn settle(self: Box<Self>, outcome: Result<(), Failure>) {
        let Self { answer, reply, .. } = *self;
        // Nobody may be waiting any more; what is durable stays so.
        let _ = reply.send(outcome.and_then(|()| answer.ok_or(Failure::Unavailable)));
    }
}

/// The name of an epoch or a store.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}
