//! Who may do what, through the pages: by the one table that the admin API is held to. What belongs to others looks
//! exactly like what does not exist.

use crate::acts::acts;
use crate::house::{Browser, House};
use reqwest::Method;
use serde_json::json;
use std::cell::Cell;
use tokenward_testkit::{expect_status, text};

/// What becomes of an act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It is done, or shown.
    Done,
    /// The role does not allow it.
    Forbidden,
    /// There is no such thing, for this role.
    Hidden,
}

fn fate(status: u16) -> Option<Fate> {
    match status {
        200..=299 | 303 => Some(Fate::Done),
        403 => Some(Fate::Forbidden),
        404 => Some(Fate::Hidden),
        _ => None,
    }
}

/// By whom, in the order of the table's columns.
const ROLES: [&str; 5] = [
    "operator",
    "workspace admin",
    "product admin",
    "auditor",
    "overseer",
];

/// A page or a form, and the row of the table that says who may have it: method, path, and which of the rows of these,
/// from 0. None: the page has no counterpart, and its fates stand here.
pub(crate) struct Page {
    row: Result<(&'static str, &'static str, usize), [Fate; 5]>,
    pub(crate) path: &'static str,
    /// None to look, a form to send.
    pub(crate) form: Option<Vec<(&'static str, &'static str)>>,
}

impl Page {
    fn fates(&self) -> [Fate; 5] {
        match self.row {
            Ok((method, path, nth)) => fates(method, path, nth),
            Err(own) => own,
        }
    }

    /// Whether an operator may have it.
    pub(crate) fn is_done_by_operators(&self) -> bool {
        self.fates()[0] == Fate::Done
    }
}

/// An address that is notified of the events of a client in acme.
const TOLD: &str = "told@example.com";

