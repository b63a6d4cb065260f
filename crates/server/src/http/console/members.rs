//! Members: who may sign in, as what; invitations, whose link is shown once.

use super::form::{Fault, Field, Form, Word};
use super::frame::Frame;
use super::once::OncePage;
use super::reply::{Reply, Trouble, page, see, unprocessable};
use super::role_form::{self, Words};
use super::session::{Member as SignedIn, Proved, Sent};
use super::shown::Moment;
use crate::app::App;
use crate::people::ticket::Ticket;
use crate::verbs::members;
use crate::verbs::sign_in::Person;
use askama::Template;
use axum::extract::{Path, State};
use http::HeaderMap;
use std::sync::Arc;
use tokenward_core::time::Clock;
use tokenward_store::people::Member;
use uuid::Uuid;
use zeroize::Zeroizing;

struct MemberLine {
    id: String,
    name: String,
    email: String,
    role: String,
    proofs: String,
    disabled: bool,
}

struct InvitationLine {
    id: String,
    email: String,
    role: String,
    ends: Moment,
    over: bool,
}

#[derive(Template)]
#[template(path = "console/members.html")]
struct MembersPage {
    frame: Frame,
    members: Vec<MemberLine>,
    invitations: Vec<InvitationLine>,
    manages: bool,
    word: Word,
}

#[derive(Template)]
#[template(path = "console/invite.html")]
struct InvitePage {
    frame: Frame,
    fields: Vec<Field>,
    fault: Fault,
}

#[derive(Template)]
#[template(path = "console/member.html")]
struct MemberPage {
    frame: Frame,
    id: String,
    line: MemberLine,
    fields: Vec<Field>,
    fault: Fault,
    myself: bool,
}

async fn line(words: &mut Words<'_>, member: &Member) -> Result<MemberLine, Trouble> {
    let proofs = &member.proofs;
    let mut with = Vec::new();
    if proofs.password.is_some() {
        with.push("password");
    }
    if proofs.totp.is_some() {
        with.push("authenticator app");
    }
    if !proofs.passkeys.is_empty() {
        with.push("passkey");
    }
    if proofs.sso.is_some() {
        with.push("single sign-on");
    }
    Ok(MemberLine {
        id: member.id.to_string(),
        name: member.name.to_string(),
        email: member.email.clone(),
        role: words.of(&member.role).await?,
        proofs: with.join(", "),
        disabled: member.disabled_at.is_some(),
    })
}

/// `GET /console/members`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    SignedIn(person): SignedIn,
    uri: http::Uri,
) -> Reply {
    let query = Form::query(&uri);
    let (found, invited) = members::list(&app, &person.admin()).await?;
    let now = app.clock().wall();
    let mut words = Words::new(&app);
    let mut lines = Vec::new();
    for member in &found {
        lines.push(line(&mut words, member).await?);
    }
    let mut invitations = Vec::new();
    for invitation in &invited {
        invitations.push(InvitationLine {
            id: invitation.id.to_string(),
            email: match invitation.email.as_str() {
                "" => "the first operator".to_owned(),
                email => email.to_owned(),
            },
            role: words.of(&invitation.role).await?,
            ends: Moment::new(invitation.expires_at, now),
            over: now >= invitation.expires_at,
        });
    }
    let frame = Frame::new(&person, "Members", "members").done(query.text("done"));
    page(&MembersPage {
        word: frame.hidden_word(),
        frame,
        members: lines,
        invitations,
        manages: person.admin().administers(),
    })
}

async fn invite_page(
    app: &App,
    person: &Person,
    form: &Form,
    fault: Fault,
) -> Result<InvitePage, Trouble> {
    let mut fields = vec![
        Field::new("email", "email", "E-mail address", form, &fault)
            .hint("They sign in with it. For somebody who is a member already, the link is a way back in.")
            .auto("off")
            .first(),
    ];
    fields.extend(role_form::fields(app, person, form, &fault).await?);
    Ok(InvitePage {
        frame: Frame::new(person, "Invite a member", "members"),
        fields,
        fault,
    })
}

/// `GET /console/members/invite`
pub(super) async fn ask(
    State(app): State<Arc<App>>,
    Proved(person): Proved,
    uri: http::Uri,
) -> Reply {
    person.admin().must_administer()?;
    // A member's page leads here with what is known of them.
    let query = Form::query(&uri);
    page(&invite_page(&app, &person, &query, Fault::default()).await?)
}

