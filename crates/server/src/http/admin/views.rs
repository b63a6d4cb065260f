//! The things of the domain as bodies of the API. Digests are in none of them.

use crate::data::Data;
use crate::verbs::addresses::Address;
use crate::verbs::clients::Read;
use serde_json::Value;
use tokenward_api as api;
use tokenward_api::{Cursor, Hash, Label, Name, Network, Page, Slug, Time};
use tokenward_core::audit::AuditRecord;
use tokenward_core::client::{AdminKeyRecord, OnRepeat, Product, Role, SecretRecord, Workspace};
use tokenward_core::restrictions::Networks;
use tokenward_core::time::{Clock, Timestamp};
use tokenward_store::CredentialNote;

pub(super) fn time(at: Timestamp) -> Time {
    Time(at.iso())
}

/// A page of a list; `next` is the place of the next one.
pub(super) fn page<T: Default>(items: Vec<T>, next: Option<u32>) -> Page<T> {
    let next_cursor = next.map(|no| Cursor(format!("c{no}")));
    Page { items, next_cursor }
}

pub(super) fn workspace(workspace: &Workspace) -> api::Workspace {
    api::Workspace {
        id: workspace.id.0,
        name: Name::of(&workspace.name),
        disabled: workspace.disabled_at.is_some(),
        disabled_at: workspace.disabled_at.map(time),
        created_at: time(workspace.created_at),
    }
}

pub(super) fn product(product: &Product) -> api::Product {
    api::Product {
        slug: Slug::of(&product.slug),
        name: Name::of(&product.name),
        created_at: time(product.created_at),
    }
}

fn address(address: &Address) -> api::NotificationAddress {
    api::NotificationAddress {
        email: address.email.clone(),
        state: address.state,
        confirmed_at: address.confirmed_at.map(time),
        stopped_at: address.stopped_at.map(time),
        link_expires_at: address.link_till.map(time),
    }
}

fn networks(networks: &Networks) -> Vec<Network> {
    networks.texts().into_iter().map(Network::of).collect()
}

/// Who created a credential, if that is known.
pub(super) fn created_by(noted: Option<&CredentialNote>) -> Option<String> {
    let made_by = noted.map(|noted| noted.made_by.clone());
    made_by.filter(|actor| !actor.is_empty())
}

/// What people wrote about a credential.
pub(super) fn note(noted: Option<&CredentialNote>) -> String {
    noted.map_or_else(String::new, |noted| noted.note.clone())
}

pub(super) fn client(data: &Data, read: &Read) -> api::Client {
    let client = &read.state.client;
    let settings = &client.settings;
    let now = data.clock().wall();
    let quota = data.config.quota_per_day;
    let secret = |(secret, used): (&SecretRecord, u32)| api::SecretInfo {
        n: secret.n,
        created_at: time(secret.created_at),
        note: note(read.notes.get(&secret.n)),
        quota_used_today: used,
        quota_left_today: quota.saturating_sub(used),
    };
    let slugs = |numbers: &[_]| {
        Product::slugs(numbers, &read.products)
            .into_iter()
            .map(Slug)
    };
    let used = read.last_use.as_ref();
    api::Client {
        id: client.id.0,
        workspace_id: read.state.workspace.id.0,
        label: Label::of(&settings.label),
        environment: client.environment.into(),
        tags: read.tags.clone(),
        products: settings.products.as_ref().map(|list| slugs(list).collect()),
        token_lifetime_seconds: settings.token_lifetime_seconds,
        secret_networks: networks(&settings.secret_networks),
        token_networks: networks(&settings.token_networks),
        notification_emails: settings.notification_emails.clone(),
        notification_addresses: read.addresses.iter().map(address).collect(),
        on_repeat: match settings.on_repeat {
            OnRepeat::Replace => api::OnRepeat::Replace,
            OnRepeat::Return => api::OnRepeat::Return,
        },
        renew_before_seconds: settings.renew_before_seconds,
        handover_max_seconds: settings.handover_max_seconds,
        state: match (client.deleted_at, client.disabled_at) {
            (Some(_), _) => api::ClientState::Deleted,
            (None, Some(_)) => api::ClientState::Disabled,
            (None, None) => api::ClientState::Enabled,
        },
        created_at: time(client.created_at),
        disabled_at: client.disabled_at.map(time),
        deleted_at: client.deleted_at.map(time),
        secrets: read.state.quotas(now).map(secret).collect(),
        token: token(read, now),
        last_used_at: used.map(|used| time(used.at)),
        last_used_from: used.map(|used| used.source.clone()),
        last_used_product: used.and_then(|used| slugs(&[used.product]).next()),
    }
}

