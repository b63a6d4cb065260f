//! The list of a workspace's clients in one environment: a page at a time, searched and filtered by the database.

use super::super::prelude::*;
use super::super::workspaces;
use super::{Standing, moment, product_name, product_words, standing};
use crate::verbs::overview::{LONG_LIVED_MICROS, expiring_before};
use crate::verbs::{clients, products, tags};
use tokenward_core::client::Workspace;
use tokenward_core::ids::{ClientNo, Environment};
use tokenward_store::{ClientFilter, ClientOrder, StateFilter};

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
    tags: Vec<String>,
}

/// A column that sorts the list.
struct Sorted {
    /// Where a click leads.
    address: String,
    /// How the list is sorted by it: `ascending`, `descending`, or empty.
    now: &'static str,
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
    /// Whether some of the clients that are shown can be chosen for an act: nothing can be done to deleted ones.
    chooses: bool,
    tag: String,
    tags: Vec<String>,
    /// How many clients the filter finds, in words; empty where that is not known.
    total: String,
    by_name: Sorted,
    by_end: Sorted,
    by_use: Sorted,
    /// The order, to be kept by the filter's form.
    sort: String,
    /// Whether columns sort.
    sorts: bool,
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
) -> Result<(Workspace, Environment), PageError> {
    let found = workspaces::one(app, person, workspace).await?;
    let environment = Environment::parse(environment);
    let environment = environment.ok_or(PageError::NotFound("environment"))?;
    Ok((found, environment))
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

/// Clients counted for the total; more are "more than".
const COUNTED: u32 = 10_000;

/// The orders, as addresses name them.
fn order(word: &str) -> Option<ClientOrder> {
    Some(match word {
        "name" => ClientOrder::Label,
        "expires" => ClientOrder::Ends,
        "used" => ClientOrder::Used,
        "unused" => ClientOrder::Unused,
        _ => return None,
    })
}

/// What of the query stays when the list is sorted otherwise or a page turned.
const KEPT: [&str; 4] = ["q", "state", "product", "tag"];

/// The list's address with the same filters and something else.
fn again(base: &str, query: &Form, more: &[(&str, &str)]) -> String {
    let more = more.iter().filter(|(_, value)| !value.is_empty());
    let kept = more.fold(query.only(KEPT), |form, (name, value)| {
        form.with(name, value)
    });
    match kept.encoded() {
        pairs if pairs.is_empty() => base.to_owned(),
        pairs => format!("{base}?{pairs}"),
    }
}

/// A column: a click sorts by it, the next one the other way round or not at all.
fn column(base: &str, query: &Form, words: &[(&'static str, &'static str)]) -> Sorted {
    let at = query.text("sort");
    let place = words.iter().position(|(word, _)| *word == at);
    let next = place.map_or(0, |place| place + 1);
    let next = words.get(next).map_or("", |(word, _)| word);
    Sorted {
        address: again(base, query, &[("sort", next)]),
        now: place.map_or("", |place| words[place].1),
    }
}

fn total(found: Option<u32>, filtered: bool) -> String {
    let Some(found) = found else {
        return String::new();
    };
    let (n, plural) = match found {
        more if more > COUNTED => (format!("More than {}", count(COUNTED.into())), "s"),
        1 => ("1".to_owned(), ""),
        n => (count(n.into()), "s"),
    };
    let matching = if filtered { " found" } else { "" };
    format!("{n} API client{plural}{matching}")
}

/// `GET /console/w/{workspace}/{environment}`
pub(in super::super) async fn show(
    Path((workspace, environment)): Path<(String, String)>,
    Member(app, person): Member,
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
    let sees_all = admin.sees_all_clients();
    // What a product admin does not see is left out behind the database, page by page in the order of the clients.
    let sorted = order(query.text("sort")).filter(|_| sees_all);
    let turned: u32 = query.text("page").parse().unwrap_or(0);
    let mut filter = ClientFilter {
        environment: Some(environment),
        tag: Some(query.text("tag").to_owned()).filter(|tag| !tag.is_empty()),
        order: sorted,
        offset: turned.saturating_mul(PAGE as u32),
        search: (!search.is_empty()).then(|| search.clone()),
        product: product.map(|product| product.no),
        state: state_filter(query.text("state"), now),
        after: before,
        newest_first: true,
        limit: match sees_all {
            false => READ,
            true => PAGE as u32 + 1,
        },
        ..ClientFilter::default()
    };
    let counted = clients::count(&app.data, &admin, workspace.id, &filter, COUNTED).await?;
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
    let older = last.filter(|_| more).map(|last| match sorted {
        None => again(&base, &query, &[("before", &last.0.to_string())]),
        Some(_) => {
            let page = (turned + 1).to_string();
            again(
                &base,
                &query,
                &[("sort", query.text("sort")), ("page", &page)],
            )
        }
    });
    let most = app.data.config.quota_per_day;
    let lines = found.iter().map(|read| line(read, now, most)).collect();
    let filtered = KEPT.iter().any(|name| !query.text(name).trim().is_empty());
    let frame = Frame::new(&person, "API clients", "clients")
        .at(Place::new(&workspace, Some(environment)))
        .done(query.text("done"));
    let base_again = base.clone();
    page(&ClientsPage {
        frame,
        base,
        lines,
        filtered,
        total: total(counted, filtered),
        by_name: column(&base_again, &query, &[("name", "ascending")]),
        by_end: column(&base_again, &query, &[("expires", "ascending")]),
        by_use: column(
            &base_again,
            &query,
            &[("used", "descending"), ("unused", "ascending")],
        ),
        sort: match sorted {
            Some(_) => query.text("sort").to_owned(),
            None => String::new(),
        },
        tag: query.text("tag").to_owned(),
        tags: tags::offered(&app.data, &admin, &workspace).await?,
        sorts: sees_all,
        search,
        state: query.text("state").to_owned(),
        states: STATES,
        product: query.text("product").to_owned(),
        products: super::super::products::options(&products),
        manages: admin.writes(),
        chooses: admin.writes() && query.text("state") != "deleted",
        older,
        paged: before.is_some() || turned > 0,
    })
}

fn line(read: &clients::Read, now: Timestamp, most: u32) -> Line {
    let (client, slot) = (&read.state.client, &read.state.slot);
    let (live, last) = (slot.live(now), read.last_use.as_ref());
    let product = last.map(|used| product_name(used.product, &read.products));
    let used = read.state.quotas(now).map(|(_, used)| used).max();
    Line {
        id: client.id.to_string(),
        label: client.settings.label.to_string(),
        standing: standing(read, now),
        generation: slot.generation,
        ends: moment(live.and_then(|token| token.valid_till), now),
        never_ends: live.is_some_and(|token| token.valid_till.is_none()),
        used: moment(last.map(|used| used.at), now),
        used_from: last.map_or_else(String::new, |used| used.source.clone()),
        used_product: product.unwrap_or_default(),
        quota_used: used.unwrap_or(0),
        quota_most: most,
        products: product_words(read),
        tags: read.tags.clone(),
    }
}
