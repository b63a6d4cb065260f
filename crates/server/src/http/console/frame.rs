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

/// A role in words, with its article.
pub(super) fn a_role(role: &Role) -> &'static str {
    match role {
        Role::Operator => "an operator",
        Role::WorkspaceAdmin { .. } => "a workspace admin",
        Role::ProductAdmin { .. } => "a product admin",
        Role::Auditor { .. } => "an auditor",
    }
}

/// The sentence for a deed that a redirect names; nothing for any other word, so that no link can put words on a page.
fn done(word: &str) -> &'static str {
    match word {
        "revoked" => "Access token revoked. Token checks deny it from now on.",
        "disabled" => "API client disabled. Its secrets and token are denied until you enable it.",
        "bulk-disable" => {
            "API clients disabled. Their secrets and tokens are denied until you enable them."
        }
        "bulk-enable" => "API clients enabled.",
        "bulk-tag" => "Tag added.",
        "bulk-untag" => "Tag removed.",
        "enabled" => "API client enabled.",
        "deleted" => "API client deleted. Its secrets and token no longer work.",
        "changed" => "Changes saved. They apply to the active token too.",
        "secret-deleted" => "Client secret deleted. It can't request tokens any more.",
        "note" => "Note saved.",
        "workspace" => "Workspace saved.",
        "product" => "Product saved.",
        "product-deleted" => "Product deleted.",
        "member" => "Member updated.",
        "member-removed" => "Member removed and signed out everywhere.",
        "withdrawn" => "Invitation revoked. Its link no longer works.",
        "key-revoked" => "Admin key revoked.",
        "password" => "Password changed. Your other sessions were signed out.",
        "app-removed" => "Authenticator app removed.",
        "passkey" => "Passkey added.",
        "passkey-removed" => "Passkey removed.",
        "sessions" => "Session signed out.",
        "joined" => "Welcome. You are signed in.",
        "asked" => "Confirmation emails were sent to the unconfirmed addresses.",
        "webhook" => "Webhook saved.",
        "webhook-deleted" => "Webhook deleted.",
        "preferences" => "Notifications saved.",
        "webhook-test" => "Test notification queued. See the delivery history below.",
        _ => "",
    }
}
