//! API clients: create, read, change, disable, enable, delete for good.

pub use super::one_client::Read;

use super::addresses::{self, Named};
use super::one_client::{NO_CLIENT, decide, entry, wants};
use super::prelude::*;
use super::settings::{self, version};
use super::{credential_notes, tags};
use crate::audit::detail;
use tokenward_api::ClientSettings;
use tokenward_core::ClientSecret;
use tokenward_core::client::{ApiClient, ClientState, OnRepeat, SecretRecord};
use tokenward_core::ids::Environment;
use tokenward_core::label::Label;
use tokenward_core::slot::Slot;
use tokenward_store::ClientFilter;
use tokenward_store::notices::AddressWants;

/// One client.
pub async fn show(data: &Data, admin: &Admin, id: ClientId) -> Result<Read, Refused> {
    let products = Arc::new(data.reader().products().await?);
    let (state, last_use) = data.reader().client(id).await?.ok_or(NO_CLIENT)?;
    admin.must_see_client(&state, &products)?;
    let last_use = data.usage.pending(state.client.no).or(last_use);
    let mut read = Read::of(state, products);
    read.last_use = last_use;
    read.addresses = addresses::of(data, &read.state).await?;
    read.describe(data).await?;
    Ok(read)
}

/// Clients of a workspace, in the order of their creation, as far as the administrator sees them;
/// and whether more may follow.
pub async fn list(
    data: &Data,
    admin: &Admin,
    workspace: WorkspaceId,
    mut filter: ClientFilter,
) -> Result<(Vec<Read>, Option<u32>), Refused> {
    admin.must_see_workspace(workspace)?;
    let reader = data.reader();
    reader
        .workspace(workspace)
        .await?
        .ok_or(Refused::NotFound("workspace"))?;
    let products = Arc::new(reader.products().await?);
    filter.workspace = Some(workspace);
    let wanted = filter.limit.clamp(1, tokenward_store::PAGE_MAX);
    filter.limit = wanted;
    let rows = reader.clients(&filter).await?;
    let next = (rows.len() as u32 == wanted)
        .then(|| rows.last().map(|(state, _)| state.client.no.0))
        .flatten();
    let seen: Vec<_> = rows
        .into_iter()
        .filter(|(state, _)| admin.sees_client(state, &products))
        .collect();
    let known = reader.notice_addresses(workspace).await?;
    let numbers: Vec<_> = seen.iter().map(|(state, _)| state.client.no).collect();
    let mut tags = tags::of(data, &numbers).await?;
    let ids: Vec<_> = seen.iter().map(|(state, _)| state.client.id).collect();
    let mut notes = credential_notes::of_clients(data, &ids).await?;
    let read = seen.into_iter().map(|(state, last_use)| {
        let client = &state.client;
        Read {
            last_use: data.usage.pending(client.no).or(last_use),
            products: Arc::clone(&products),
            addresses: addresses::shown(&client.settings.notification_emails, &known),
            tags: tags.remove(&client.no).unwrap_or_default(),
            notes: notes.remove(&client.id).unwrap_or_default(),
            state,
        }
    });
    Ok((read.collect(), next))
}

/// How many clients of a workspace a filter finds, counted to one more than `most`; none where that is not known, for
/// those who do not see all of them.
pub async fn count(
    data: &Data,
    admin: &Admin,
    workspace: WorkspaceId,
    filter: &ClientFilter,
    most: u32,
) -> Result<Option<u32>, Refused> {
    admin.must_see_workspace(workspace)?;
    if !admin.sees_all_clients() {
        return Ok(None);
    }
    let filter = ClientFilter {
        workspace: Some(workspace),
        ..filter.clone()
    };
    Ok(Some(data.reader().client_count(&filter, most).await?))
}

