//! To whom an event goes: the workspace's webhooks, and those of the client's notification addresses that are confirmed.

use super::event::Event;
use crate::app::App;
use crate::random;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use tokenward_core::ids::WorkspaceId;
use tokenward_core::time::Timestamp;
use tokenward_store::StoreError;
use tokenward_store::notices::{NewNotice, Target, Webhook, folded_address};

/// Webhooks as they are during one step.
#[derive(Default)]
pub(super) struct Listeners {
    webhooks: HashMap<WorkspaceId, Vec<Webhook>>,
    /// The addresses that are confirmed, and since when.
    confirmed: HashMap<WorkspaceId, HashMap<String, Timestamp>>,
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
                let read = app.data.store.reader().webhooks(event.workspace).await?;
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
        if app.data.config.mail_url.is_some() && !event.emails.is_empty() {
            let confirmed = match self.confirmed.entry(event.workspace) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let rows = app
                        .data
                        .store
                        .reader()
                        .notice_addresses(event.workspace)
                        .await?;
                    let rows = rows.into_iter();
                    let rows = rows.filter_map(|row| Some((row.address, row.confirmed_at?)));
                    place.insert(rows.collect())
                }
            };
            let mails = event.emails.iter();
            // What happened before an address was confirmed is not for it, like a webhook's.
            let since = |email: &String| confirmed.get(&folded_address(email)).copied();
            let mails = mails.filter(|email| since(email).is_some_and(|since| since <= event.at));
            targets.extend(mails.map(|email| (Target::Mail, email.clone(), email.clone())));
        }
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let body = event.body(app.data.config.public_url.as_deref());
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
