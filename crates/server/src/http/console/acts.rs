//! Every form that a session can send: what it does in words, on what, and whether it needs a fresh proof of who
//! sends it. A form that is not in the table needs one. Decides nothing about authority; the verbs do.

use super::clients::bulk::CLIENTS_MAX;
use super::prelude::*;
use crate::verbs::{admin_keys, clients, members, webhooks, workspaces};
use tokenward_core::ids::{ClientId, WorkspaceId};

/// Whether an act needs a proof of identity that is less than ten minutes old.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Proof {
    /// It shows a secret, lifts a restriction, or takes something away from others.
    Fresh,
    /// Its handler asks for one if the form lifts a restriction.
    IfWider,
    /// It narrows, renames or reads, or the form itself holds a proof.
    None,
}

/// What an act is done to.
#[derive(Clone, Copy)]
enum Target {
    Nothing,
    /// The value of a field of the form.
    Field(&'static str),
    Workspace,
    Client,
    /// The clients that the form names.
    Clients,
    Member,
    Invitation,
    AdminKey,
    /// The second parameter of the path; the first is the workspace.
    Webhook,
    Passkey,
    /// The first parameter of the path itself.
    Path,
}

/// One form.
pub(super) struct Act {
    /// The path it is sent to, below `/console`; segments in braces stand for any one segment.
    path: &'static str,
    /// What it does: a verb and its object.
    words: &'static str,
    target: Target,
    /// Whether it needs a fresh proof.
    pub(super) proof: Proof,
    /// Where it starts: the page that shows the form, or that asks for confirmation.
    page: Page,
}

#[derive(Clone, Copy)]
enum Page {
    /// The same path; the page asks for confirmation and has nothing to type but that.
    Confirmation,
    /// The same path; the page has fields, which are kept across a sign-in.
    Form,
    /// Another page below `/console`, with the parameters of this one in its place.
    Other(&'static str),
}

impl Act {
    const fn unproved(self) -> Self {
        Self {
            proof: Proof::None,
            ..self
        }
    }
}

/// An act that a page asks to confirm.
const fn confirmed(path: &'static str, words: &'static str, target: Target) -> Act {
    Act {
        path,
        words,
        target,
        proof: Proof::Fresh,
        page: Page::Confirmation,
    }
}

/// An act whose page has fields.
const fn filled(path: &'static str, words: &'static str, target: Target) -> Act {
    Act {
        page: Page::Form,
        ..confirmed(path, words, target)
    }
}

/// An act whose form is a part of another page.
const fn part(page: &'static str, path: &'static str, words: &'static str, target: Target) -> Act {
    Act {
        page: Page::Other(page),
        ..confirmed(path, words, target)
    }
}

/// The same, which needs no proof and has no target.
const fn unproved(page: &'static str, path: &'static str, words: &'static str) -> Act {
    part(page, path, words, Target::Nothing).unproved()
}

/// The table; the first path that fits counts.
const ACTS: &[Act] = {
    use Target::{
        AdminKey, Client, Clients, Field, Invitation, Member, Nothing, Passkey, Path, Webhook,
        Workspace,
    };
    &[
        unproved("", "/sign-out", "Sign out"),
        unproved("", "/step-up", "Confirm it's you"),
        unproved("", "/step-up/passkey", "Confirm it's you"),
        unproved("", "/step-up/passkey/options", "Confirm it's you"),
        // The current password is in the form.
        unproved("/account", "/account/password", "Change password"),
        confirmed("/account/app", "Set up an authenticator app", Nothing),
        confirmed("/account/app/remove", "Remove authenticator app", Nothing),
        confirmed("/account/recovery", "Generate new recovery codes", Nothing),
        unproved(
            "/account",
            "/account/sessions/end",
            "Sign out other sessions",
        ),
        unproved(
            "/account",
            "/account/sessions/{id}/end",
            "Sign out a session",
        ),
        part("/account", "/account/passkeys", "Add a passkey", Nothing),
        part(
            "/account",
            "/account/passkeys/options",
            "Add a passkey",
            Nothing,
        ),
        confirmed("/account/passkeys/{id}/remove", "Remove passkey", Passkey),
        filled("/workspaces/new", "Create workspace", Field("name")).unproved(),
        filled("/workspaces/{id}", "Rename workspace", Workspace).unproved(),
        confirmed("/workspaces/{id}/disable", "Disable workspace", Workspace),
        confirmed("/workspaces/{id}/enable", "Enable workspace", Workspace),
        filled(
            "/w/{workspace}/{environment}/new",
            "Create API client",
            Field("label"),
        ),
        filled(
            "/w/{workspace}/{environment}/bulk",
            "Change several API clients",
            Clients,
        ),
        Act {
            proof: Proof::IfWider,
            ..filled(
                "/clients/{id}/edit",
                "Change the settings of API client",
                Client,
            )
        },
        confirmed(
            "/clients/{id}/generate",
            "Generate an access token for API client",
            Client,
        ),
        confirmed(
            "/clients/{id}/resend-confirmation",
            "Resend the confirmation email of API client",
            Client,
        ),
        confirmed(
            "/clients/{id}/revoke",
            "Revoke the access token of API client",
            Client,
        ),
        confirmed("/clients/{id}/disable", "Disable API client", Client),
        confirmed("/clients/{id}/enable", "Enable API client", Client),
        confirmed("/clients/{id}/delete", "Delete API client", Client),
        confirmed(
            "/clients/{id}/rotate",
            "Create a client secret for API client",
            Client,
        ),
        confirmed(
            "/clients/{id}/{delete-secret}",
            "Delete a client secret of API client",
            Client,
        ),
        filled("/w/{workspace}/notices", "Add webhook", Field("url")),
        part(
            "/w/{workspace}/notices",
            "/w/{workspace}/webhooks/{id}/test",
            "Send a test to webhook",
            Webhook,
        )
        .unproved(),
        confirmed(
            "/w/{workspace}/webhooks/{id}/disable",
            "Disable webhook",
            Webhook,
        ),
        confirmed(
            "/w/{workspace}/webhooks/{id}/enable",
            "Enable webhook",
            Webhook,
        ),
        confirmed(
            "/w/{workspace}/webhooks/{id}/rotate",
            "Rotate the signing secret of webhook",
            Webhook,
        ),
        confirmed(
            "/w/{workspace}/webhooks/{id}/delete",
            "Delete webhook",
            Webhook,
        ),
        filled(
            "/w/{workspace}/webhooks/{id}/preferences",
            "Save notifications for webhook",
            Webhook,
        ),
        part(
            "/w/{workspace}/notices",
            "/w/{workspace}/addresses",
            "Save notifications for",
            Field("email"),
        ),
        filled("/products", "Save product", Field("slug")).unproved(),
        confirmed("/products/{slug}/delete", "Delete product", Path),
        filled("/members/invite", "Invite member", Field("email")),
        filled("/members/{id}", "Change the role of member", Member),
        confirmed("/members/{id}/disable", "Disable member", Member),
        confirmed("/members/{id}/enable", "Enable member", Member),
        confirmed("/members/{id}/remove", "Remove member", Member),
        confirmed(
            "/invitations/{id}/withdraw",
            "Revoke invitation for",
            Invitation,
        )
        .unproved(),
        filled("/admin-keys/new", "Create admin key", Field("name")),
        confirmed("/admin-keys/{id}/revoke", "Revoke admin key", AdminKey),
        filled("/credentials/{kind}/{id}/{n}", "Save note", Nothing).unproved(),
        unproved("/inspect", "/inspect", "Test a token"),
        unproved("/search", "/search", "Search"),
        unproved("/audit", "/audit/verify", "Verify the audit log"),
    ]
};

/// An act at a path.
pub(super) struct Found {
    pub(super) act: &'static Act,
    parameters: Vec<(&'static str, String)>,
    path: String,
}

fn parameters(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(found),
            (Some(wanted), Some(given)) => {
                let name = wanted
                    .strip_prefix('{')
                    .and_then(|name| name.strip_suffix('}'));
                match name {
                    // A segment of a fixed beginning: `delete-secret-2`.
                    Some("delete-secret") if !given.starts_with("delete-secret-") => return None,
                    Some(name) if !given.is_empty() => found.push((name, given.to_owned())),
                    None if wanted == given => {}
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}

/// The act whose form is sent to this path.
pub(super) fn at(path: &str) -> Option<Found> {
    let below = path.strip_prefix("/console")?;
    ACTS.iter().find_map(|act| {
        parameters(act.path, below).map(|parameters| Found {
            act,
            parameters,
            path: path.to_owned(),
        })
    })
}

/// Whether a form sent to this path needs a fresh proof.
pub(super) fn proof(path: &str) -> Proof {
    at(path).map_or(Proof::Fresh, |found| found.act.proof)
}

impl Found {
    /// What the act does, as a button says it.
    pub(super) fn words(&self) -> &'static str {
        self.act.words
    }

    /// Whether what was typed is kept across a sign-in; other acts start again at their page.
    pub(super) fn keeps(&self) -> bool {
        matches!(self.act.page, Page::Form)
    }

    /// The page where the act starts.
    pub(super) fn page(&self) -> String {
        match self.act.page {
            Page::Confirmation | Page::Form => self.path.clone(),
            Page::Other(page) => {
                let mut page = format!("/console{page}");
                for (name, value) in &self.parameters {
                    page = page.replace(&format!("{{{name}}}"), value);
                }
                page
            }
        }
    }

    fn parameter(&self, n: usize) -> &str {
        self.parameters.get(n).map_or("", |(_, value)| value)
    }

    fn id(&self, n: usize) -> Option<Uuid> {
        Uuid::try_parse(self.parameter(n)).ok()
    }

    /// What the act does and to what, as far as `person` may see it.
    pub(super) async fn described(&self, app: &App, person: &Person, form: &Form) -> String {
        match self.target(app, person, form).await {
            Some(name) if !name.is_empty() => format!("{} “{name}”", self.act.words),
            _ => self.act.words.to_owned(),
        }
    }

    /// The target's name; none when it does not exist, or not for this person.
    async fn target(&self, app: &App, person: &Person, form: &Form) -> Option<String> {
        let admin = person.admin();
        match self.act.target {
            Target::Nothing => None,
            Target::Field(field) => Some(form.text(field).trim().to_owned()),
            Target::Path => Some(self.parameter(0).to_owned()),
            Target::Workspace => {
                let id = WorkspaceId(self.id(0)?);
                let found = workspaces::show(&app.data, &admin, id).await.ok()?;
                Some(found.name.to_string())
            }
            Target::Client => {
                let found = clients::show(&app.data, &admin, ClientId(self.id(0)?)).await;
                Some(found.ok()?.state.client.settings.label.to_string())
            }
            Target::Clients => {
                let mut names = Vec::new();
                for id in form.all("client").take(CLIENTS_MAX) {
                    let id = ClientId(Uuid::try_parse(id).ok()?);
                    let found = clients::show(&app.data, &admin, id).await.ok()?;
                    names.push(found.state.client.settings.label.to_string());
                }
                Some(names.join("”, “"))
            }
            Target::Member => {
                let found = members::show(&app.data, &admin, self.id(0)?).await.ok()?;
                Some(found.name.to_string())
            }
            Target::Invitation => {
                let (_, invited) = members::list(&app.data, &admin).await.ok()?;
                let id = self.id(0)?;
                let found = invited.into_iter().find(|one| one.id == id)?;
                Some(found.email)
            }
            Target::AdminKey => {
                let id = self.id(0)?;
                let all = admin_keys::list(&app.data, &admin).await.ok()?;
                let found = all.into_iter().find(|key| key.id == id)?;
                Some(found.name.to_string())
            }
            Target::Webhook => {
                let (workspace, id) = (WorkspaceId(self.id(0)?), self.id(1)?);
                let all = webhooks::list(&app.data, &admin, workspace).await.ok()?;
                Some(all.into_iter().find(|hook| hook.id == id)?.url)
            }
            Target::Passkey => {
                let id = self.id(0)?;
                let all = &person.member.proofs.passkeys;
                Some(all.iter().find(|passkey| passkey.id == id)?.name.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_path_that_fits_counts() {
        let words = |path: &str| at(path).map(|found| found.words());
        assert_eq!(words("/console/workspaces/new"), Some("Create workspace"));
        assert_eq!(words("/console/workspaces/1"), Some("Rename workspace"));
        assert_eq!(words("/console/members/1/remove"), Some("Remove member"));
        assert_eq!(words("/console/members"), None);
        assert_eq!(words("/console/clients/1/other"), None);
        assert!(words("/console/clients/1/delete-secret-2").is_some());
        assert_eq!(words("/console/members//remove"), None);
        assert_eq!(words("/console/members/1/remove/"), None);
        let page = |path: &str| at(path).unwrap().page();
        assert_eq!(page("/console/w/a/webhooks/b/test"), "/console/w/a/notices");
        assert_eq!(
            page("/console/members/1/remove"),
            "/console/members/1/remove"
        );
    }

    #[test]
    fn a_form_that_is_not_in_the_table_needs_a_fresh_proof() {
        assert_eq!(proof("/console/new/thing"), Proof::Fresh);
        assert_eq!(proof("/console/sign-out"), Proof::None);
    }
}