/// Creates a client; its secret is told here and never again.
pub async fn create(
    data: &Data,
    admin: Admin,
    workspace: WorkspaceId,
    written: ClientSettings,
) -> Result<(Read, ClientSecret), Refused> {
    admin.must_see_workspace(workspace)?;
    let environment = written.environment.as_deref().and_then(Environment::parse);
    let environment = environment
        .ok_or_else(|| Refused::Invalid("environment", "must be sandbox or production".into()))?;
    let label = Label::parse(written.label.as_deref().unwrap_or(""))
        .map_err(|why| Refused::Invalid("label", why.0))?;
    let wants = ReadSet {
        workspace: Some(workspace),
        label: Some((workspace, environment, label)),
        products: true,
        addresses: addresses_wanted(workspace, &written),
        ..ReadSet::default()
    };
    let asks = addresses::unavailable(data).is_none();
    let keyring = Arc::clone(&data.keyring);
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        let workspace = view
            .workspace
            .clone()
            .ok_or(Refused::NotFound("workspace"))?;
        let settings = settings::create(&written, &view.products)?;
        acting.must_manage(workspace.id, settings.products.as_deref(), &view.products)?;
        if view.label_taken {
            return Err(label_taken());
        }
        let id = keyring.client_id(view.next.client, random::bytes());
        let secret = ClientSecret::from_random(environment, id, random::bytes());
        let key = keyring.current();
        let digest = keyring
            .secret(key, &secret)
            .ok_or(Refused::Failed(tokenward_store::Failure::Unavailable))?;
        let client = ApiClient {
            no: view.next.client,
            id,
            workspace: workspace.no,
            environment,
            settings,
            created_at: view.now,
            disabled_at: None,
            deleted_at: None,
            secrets: [
                Some(SecretRecord {
                    n: 1,
                    digest,
                    key,
                    created_at: view.now,
                }),
                None,
            ],
            next_secret: 2,
        };
        let mut detail = detail::settings(&client.settings, &view.products);
        detail["environment"] = environment.as_str().into();
        let entry = acting.entry("client.create", Some(workspace.id), Some(id), &detail);
        let changes = vec![Change::ClientCreated {
            client: Box::new(client.clone()),
        }];
        let state = ClientState {
            client,
            slot: Slot::default(),
            workspace,
        };
        let emails = &state.client.settings.notification_emails;
        let named = Named::of(&state);
        let mut decided = Decided::changes(changes, entry);
        decided.records =
            addresses::changes(asks, &view.addresses, &named, (&[], emails), view.now);
        let note = credential_notes::made(acting, id.0, 1, "");
        decided.records.push(note);
        let read = Read::of(state, Arc::new(view.products.clone()));
        Ok((decided, (read, secret)))
    });
    let (mut read, secret) = decided.await?;
    // The secret is shown now or never: a read that failed must not cost it.
    if let Ok(known) = addresses::of(data, &read.state).await {
        read.addresses = known;
    }
    let _ = read.describe(data).await;
    Ok((read, secret))
}

/// What a decision on these settings wants to see of the workspace's addresses: nothing, unless they name any.
fn addresses_wanted(workspace: WorkspaceId, written: &ClientSettings) -> Option<AddressWants> {
    let emails = written.notification_emails.as_ref()?;
    Some(addresses::address_wants(workspace, emails))
}

fn label_taken() -> Refused {
    let why = "another API client of this workspace and environment has this label, or one that looks like it";
    Refused::Conflict(Conflict::LabelTaken, why.into())
}

