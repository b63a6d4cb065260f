//! How the things of the admin API look in tables. What is not there shows as a dash.

use super::table::{Cell, Table, Tone};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::slice::from_ref;
use tokenward_api::{
    AdminKeyInfo, AuditEntry, Client, ClientState, ClientToken, Coherence, Invitation, Member,
    NodeState, Nodes, Notice, NoticeDelivery, NoticePreference, NoticeState, NotificationState,
    OnRepeat, Product, SecretInfo, Time, TokenState, Usage, Webhook, Workspace, WorkspaceAddress,
};
use uuid::Uuid;

/// Shown where there is nothing.
const NOTHING: &str = "-";

/// A text, or a dash.
fn text(value: impl Display) -> String {
    let text = value.to_string();
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    text
}

/// What is there, or a word.
fn or(value: Option<impl Display>, nothing: &str) -> String {
    value.map_or_else(|| nothing.to_owned(), text)
}

/// The items of a list, or a word.
fn list(items: &[impl Display], nothing: &str) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    or((!items.is_empty()).then(|| items.join(", ")), nothing)
}

fn state(word: &str, tone: Tone) -> Cell {
    Cell::new(word).tone(tone)
}

/// Whether something that can be disabled is.
fn switched(is_disabled: bool) -> Cell {
    match is_disabled {
        true => state("disabled", Tone::Odd),
        false => state("enabled", Tone::Good),
    }
}

