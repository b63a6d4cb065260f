//! Audit entries as people read them: who did what to which thing, with old and new values. Entries come as the verbs
//! give them out; nothing here decides what somebody may read.

use super::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use tokenward_api::audit_text;
use tokenward_core::audit::AuditRecord;
use tokenward_core::ids::{ClientId, WorkspaceId};
use tokenward_store::AuditFilter;

/// An action, what it is called in a sentence, and the member of its detail that names what it was done to.
pub(super) type Deed = (&'static str, &'static str, &'static str);

/// Every action. `client` stands for the API client of the entry, `workspace` for its workspace.
pub(super) const DEEDS: &[Deed] = &[
    ("access.denied", "was denied", "reason"),
    (
        "admin_key.authentication_failed",
        "failed to authenticate as",
        "name",
    ),
    ("admin_key.bootstrap", "created the first admin key", "name"),
    ("admin_key.create", "created admin key", "name"),
    ("admin_key.note", "changed the note of admin key", "name"),
    ("admin_key.revoke", "revoked admin key", "name"),
    ("client.change", "changed the settings of", "client"),
    ("client.create", "created API client", "client"),
    ("client.delete", "deleted API client", "client"),
    ("client.disable", "disabled API client", "client"),
    ("client.enable", "enabled API client", "client"),
    ("client.tag", "tagged API client", "client"),
    ("client.untag", "removed a tag from API client", "client"),
    ("digest_key.use", "started to use digest key", "key"),
    ("digest_keys.replace", "replaced the digest keys", ""),
    ("member.app", "added an authenticator app", ""),
    ("member.app_removed", "removed an authenticator app", ""),
    ("member.change", "changed member", "email"),
    (
        "member.confirmation_failed",
        "failed to confirm the identity of",
        "member",
    ),
    ("member.end_sessions", "signed out other sessions", ""),
    ("member.first_link", "created the setup link", ""),
    (
        "member.invitation_ended",
        "ended the invitation of",
        "email",
    ),
    ("member.invite", "invited", "email"),
    ("member.join", "joined as", "email"),
    ("member.join_refused", "failed to join as", "email"),
    ("member.passkey", "added a passkey", ""),
    ("member.passkey_removed", "removed a passkey", ""),
    ("member.password", "changed their password", ""),
    ("member.prove", "confirmed their identity", ""),
    ("member.recovery", "generated recovery codes", ""),
    ("member.remove", "removed member", "email"),
    ("member.sign_in", "signed in", ""),
    ("member.sign_in_failed", "failed to sign in as", "member"),
    (
        "member.withdraw_invitation",
        "revoked the invitation of",
        "email",
    ),
    (
        "notice_address.ask",
        "sent a confirmation email to",
        "email",
    ),
    (
        "notice_address.confirm",
        "confirmed the notification email",
        "email",
    ),
    (
        "notice_address.preferences",
        "changed the notifications to",
        "email",
    ),
    ("notice_address.stop", "stopped notifications to", "email"),
    ("product.delete", "deleted product", "name"),
    ("product.put", "saved product", "name"),
    ("secret.create", "created a client secret of", "client"),
    ("secret.delete", "deleted a client secret of", "client"),
    (
        "secret.note",
        "changed the note of a client secret of",
        "client",
    ),
    ("token.end_previous", "ended the grace period of", "client"),
    ("token.generate", "generated an access token of", "client"),
    (
        "token.return",
        "requested the active access token of",
        "client",
    ),
    ("token.revoke", "revoked the access token of", "client"),
    ("webhook.create", "added webhook", "url"),
    ("webhook.delete", "deleted webhook", "url"),
    ("webhook.disable", "disabled webhook", "url"),
    ("webhook.enable", "enabled webhook", "url"),
    ("webhook.note", "changed the note of webhook", "url"),
    (
        "webhook.preferences",
        "changed the notifications to webhook",
        "url",
    ),
    (
        "webhook.rotate",
        "rotated the signing secret of webhook",
        "url",
    ),
    ("webhook.test", "sent a test to webhook", "url"),
    ("workspace.change", "changed workspace", "workspace"),
    ("workspace.create", "created workspace", "workspace"),
];

/// Members of a detail under the names that pages use for them.
const SETTINGS: &[(&str, &str)] = &[
    ("disabled", "Disabled"),
    ("generation", "Token generation"),
    ("handover_max_seconds", "Maximum grace period (seconds)"),
    ("label", "Name"),
    ("n", "Secret"),
    ("name", "Name"),
    ("notification_emails", "Notification emails"),
    ("note", "Note"),
    ("on_repeat", "If a token is already active"),
    ("products", "Product access"),
    ("reason", "Reason"),
    (
        "renew_before_seconds",
        "Renew when less than (seconds) remain",
    ),
    ("role", "Role"),
    ("secret_networks", "Allowed IP ranges for the client secret"),
    ("slug", "Slug"),
    ("tag", "Tag"),
    ("token_lifetime_seconds", "Token lifetime (seconds)"),
    ("token_networks", "Allowed IP ranges for access tokens"),
    ("url", "Endpoint URL"),
    ("valid_till", "Expires"),
];

/// A value that an entry shows, and the previous one when it was changed.
pub(super) struct Told {
    pub(super) name: String,
    pub(super) before: Option<String>,
    pub(super) value: String,
}

/// An entry as shown.
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) at: Moment,
    pub(super) who: String,
    pub(super) source: String,
    pub(super) action: String,
    /// What was done, as a sentence goes on after the actor; the action itself when it has no words.
    pub(super) deed: String,
    /// What it was done to, and where its page is; empty when there is none.
    pub(super) object: String,
    pub(super) address: String,
    /// What was changed, with the values before.
    pub(super) changes: Vec<Told>,
    /// What else the entry says.
    pub(super) facts: Vec<Told>,
    /// Whether the facts are folded: they are many, or ids.
    pub(super) folded: bool,
}

