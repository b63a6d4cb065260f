//! One act on several clients of a list. It has a confirmation that names them, like an act on one, and each client is
//! decided by itself: what one of them refuses, the others do not.

use super::super::prelude::*;
use super::list::place;
use crate::verbs::{clients, tags};
use tokenward_core::client::Workspace;
use tokenward_core::ids::{ClientId, Environment};
use tokenward_core::label::Slug;

/// Clients of one act: a page of the list, twice.
pub(in crate::http::console) const CLIENTS_MAX: usize = 100;

/// What is done to each of them.
struct Act {
    /// How forms name it.
    word: &'static str,
    button: &'static str,
    /// How the title of its confirmation begins.
    begins: &'static str,
    /// Whether it disables, or adds the tag; the others take that back.
    on: bool,
    takes_tag: bool,
    /// What it does, in a sentence; none where its name says it.
    breaks: Option<&'static str>,
}

const fn of_tag(word: &'static str, button: &'static str, begins: &'static str, on: bool) -> Act {
    Act {
        word,
        button,
        begins,
        on,
        takes_tag: true,
        breaks: None,
    }
}

static ACTS: [Act; 4] = [
    Act {
        takes_tag: false,
        breaks: Some(
            "Their secrets and tokens are denied until you enable them. Then the same tokens work again until they expire.",
        ),
        ..of_tag("disable", "Disable API clients", "Disable", true)
    },
    Act {
        takes_tag: false,
        breaks: Some("Their secrets work again, and their tokens work again until they expire."),
        ..of_tag("enable", "Enable API clients", "Enable", false)
    },
    of_tag("tag", "Add tag", "Add a tag to", true),
    of_tag("untag", "Remove tag", "Remove a tag from", false),
];

impl Act {
    fn parse(word: &str) -> Result<&'static Self, PageError> {
        let found = ACTS.iter().find(|act| act.word == word);
        found.ok_or(PageError::Malformed("select an action"))
    }

    async fn run(
        &self,
        app: &App,
        person: &Person,
        id: ClientId,
        tag: Option<&Slug>,
    ) -> Result<(), Refused> {
        let admin = person.admin();
        let done = match tag {
            Some(tag) => tags::set(&app.data, admin, id, tag.clone(), self.on).await,
            None => clients::set_disabled(&app.data, admin, id, self.on).await,
        };
        done.map(drop)
    }
}

/// The clients that a form names: those of the page's workspace and environment that its sender may see.
async fn chosen(
    app: &App,
    person: &Person,
    (workspace, environment): (&Workspace, Environment),
    form: &Form,
) -> Result<Vec<(ClientId, String)>, PageError> {
    let mut chosen = Vec::new();
    for text in form.all("client").take(CLIENTS_MAX) {
        let read = super::read(app, person, text).await?;
        let client = &read.state.client;
        if read.state.workspace.id != workspace.id || client.environment != environment {
            return Err(PageError::NotFound("API client"));
        }
        chosen.push((client.id, client.settings.label.to_string()));
    }
    if chosen.is_empty() {
        return Err(PageError::Malformed("select at least one API client"));
    }
    Ok(chosen)
}

fn confirm(
    person: &Person,
    (workspace, environment): (&Workspace, Environment),
    (act, chosen): (&Act, &[(ClientId, String)]),
    form: &Form,
    fault: Fault,
) -> ConfirmPage {
    let n = chosen.len();
    let plural = if n == 1 { "" } else { "s" };
    let title = format!("{} {n} API client{plural}", act.begins);
    let labels: Vec<&str> = chosen.iter().map(|(_, label)| label.as_str()).collect();
    let mut says = vec![labels.join(", ")];
    says.extend(act.breaks.map(str::to_owned));
    let mut hidden = vec![("act", act.word.to_owned())];
    hidden.extend(chosen.iter().map(|(id, _)| ("client", id.to_string())));
    let fields = match act.takes_tag {
        true => vec![
            Field::new("text", "tag", "Tag", form, &fault)
                .hint("Lowercase letters, digits and hyphens, such as billing.")
                .auto("off")
                .first(),
        ],
        false => Vec::new(),
    };
    let base = format!("/console/w/{}/{}", workspace.id, environment.as_str());
    let frame = Frame::new(person, title, "clients").at(Place::new(workspace, Some(environment)));
    ConfirmPage {
        says,
        hidden,
        fields,
        fault,
        dangerous: act.on && !act.takes_tag,
        ..ConfirmPage::of(frame, (&[], act.button), format!("{base}/bulk"), base)
    }
}

/// `GET /console/w/{workspace}/{environment}/bulk`
pub(in super::super) async fn ask(
    Path((workspace, environment)): Path<(String, String)>,
    SteppedUp(app, person): SteppedUp,
    uri: http::Uri,
) -> Reply {
    let (workspace, environment) = place(&app, &person, &workspace, &environment).await?;
    person.admin().must_write()?;
    let query = Form::query(&uri);
    let (at, act) = ((&workspace, environment), Act::parse(query.text("act"))?);
    let chosen = chosen(&app, &person, at, &query).await?;
    // A link fills in no form.
    let form = Form::default();
    page(&confirm(
        &person,
        at,
        (act, &chosen),
        &form,
        Fault::default(),
    ))
}

/// `POST /console/w/{workspace}/{environment}/bulk`
pub(in super::super) async fn send(
    Path((workspace, environment)): Path<(String, String)>,
    sent: PostedForm,
) -> Reply {
    let (app, person, form) = sent.parts();
    let (workspace, environment) = place(&app, &person, &workspace, &environment).await?;
    let (at, act) = ((&workspace, environment), Act::parse(form.text("act"))?);
    let chosen = chosen(&app, &person, at, &form).await?;
    let parse = || tags::parse(form.text("tag").trim());
    let tag = match act.takes_tag.then(parse) {
        None => None,
        Some(Ok(tag)) => Some(tag),
        Some(Err(refused)) => {
            let fault = Fault::of(refused)?;
            return unprocessable(&confirm(&person, at, (act, &chosen), &form, fault));
        }
    };
    let mut refused = Vec::new();
    for (id, label) in &chosen {
        match act.run(&app, &person, *id, tag.as_ref()).await {
            Ok(()) => {}
            Err(Refused::Conflict(_, why) | Refused::Invalid(_, why)) => {
                refused.push(format!("{label}: {}", sentence(&why)));
            }
            Err(other) => return Err(other.into()),
        }
    }
    if !refused.is_empty() {
        let done = chosen.len() - refused.len();
        return Err(PageError::Conflict(format!(
            "{done} of {} API clients were changed. Not changed: {}",
            chosen.len(),
            refused.join(" ")
        )));
    }
    Ok(see(&format!(
        "/console/w/{}/{}?done=bulk-{}",
        workspace.id,
        environment.as_str(),
        act.word
    )))
}