/// Changes a client's settings; a narrower restriction binds the live token at once. `versions` names the versions of the
/// settings that the caller means to change; none for any.
pub async fn change(
    data: &Data,
    admin: Admin,
    id: ClientId,
    written: ClientSettings,
    versions: Option<Vec<String>>,
) -> Result<Read, Refused> {
    if written.environment.is_some() {
        let why = "an API client belongs to one environment for good; create another client";
        return Err(Refused::Invalid("environment", why.into()));
    }
    let seen = show(data, &admin, id).await?;
    let renamed = written
        .label
        .as_deref()
        .filter(|label| *label != seen.state.client.settings.label.as_str());
    let label = renamed.map(Label::parse).transpose();
    let label = label.map_err(|why| Refused::Invalid("label", why.0))?;
    let environment = seen.state.client.environment;
    let wants = ReadSet {
        client: Some(id),
        label: label.map(|label| (seen.state.workspace.id, environment, label)),
        products: true,
        addresses: addresses_wanted(seen.state.workspace.id, &written),
        ..ReadSet::default()
    };
    let asks = addresses::unavailable(data).is_none();
    decide(data, admin, wants, move |acting, view, state| {
        settings::must_be_meant(&written)?;
        let version = version(&state.client.settings);
        if versions.is_some_and(|seen| !seen.contains(&version)) {
            return Err(Refused::Changed("API client"));
        }
        let settings = settings::change(&written, &state.client.settings, &view.products)?;
        acting.must_manage(
            state.workspace.id,
            settings.products.as_deref(),
            &view.products,
        )?;
        if view.label_taken {
            return Err(label_taken());
        }
        let mut after = state.clone();
        after.client.settings = settings.clone();
        let before = detail::settings(&state.client.settings, &view.products);
        let now = detail::settings(&settings, &view.products);
        let changed = detail::changed(&before, &now);
        if changed.is_empty() {
            return Ok((Decided::nothing(), after, ()));
        }
        let detail = json!({ "changed": changed });
        let detail = detail::with_changes(detail, &before, &now);
        let entry = entry(acting, "client.change", state, &detail);
        let mut changes = vec![Change::ClientSettingsChanged {
            client: state.client.no,
            settings: Box::new(settings.clone()),
        }];
        if settings.on_repeat == OnRepeat::Replace && state.slot.seal.is_some() {
            // A client that no longer returns its token keeps no sealed copy of it.
            after.slot.seal = None;
            changes.push(Change::TokenEnded {
                client: state.client.no,
                slot: Box::new(after.slot.clone()),
            });
        }
        let mut decided = Decided::changes(changes, entry);
        decided.records = match written.notification_emails {
            Some(_) => {
                let before = &state.client.settings.notification_emails;
                let emails = (before.as_slice(), settings.notification_emails.as_slice());
                let named = Named::of(&after);
                addresses::changes(asks, &view.addresses, &named, emails, view.now)
            }
            None => Vec::new(),
        };
        Ok((decided, after, ()))
    })
    .await
    .map(|(read, ())| read)
}

/// Disables or enables a client; its token sleeps and wakes with it.
pub async fn set_disabled(
    data: &Data,
    admin: Admin,
    id: ClientId,
    disabled: bool,
) -> Result<Read, Refused> {
    decide(data, admin, wants(id), move |acting, view, state| {
        let mut after = state.clone();
        if state.client.disabled_at.is_some() == disabled {
            return Ok((Decided::nothing(), after, ()));
        }
        after.client.disabled_at = disabled.then_some(view.now);
        let action = if disabled {
            "client.disable"
        } else {
            "client.enable"
        };
        let detail = json!({ "label": state.client.settings.label });
        let entry = entry(acting, action, state, &detail);
        let change = Change::ClientDisabled {
            client: state.client.no,
            at: after.client.disabled_at,
        };
        Ok((Decided::changes(vec![change], entry), after, ()))
    })
    .await
    .map(|(read, ())| read)
}

/// Deletes a client for good; its label must be typed back.
pub async fn delete(
    data: &Data,
    admin: Admin,
    id: ClientId,
    label: Option<String>,
) -> Result<Read, Refused> {
    let seen = show(data, &admin, id).await?;
    let emails = &seen.state.client.settings.notification_emails;
    let wants = ReadSet {
        addresses: Some(addresses::address_wants(seen.state.workspace.id, emails)),
        ..wants(id)
    };
    decide(data, admin, wants, move |acting, view, state| {
        // Keyboards and clipboards differ in the Unicode form of one label.
        let own = &state.client.settings.label;
        let typed = label.as_deref().is_some_and(|text| {
            text == own.as_str() || Label::parse(text).is_ok_and(|typed| typed == *own)
        });
        if !typed {
            let why = "type the API client's label back to delete it for good";
            return Err(Refused::Conflict(Conflict::LabelMismatch, why.into()));
        }
        let mut after = state.clone();
        after.client.deleted_at = Some(view.now);
        let detail =
            json!({ "label": state.client.settings.label, "generation": state.slot.generation });
        let entry = entry(acting, "client.delete", state, &detail);
        let change = Change::ClientDeleted {
            client: state.client.no,
            at: view.now,
        };
        let emails = state.client.settings.notification_emails.as_slice();
        let named = Named::of(state);
        let mut decided = Decided::changes(vec![change], entry);
        decided.records =
            addresses::changes(false, &view.addresses, &named, (emails, &[]), view.now);
        Ok((decided, after, ()))
    })
    .await
    .map(|(read, ())| read)
}