/// Names of what entries refer to by their ids.
#[derive(Default)]
pub(super) struct Names {
    actors: HashMap<String, String>,
    clients: HashMap<ClientId, String>,
    workspaces: HashMap<WorkspaceId, String>,
}

impl Names {
    /// Those of all members and admin keys, and of the clients and workspaces of these entries.
    async fn of(app: &App, entries: &[AuditRecord]) -> Result<Self, PageError> {
        let reader = app.data.reader();
        let mut names = Self {
            actors: actors(app).await?.into_iter().collect(),
            ..Self::default()
        };
        for entry in entries {
            if entry.actor.starts_with("member:") && !names.actors.contains_key(&entry.actor) {
                let name = removed_member(app, &entry.actor).await?;
                names.actors.insert(entry.actor.clone(), name);
            }
            let by_secret = entry.actor.strip_prefix("client:");
            let caller = by_secret.and_then(|rest| rest.split_once('#'));
            let caller = caller
                .and_then(|(id, _)| uuid::Uuid::try_parse(id).ok())
                .map(ClientId);
            for id in entry.client.into_iter().chain(caller) {
                if names.clients.contains_key(&id) {
                    continue;
                }
                if let Some((state, _)) = reader.client(id).await? {
                    names
                        .clients
                        .insert(id, state.client.settings.label.to_string());
                }
            }
            if let Some(id) = entry.workspace
                && !names.workspaces.contains_key(&id)
                && let Some(found) = reader.workspace(id).await?
            {
                names.workspaces.insert(id, found.name.to_string());
            }
        }
        Ok(names)
    }

    /// Those of all members and admin keys.
    pub(super) async fn of_actors(app: &App) -> Result<Self, PageError> {
        Self::of(app, &[]).await
    }

    pub(super) fn who(&self, actor: &str) -> String {
        if let Some(name) = self.actors.get(actor) {
            return name.clone();
        }
        match actor {
            "system" => return "System".to_owned(),
            "unverified" => return "Unverified user".to_owned(),
            _ => {}
        }
        let secret = actor
            .strip_prefix("client:")
            .and_then(|rest| rest.split_once('#'));
        let named = secret.and_then(|(id, n)| {
            let id = uuid::Uuid::try_parse(id).ok().map(ClientId)?;
            Some(format!("{} (secret {n})", self.clients.get(&id)?))
        });
        named.unwrap_or_else(|| actor.to_owned())
    }
}

/// A member who was removed, by the address they joined with; as entries call them when the log does not say it.
async fn removed_member(app: &App, actor: &str) -> Result<String, PageError> {
    let joined = AuditFilter {
        actor: Some(actor.to_owned()),
        action: Some("member.join".to_owned()),
        acts_only: true,
        limit: 1,
        ..AuditFilter::default()
    };
    let found = app.data.reader().audit(&joined).await?.pop();
    let detail = found.and_then(|entry| serde_json::from_str::<Value>(&entry.detail).ok());
    let email = detail.as_ref().and_then(|detail| detail["email"].as_str());
    Ok(email.map_or_else(
        || actor.to_owned(),
        |email| format!("{email} (removed member)"),
    ))
}

/// Members and admin keys as actors: what entries call them, and their names.
pub(super) async fn actors(app: &App) -> Result<Vec<(String, String)>, PageError> {
    let reader = app.data.reader();
    let members = reader.members().await?;
    let keys = reader.admin_keys().await?;
    let members = members
        .iter()
        .map(|member| (format!("member:{}", member.id), member.name.to_string()));
    let keys = keys.iter().map(|key| {
        (
            format!("admin-key:{}", key.id),
            format!("{} (admin key)", key.name),
        )
    });
    Ok(members.chain(keys).collect())
}