/// A row of the table, and the page or form for it: method, path and, if it is not the first of these, its number; the
/// page's path; the form that is sent, if it is not only looked at.
const PAGES: &str = "
GET /workspaces | /workspaces
POST /workspaces | /workspaces/new | name=w {n}
GET /workspaces/{acme} | /workspaces/{acme}
GET /workspaces/{other} | /workspaces/{other}
PATCH /workspaces/{acme} | /workspaces/{acme} | name=acme
PATCH /workspaces/{other} | /workspaces/{other} | name=other
PATCH /workspaces/{acme} | /workspaces/{acme}/enable |
PATCH /workspaces/{other} | /workspaces/{other}/enable |
GET /products | /products
PUT /products/tds | /products | slug=p-{n}&name=P
DELETE /products/e-invoice | /products/{spare}/delete |
GET /workspaces/{acme}/clients | /w/{acme}/sandbox
GET /workspaces/{other}/clients | /w/{other}/sandbox
POST /workspaces/{acme}/clients | /w/{acme}/sandbox/new | label=new {n}&scope=all&products=&lifetime=900
POST /workspaces/{acme}/clients #1 | /w/{acme}/sandbox/new | label=new {n}&scope=some&products=gst&lifetime=900
POST /workspaces/{acme}/clients #2 | /w/{acme}/sandbox/new | label=new {n}&scope=some&products=max-itc&lifetime=900
POST /workspaces/{other}/clients | /w/{other}/sandbox/new | label=new {n}&scope=some&products=gst&lifetime=900
GET /audit | /audit
GET /audit?workspace_id={acme} | /audit?workspace={acme}
GET /audit?workspace_id={other} | /audit?workspace={other}
GET /audit | /audit/export.csv
GET /audit/verify | /audit/verify |
GET /admin-keys | /admin-keys
POST /admin-keys | /admin-keys/new | name=k&role=auditor
DELETE /admin-keys/{key} | /credentials/admin-key/{key}/0 | note=x
DELETE /admin-keys/{key} | /admin-keys/{key}/revoke |
GET /workspaces/{acme}/webhooks | /w/{acme}/notices
GET /workspaces/{other}/webhooks | /w/{other}/notices
POST /workspaces/{acme}/webhooks | /w/{acme}/notices | url=https://hooks.example.com/{n}
POST /workspaces/{other}/webhooks | /w/{other}/notices | url=https://hooks.example.com/{n}
POST /webhooks/{hook}/test | /w/{acme}/webhooks/{hook}/test |
POST /webhooks/{hook}/secret | /w/{acme}/webhooks/{hook}/rotate |
PATCH /webhooks/{hook} | /w/{acme}/webhooks/{hook}/disable |
PATCH /webhooks/{hook} | /credentials/webhook/{hook}/0 | note=x
PATCH /webhooks/{hook} | /w/{acme}/webhooks/{hook}/preferences | client.unused=off
PATCH /workspaces/{acme}/notification-addresses | /w/{acme}/addresses | email=told@example.com&client.unused=off
DELETE /webhooks/{hook} | /w/{acme}/webhooks/{hook}/delete |
DELETE /webhooks/{far_hook} | /w/{other}/webhooks/{far_hook}/delete |
GET /members | /members
GET /members/{member} | /members/{member}
GET /members/{far_member} | /members/{far_member}
POST /members | /members/invite | email=m{n}@example.com&role=operator&workspace_id=
POST /members #1 | /members/invite | email=m{n}@example.com&role=auditor&workspace_id=
POST /members #2 | /members/invite | email=m{n}@example.com&role=auditor&workspace_id={acme}
POST /members #3 | /members/invite | email=m{n}@example.com&role=workspace_admin&workspace_id={acme}
POST /members #4 | /members/invite | email=m{n}@example.com&role=workspace_admin&workspace_id={other}
PATCH /members/{member} | /members/{member}/disable |
PATCH /members/{far_member} | /members/{far_member}/disable |
PATCH /members/{member} #1 | /members/{member} | role=operator
PATCH /members/{member} #2 | /members/{member} | role=workspace_admin&workspace_id={acme}
PATCH /members/{member} #3 | /members/{member} | role=workspace_admin&workspace_id={other}
DELETE /members/{member} | /members/{member}/remove |
DELETE /members/{far_member} | /members/{far_member}/remove |
DELETE /invitations/{invitation} | /invitations/{invitation}/withdraw |
DELETE /invitations/{far_invitation} | /invitations/{far_invitation}/withdraw |
GET /status | /status
POST /clients/{gst}/disable | /w/{acme}/sandbox/bulk | act=disable&client={gst}
POST /clients/{all}/disable | /w/{acme}/sandbox/bulk | act=disable&client={all}
PATCH /clients/{gst} #1 | /clients/{gst}/edit | label=changed {n}&scope=all&lifetime=900
";

/// The same for each client. Who may disable one may enable it, and may change the note of a secret.
const PAGES_OF_CLIENT: &str = "
GET /clients/{client} | /clients/{client}
GET /clients/{client}/usage | /clients/{client}
PATCH /clients/{client} | /clients/{client}/edit | label=changed {n}&scope=some&products=gst&lifetime=900
POST /clients/{client}/token | /clients/{client}/generate | generation=0
DELETE /clients/{client}/token | /clients/{client}/revoke |
POST /clients/{client}/secrets | /clients/{client}/rotate |
DELETE /clients/{client}/secrets/1 | /clients/{client}/delete-secret-1 |
POST /clients/{client}/disable | /clients/{client}/disable |
POST /clients/{client}/confirmation-mails | /clients/{client}/resend-confirmation |
POST /clients/{client}/disable | /credentials/secret/{client}/1 | note=x
POST /clients/{client}/disable | /clients/{client}/enable |
DELETE /clients/{client}?label={which} | /clients/{client}/delete | label={label}
";

