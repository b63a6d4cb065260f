//! Workspaces: where one begins, the list, creating, renaming, disabling.

use super::activity;
use super::prelude::*;
use super::shown::environment;
use crate::verbs::{nodes, overview, workspaces};
use tokenward_core::client::Workspace;
use tokenward_core::ids::{Environment, WorkspaceId, WorkspaceNo};

/// Workspaces on a page.
const PAGE: u32 = 100;

struct Line {
    id: String,
    name: String,
    disabled: bool,
    created: Moment,
    sides: Vec<Side>,
}

/// An environment of a workspace in the list.
struct Side {
    name: &'static str,
    address: String,
    /// How many clients are in which state; empty when that is not known.
    counts: String,
}

/// The server at a glance, for those who may see how it is set up.
struct Glance {
    ready: bool,
    writable: bool,
    nodes: usize,
    silent: usize,
    clients: String,
}

#[derive(Template)]
#[template(path = "console/workspaces.html")]
struct WorkspacesPage {
    frame: Frame,
    lines: Vec<Line>,
    next: Option<u32>,
    operates: bool,
    glance: Option<Glance>,
    history: Vec<activity::Line>,
}

#[derive(Template)]
#[template(path = "console/workspace.html")]
struct WorkspacePage {
    frame: Frame,
    field: Field,
    fault: Fault,
    /// Empty for a new one.
    id: String,
    disabled: bool,
    operates: bool,
}

/// `GET /console`: the one workspace somebody sees, or the list.
pub(super) async fn home(Member(app, person): Member, uri: http::Uri) -> Reply {
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let (some, _) = workspaces::list(&app.data, &person.admin(), None, 2).await?;
    Ok(match some.as_slice() {
        [only] => see(&format!("/console/w/{}/overview{query}", only.id)),
        _ => see(&format!("/console/workspaces{query}")),
    })
}

/// `GET /console/workspaces`
pub(super) async fn list(Member(app, person): Member, uri: http::Uri) -> Reply {
    let query = Form::query(&uri);
    let after = query.text("after").parse().ok().map(WorkspaceNo);
    let admin = person.admin();
    let (some, next) = workspaces::list(&app.data, &admin, after, PAGE).await?;
    let sees_all = admin.must_see_settings().is_ok();
    let totals = match sees_all {
        true => overview::totals(&app.data, &admin, None).await?,
        false => None,
    };
    let totals = totals.unwrap_or_default();
    let glance = nodes::list(&app.data, &admin).ok().map(|seen| Glance {
        ready: app.is_ready(),
        writable: app.data.store.is_writable(),
        silent: seen
            .nodes
            .iter()
            .filter(|node| nodes::is_silent(node))
            .count(),
        nodes: seen.nodes.len(),
        clients: count(totals.iter().map(|one| u64::from(one.total())).sum()),
    });
    let side = |workspace: &Workspace, at: Environment| {
        let found = totals
            .iter()
            .find(|one| one.workspace == workspace.no && one.environment == at);
        let address = format!("/console/w/{}/{}", workspace.id, at.as_str());
        let counts = match found {
            Some(totals) => {
                let all = super::overview::counts(&address, totals).into_iter();
                let all =
                    all.map(|one| format!("{} {}", count(one.n.into()), one.words.to_lowercase()));
                all.collect::<Vec<_>>().join(", ")
            }
            None if sees_all => "none".to_owned(),
            None => String::new(),
        };
        Side {
            name: environment(at),
            address,
            counts,
        }
    };
    let line = |workspace: &Workspace| Line {
        sides: [Environment::Sandbox, Environment::Production]
            .map(|at| side(workspace, at))
            .into(),
        id: workspace.id.to_string(),
        name: workspace.name.to_string(),
        disabled: workspace.disabled_at.is_some(),
        created: Moment::plain(workspace.created_at),
    };
    page(&WorkspacesPage {
        frame: Frame::new(&person, "Workspaces", "workspaces").done(query.text("done")),
        lines: some.iter().map(line).collect(),
        next,
        operates: admin.is_operator(),
        glance,
        history: match sees_all {
            true => super::overview::history(&app, &person, None).await?,
            false => Vec::new(),
        },
    })
}