fn token(read: &Read, now: Timestamp) -> api::ClientToken {
    let slot = &read.state.slot;
    let token = slot.token.as_ref();
    let previous = slot.previous.filter(|previous| now < previous.valid_till);
    api::ClientToken {
        generation: slot.generation,
        state: read.token_state(now),
        issued_at: token.map(|token| time(token.issued_at)),
        valid_till: token.and_then(|token| token.valid_till).map(time),
        ended_at: read.token_ended_at().map(time),
        previous_valid_till: previous.map(|previous| time(previous.valid_till)),
        last_used_at: read.token_use().map(|used| time(used.at)),
        last_used_from: read.token_use().map(|used| used.source.clone()),
    }
}

/// A role: the same for admin keys and members.
pub(super) fn role(role: &Role) -> api::Role {
    let products = match role {
        Role::ProductAdmin { products, .. } => Some(products.iter().map(Slug::of).collect()),
        _ => None,
    };
    api::Role {
        role: role_name(role),
        workspace_id: role.workspace().map(|id| id.0),
        products,
    }
}

pub(super) fn role_name(role: &Role) -> api::RoleName {
    match role {
        Role::Operator => api::RoleName::Operator,
        Role::WorkspaceAdmin { .. } => api::RoleName::WorkspaceAdmin,
        Role::ProductAdmin { .. } => api::RoleName::ProductAdmin,
        Role::Auditor { .. } => api::RoleName::Auditor,
    }
}

/// An admin key; its last use is that since the start where one is known, else the one in the store.
pub(super) fn admin_key(
    key: &AdminKeyRecord,
    noted: Option<&CredentialNote>,
    last: Option<&(Timestamp, String)>,
) -> api::AdminKeyInfo {
    api::AdminKeyInfo {
        id: key.id,
        name: Name::of(&key.name),
        role: role(&key.role),
        created_at: time(key.created_at),
        created_by: created_by(noted),
        note: note(noted),
        expires_at: key.expires_at.map(time),
        revoked_at: key.revoked_at.map(time),
        last_used_at: last.map(|(at, _)| time(*at)),
        last_used_from: last.map(|(_, source)| source.clone()),
    }
}

/// An entry as a line of an export, in the form of the API.
pub(in crate::http) fn audit_line(entry: &AuditRecord) -> String {
    let entry = serde_json::to_value(audit_entry(entry)).expect("a body of the API is JSON");
    format!("{entry}\n")
}

/// An entry as programs read it, and as `tokenward audit verify` takes it back.
pub(super) fn audit_entry(entry: &AuditRecord) -> api::AuditEntry {
    let detail = serde_json::from_str::<Value>(&entry.detail).unwrap_or(Value::Null);
    let request_id = detail["request_id"].as_str();
    api::AuditEntry {
        seq: entry.seq,
        at: time(entry.at),
        at_micros: entry.at.0,
        actor: entry.actor.clone(),
        source: entry.source.clone(),
        action: entry.action.clone(),
        workspace_id: entry.workspace.map(|id| id.0),
        client_id: entry.client.map(|id| id.0),
        request_id: request_id.and_then(|id| id.parse().ok()),
        detail,
        detail_text: entry.detail.clone(),
        hash: Hash(tokenward_core::Digest(entry.hash).to_hex()),
    }
}
