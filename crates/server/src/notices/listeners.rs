//! To whom an event goes: the workspace's webhooks, and the client's notification e-mails.

use super::event::Event;
use crate::app::App;
use crate::random;
use std::collections::HashMap;
use tokenward_core::ids::WorkspaceId;
use tokenward_store::StoreError;
use tokenward_store::notices::{NewNotice, Target, Webhook};

/// Webhooks as they are during one step.
#[derive(Default)]
pub(super) struct Listeners {
    webhooks: HashMap<WorkspaceId, Vec<Webhook>>,
}

impl Listeners {
    /// A notice for everybody who wants to hear of an event.
    pub(super) async fn notices(
        &mut self,
        app: &App,
        event: &Event,
    ) -> Result<Vec<NewNotice>, StoreError> {
        let webhooks = match self.webhooks.get(&event.workspace) {
            Some(known) => known,
            None => {
                let read = app.store.reader().webhooks(event.workspace).await?;
                self.webhooks.entry(event.workspace).or_insert(read)
            }
        };
        // What happened before a webhook was there is not for it, though it is told of later.
        let awake =
            |webhook: &&Webhook| webhook.disabled_at.is_none() && webhook.created_at <= event.at;
        let told = webhooks.iter().filter(awake);
        let mut targets: Vec<_> = told
            .map(|webhook| {
                (
                    Target::Webhook(webhook.id),
                    String::new(),
                    webhook.id.to_string(),
                )
            })
            .collect();
        if app.config.mail_url.is_some() {
            let mails = event.emails.iter();
            targets.extend(mails.map(|email| (Target::Mail, email.clone(), email.clone())));
        }
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let body = event.body(app.config.public_url.as_deref());
        let notice = |(target, recipient, whom): (Target, String, String)| NewNotice {
            id: random::uuid(),
            key: format!("{} {whom}", event.key),
            target,
            recipient,
            workspace: event.workspace,
            client: Some(event.client),
            kind: event.kind.to_owned(),
            body: body.clone(),
            at: event.at,
        };
        Ok(targets.into_iter().map(notice).collect())
    }
}
