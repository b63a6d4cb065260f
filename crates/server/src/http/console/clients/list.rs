//! The list of a workspace's clients in one environment: a page at a time, searched and filtered by the database.

use super::super::form::Form;
use super::super::frame::{Frame, Place};
use super::super::reply::{Reply, Trouble, page};
use super::super::session::Member;
use super::super::shown::Moment;
use super::{Standing, moment, product_name, product_words, standing};
use crate::app::App;
use crate::verbs::overview::{LONG_LIVED_MICROS, expiring_before};
use crate::verbs::sign_in::Person;
use crate::verbs::{clients, products, workspaces};
use askama::Template;
use axum::extract::{Path, State};
use std::sync::Arc;
use tokenward_core::client::{Role, Workspace};
use tokenward_core::ids::{ClientNo, Environment, WorkspaceId};
use tokenward_core::time::{Clock, Timestamp};
use tokenward_store::{ClientFilter, StateFilter};
use uuid::Uuid;

/// Clients on a page.
const PAGE: usize = 50;
/// Rows read at once for somebody who sees only some of them.
const READ: u32 = 1_000;
/// Reads for one page: somebody who sees few of many clients turns pages that are not full.
const READS_MAX: usize = 25;
/// Seconds without use after which a client counts as unused.
const UNUSED_SECONDS: i64 = 30 * 86_400;

struct Line {
    id: String,
    label: String,
    standing: Standing,
    generation: u32,
    ends: Option<Moment>,
    never_ends: bool,
    used: Option<Moment>,
    used_from: String,
    used_product: String,
    quota_used: u32,
    quota_most: u32,
    products: String,
}

#[derive(Template)]
#[template(path = "console/clients.html")]
struct ClientsPage {
    frame: Frame,
    base: String,
    lines: Vec<Line>,
    search: String,
    state: String,
    states: &'static [(&'static str, &'static str)],
    product: String,
    products: Vec<(String, String)>,
    filtered: bool,
    manages: bool,
    /// The address of the next page.
    older: Option<String>,
    /// Whether this is not the first page.
    paged: bool,
}

const STATES: &[(&str, &str)] = &[
    ("", "All states"),
    ("live", "Active"),
    ("expiring", "Expiring within 7 days"),
    ("expired", "Expired"),
    ("revoked", "Revoked"),
    ("no-token", "No token yet"),
    ("never-used", "Never used"),
    ("unused", "Unused for 30 days"),
    ("misuse", "Denied tokens in use"),
    ("disabled", "Disabled"),
    ("deleted", "Deleted"),
];

/// The workspace and environment of an address.
pub(in super::super) async fn place(
    app: &App,
    person: &Person,
    workspace: &str,
    environment: &str,
) -> Result<(Workspace, Environment), Trouble> {
    let id = Uuid::try_parse(workspace).map_err(|_| Trouble::NotFound("workspace"))?;
    let found = workspaces::show(&app.data, &person.admin(), WorkspaceId(id)).await?;
    let environment = Environment::parse(environment);
    Ok((found, environment.ok_or(Trouble::NotFound("environment"))?))
}

fn state_filter(word: &str, now: Timestamp) -> Option<StateFilter> {
    Some(match word {
        "live" => StateFilter::Live(now),
        "expiring" => StateFilter::Expiring {
            now,
            before: expiring_before(now),
            lived_micros: LONG_LIVED_MICROS,
        },
        "expired" => StateFilter::Expired(now),
        "revoked" => StateFilter::Revoked,
        "misuse" => StateFilter::StaleSince(now.utc_day().saturating_sub(1)),
        "no-token" => StateFilter::NeverGenerated,
        "never-used" => StateFilter::NeverUsed,
        "unused" => StateFilter::UnusedSince(Timestamp(now.0 - UNUSED_SECONDS * 1_000_000)),
        "disabled" => StateFilter::Disabled,
        "deleted" => StateFilter::Deleted,
        _ => return None,
    })
}

