//! What is told, before it is known to whom. Never a secret, a token or a digest: of an audit entry's detail
//! only the members named here are told.

use serde_json::{Map, Value, json};
use tokenward_core::client::ClientState;
use tokenward_core::ids::{ClientId, Environment, WorkspaceId};
use tokenward_core::time::Timestamp;
use tokenward_store::notices::Told;

/// Members of an audit entry's detail that are told.
const TOLD: [&str; 5] = [
    "generation",
    "valid_till",
    "previous_valid_till",
    "changed",
    "n",
];

/// Something that happened to a client.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Event {
    /// What makes it this very event: nobody is told of it twice.
    pub(super) key: String,
    pub(super) kind: &'static str,
    pub(super) at: Timestamp,
    pub(super) workspace: WorkspaceId,
    pub(super) client: ClientId,
    pub(super) label: String,
    pub(super) environment: Environment,
    /// The client's notification e-mails.
    pub(super) emails: Vec<String>,
    pub(super) facts: Map<String, Value>,
}

/// What an audit entry of this action is told as, if it is.
fn kind(action: &str) -> Option<&'static str> {
    Some(match action {
        "token.generate" => "token.generated",
        "token.revoke" => "token.revoked",
        "client.create" => "client.created",
        "client.change" => "client.changed",
        "client.disable" => "client.disabled",
        "client.enable" => "client.enabled",
        "client.delete" => "client.deleted",
        "secret.create" => "secret.created",
        "secret.delete" => "secret.deleted",
        _ => return None,
    })
}

impl Event {
    /// What an audit entry tells, if anything.
    pub(super) fn from_entry(told: Told) -> Option<Self> {
        let entry = told.entry;
        let detail: Value = serde_json::from_str(&entry.detail).unwrap_or_default();
        let mut facts = Map::new();
        for name in TOLD {
            if let Some(value) = detail.get(name).filter(|value| !value.is_null()) {
                facts.insert(name.to_owned(), value.clone());
            }
        }
        facts.insert("by".to_owned(), entry.actor.into());
        if !entry.source.is_empty() {
            facts.insert("from".to_owned(), entry.source.into());
        }
        Some(Self {
            key: format!("audit {}", entry.seq),
            kind: kind(&entry.action)?,
            at: entry.at,
            workspace: entry.workspace?,
            client: entry.client?,
            label: told.label,
            environment: told.environment,
            emails: told.emails,
            facts,
        })
    }

    /// Something that time brought upon a client; `key` tells it from what time brought before.
    pub(super) fn of_client(
        kind: &'static str,
        key: &str,
        state: &ClientState,
        facts: Value,
        at: Timestamp,
    ) -> Self {
        let (client, settings) = (&state.client, &state.client.settings);
        Self {
            key: format!("{kind} {} {key}", client.no.0),
            kind,
            at,
            workspace: state.workspace.id,
            client: client.id,
            label: settings.label.as_str().to_owned(),
            environment: client.environment,
            emails: settings.notification_emails.clone(),
            facts: facts.as_object().cloned().unwrap_or_default(),
        }
    }

    /// The body a webhook is sent, and the letter is written from.
    pub(super) fn body(&self, public_url: Option<&str>) -> String {
        let mut data = json!({
            "workspace_id": self.workspace,
            "client_id": self.client,
            "label": self.label,
            "environment": self.environment,
        });
        if let Some(members) = data.as_object_mut() {
            members.extend(self.facts.clone());
        }
        if let Some(base) = public_url {
            data["url"] = format!("{base}/console/clients/{}", self.client.0).into();
        }
        json!({ "type": self.kind, "timestamp": self.at.iso(), "data": data }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenward_core::audit::AuditRecord;
    use uuid::Uuid;

    fn told(action: &str, detail: &Value) -> Told {
        Told {
            entry: AuditRecord {
                seq: 7,
                at: Timestamp(0),
                actor: "system".into(),
                source: "10.0.0.1".into(),
                action: action.into(),
                workspace: Some(WorkspaceId(Uuid::nil())),
                client: Some(ClientId(Uuid::nil())),
                detail: detail.to_string(),
                hash: [0; 32],
            },
            label: "erp".into(),
            environment: Environment::Sandbox,
            emails: Vec::new(),
        }
    }

    #[test]
    fn only_what_is_named_is_told_of_an_entry() {
        let detail =
            json!({ "generation": 3, "valid_till": null, "secret": "s", "access_token": "t" });
        let event = Event::from_entry(told("token.generate", &detail)).unwrap();
        let body: Value =
            serde_json::from_str(&event.body(Some("https://auth.example.com"))).unwrap();
        let nil = Uuid::nil();
        assert_eq!(
            body,
            json!({
                "type": "token.generated", "timestamp": "1970-01-01T00:00:00+00:00",
                "data": {
                    "workspace_id": nil, "client_id": nil, "label": "erp", "environment": "sandbox", "generation": 3,
                    "by": "system", "from": "10.0.0.1",
                    "url": format!("https://auth.example.com/console/clients/{nil}"),
                },
            })
        );
    }

    #[test]
    fn every_event_can_be_chosen_in_preferences() {
        let acts = "
            token.generate token.revoke client.create client.change client.disable client.enable client.delete
            secret.create secret.delete";
        let told = acts.split_whitespace().map(|act| kind(act).unwrap());
        let by_time = "token.expiring quota.reached token.superseded_in_use client.unused";
        let mut all: Vec<_> = told.chain(by_time.split(' ')).collect();
        let mut known = tokenward_store::notices::EVENTS;
        all.sort_unstable();
        known.sort_unstable();
        assert_eq!(all, known);
    }

    #[test]
    fn acts_that_concern_nobody_outside_are_not_told() {
        for action in "token.return token.end_previous workspace.change webhook.create".split(' ') {
            assert_eq!(
                Event::from_entry(told(action, &json!({}))),
                None,
                "{action}"
            );
        }
    }
}
