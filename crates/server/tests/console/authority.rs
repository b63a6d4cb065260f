//! Who may do what: one table, and every row of it through the admin API and through the pages. What belongs to others
//! looks exactly like what does not exist.

use crate::house::{Browser, House};
use reqwest::Method;
use serde_json::{Value, json};
use tokenward_testkit::Api;

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
use Fate::{Done as Y, Forbidden as N, Hidden as H};

/// By whom: operator, admin of acme, admin of acme's gst, auditor of acme, auditor of all.
const ROLES: [&str; 5] = [
    "operator",
    "workspace admin",
    "product admin",
    "auditor",
    "overseer",
];

struct Act {
    name: &'static str,
    /// Method, path below `/admin/v1`, body; none where only pages do it.
    api: Option<(Method, &'static str, Value)>,
    /// Path below `/console`; the form, or none to look at it.
    page: (&'static str, Option<Vec<(&'static str, &'static str)>>),
    fates: [Fate; 5],
}

/// `{acme}`, `{other}`: workspaces. `{gst}`, `{all}`: fresh clients of acme for gst only and for all products; `{far}`:
/// one of the other workspace. `{n}`: a number never used before.
fn acts() -> Vec<Act> {
    let act = |name, api, page, fates| Act {
        name,
        api,
        page,
        fates,
    };
    let get = |path| Some((Method::GET, path, Value::Null));
    let post = |path| Some((Method::POST, path, Value::Null));
    let settings = || {
        vec![
            ("label", "changed {n}"),
            ("scope", "some"),
            ("products", "gst"),
            ("lifetime", "900"),
        ]
    };
    let new = || {
        Some((
            Method::POST,
            "/workspaces/{acme}/clients",
            json!({ "label": "new {n}", "environment": "sandbox", "products": ["gst"] }),
        ))
    };
    let wide = || {
        Some((
            Method::POST,
            "/workspaces/{acme}/clients",
            json!({ "label": "new {n}", "environment": "sandbox" }),
        ))
    };
    let far = || {
        Some((
            Method::POST,
            "/workspaces/{other}/clients",
            json!({ "label": "new {n}", "environment": "sandbox", "products": ["gst"] }),
        ))
    };
    let patch = |path| {
        Some((
            Method::PATCH,
            path,
            json!({ "label": "changed {n}", "products": ["gst"], "token_lifetime_seconds": 900 }),
        ))
    };
    let rename = |path| Some((Method::PATCH, path, json!({ "name": "acme" })));
    let label = || Some(vec![("label", "{label}")]);
    let delete = |path| Some((Method::DELETE, path, json!({ "label": "{label}" })));
    vec![
        act(
            "see a workspace",
            get("/workspaces/{acme}"),
            ("/workspaces/{acme}", None),
            [Y; 5],
        ),
        act(
            "see another workspace",
            get("/workspaces/{other}"),
            ("/workspaces/{other}", None),
            [Y, H, H, H, Y],
        ),
        act(
            "create a workspace",
            Some((Method::POST, "/workspaces", json!({ "name": "w {n}" }))),
            ("/workspaces/new", Some(vec![("name", "w {n}")])),
            [Y, N, N, N, N],
        ),
        act(
            "rename a workspace",
            rename("/workspaces/{acme}"),
            ("/workspaces/{acme}", Some(vec![("name", "acme")])),
            [Y, N, N, N, N],
        ),
        act(
            "rename another workspace",
            rename("/workspaces/{other}"),
            ("/workspaces/{other}", Some(vec![("name", "other")])),
            [Y, H, H, H, N],
        ),
        act(
            "list clients",
            get("/workspaces/{acme}/clients"),
            ("/w/{acme}/sandbox", None),
            [Y; 5],
        ),
        act(
            "list another workspace's clients",
            get("/workspaces/{other}/clients"),
            ("/w/{other}/sandbox", None),
            [Y, H, H, H, Y],
        ),
        act(
            "create a client for a product",
            new(),
            (
                "/w/{acme}/sandbox/new",
                Some(vec![
                    ("label", "new {n}"),
                    ("scope", "some"),
                    ("products", "gst"),
                    ("lifetime", "900"),
                ]),
            ),
            [Y, Y, Y, N, N],
        ),
        act(
            "create a client for all products",
            wide(),
            (
                "/w/{acme}/sandbox/new",
                Some(vec![
                    ("label", "new {n}"),
                    ("scope", "all"),
                    ("lifetime", "900"),
                ]),
            ),
            [Y, Y, N, N, N],
        ),
        act(
            "create a client elsewhere",
            far(),
            (
                "/w/{other}/sandbox/new",
                Some(vec![
                    ("label", "new {n}"),
                    ("scope", "some"),
                    ("products", "gst"),
                    ("lifetime", "900"),
                ]),
            ),
            [Y, H, H, H, N],
        ),
        act(
            "see a client",
            get("/clients/{gst}"),
            ("/clients/{gst}", None),
            [Y; 5],
        ),
        act(
            "see a client for all products",
            get("/clients/{all}"),
            ("/clients/{all}", None),
            [Y, Y, H, Y, Y],
        ),
        act(
            "see a client elsewhere",
            get("/clients/{far}"),
            ("/clients/{far}", None),
            [Y, H, H, H, Y],
        ),
        act(
            "see a client's use",
            get("/clients/{gst}/usage"),
            ("/clients/{gst}", None),
            [Y; 5],
        ),
        act(
            "change a client",
            patch("/clients/{gst}"),
            ("/clients/{gst}/edit", Some(settings())),
            [Y, Y, Y, N, N],
        ),
        act(
            "change a client for all products",
            patch("/clients/{all}"),
            ("/clients/{all}/edit", Some(settings())),
            [Y, Y, H, N, N],
        ),
        act(
            "change a client elsewhere",
            patch("/clients/{far}"),
            ("/clients/{far}/edit", Some(settings())),
            [Y, H, H, H, N],
        ),
        act(
            "generate",
            post("/clients/{gst}/token"),
            ("/clients/{gst}/generate", Some(vec![("generation", "0")])),
            [Y, Y, Y, N, N],
        ),
        act(
            "generate elsewhere",
            post("/clients/{far}/token"),
            ("/clients/{far}/generate", Some(vec![("generation", "0")])),
            [Y, H, H, H, N],
        ),
        act(
            "revoke",
            Some((Method::DELETE, "/clients/{gst}/token", Value::Null)),
            ("/clients/{gst}/revoke", Some(vec![])),
            [Y, Y, Y, N, N],
        ),
        act(
            "revoke elsewhere",
            Some((Method::DELETE, "/clients/{far}/token", Value::Null)),
            ("/clients/{far}/revoke", Some(vec![])),
            [Y, H, H, H, N],
        ),
        act(
            "rotate",
            post("/clients/{gst}/secrets"),
            ("/clients/{gst}/rotate", Some(vec![])),
            [Y, Y, Y, N, N],
        ),
        act(
            "rotate elsewhere",
            post("/clients/{far}/secrets"),
            ("/clients/{far}/rotate", Some(vec![])),
            [Y, H, H, H, N],
        ),
        act(
            "delete a secret",
            Some((Method::DELETE, "/clients/{gst}/secrets/1", Value::Null)),
            ("/clients/{gst}/delete-secret-1", Some(vec![])),
            [Y, Y, Y, N, N],
        ),
        act(
            "disable",
            post("/clients/{gst}/disable"),
            ("/clients/{gst}/disable", Some(vec![])),
            [Y, Y, Y, N, N],
        ),
        act(
            "disable another's",
            post("/clients/{all}/disable"),
            ("/clients/{all}/disable", Some(vec![])),
            [Y, Y, H, N, N],
        ),
        act(
            "disable elsewhere",
            post("/clients/{far}/disable"),
            ("/clients/{far}/disable", Some(vec![])),
            [Y, H, H, H, N],
        ),
        act(
            "enable",
            post("/clients/{gst}/enable"),
            ("/clients/{gst}/enable", Some(vec![])),
            [Y, Y, Y, N, N],
        ),
        act(
            "delete",
            delete("/clients/{gst}"),
            ("/clients/{gst}/delete", label()),
            [Y, Y, Y, N, N],
        ),
        act(
            "delete another's",
            delete("/clients/{all}"),
            ("/clients/{all}/delete", label()),
            [Y, Y, H, N, N],
        ),
        act(
            "delete elsewhere",
            delete("/clients/{far}"),
            ("/clients/{far}/delete", label()),
            [Y, H, H, H, N],
        ),
        act(
            "see products",
            get("/products"),
            ("/products", None),
            [Y; 5],
        ),
        act(
            "put a product",
            Some((Method::PUT, "/products/p-{n}", json!({ "name": "P" }))),
            ("/products", Some(vec![("slug", "p-{n}"), ("name", "P")])),
            [Y, N, N, N, N],
        ),
        act(
            "read the audit log",
            get("/audit"),
            ("/audit", None),
            [Y, Y, N, Y, Y],
        ),
        act(
            "verify the audit log",
            get("/audit/verify"),
            ("/audit/verify", Some(vec![])),
            [Y, N, N, N, Y],
        ),
        act(
            "list admin keys",
            get("/admin-keys"),
            ("/admin-keys", None),
            [Y, N, N, N, N],
        ),
        act(
            "make an admin key",
            Some((
                Method::POST,
                "/admin-keys",
                json!({ "name": "k", "role": "operator" }),
            )),
            (
                "/admin-keys/new",
                Some(vec![("name", "k"), ("role", "operator")]),
            ),
            [Y, N, N, N, N],
        ),
        act(
            "see webhooks and notices",
            get("/workspaces/{acme}/webhooks"),
            ("/w/{acme}/notices", None),
            [Y, Y, N, Y, Y],
        ),
        act(
            "see another workspace's webhooks",
            get("/workspaces/{other}/webhooks"),
            ("/w/{other}/notices", None),
            [Y, H, H, H, Y],
        ),
        act(
            "make a webhook",
            Some((
                Method::POST,
                "/workspaces/{acme}/webhooks",
                json!({ "url": "https://hooks.example.com/{n}" }),
            )),
            (
                "/w/{acme}/notices",
                Some(vec![("url", "https://hooks.example.com/{n}")]),
            ),
            [Y, Y, N, N, N],
        ),
        act(
            "make a webhook elsewhere",
            Some((
                Method::POST,
                "/workspaces/{other}/webhooks",
                json!({ "url": "https://hooks.example.com/{n}" }),
            )),
            (
                "/w/{other}/notices",
                Some(vec![("url", "https://hooks.example.com/{n}")]),
            ),
            [Y, H, H, H, N],
        ),
        act("see members", None, ("/members", None), [Y, Y, N, Y, Y]),
        act(
            "invite an operator",
            None,
            (
                "/members/invite",
                Some(vec![("email", "o{n}@example.com"), ("role", "operator")]),
            ),
            [Y, N, N, N, N],
        ),
        act(
            "invite into acme",
            None,
            (
                "/members/invite",
                Some(vec![
                    ("email", "m{n}@example.com"),
                    ("role", "auditor"),
                    ("workspace_id", "{acme}"),
                ]),
            ),
            [Y, Y, N, N, N],
        ),
        act(
            "invite elsewhere",
            None,
            (
                "/members/invite",
                Some(vec![
                    ("email", "m{n}@example.com"),
                    ("role", "auditor"),
                    ("workspace_id", "{other}"),
                ]),
            ),
            [Y, N, N, N, N],
        ),
        act(
            "see the operator",
            None,
            ("/members/{asha}", None),
            [Y, H, N, H, Y],
        ),
        act(
            "remove the operator",
            None,
            ("/members/{asha}/remove", Some(vec![])),
            [N, H, N, H, N],
        ),
        act(
            "make the operator an auditor",
            None,
            ("/members/{asha}", Some(vec![("role", "auditor")])),
            [N, H, N, H, N],
        ),
        act(
            "disable the operator",
            None,
            ("/members/{asha}", Some(vec![("disabled", "yes")])),
            [N, H, N, H, N],
        ),
        act(
            "see the settings",
            None,
            ("/settings", None),
            [Y, N, N, N, Y],
        ),
        act("see the status", get("/status"), ("/status", None), [Y; 5]),
    ]
}

struct World {
    house: House,
    acme: String,
    other: String,
    asha: String,
    n: std::cell::Cell<u32>,
}

impl World {
    fn number(&self) -> u32 {
        self.n.set(self.n.get() + 1);
        self.n.get()
    }

    /// Fills in a text; clients are made as they are named.
    async fn filled(
        &self,
        text: &str,
        label: &str,
        clients: &mut Vec<(&'static str, String)>,
    ) -> String {
        let mut out = text.to_owned();
        let own = [
            ("{gst}", &self.acme, Some(&["gst"][..])),
            ("{all}", &self.acme, None),
            ("{far}", &self.other, Some(&["gst"][..])),
        ];
        for (name, workspace, products) in own {
            if !out.contains(name) {
                continue;
            }
            let known = clients.iter().find(|(known, _)| *known == name);
            let id = match known {
                Some((_, id)) => id.clone(),
                None => {
                    let id = self.house.client(workspace, label, products).await;
                    clients.push((name, id.clone()));
                    id
                }
            };
            out = out.replace(name, &id);
        }
        out.replace("{acme}", &self.acme)
            .replace("{other}", &self.other)
            .replace("{asha}", &self.asha)
            .replace("{label}", label)
            .replace("{n}", &self.n.get().to_string())
    }

    async fn by_api(&self, api: &Api, act: &Act) -> Option<Fate> {
        let (method, path, body) = act.api.as_ref()?;
        let label = format!("a {}", self.number());
        let mut clients = Vec::new();
        let path = self.filled(path, &label, &mut clients).await;
        let mut request = api.admin(method.clone(), &path);
        if !body.is_null() {
            let body = self.filled(&body.to_string(), &label, &mut clients).await;
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let status = api.send(request).await.unwrap().status;
        Some(fate(status, &[200, 201, 204], act.name, ""))
    }

    async fn by_page(&self, person: &Browser, act: &Act) -> Fate {
        let label = format!("p {}", self.number());
        let mut clients = Vec::new();
        let path = format!(
            "/console{}",
            self.filled(act.page.0, &label, &mut clients).await
        );
        let answer = match &act.page.1 {
            None => person.get(&path).await,
            Some(form) => {
                let mut whole = Vec::new();
                for (name, value) in form {
                    whole.push((*name, self.filled(value, &label, &mut clients).await));
                }
                let whole: Vec<(&str, &str)> = whole
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                person.send(&path, &whole).await
            }
        };
        // Nobody changes themselves: for the one operator there is, that is the refusal.
        let own = answer.text.contains("Nobody changes or removes themselves");
        if own {
            return Fate::Forbidden;
        }
        fate(answer.status.as_u16(), &[200, 303], act.name, &answer.text)
    }
}

fn fate(status: u16, done: &[u16], act: &str, text: &str) -> Fate {
    match status {
        403 => Fate::Forbidden,
        404 => Fate::Hidden,
        status if done.contains(&status) => Fate::Done,
        status => panic!("{act}: {status}\n{text}"),
    }
}

#[tokio::test]
async fn one_table_through_the_api_and_the_pages() {
    let house = House::new().await;
    let operator = house.operator().await;
    for slug in ["gst", "e-invoice"] {
        house.api.product(slug, slug).await.unwrap();
    }
    let (acme, other) = (
        house.workspace("acme").await,
        house.workspace("other").await,
    );
    let members = operator.get("/console/members").await;
    let asha = members.between("<a href=\"/console/members/", "\"");
    let asha = if asha.len() == 36 {
        asha
    } else {
        members
            .text
            .split("href=\"/console/members/")
            .filter_map(|rest| rest.split('"').next())
            .find(|id| id.len() == 36)
            .unwrap()
            .to_owned()
    };
    let key = async |body: Value| {
        let request = house.api.admin(Method::POST, "/admin-keys").json(&body);
        let made = house.api.send(request).await.unwrap().expect(201).json();
        house.api.with_admin_key(made["key"].as_str().unwrap())
    };
    let apis = [
        house.api.clone(),
        key(json!({ "name": "w", "role": "workspace_admin", "workspace_id": acme })).await,
        key(json!({ "name": "p", "role": "product_admin", "workspace_id": acme, "products": ["gst"] })).await,
        key(json!({ "name": "a", "role": "auditor", "workspace_id": acme })).await,
        key(json!({ "name": "o", "role": "auditor" })).await,
    ];
    let at = ("workspace_id", acme.as_str());
    let people = [
        operator.clone(),
        house
            .invited(
                &operator,
                "w@example.com",
                &[("role", "workspace_admin"), at],
            )
            .await,
        house
            .invited(
                &operator,
                "p@example.com",
                &[("role", "product_admin"), at, ("products", "gst")],
            )
            .await,
        house
            .invited(&operator, "a@example.com", &[("role", "auditor"), at])
            .await,
        house
            .invited(&operator, "o@example.com", &[("role", "auditor")])
            .await,
    ];
    let world = World {
        house,
        acme,
        other,
        asha,
        n: Default::default(),
    };
    let mut wrong = Vec::new();
    for act in acts() {
        for (place, expected) in act.fates.iter().enumerate() {
            let by_api = world.by_api(&apis[place], &act).await;
            if by_api.is_some_and(|found| found != *expected) {
                wrong.push(format!(
                    "{} by {} through the API: {by_api:?}, not {expected:?}",
                    act.name, ROLES[place]
                ));
            }
            let by_page = world.by_page(&people[place], &act).await;
            if by_page != *expected {
                wrong.push(format!(
                    "{} by {} through the pages: {by_page:?}, not {expected:?}",
                    act.name, ROLES[place]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