/// `POST /console/members/invite`
pub(super) async fn invite(State(app): State<Arc<App>>, headers: HeaderMap, sent: Sent) -> Reply {
    sent.must_be_proved(&app)?;
    let Sent { person, form, .. } = sent;
    let invited = match role_form::role(&form) {
        Ok(role) => members::invite(&app, person.admin(), form.text("email"), role).await,
        Err(refused) => Err(refused),
    };
    let (invitation, ticket) = match invited {
        Ok(invited) => invited,
        Err(refused) => {
            let fault = Fault::of(refused)?;
            return unprocessable(&invite_page(&app, &person, &form, fault).await?);
        }
    };
    link_page(
        &person,
        format!("{} is invited", invitation.email),
        "Send them this link by a way that only they read. It works once, for seven days, and is not shown again.",
        &(super::clients::base(&app, &headers), ticket),
    )
}

/// Shows the link of an invitation.
fn link_page(
    person: &Person,
    heading: String,
    explanation: &'static str,
    (base, ticket): &(String, Ticket),
) -> Reply {
    let link = format!("{base}/console/join/{}", ticket.expose().as_str());
    page(&OncePage {
        frame: Frame::new(person, "Hand over the link", "members"),
        heading,
        explanation,
        what: "Link",
        secrets: vec![Zeroizing::new(link)],
        downloads: Vec::new(),
        snippets: Vec::new(),
        next: "/console/members".to_owned(),
        next_label: "Back to the members",
    })
}

fn id(text: &str, what: &'static str) -> Result<Uuid, Trouble> {
    Uuid::try_parse(text).map_err(|_| Trouble::NotFound(what))
}

async fn member_page(
    app: &App,
    person: &Person,
    member: &Member,
    form: &Form,
    fault: Fault,
) -> Result<MemberPage, Trouble> {
    let fields = match person.admin().administers() {
        true => role_form::fields(app, person, form, &fault).await?,
        false => Vec::new(),
    };
    Ok(MemberPage {
        frame: Frame::new(person, member.name.to_string(), "members"),
        id: member.id.to_string(),
        line: line(&mut Words::new(app), member).await?,
        fields,
        fault,
        myself: member.id == person.member.id,
    })
}

/// `GET /console/members/{id}`
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    SignedIn(person): SignedIn,
) -> Reply {
    let member = members::show(&app, &person.admin(), id(&text, "member")?).await?;
    let form = role_form::form_of(&member.role);
    page(&member_page(&app, &person, &member, &form, Fault::default()).await?)
}

/// `POST /console/members/{id}`: another role, or `disabled` as `yes` or `no`.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    headers: HeaderMap,
    sent: Sent,
) -> Reply {
    sent.must_be_proved(&app)?;
    let Sent { person, form, .. } = sent;
    let member = members::show(&app, &person.admin(), id(&text, "member")?).await?;
    let disabled = match form.text("disabled") {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    let role = match disabled {
        Some(_) => Ok(None),
        None => role_form::role(&form).map(Some),
    };
    let changed = match role {
        Ok(role) => {
            let change = members::Change { role, disabled };
            members::change(&app, person.admin(), member.id, change).await
        }
        Err(refused) => Err(refused),
    };
    match changed {
        Ok((_, None)) => Ok(see("/console/members?done=member")),
        Ok((member, Some(ticket))) => link_page(
            &person,
            format!("{} has a new role", member.email),
            "The new role allows more, so the password and the other sign-in methods were removed and the sessions ended. Send the member this link by a way that only they read. It works once, for seven days, and is not shown again. Single sign-on works without it.",
            &(super::clients::base(&app, &headers), ticket),
        ),
        Err(refused) => {
            let fault = Fault::of(refused)?;
            unprocessable(&member_page(&app, &person, &member, &form, fault).await?)
        }
    }
}

/// `POST /console/members/{id}/remove`
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Reply {
    sent.must_be_proved(&app)?;
    members::remove(&app, sent.person.admin(), id(&text, "member")?).await?;
    Ok(see("/console/members?done=member-removed"))
}

/// `POST /console/invitations/{id}/withdraw`
pub(super) async fn withdraw(
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Reply {
    members::withdraw(&app, sent.person.admin(), id(&text, "invitation")?).await?;
    Ok(see("/console/members?done=withdrawn"))
}