pub(crate) fn pages() -> Vec<Page> {
    use Fate::{Done as Y, Forbidden as N, Hidden as H};
    let of_clients = ["gst", "all", "far"].map(|which| {
        let of_client = PAGES_OF_CLIENT.replace("{client}", &format!("{{{which}}}"));
        of_client.replace("{which}", which)
    });
    let all: &'static str = (PAGES.to_owned() + &of_clients.concat()).leak();
    let lines = all.lines().filter(|line| !line.is_empty());
    let mut pages: Vec<Page> = lines.map(page).collect();
    // Nobody changes themselves: for the one operator there is, that is the refusal.
    let own = |path, form| Page {
        row: Err([N, H, N, H, N]),
        path,
        form: Some(fields(form)),
    };
    pages.push(own("/members/{asha}/remove", ""));
    pages.push(own("/members/{asha}", "role=auditor"));
    pages.push(own("/members/{asha}/disable", ""));
    pages.push(Page {
        row: Err([Y, N, N, N, Y]),
        path: "/settings",
        form: None,
    });
    pages
}

fn page(line: &'static str) -> Page {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let words: Vec<&str> = parts[0].split(' ').collect();
    let nth = words.get(2).map_or(0, |nth| nth[1..].parse().unwrap());
    Page {
        row: Ok((words[0], words[1], nth)),
        path: parts[1],
        form: parts.get(2).map(|form| fields(form)),
    }
}

/// The fields of a form that is written as in a query.
fn fields(form: &'static str) -> Vec<(&'static str, &'static str)> {
    let fields = form.split('&').filter(|field| !field.is_empty());
    fields.map(|field| field.split_once('=').unwrap()).collect()
}

/// The fates of a row of the table.
fn fates(method: &str, path: &str, nth: usize) -> [Fate; 5] {
    let rows = acts().into_iter();
    let mut rows = rows.filter(|(known, at, ..)| *known == method && *at == path);
    let (.., statuses) = rows
        .nth(nth)
        .unwrap_or_else(|| panic!("no row {nth} of {method} {path}"));
    statuses.map(|status| fate(status).unwrap())
}

pub(crate) struct World {
    pub(crate) house: House,
    pub(crate) operator: Browser,
    acme: String,
    other: String,
    asha: String,
    n: Cell<u32>,
}

impl World {
    /// A server with two workspaces and three products, whose first operator is signed in.
    pub(crate) async fn new() -> Self {
        let (house, operator) = House::with_operator().await;
        for slug in ["gst", "max-itc", "e-invoice"] {
            house.api.product(slug, slug).await.unwrap();
        }
        let (acme, other) = house.two_workspaces().await;
        let path = format!("/workspaces/{acme}/clients");
        let body =
            json!({ "label": "told", "environment": "sandbox", "notification_emails": [TOLD] });
        expect_status(house.api.tell(Method::POST, &path, &body), 201).await;
        let members = operator.get("/console/members").await;
        let [asha] = members.ids("/console/members/").try_into().unwrap();
        Self {
            house,
            operator,
            acme,
            other,
            asha,
            n: Cell::default(),
        }
    }

    /// A number that was not used before.
    pub(crate) fn next(&self) -> u32 {
        self.n.set(self.n.get() + 1);
        self.n.get()
    }

