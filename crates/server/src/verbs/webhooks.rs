//! Webhooks: who is told what happens to a workspace's clients. Operators and the workspace's admins manage
//! them, auditors see them; a product admin has nothing to do with them, for they tell of every client.

use super::credential_notes;
use super::notice_preferences::Choices;
use super::prelude::*;
use crate::net::destination::Guard;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokenward_core::Keyring;
use tokenward_core::client::Role;
use tokenward_store::notices::seal_context;
use tokenward_store::notices::{NewNotice, NoticeWrite, Target, Webhook, WebhookWrite};

/// Bytes of a webhook's secret: as many as the signature has.
pub(crate) const SECRET_BYTES: usize = 32;

/// A secret in the form that the specification's libraries take.
fn expose(secret: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(secret));
    Zeroizing::new(format!("whsec_{}", text.as_str()))
}

/// Webhooks of one workspace: each costs a row and a delivery an event.
pub const WEBHOOKS_MAX: usize = 10;
/// Seconds for which the secret before signs beside a new one: a day to bring the new one everywhere.
pub const ROTATION_SECONDS: u64 = 86_400;

const NO_WEBHOOK: Refused = Refused::NotFound("webhook");

/// A webhook and its secret, which is told here and never again.
pub type WithSecret = (Webhook, Zeroizing<String>);

/// For those who may see what a workspace's webhooks are told.
pub(super) fn must_see(admin: &Admin, workspace: WorkspaceId) -> Result<(), Refused> {
    admin.must_see_workspace(workspace)?;
    match &admin.role {
        Role::ProductAdmin { .. } => Err(Refused::Forbidden(
            "a product admin has nothing to do with webhooks: they tell of every client",
        )),
        _ => Ok(()),
    }
}

pub(super) fn must_manage(admin: &Admin, workspace: WorkspaceId) -> Result<(), Refused> {
    must_see(admin, workspace)?;
    admin.must_write()
}

/// Every webhook of a workspace.
pub async fn list(
    data: &Data,
    admin: &Admin,
    workspace: WorkspaceId,
) -> Result<Vec<Webhook>, Refused> {
    must_see(admin, workspace)?;
    let reader = data.reader();
    let known = reader.workspace(workspace).await?;
    known.ok_or(Refused::NotFound("workspace"))?;
    Ok(reader.webhooks(workspace).await?)
}

/// The URL of a webhook as written.
pub fn url(data: &Data, text: &str) -> Result<url::Url, Refused> {
    Guard::read(text, &data.config.webhook_allow_networks)
        .map_err(|why| Refused::Invalid("url", why))
}

/// Makes a webhook.
pub async fn create(
    data: &Data,
    admin: Admin,
    workspace: WorkspaceId,
    url: &str,
    (note, choices): (&str, Choices),
) -> Result<WithSecret, Refused> {
    must_manage(&admin, workspace)?;
    let note = credential_notes::parse(note)?;
    let preferences = choices.made();
    let url = self::url(data, url)?;
    let wants = ReadSet {
        workspace: Some(workspace),
        webhooks: Some(workspace),
        ..ReadSet::default()
    };
    let keyring = Arc::clone(&data.keyring);
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        let known = view.workspace.as_ref();
        known.ok_or(Refused::NotFound("workspace"))?;
        if view.webhooks.len() >= WEBHOOKS_MAX {
            let why = format!("a workspace has at most {WEBHOOKS_MAX} webhooks; delete one first");
            return Err(Refused::Conflict(Conflict::TooManyWebhooks, why));
        }
        let id = random::uuid();
        let (secret, shown) = new_secret(&keyring, id);
        let webhook = Webhook {
            id,
            workspace,
            url: url.into(),
            secret,
            former: None,
            created_at: view.now,
            disabled_at: None,
            preferences,
        };
        let mut decided = put(acting, "webhook.create", &webhook);
        let note = credential_notes::made(acting, id, 0, &note);
        decided.records.push(note);
        Ok((decided, (webhook, shown)))
    });
    decided.await
}

/// A new secret, sealed and to be shown.
fn new_secret(keyring: &Keyring, id: Uuid) -> (Vec<u8>, Zeroizing<String>) {
    let secret = Zeroizing::new(random::bytes::<SECRET_BYTES>());
    let sealed = keyring.seal_at_rest(&seal_context(id), secret.as_slice(), random::bytes());
    (sealed, expose(secret.as_slice()))
}

fn entry(acting: &Acting, action: &'static str, webhook: &Webhook) -> Entry {
    let detail: Value = json!({ "webhook": webhook.id, "url": webhook.url });
    acting.entry(action, Some(webhook.workspace), None, &detail)
}

fn put(acting: &Acting, action: &'static str, webhook: &Webhook) -> Decided {
    let put = Record::Webhook(WebhookWrite::Put(webhook.clone()));
    Decided::records(vec![put], entry(acting, action, webhook))
}