/// `GET /console/w/{workspace}/{environment}`
pub(in super::super) async fn show(
    State(app): State<Arc<App>>,
    Path((workspace, environment)): Path<(String, String)>,
    Member(person): Member,
    uri: http::Uri,
) -> Reply {
    let (workspace, environment) = place(&app, &person, &workspace, &environment).await?;
    let query = Form::query(&uri);
    let (now, admin) = (app.data.clock().wall(), person.admin());
    let products = products::list(&app.data).await?;
    let search = query.text("q").trim().to_owned();
    // Whoever has an id at hand looks for it here.
    if let Ok(id) = super::id(&search)
        && clients::show(&app.data, &admin, id).await.is_ok()
    {
        return Ok(super::super::reply::see(&format!("/console/clients/{id}")));
    }
    let product = products
        .iter()
        .find(|product| product.slug.as_str() == query.text("product"));
    let before = query.text("before").parse().ok().map(ClientNo);
    let mut filter = ClientFilter {
        environment: Some(environment),
        search: (!search.is_empty()).then(|| search.clone()),
        product: product.map(|product| product.no),
        state: state_filter(query.text("state"), now),
        after: before,
        newest_first: true,
        // What a product admin does not see is left out behind the database.
        limit: match person.member.role {
            Role::ProductAdmin { .. } => READ,
            _ => PAGE as u32 + 1,
        },
        ..ClientFilter::default()
    };
    let mut found = Vec::new();
    for _ in 0..READS_MAX {
        let (some, next) = clients::list(&app.data, &admin, workspace.id, filter.clone()).await?;
        found.extend(some);
        filter.after = next.map(ClientNo);
        if found.len() > PAGE || filter.after.is_none() {
            break;
        }
    }
    let more = found.len() > PAGE || filter.after.is_some();
    let last = match found.get(PAGE - 1) {
        Some(read) => Some(read.state.client.no),
        None => filter.after,
    };
    found.truncate(PAGE);
    let base = format!("/console/w/{}/{}", workspace.id, environment.as_str());
    let older = last.filter(|_| more).map(|last| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for name in ["q", "state", "product"] {
            if !query.text(name).is_empty() {
                pairs.append_pair(name, query.text(name));
            }
        }
        pairs.append_pair("before", &last.0.to_string());
        format!("{base}?{}", pairs.finish())
    });
    let most = app.data.config.quota_per_day;
    let lines = found.iter().map(|read| line(read, now, most)).collect();
    let frame = Frame::new(&person, "API clients", "clients")
        .at(Place::new(&workspace, Some(environment)))
        .done(query.text("done"));
    page(&ClientsPage {
        frame,
        base,
        lines,
        filtered: !search.is_empty()
            || !query.text("state").is_empty()
            || !query.text("product").is_empty(),
        search,
        state: query.text("state").to_owned(),
        states: STATES,
        product: query.text("product").to_owned(),
        products: products
            .iter()
            .map(|product| (product.slug.to_string(), product.name.to_string()))
            .collect(),
        manages: admin.writes(),
        older,
        paged: before.is_some(),
    })
}

fn line(read: &clients::Read, now: Timestamp, most: u32) -> Line {
    let (client, slot) = (&read.state.client, &read.state.slot);
    let live = slot.live(now);
    let used = read.state.quotas(now).map(|(_, used)| used).max();
    Line {
        id: client.id.to_string(),
        label: client.settings.label.to_string(),
        standing: standing(read, now),
        generation: slot.generation,
        ends: moment(live.and_then(|token| token.valid_till), now),
        never_ends: live.is_some_and(|token| token.valid_till.is_none()),
        used: moment(read.last_use.as_ref().map(|used| used.at), now),
        used_from: read
            .last_use
            .as_ref()
            .map_or_else(String::new, |used| used.source.clone()),
        used_product: read.last_use.as_ref().map_or_else(String::new, |used| {
            product_name(used.product, &read.products)
        }),
        quota_used: used.unwrap_or(0),
        quota_most: most,
        products: product_words(read),
    }
}
