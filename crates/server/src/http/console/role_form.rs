//! A role as a form: which one, about which workspace, for which products. The same for members and admin keys.

use super::frame::role_name;
use super::prelude::*;
use crate::verbs::roles::{self, RoleFields};
use crate::verbs::{products, workspaces};
use std::collections::HashMap;
use tokenward_core::client::{Role, Workspace};
use tokenward_core::ids::WorkspaceId;
use tokenward_core::label::Slug;

/// The roles as forms send them. The first one is chosen until another is: it may do least, and fits all workspaces.
const ROLES: &[(&str, &str)] = &[
    ("auditor", "Auditor: read-only"),
    ("workspace_admin", "Workspace admin: manages one workspace"),
    (
        "product_admin",
        "Product admin: manages API clients of selected products in one workspace",
    ),
    ("operator", "Operator: manages the whole server"),
];
/// Workspaces offered in a list; with more, the id is typed.
const OFFERED: u32 = 200;

/// The fields of a role.
pub(super) async fn fields(
    app: &App,
    person: &Person,
    form: &Form,
    fault: &Fault,
) -> Result<Vec<Field>, PageError> {
    let admin = person.admin();
    let operates = admin.is_operator();
    let roles = ROLES
        .iter()
        .filter(|(word, _)| operates || *word != "operator");
    let roles = roles.map(|(word, words)| ((*word).to_owned(), (*words).to_owned()));
    let (some, _) = workspaces::list(&app.data, &admin, None, OFFERED).await?;
    let name = |workspace: &Workspace| (workspace.id.to_string(), workspace.name.to_string());
    let mut places: Vec<(String, String)> = some.iter().map(name).collect();
    if operates {
        let all = "All workspaces (operators, auditors)".to_owned();
        places.insert(0, (String::new(), all));
    }
    let products = products::list(&app.data).await?;
    let products = super::products::options(&products);
    let hint = match products.is_empty() {
        true => "There are no products yet.",
        false => "Select at least one for a product admin, and none for other roles.",
    };
    Ok(vec![
        Field::new("select", "role", "Role", form, fault).options(roles.collect()),
        Field::new("select", "workspace_id", "Workspace", form, fault)
            .options(places)
            .optional()
            .hint("Workspace admins and product admins need one."),
        Field::new("ticks", "products", "Products", form, fault)
            .options(products)
            .hint(hint),
    ])
}

/// The role a form asks for; none when something is wrong with it, all of which is put with `faults`.
pub(super) fn role(form: &Form, faults: &mut Faults) -> Result<Option<Role>, Refused> {
    let typed = form.text("workspace_id");
    let slugs: Vec<String> = form.all("products").map(str::to_owned).collect();
    let workspace = Uuid::try_parse(typed).ok().map(WorkspaceId);
    let mut written = RoleFields {
        role: form.text("role"),
        workspace,
        products: (!slugs.is_empty()).then_some(slugs.as_slice()),
    };
    let mut good = true;
    if workspace.is_none() && !typed.is_empty() {
        faults.add("workspace_id", "Choose a workspace.");
        (good, written.workspace) = (false, Some(WorkspaceId(Uuid::nil())));
    }
    // A field that is wrong is replaced by one that is right, so that the next one is judged, too.
    let example = ["product".to_owned()];
    loop {
        match written.read() {
            Ok(role) => return Ok(good.then_some(role)),
            Err(Refused::Invalid(field, why)) => {
                faults.add(field, sentence(&why));
                good = false;
                match (field, written.role) {
                    ("workspace_id", "operator") => written.workspace = None,
                    ("workspace_id", _) => written.workspace = Some(WorkspaceId(Uuid::nil())),
                    ("products", "product_admin") => written.products = Some(&example),
                    ("products", _) => written.products = None,
                    _ => return Ok(None),
                }
            }
            Err(refused) => return Err(refused),
        }
    }
}

/// A role as a form begins with it.
pub(super) fn form_of(role: &Role) -> Form {
    let mut pairs = vec![("role", roles::word(role).to_owned())];
    if let Some(workspace) = role.workspace() {
        pairs.push(("workspace_id", workspace.to_string()));
    }
    if let Role::ProductAdmin { products, .. } = role {
        let slugs = products.iter().map(Slug::to_string);
        pairs.extend(slugs.map(|slug| ("products", slug)));
    }
    Form::of(pairs)
}

/// Roles in words, with what they are about; each workspace is asked for once.
pub(super) struct Words<'a> {
    app: &'a App,
    names: HashMap<WorkspaceId, String>,
}

impl<'a> Words<'a> {
    pub(super) fn new(app: &'a App) -> Self {
        let names = HashMap::new();
        Self { app, names }
    }

    pub(super) async fn of(&mut self, role: &Role) -> Result<String, PageError> {
        let place = match role.workspace() {
            None => "all workspaces".to_owned(),
            Some(id) => match self.names.get(&id) {
                Some(known) => known.clone(),
                None => {
                    let found = self.app.data.reader().workspace(id).await?;
                    let name = found.map_or_else(String::new, |found| found.name.to_string());
                    self.names.insert(id, name.clone());
                    name
                }
            },
        };
        let name = role_name(role);
        Ok(match role {
            Role::ProductAdmin { products, .. } => {
                let slugs: Vec<&str> = products.iter().map(Slug::as_str).collect();
                format!("{name}, {place}: {}", slugs.join(", "))
            }
            _ => format!("{name}, {place}"),
        })
    }
}