/// Decides about one webhook that the administrator may manage.
pub(super) async fn decide<T, F>(
    data: &Data,
    admin: Admin,
    id: Uuid,
    decision: F,
) -> Result<T, Refused>
where
    T: Send + 'static,
    F: FnOnce(&Acting, &View, Webhook) -> Result<(Decided, T), Refused> + Send + 'static,
{
    let known = data.reader().webhook(id).await?.ok_or(NO_WEBHOOK)?;
    // What belongs to another workspace looks like what is not there.
    must_manage(&admin, known.workspace).map_err(|refused| match refused {
        Refused::NotFound(_) => NO_WEBHOOK,
        other => other,
    })?;
    let wants = ReadSet {
        webhooks: Some(known.workspace),
        ..ReadSet::default()
    };
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        let found = view.webhooks.iter().find(|webhook| webhook.id == id);
        decision(acting, view, found.cloned().ok_or(NO_WEBHOOK)?)
    });
    decided.await
}

/// Disables or enables a webhook; what waits for a disabled one is given up.
pub async fn set_disabled(
    data: &Data,
    admin: Admin,
    id: Uuid,
    disabled: bool,
) -> Result<Webhook, Refused> {
    change(data, admin, id, Some(disabled), (None, Choices::default())).await
}

/// Disables or enables a webhook, and changes its note and its preferences.
pub async fn change(
    data: &Data,
    admin: Admin,
    id: Uuid,
    disabled: Option<bool>,
    (note, choices): (Option<&str>, Choices),
) -> Result<Webhook, Refused> {
    let note = note.map(credential_notes::parse).transpose()?;
    decide(data, admin, id, move |acting, view, mut webhook| {
        let mut decided = Decided::nothing();
        let disabled = disabled.filter(|disabled| webhook.disabled_at.is_some() != *disabled);
        if let Some(disabled) = disabled {
            webhook.disabled_at = disabled.then_some(view.now);
            let action = match disabled {
                true => "webhook.disable",
                false => "webhook.enable",
            };
            decided.audit.push(entry(acting, action, &webhook));
        }
        if let Some(changed) = choices.change(&mut webhook.preferences) {
            let detail = changed.detail(json!({ "webhook": id, "url": webhook.url }));
            let place = Some(webhook.workspace);
            let entry = acting.entry("webhook.preferences", place, None, &detail);
            decided.audit.push(entry);
        }
        if !decided.audit.is_empty() {
            let put = Record::Webhook(WebhookWrite::Put(webhook.clone()));
            decided.records.push(put);
        }
        if let Some(note) = &note {
            let (entry, record) = credential_notes::webhook(acting, &webhook, note);
            decided.audit.push(entry);
            decided.records.push(record);
        }
        Ok((decided, webhook))
    })
    .await
}

/// Gives a webhook a new secret. The one before signs too for [`ROTATION_SECONDS`]; one before that, no more.
pub async fn rotate(data: &Data, admin: Admin, id: Uuid) -> Result<WithSecret, Refused> {
    let keyring = Arc::clone(&data.keyring);
    decide(data, admin, id, move |acting, view, mut webhook| {
        let (secret, shown) = new_secret(&keyring, id);
        let former = std::mem::replace(&mut webhook.secret, secret);
        webhook.former = Some((former, view.now.plus_seconds(ROTATION_SECONDS)));
        let decided = put(acting, "webhook.rotate", &webhook);
        Ok((decided, (webhook, shown)))
    })
    .await
}

/// Deletes a webhook; what waits for it is given up.
pub async fn delete(data: &Data, admin: Admin, id: Uuid) -> Result<(), Refused> {
    decide(data, admin, id, move |acting, _, webhook| {
        let removed = vec![Record::Webhook(WebhookWrite::Removed(id))];
        let entry = entry(acting, "webhook.delete", &webhook);
        Ok((Decided::records(removed, entry), ()))
    })
    .await
}

/// Sends a webhook a notice that says nothing but that it arrived; answers the notice's id.
pub async fn test(data: &Data, admin: Admin, id: Uuid) -> Result<Uuid, Refused> {
    decide(data, admin, id, move |acting, view, webhook| {
        if webhook.disabled_at.is_some() {
            let why = "nothing is sent to a disabled webhook; enable it first";
            return Err(Refused::Conflict(Conflict::WebhookDisabled, why.into()));
        }
        let notice = random::uuid();
        let body = json!({
            "type": "webhook.test",
            "timestamp": view.now.iso(),
            "data": { "workspace_id": webhook.workspace, "webhook_id": id },
        });
        let made = NewNotice {
            id: notice,
            key: format!("test {notice}"),
            target: Target::Webhook(id),
            recipient: String::new(),
            workspace: webhook.workspace,
            client: None,
            kind: "webhook.test".into(),
            body: body.to_string(),
            at: view.now,
            digest_at: None,
        };
        let made = NoticeWrite::Made {
            followed: None,
            notices: vec![made],
        };
        let entry = entry(acting, "webhook.test", &webhook);
        Ok((Decided::records(vec![Record::Notice(made)], entry), notice))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_in_the_form_that_libraries_take() {
        assert_eq!(expose(&[0xFB; 3]).as_str(), "whsec_+/v7");
    }
}