/// Entries as lines.
pub(super) async fn lines(
    app: &App,
    entries: &[AuditRecord],
    now: Timestamp,
) -> Result<Vec<Line>, PageError> {
    let names = Names::of(app, entries).await?;
    Ok(entries
        .iter()
        .map(|entry| line(entry, &names, now))
        .collect())
}

fn line(entry: &AuditRecord, names: &Names, now: Timestamp) -> Line {
    let detail: Value = serde_json::from_str(&entry.detail).unwrap_or_default();
    let known = DEEDS.iter().find(|(action, _, _)| *action == entry.action);
    let (deed, member) = known.map_or((entry.action.as_str(), ""), |(_, deed, member)| {
        (*deed, *member)
    });
    let text = |name: &str| detail[name].as_str().unwrap_or("").to_owned();
    let (object, address) = match member {
        "client" => {
            let id = entry.client;
            let name = id.and_then(|id| names.clients.get(&id).cloned());
            let address = id.map_or_else(String::new, |id| format!("/console/clients/{id}"));
            (name.unwrap_or_else(|| text("label")), address)
        }
        "workspace" => {
            let id = entry.workspace;
            let name = id.and_then(|id| names.workspaces.get(&id).cloned());
            let address = id.map_or_else(String::new, |id| format!("/console/w/{id}/overview"));
            (name.unwrap_or_else(|| text("name")), address)
        }
        "member" => {
            let id = text("member");
            let known = names.actors.get(&format!("member:{id}"));
            (known.cloned().unwrap_or(id), String::new())
        }
        "" => (String::new(), String::new()),
        member => (text(member), String::new()),
    };
    let deed = match (entry.action.as_str(), &detail["created"]) {
        ("product.put", Value::Bool(true)) => "added product",
        ("product.put", _) => "renamed product",
        _ => deed,
    };
    let mut left_out = vec![member, "created"];
    if member == "client" && detail["label"] == object.as_str() {
        left_out.push("label");
    }
    if member == "workspace" && detail["name"] == object.as_str() {
        left_out.push("name");
    }
    let (changes, facts): (_, Vec<Told>) = told(&detail, &left_out)
        .into_iter()
        .partition(|one| one.before.is_some());
    let is_id = |one: &Told| uuid::Uuid::try_parse(&one.value).is_ok();
    Line {
        folded: facts.len() > 2 || facts.iter().any(is_id),
        changes,
        facts,
        seq: entry.seq,
        at: Moment::new(entry.at, now),
        who: names.who(&entry.actor),
        source: entry.source.clone(),
        action: entry.action.clone(),
        deed: deed.to_owned(),
        object,
        address,
    }
}

/// The values of a detail: first what was changed, with the values before.
fn told(detail: &Value, left_out: &[&str]) -> Vec<Told> {
    let (from, to) = (&detail["from"], &detail["to"]);
    let has_changes = from.is_object() || to.is_object();
    let changes = to.as_object().or(from.as_object());
    let changes = changes.into_iter().flat_map(serde_json::Map::keys);
    let of =
        |side: &Value, name: &str| audit_text::value(name, side.get(name).unwrap_or(&Value::Null));
    let mut told: Vec<Told> = changes
        .map(|name| Told {
            name: words(name),
            before: Some(of(from, name)),
            value: of(to, name),
        })
        .collect();
    let members = detail.as_object().into_iter().flatten();
    for (name, value) in members {
        let shown = match name.as_str() {
            "request_id" => false,
            "from" | "to" | "changed" => !has_changes,
            name => !left_out.contains(&name),
        };
        if shown {
            told.push(Told {
                name: words(name),
                before: None,
                value: audit_text::value(name, value),
            });
        }
    }
    told
}

fn words(name: &str) -> String {
    if let Some(event) = super::preferences::event_words(name) {
        return event.to_owned();
    }
    let known = SETTINGS.iter().find(|(known, _)| *known == name);
    known.map_or_else(
        || {
            super::form::sentence(&name.replace('_', " "))
                .trim_end_matches('.')
                .to_owned()
        },
        |(_, words)| (*words).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_told_with_what_they_were_before() {
        let detail = json!({
            "changed": ["products"], "label": "erp", "request_id": "0198", "used_by": "x",
            "from": { "products": ["gst"] }, "to": { "products": null },
        });
        let told: Vec<_> = told(&detail, &["label"])
            .into_iter()
            .map(|one| (one.name, one.before, one.value))
            .collect();
        let text = str::to_owned;
        assert_eq!(
            told,
            [
                (text("Product access"), Some(text("gst")), text("all")),
                (text("Used by"), None, text("x")),
            ]
        );
    }

    #[test]
    fn actions_are_in_order_and_each_once() {
        assert!(DEEDS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