fn shown(
    person: &Person,
    workspace: Option<&Workspace>,
    form: &Form,
    fault: Fault,
) -> WorkspacePage {
    let title = workspace.map_or_else(
        || "Create workspace".to_owned(),
        |workspace| format!("Workspace {}", workspace.name),
    );
    let field = Field::new("text", "name", "Name", form, &fault)
        .hint("A legal entity or team. Credentials of one workspace don't work in another.")
        .auto("organization")
        .first();
    let mut frame = Frame::new(person, title, "workspaces");
    if let Some(workspace) = workspace {
        frame = frame.at(Place::new(workspace, None));
    }
    WorkspacePage {
        frame,
        field,
        fault,
        id: workspace.map_or_else(String::new, |workspace| workspace.id.to_string()),
        disabled: workspace.is_some_and(|workspace| workspace.disabled_at.is_some()),
        operates: person.admin().is_operator(),
    }
}

/// `GET /console/workspaces/new`
pub(super) async fn new(Member(_, person): Member) -> Reply {
    person.admin().must_operate()?;
    page(&shown(&person, None, &Form::default(), Fault::default()))
}

/// `POST /console/workspaces/new`
pub(super) async fn create(sent: PostedForm) -> Reply {
    let (app, person, form) = sent.parts();
    match workspaces::create(&app.data, person.admin(), form.text("name").trim()).await {
        Ok(made) => Ok(see(&format!(
            "/console/w/{}/sandbox?done=workspace",
            made.id
        ))),
        Err(refused) => unprocessable(&shown(&person, None, &form, Fault::of(refused)?)),
    }
}

/// The workspace of an address.
pub(super) async fn one(app: &App, person: &Person, text: &str) -> Result<Workspace, PageError> {
    let id = Uuid::try_parse(text).map_err(|_| PageError::NotFound("workspace"))?;
    Ok(workspaces::show(&app.data, &person.admin(), WorkspaceId(id)).await?)
}

/// `GET /console/workspaces/{id}`
pub(super) async fn edit(Path(id): Path<String>, Member(app, person): Member) -> Reply {
    let workspace = one(&app, &person, &id).await?;
    let mut shown = shown(
        &person,
        Some(&workspace),
        &Form::default(),
        Fault::default(),
    );
    shown.field = shown.field.or(workspace.name.to_string());
    page(&shown)
}

/// `POST /console/workspaces/{id}`: another name.
pub(super) async fn change(Path(id): Path<String>, sent: PostedForm) -> Reply {
    let (app, person, form) = sent.parts();
    let workspace = one(&app, &person, &id).await?;
    let name = Some(form.text("name").trim().to_owned());
    match workspaces::change(&app.data, person.admin(), workspace.id, name, None).await {
        Ok(_) => Ok(see("/console/workspaces?done=workspace")),
        Err(refused) => {
            let fault = Fault::of(refused)?;
            unprocessable(&shown(&person, Some(&workspace), &form, fault))
        }
    }
}

/// Whether an act in an address disables.
fn disables(act: &str) -> Result<bool, PageError> {
    match act {
        "disable" => Ok(true),
        "enable" => Ok(false),
        _ => Err(PageError::NotFound("page")),
    }
}

/// `GET /console/workspaces/{id}/{act}`
pub(super) async fn ask(
    Path((id, act)): Path<(String, String)>,
    SteppedUp(app, person): SteppedUp,
) -> Reply {
    let workspace = one(&app, &person, &id).await?;
    person.admin().must_operate()?;
    let (button, says): (_, &[&str]) = match disables(&act)? {
        true => (
            "Disable workspace",
            &[
                "Disables all API clients in this workspace immediately, in both environments: every client secret and every access token is denied.",
                "When the workspace is enabled again, tokens that have not expired work again.",
            ],
        ),
        false => (
            "Enable workspace",
            &[
                "All API clients in this workspace that are not disabled themselves work again, in both environments.",
            ],
        ),
    };
    let title = format!("{button} “{}”", workspace.name);
    page(&ConfirmPage::of(
        Frame::new(&person, title, "workspaces").at(Place::new(&workspace, None)),
        (says, button),
        format!("/console/workspaces/{}/{act}", workspace.id),
        format!("/console/workspaces/{}", workspace.id),
    ))
}

/// `POST /console/workspaces/{id}/{act}`
pub(super) async fn act(Path((id, act)): Path<(String, String)>, sent: PostedForm) -> Reply {
    let disabled = Some(disables(&act)?);
    let workspace = one(&sent.app, &sent.person, &id).await?;
    workspaces::change(
        &sent.app.data,
        sent.person.admin(),
        workspace.id,
        None,
        disabled,
    )
    .await?;
    Ok(see("/console/workspaces?done=workspace"))
}
