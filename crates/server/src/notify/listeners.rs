//! To whom an event goes and when: the workspace's webhooks, and those of the client's notification addresses that are
//! confirmed, each as its preferences say.

use super::event::Event;
use super::limit::digest_after;
use crate::app::App;
use crate::random;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use tokenward_core::ids::WorkspaceId;
use tokenward_core::time::Timestamp;
use tokenward_store::StoreError;
use tokenward_store::notices::{
    Delivery, NewNotice, NoticeAddress, Target, Webhook, folded_address,
};

/// Webhooks as they are during one step.
#[derive(Default)]
pub(super) struct Listeners {
    webhooks: HashMap<WorkspaceId, Vec<Webhook>>,
    /// The addresses by their folded form.
    addresses: HashMap<WorkspaceId, HashMap<String, NoticeAddress>>,
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
                let read = app.data.reader().webhooks(event.workspace).await?;
                self.webhooks.entry(event.workspace).or_insert(read)
            }
        };
        // What happened before a webhook was there is not for it, though it is told of later.
        let awake =
            |webhook: &&Webhook| webhook.disabled_at.is_none() && webhook.created_at <= event.at;
        let told = webhooks.iter().filter(awake);
        let wants = |webhook: &&Webhook| {
            let target = Target::Webhook(webhook.id);
            webhook.preferences.delivery(event.kind, &target) != Delivery::Off
        };
        let mut targets: Vec<_> = told
            .filter(wants)
            .map(|webhook| {
                let whom = webhook.id.to_string();
                (Target::Webhook(webhook.id), String::new(), whom, None)
            })
            .collect();
        if app.data.config.mail_url.is_some() && !event.emails.is_empty() {
            let addresses = match self.addresses.entry(event.workspace) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let rows = app.data.reader().notice_addresses(event.workspace).await?;
                    let rows = rows.into_iter().map(|row| (row.address.clone(), row));
                    place.insert(rows.collect())
                }
            };
            targets.extend(event.emails.iter().filter_map(|email| {
                let row = addresses.get(&folded_address(email))?;
                // What happened before an address was confirmed is not for it, like a webhook's.
                row.confirmed_at.filter(|since| *since <= event.at)?;
                let digest_at = match row.preferences.delivery(event.kind, &Target::Mail) {
                    Delivery::Immediate => None,
                    Delivery::Daily => Some(digest_after(event.at)),
                    Delivery::Off => return None,
                };
                Some((Target::Mail, email.clone(), email.clone(), digest_at))
            }));
        }
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let body = event.body(app.data.config.public_url.as_deref());
        let notice =
            |(target, recipient, whom, digest_at): (Target, String, String, Option<Timestamp>)| {
                NewNotice {
                    id: random::uuid(),
                    key: format!("{} {whom}", event.key),
                    target,
                    recipient,
                    workspace: event.workspace,
                    client: Some(event.client),
                    kind: event.kind.to_owned(),
                    body: body.clone(),
                    at: event.at,
                    digest_at,
                }
            };
        Ok(targets.into_iter().map(notice).collect())
    }
}
