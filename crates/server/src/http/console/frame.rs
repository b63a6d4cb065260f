//! What every page stands in: who is signed in, where they are, and what was just done.

use super::form::Word;
use super::shown;
use crate::verbs::sign_in::Person;
use tokenward_core::client::{Role, Workspace};
use tokenward_core::ids::Environment;

/// Where a page is.
pub(super) struct Place {
    /// The workspace's id.
    pub(super) workspace: String,
    /// Its name.
    pub(super) name: String,
    /// `sandbox`, `production`, or empty where a page is about both.
    pub(super) environment: &'static str,
    /// The same as the badge shows it.
    pub(super) environment_name: &'static str,
}

impl Place {
    pub(super) fn new(workspace: &Workspace, environment: Option<Environment>) -> Self {
        Self {
            workspace: workspace.id.to_string(),
            name: workspace.name.to_string(),
            environment: environment.map_or("", Environment::as_str),
            environment_name: environment.map_or("", shown::environment),
        }
    }
}

/// The frame of a page.
#[derive(Default)]
pub(super) struct Frame {
    /// The page's title.
    pub(super) title: String,
    /// Who is signed in; empty when nobody is.
    pub(super) name: String,
    /// What they may do, in words.
    pub(super) role: &'static str,
    /// The session's word for forms.
    pub(super) word: String,
    /// Where the page is, if in a workspace.
    pub(super) place: Option<Place>,
    /// The entry of the navigation that is lit.
    pub(super) area: &'static str,
    /// What was just done, in a sentence.
    pub(super) done: &'static str,
    /// Which entries the navigation has.
    pub(super) operates: bool,
    pub(super) sees_members: bool,
    pub(super) audits: bool,
    pub(super) hears: bool,
}

impl Frame {
    /// The frame of a page for somebody signed in.
    pub(super) fn new(person: &Person, title: impl Into<String>, area: &'static str) -> Self {
        let admin = person.admin();
        Self {
            title: title.into(),
            name: person.member.name.to_string(),
            role: role_name(&person.member.role),
            word: person.csrf_token.clone(),
            place: None,
            area,
            done: "",
            operates: admin.is_operator(),
            sees_members: admin.must_see_members().is_ok(),
            audits: admin.must_audit().is_ok(),
            hears: !matches!(admin.role, Role::ProductAdmin { .. }),
        }
    }

    /// The frame of a page for nobody in particular.
    pub(super) fn stranger(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Shows what a redirect says was done.
    pub(super) fn done(mut self, word: &str) -> Self {
        self.done = done(word);
        self
    }

    pub(super) fn hidden_word(&self) -> Word {
        Word(self.word.clone())
    }

    /// Which style the environment gives the page.
    pub(super) fn environment(&self) -> &'static str {
        self.place.as_ref().map_or("", |place| place.environment)
    }
}

/// A role in words.
pub(super) fn role_name(role: &Role) -> &'static str {
    match role {
        Role::Operator => "Operator",
        Role::WorkspaceAdmin { .. } => "Workspace admin",
        Role::ProductAdmin { .. } => "Product admin",
        Role::Auditor { .. } => "Auditor",
    }
}

/// The sentence for a deed that a redirect names; nothing for any other word, so that no link can put words on a page.
fn done(word: &str) -> &'static str {
    match word {
        "revoked" => "The token is revoked. No check accepts it from this moment on.",
        "disabled" => {
            "The API client is disabled. Its secret and token are refused until it is enabled."
        }
        "enabled" => "The API client is enabled again.",
        "deleted" => "The API client is deleted for good. Its secrets and its token are dead.",
        "changed" => "The changes are in force, for the live token too.",
        "secret-deleted" => "The client secret is deleted. It buys no token any more.",
        "workspace" => "The workspace is saved.",
        "product" => "The product is saved.",
        "product-deleted" => "The product is deleted.",
        "member" => "The member is changed.",
        "member-removed" => "The member is removed and signed out everywhere.",
        "withdrawn" => "The invitation is withdrawn; its link is worthless.",
        "key-revoked" => "The admin key is revoked.",
        "password" => "Your password is changed. Every other session of yours has ended.",
        "app-removed" => "The authenticator app is no longer asked for.",
        "passkey" => "The passkey is added.",
        "passkey-removed" => "The passkey is removed.",
        "sessions" => "The session is ended.",
        "joined" => "Welcome. You are signed in.",
        "asked" => "Confirmation mails are on their way to the pending addresses.",
        "webhook" => "The webhook is saved.",
        "webhook-deleted" => "The webhook is deleted.",
        "webhook-test" => "A test notice is on its way; see Notices below.",
        _ => "",
    }
}
