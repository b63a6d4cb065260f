//! A role as a form: which one, about which workspace, for which products. The same for members and admin keys.

use super::form::{Fault, Field, Form};
use super::frame::role_name;
use super::reply::Trouble;
use crate::app::App;
use crate::verbs::members::workspace_of;
use crate::verbs::sign_in::Person;
use crate::verbs::{products, workspaces};
use tokenward_core::client::{Role, Workspace};
use tokenward_core::ids::WorkspaceId;
use tokenward_core::label::Slug;
use uuid::Uuid;

/// The roles in the order of their power, as forms send them.
const ROLES: &[(&str, &str)] = &[
    (
        "workspace_admin",
        "Workspace admin: everything in one workspace",
    ),
    (
        "product_admin",
        "Product admin: API clients of named products in one workspace",
    ),
    ("auditor", "Auditor: reads everything, changes nothing"),
    ("operator", "Operator: everything, everywhere"),
];
/// Workspaces offered in a list; with more, the id is typed.
const OFFERED: u32 = 200;

/// The fields of a role.
pub(super) async fn fields(
    app: &App,
    person: &Person,
    form: &Form,
    fault: &Fault,
) -> Result<Vec<Field>, Trouble> {
    let admin = person.admin();
    let operates = admin.is_operator();
    let roles = ROLES
        .iter()
        .filter(|(word, _)| operates || *word != "operator");
    let roles = roles.map(|(word, words)| ((*word).to_owned(), (*words).to_owned()));
    let (some, _) = workspaces::list(app, &admin, None, OFFERED).await?;
    let name = |workspace: &Workspace| (workspace.id.to_string(), workspace.name.to_string());
    let mut places: Vec<(String, String)> = some.iter().map(name).collect();
    if operates {
        places.insert(
            0,
            (
                String::new(),
                "All workspaces (operators, auditors)".to_owned(),
            ),
        );
    }
    let slugs = products::list(app).await?;
    let slugs: Vec<String> = slugs
        .iter()
        .map(|product| product.slug.to_string())
        .collect();
    let products = Field::new(
        "area",
        "products",
        "Products of a product admin",
        form,
        fault,
    );
    let products = products.hint("Slugs, one a line. Leave it empty for the other roles.");
    Ok(vec![
        Field::new("select", "role", "Role", form, fault).options(roles.collect()),
        Field::new("select", "workspace_id", "Workspace", form, fault)
            .options(places)
            .optional(),
        match slugs.len() {
            0 => products.hint("There are no products yet."),
            _ => products,
        },
    ])
}

/// The role a form asks for.
pub(super) fn role(form: &Form) -> Result<Role, Fault> {
    let text = form.text("workspace_id");
    let workspace = match text {
        "" => None,
        text => {
            let id = Uuid::try_parse(text);
            Some(WorkspaceId(id.map_err(|_| {
                Fault::new("workspace_id", "Choose a workspace.")
            })?))
        }
    };
    let needed = || {
        workspace.ok_or_else(|| {
            Fault::new(
                "workspace_id",
                "This role is about one workspace: choose it.",
            )
        })
    };
    let slugs = form.lines("products");
    if form.text("role") != "product_admin" && !slugs.is_empty() {
        return Err(Fault::new("products", "Only a product admin has products."));
    }
    match form.text("role") {
        "operator" if workspace.is_some() => Err(Fault::new(
            "workspace_id",
            "An operator is about all workspaces.",
        )),
        "operator" => Ok(Role::Operator),
        "workspace_admin" => Ok(Role::WorkspaceAdmin {
            workspace: needed()?,
        }),
        "auditor" => Ok(Role::Auditor { workspace }),
        "product_admin" => {
            if slugs.is_empty() || slugs.len() > 256 {
                return Err(Fault::new("products", "Name 1 to 256 products."));
            }
            let parsed: Result<Vec<Slug>, _> = slugs.iter().map(|slug| Slug::parse(slug)).collect();
            let products =
                parsed.map_err(|why| Fault::new("products", super::form::sentence(&why.0)))?;
            Ok(Role::ProductAdmin {
                workspace: needed()?,
                products,
            })
        }
        _ => Err(Fault::new("role", "Choose a role.")),
    }
}

/// A role as a form begins with it.
pub(super) fn form_of(role: &Role) -> Form {
    let word = match role {
        Role::Operator => "operator",
        Role::WorkspaceAdmin { .. } => "workspace_admin",
        Role::ProductAdmin { .. } => "product_admin",
        Role::Auditor { .. } => "auditor",
    };
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("role", word);
    if let Some(workspace) = workspace_of(role) {
        body.append_pair("workspace_id", &workspace.to_string());
    }
    if let Role::ProductAdmin { products, .. } = role {
        let slugs: Vec<&str> = products.iter().map(Slug::as_str).collect();
        body.append_pair("products", &slugs.join("\n"));
    }
    Form::read(body.finish().as_bytes()).unwrap_or_default()
}

/// A role in words, with what it is about.
pub(super) async fn words(app: &App, role: &Role) -> Result<String, Trouble> {
    let name = role_name(role);
    let place = match workspace_of(role) {
        None => "all workspaces".to_owned(),
        Some(id) => match app.store.reader().workspace(id).await? {
            Some(workspace) => workspace.name.to_string(),
            None => "a workspace".to_owned(),
        },
    };
    Ok(match role {
        Role::ProductAdmin { products, .. } => {
            let slugs: Vec<&str> = products.iter().map(Slug::as_str).collect();
            format!("{name}, {place}: {}", slugs.join(", "))
        }
        _ => format!("{name}, {place}"),
    })
}