/// Seconds as a person says them: the largest unit that divides them.
pub(crate) fn seconds(seconds: Option<u32>) -> String {
    let Some(seconds) = seconds else {
        return "never".to_owned();
    };
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    match units
        .iter()
        .find(|(unit, _)| seconds > 0 && seconds % unit == 0)
    {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// A list of workspaces.
pub(crate) fn workspaces(items: &[Workspace]) -> Table {
    Table::of(items)
        .column("ID", |item| text(item.id))
        .column("NAME", |item| text(&item.name))
        .column("STATE", |item| switched(item.disabled))
        .column("CREATED", |item| text(&item.created_at))
        .table()
}

/// One workspace.
pub(crate) fn workspace(item: &Workspace) -> Table {
    let mut table = workspaces(from_ref(item)).facts();
    table.fact("disabled", or(item.disabled_at.as_ref(), NOTHING));
    table
}

/// What can be lost when the database fails.
pub(crate) fn coherence(level: Coherence) -> &'static str {
    match level {
        Coherence::Strict => "nothing is lost in a failover to the synchronous standby (strict)",
        Coherence::SingleServer => "a failover to a copy can lose answered changes (single server)",
        Coherence::Weak => {
            "a crash can lose answered changes, because fsync or full_page_writes is off (weak)"
        }
        Coherence::Unknown => "unknown",
    }
}

/// The nodes of a database.
pub(crate) fn nodes(all: &Nodes) -> Table {
    Table::of(&all.items)
        .column("NAME", |node| match node.own {
            true => format!("{} (answers)", node.name),
            false => text(&node.name),
        })
        .column("STATE", |node| {
            let tone = match node.state {
                NodeState::Active => Tone::Good,
                NodeState::Silent => Tone::Bad,
                NodeState::Unknown => Tone::Plain,
            };
            state(node.state.as_str(), tone)
        })
        .column("VERSION", |node| text(&node.version))
        .column("BEHIND", |node| node.behind.to_string())
        .column("SILENT", |node| format!("{}s", node.silent_seconds))
        .column("REPLICAS", |node| node.replicas.to_string())
        .column("KEY", |node| or(node.newest_digest_key, NOTHING))
        .column("JOINED", |node| text(&node.joined_at))
        .column("DIFFERENT", |node| {
            let differing = node.differing_settings.iter();
            let differing = differing.map(|(setting, value)| format!("{setting}={value}"));
            list(&differing.collect::<Vec<_>>(), NOTHING)
        })
        .table()
}

/// A list of products.
pub(crate) fn products(items: &[Product]) -> Table {
    Table::of(items)
        .column("SLUG", |item| text(&item.slug))
        .column("NAME", |item| text(&item.name))
        .table()
}

/// One product.
pub(crate) fn product(item: &Product) -> Table {
    products(from_ref(item)).facts()
}

fn client_state(client: &Client) -> Cell {
    let tone = match client.state {
        ClientState::Enabled => Tone::Good,
        ClientState::Disabled => Tone::Odd,
        ClientState::Deleted => Tone::Bad,
        ClientState::Unknown => Tone::Plain,
    };
    state(client.state.as_str(), tone)
}

fn all_or(products: Option<&Vec<tokenward_api::Slug>>) -> String {
    products.map_or_else(|| "all".to_owned(), |slugs| list(slugs, "all"))
}

/// A list of API clients; `workspaces` names those that are known by id.
pub(crate) fn clients(items: &[Client], workspaces: &BTreeMap<Uuid, String>) -> Table {
    Table::of(items)
        .column("ID", |item| text(item.id))
        .column("LABEL", |item| text(&item.label))
        .column("WORKSPACE", |item| {
            let workspace = workspaces.get(&item.workspace_id).cloned();
            workspace.unwrap_or_else(|| item.workspace_id.to_string())
        })
        .column("ENVIRONMENT", |item| text(item.environment))
        .column("STATE", client_state)
        .column("PRODUCTS", |item| all_or(item.products.as_ref()))
        .column("TAGS", |item| list(&item.tags, NOTHING))
        .column("TOKEN", |item| token(&item.token))
        .column("LAST USED", last_used)
        .table()
}

/// The newest token, in a cell.
fn token(token: &ClientToken) -> Cell {
    let tone = match token.state {
        TokenState::None => return Cell::new("none"),
        TokenState::Live => Tone::Good,
        TokenState::Expired | TokenState::Disabled => Tone::Odd,
        TokenState::Revoked | TokenState::Unknown => Tone::Bad,
    };
    let word = format!("{} {}{}", token.generation, token.state, validity(token));
    state(&word, tone)
}

/// When a token ends, or ended, as the rest of a sentence.
pub(crate) fn validity(token: &ClientToken) -> String {
    match (token.state, &token.valid_till) {
        (TokenState::Live, Some(till)) => format!(", valid till {till}"),
        (TokenState::Live, None) => ", never expires".to_owned(),
        (TokenState::Disabled, Some(till)) => {
            format!(", refused until the client is enabled, then valid till {till}")
        }
        (TokenState::Disabled, None) => ", refused until the client is enabled".to_owned(),
        (TokenState::Expired, Some(till)) => format!(" {till}"),
        (TokenState::Revoked, _) => {
            let at = token.ended_at.as_ref();
            at.map_or_else(String::new, |at| format!(" {at}"))
        }
        _ => String::new(),
    }
}

fn used(at: Option<&Time>, from: Option<&String>, never: &str) -> String {
    match (at, from) {
        (Some(at), Some(from)) => format!("{at} from {from}"),
        (Some(at), None) => at.to_string(),
        (None, _) => never.to_owned(),
    }
}

/// When and from where the newest token was last used.
pub(crate) fn token_used(token: &ClientToken) -> String {
    let from = token.last_used_from.as_ref();
    used(token.last_used_at.as_ref(), from, "not used yet")
}

/// When and from where a client was last seen.
pub(crate) fn last_used(client: &Client) -> String {
    let from = client.last_used_from.as_ref();
    used(client.last_used_at.as_ref(), from, "never")
}

/// Who gets notices by e-mail; an address that is not confirmed says so.
fn notified(client: &Client) -> String {
    let addresses = client.notification_addresses.iter();
    let addresses = addresses.map(|address| match address.state {
        NotificationState::Confirmed => address.email.clone(),
        state => format!("{} ({state})", address.email),
    });
    list(&addresses.collect::<Vec<_>>(), "none")
}

/// One API client.
pub(crate) fn client(item: &Client) -> Table {
    let mut table = Table::default();
    table.fact("id", text(item.id));
    table.fact("label", text(&item.label));
    table.fact("environment", text(item.environment));
    table.fact("state", client_state(item));
    table.fact("workspace", text(item.workspace_id));
    table.fact("tags", list(&item.tags, "none"));
    table.fact("products", all_or(item.products.as_ref()));
    table.fact("token lifetime", seconds(item.token_lifetime_seconds));
    table.fact("on repeat", on_repeat(item));
    table.fact("hand-over", handover(item));
    table.fact("secret networks", list(&item.secret_networks, "any"));
    table.fact("token networks", list(&item.token_networks, "any"));
    table.fact("notified", notified(item));
    table.fact("created", text(&item.created_at));
    for (name, at) in [
        ("disabled", &item.disabled_at),
        ("deleted", &item.deleted_at),
    ] {
        if let Some(at) = at {
            table.fact(name, text(at));
        }
    }
    for secret in &item.secrets {
        table.fact(&format!("secret {}", secret.n), secret_line(secret));
    }
    table.fact("token", token(&item.token));
    if let Some(at) = &item.token.issued_at {
        table.fact("token issued", text(at));
    }
    if let Some(till) = &item.token.previous_valid_till {
        table.fact("token before", format!("still valid, till {till}"));
    }
    if item.token.state != TokenState::None {
        table.fact("token last used", token_used(&item.token));
    }
    table.fact("last used", last_used(item));
    if let Some(product) = &item.last_used_product {
        table.fact("last used for", text(product));
    }
    table
}

/// One client secret: note, age and quota.
pub(crate) fn secret_line(secret: &SecretInfo) -> String {
    let noted = match secret.note.as_str() {
        "" => String::new(),
        note => format!("{}, ", text(note)),
    };
    format!(
        "{noted}made {}, {} tokens today, {} left",
        text(&secret.created_at),
        secret.quota_used_today,
        secret.quota_left_today
    )
}

fn on_repeat(client: &Client) -> String {
    match client.on_repeat {
        OnRepeat::Return => {
            let before = seconds(Some(client.renew_before_seconds));
            format!("return, renew {before} before the end")
        }
        other => other.to_string(),
    }
}

fn handover(client: &Client) -> String {
    match client.handover_max_seconds {
        0 => "none: a new token revokes the old one at once".to_owned(),
        most => format!("at most {}", seconds(Some(most))),
    }
}

/// A list of admin keys.
pub(crate) fn admin_keys(items: &[AdminKeyInfo]) -> Table {
    Table::of(items)
        .column("ID", |item| text(item.id))
        .column("NAME", |item| text(&item.name))
        .column("ROLE", |item| text(item.role.role))
        .column("WORKSPACE", |item| or(item.role.workspace_id, "all"))
        .column("PRODUCTS", |item| all_or(item.role.products.as_ref()))
        .column("EXPIRES", |item| or(item.expires_at.as_ref(), "never"))
        .column("LAST USED", |item| or(item.last_used_at.as_ref(), "never"))
        .column("STATE", |item| match item.revoked_at {
            Some(_) => state("revoked", Tone::Bad),
            None => state("enabled", Tone::Good),
        })
        .column("NOTE", |item| text(&item.note))
        .table()
}

/// A member, or somebody who is invited.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Value")]
pub(crate) enum Person {
    /// A member.
    Member(Box<Member>),
    /// An invitation: it has an end.
    Invited(Box<Invitation>),
    /// Neither.
    Unknown,
}

impl From<Value> for Person {
    fn from(value: Value) -> Self {
        let read = match value.get("expires_at").is_some() {
            true => serde_json::from_value(value).map(Self::Invited),
            false => serde_json::from_value(value).map(Self::Member),
        };
        read.unwrap_or(Self::Unknown)
    }
}

/// A list of members, or of those who are invited.
pub(crate) fn people(items: &[Person]) -> Table {
    let mut table = Table::new(&[
        "ID",
        "E-MAIL",
        "NAME",
        "ROLE",
        "WORKSPACE",
        "PRODUCTS",
        "PROOFS",
        "STATE",
    ]);
    for item in items {
        let (id, email, name, role, proofs, state) = match item {
            Person::Member(member) => (
                member.id,
                text(&member.email),
                text(&member.name),
                &member.role,
                proofs(member),
                switched(member.disabled),
            ),
            Person::Invited(one) => (
                one.id,
                or(one.email.as_ref(), "the holder of the link"),
                NOTHING.to_owned(),
                &one.role,
                NOTHING.to_owned(),
                state(&format!("invited till {}", one.expires_at), Tone::Odd),
            ),
            Person::Unknown => continue,
        };
        table.row([
            text(id).into(),
            email.into(),
            name.into(),
            text(role.role).into(),
            or(role.workspace_id, "all").into(),
            all_or(role.products.as_ref()).into(),
            proofs.into(),
            state,
        ]);
    }
    table
}

/// One member.
pub(crate) fn person(item: &Member) -> Table {
    let member = Person::Member(Box::new(item.clone()));
    let mut table = people(&[member]).facts();
    table.fact("joined", text(&item.created_at));
    table
}

/// How a member signs in.
fn proofs(member: &Member) -> String {
    let has = [
        (member.has_password, "password".to_owned()),
        (member.has_authenticator_app, "authenticator app".to_owned()),
        (member.single_sign_on, "single sign-on".to_owned()),
        (member.passkeys == 1, "passkey".to_owned()),
        (member.passkeys > 1, format!("{} passkeys", member.passkeys)),
    ];
    let has = has
        .into_iter()
        .filter_map(|(has, word)| has.then_some(word));
    list(&has.collect::<Vec<_>>(), NOTHING)
}

/// A client's usage: requests and tokens by day and outcome, then sources of the requests.
pub(crate) fn usage(item: &Usage) -> Vec<(&'static str, Table)> {
    let mut counts = Table::new(&["DAY", "PRODUCT", "OUTCOME", "COUNT"]);
    for one in &item.counts {
        let product = or(one.product.as_ref(), NOTHING);
        let cells = [text(&one.day), product, text(&one.outcome), text(one.count)];
        counts.row(cells.map(Cell::from));
    }
    let mut sources = Table::new(&["DAY", "SOURCE", "OUTCOME", "COUNT", "LAST"]);
    let good = |_| Cell::new("PERMIT").tone(Tone::Good);
    let permitted = item
        .sources
        .iter()
        .map(|one| (&one.day, &one.source, good(()), one.count, &one.last_at));
    let stale = item.stale_uses.iter().map(|one| {
        let outcome = Cell::new(&one.outcome).tone(Tone::Odd);
        (&one.day, &one.source, outcome, one.count, &one.last_at)
    });
    for (day, source, outcome, count, last) in permitted.chain(stale) {
        sources.row([
            text(day).into(),
            text(source).into(),
            outcome,
            text(count).into(),
            text(last).into(),
        ]);
    }
    vec![("Requests and tokens", counts), ("Sources", sources)]
}

/// A list of webhooks.
pub(crate) fn webhooks(items: &[Webhook]) -> Table {
    Table::of(items)
        .column("ID", |item| text(item.id))
        .column("URL", |item| text(&item.url))
        .column("STATE", |item| switched(item.disabled))
        .column("OFF", |item| events(&item.preferences, NoticeDelivery::Off))
        .column("CREATED", |item| text(&item.created_at))
        .column("NOTE", |item| text(&item.note))
        .table()
}

/// The events with this delivery.
fn events(preferences: &[NoticePreference], delivery: NoticeDelivery) -> String {
    let own = preferences.iter().filter(|one| one.delivery == delivery);
    let words: Vec<_> = own.map(|one| one.event.as_str()).collect();
    list(&words, NOTHING)
}

/// Notification emails of a workspace with their preferences.
pub(crate) fn addresses(items: &[WorkspaceAddress]) -> Table {
    let with = |item: &WorkspaceAddress, delivery| events(&item.preferences, delivery);
    Table::of(items)
        .column("EMAIL", |item| text(&item.email))
        .column("STATE", |item| match item.state {
            NotificationState::Confirmed => state(item.state.as_str(), Tone::Good),
            _ => state(item.state.as_str(), Tone::Odd),
        })
        .column("DAILY", |item| with(item, NoticeDelivery::Daily))
        .column("OFF", |item| with(item, NoticeDelivery::Off))
        .table()
}

/// Notices that were sent or wait to be.
pub(crate) fn notices(items: &[Notice]) -> Table {
    Table::of(items)
        .column("CREATED", |item| text(&item.created_at))
        .column("TYPE", |item| text(&item.kind))
        .column("TO", |item| match &item.email {
            Some(email) => email.clone(),
            None => format!("webhook {}", or(item.webhook_id, NOTHING)),
        })
        .column("STATE", |item| {
            let tone = match item.state {
                NoticeState::Delivered => Tone::Good,
                NoticeState::Waiting => Tone::Odd,
                NoticeState::GivenUp | NoticeState::Unknown => Tone::Bad,
            };
            state(&item.state.as_str().replace('_', " "), tone)
        })
        .column("ATTEMPTS", |item| text(item.attempts))
        .column("LAST ERROR", |item| or(item.last_error.as_ref(), NOTHING))
        .table()
}

/// Entries of the audit log.
pub(crate) fn audit(items: &[AuditEntry]) -> Table {
    Table::of(items)
        .column("SEQ", |item| text(item.seq))
        .column("AT", |item| text(&item.at))
        .column("ACTOR", |item| text(&item.actor))
        .column("SOURCE", |item| text(&item.source))
        .column("ACTION", |item| text(&item.action))
        .column("CLIENT", |item| or(item.client_id, NOTHING))
        .column("DETAIL", |item| {
            tokenward_api::audit_text::line(&item.detail)
        })
        .table()
}

/// The server's state, member by member.
pub(crate) fn members(value: &Value) -> Table {
    let mut table = Table::default();
    for (name, value) in value.as_object().into_iter().flatten() {
        let shown = match value {
            Value::String(word) => text(word),
            other => other.to_string(),
        };
        table.fact(&name.replace('_', " "), shown);
    }
    table
}

#[cfg(test)]
pub(crate) mod tests;