    /// Fills in the names of things; each is made new as it is named.
    pub(crate) async fn filled(
        &self,
        text: &str,
        label: &str,
        made: &mut Vec<(&'static str, String)>,
    ) -> String {
        let mut out = text.to_owned();
        let names = "{gst} {all} {far} {spare} {key} {hook} {far_hook} {member} {far_member} {invitation} {far_invitation}";
        for name in names.split(' ') {
            if !out.contains(name) {
                continue;
            }
            if !made.iter().any(|(known, _)| *known == name) {
                made.push((name, self.make(name, label).await));
            }
            let thing = made.iter().find(|(known, _)| *known == name).unwrap();
            out = out.replace(name, &thing.1);
        }
        out.replace("{acme}", &self.acme)
            .replace("{other}", &self.other)
            .replace("{asha}", &self.asha)
            .replace("{label}", label)
            .replace("{n}", &self.n.get().to_string())
    }

    async fn make(&self, name: &str, label: &str) -> String {
        let house = &self.house;
        let workspace = if name.contains("far") {
            &self.other
        } else {
            &self.acme
        };
        let n = self.n.get();
        let (path, body, id) = match name {
            "{all}" => return house.client(workspace, label, None).await,
            "{gst}" | "{far}" => return house.client(workspace, label, Some(&["gst"])).await,
            "{spare}" => {
                let slug = format!("spare-{n}");
                house.api.product(&slug, "Spare").await.unwrap();
                return slug;
            }
            "{member}" | "{far_member}" => {
                let email = format!("x{n}@example.com");
                let role = [("role", "auditor"), ("workspace_id", workspace.as_str())];
                house.invited(&self.operator, &email, &role).await;
                return house.member(&email).await;
            }
            "{key}" => {
                let body = json!({ "name": "k", "role": "auditor" });
                ("/admin-keys".to_owned(), body, "/admin_key/id")
            }
            "{hook}" | "{far_hook}" => {
                let path = format!("/workspaces/{workspace}/webhooks");
                // A workspace has few.
                for old in house.api.items(&path).await {
                    let old = format!("/webhooks/{}", text(&old, "/id"));
                    expect_status(house.api.ask(Method::DELETE, &old), 204).await;
                }
                let body = json!({ "url": format!("https://hooks.example.com/new-{n}") });
                (path, body, "/webhook/id")
            }
            _ => {
                let email = format!("i{n}@example.com");
                let body = json!({ "email": email, "role": "auditor", "workspace_id": workspace });
                ("/members".to_owned(), body, "/invitation/id")
            }
        };
        house.made(&path, body, id).await
    }

    async fn ask(&self, person: &Browser, page: &Page) -> (Option<Fate>, String) {
        let label = format!("p {}", self.next());
        let mut made = Vec::new();
        let path = self.filled(page.path, &label, &mut made).await;
        let path = format!("/console{path}");
        let answer = match &page.form {
            None => person.get(&path).await,
            Some(form) => {
                let mut whole = Vec::new();
                for (name, value) in form {
                    whole.push((*name, self.filled(value, &label, &mut made).await));
                }
                whole.extend(as_opened(person, &path).await);
                person.send_owned(&path, &whole).await
            }
        };
        if answer.text.contains("Nobody changes or removes themselves") {
            return (Some(Fate::Forbidden), answer.text);
        }
        (fate(answer.status.as_u16()), answer.text)
    }
}

/// The fields by which an edit form tells what it was opened on; none for other forms and for those who may not edit.
pub(crate) async fn as_opened(person: &Browser, path: &str) -> Vec<(&'static str, String)> {
    let edits_role = path.starts_with("/console/members/") && path.split('/').count() == 4;
    if !edits_role && !path.ends_with("/edit") {
        return Vec::new();
    }
    let page = person.get(path).await;
    let fields = ["version", "opened"].into_iter();
    let fields = fields.filter(|name| page.text.contains(&format!("name=\"{name}\"")));
    fields
        .map(|name| (name, page.hidden(name).replace("&#38;", "&")))
        .collect()
}

#[tokio::test]
async fn the_pages_keep_to_the_table_of_the_api() {
    let world = World::new().await;
    let (house, operator) = (&world.house, &world.operator);
    let at = ("workspace_id", world.acme.as_str());
    let mut people = vec![operator.clone()];
    for (email, role) in [
        ("w@example.com", &[("role", "workspace_admin"), at][..]),
        (
            "p@example.com",
            &[("role", "product_admin"), at, ("products", "gst")],
        ),
        ("a@example.com", &[("role", "auditor"), at]),
        ("o@example.com", &[("role", "auditor")]),
    ] {
        people.push(house.invited(operator, email, role).await);
    }
    let mut wrong = Vec::new();
    for page in pages() {
        for (place, expected) in page.fates().into_iter().enumerate() {
            let (found, text) = world.ask(&people[place], &page).await;
            if found != Some(expected) {
                let (role, path) = (ROLES[place], page.path);
                let text = if found.is_none() { text } else { String::new() };
                wrong.push(format!(
                    "{path} by {role}: {found:?}, not {expected:?} {text}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
