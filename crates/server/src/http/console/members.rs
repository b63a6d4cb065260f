//! Members: who may sign in, as what; invitations, whose link is shown once.

use super::prelude::*;
use super::role_form::{self, Words};
use super::session::Member as SignedIn;
use crate::auth::opaque_token::OpaqueToken;
use crate::verbs::members;
use http::HeaderMap;
use tokenward_store::people::Member;
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
    /// The role that the form was opened on, as a form.
    opened: String,
    fields: Vec<Field>,
    fault: Fault,
    myself: bool,
}

async fn line(words: &mut Words<'_>, member: &Member) -> Result<MemberLine, PageError> {
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
pub(super) async fn list(SignedIn(app, person): SignedIn, uri: http::Uri) -> Reply {
    let query = Form::query(&uri);
    let (found, invited) = members::list(&app.data, &person.admin()).await?;
    let now = app.data.clock().wall();
    let mut words = Words::new(&app);
    let mut lines = Vec::new();
    for member in &found {
        lines.push(line(&mut words, member).await?);
    }
    let mut invitations = Vec::new();
    for invitation in &invited {
        invitations.push(InvitationLine {
            id: invitation.id.to_string(),
            email: invited_name(&invitation.email).to_owned(),
            role: words.of(&invitation.role).await?,
            ends: Moment::new(invitation.expires_at, now),
            over: now >= invitation.expires_at,
        });
    }
    let frame = Frame::new(&person, "Members", "members").done(query.text("done"));
    page(&MembersPage {
        frame,
        members: lines,
        invitations,
        manages: person.admin().administers(),
    })
}

/// Whom an invitation is for; the first one names no address.
fn invited_name(email: &str) -> &str {
    match email {
        "" => "the first operator",
        email => email,
    }
}

async fn invite_page(
    app: &App,
    person: &Person,
    form: &Form,
    fault: Fault,
) -> Result<InvitePage, PageError> {
    let mut fields = vec![
        Field::new("email", "email", "Email", form, &fault)
            .hint("They sign in with it. If they are already a member, the link resets their sign-in.")
            .auto("off")
            .first(),
    ];
    fields.extend(role_form::fields(app, person, form, &fault).await?);
    Ok(InvitePage {
        frame: Frame::new(person, "Invite member", "members"),
        fields,
        fault,
    })
}

/// `GET /console/members/invite`
pub(super) async fn ask(SteppedUp(app, person): SteppedUp, uri: http::Uri) -> Reply {
    person.admin().must_administer()?;
    // A member's page leads here. A link names a member and fills in nothing else, so that no link plants a form.
    let form = match Uuid::try_parse(Form::query(&uri).text("member")) {
        Ok(id) => {
            let member = members::show(&app.data, &person.admin(), id).await?;
            role_form::form_of(&member.role).with("email", &member.email)
        }
        Err(_) => Form::default(),
    };
    page(&invite_page(&app, &person, &form, Fault::default()).await?)
}

/// `POST /console/members/invite`
pub(super) async fn invite(headers: HeaderMap, sent: PostedForm) -> Reply {
    let (app, person, form) = sent.parts();
    let mut faults = Faults::default();
    faults.take(members::email(form.text("email")))?;
    let role = role_form::role(&form, &mut faults)?;
    let invited = match (role, faults.all()) {
        (Some(role), None) => {
            let invited = members::invite(&app.data, person.admin(), form.text("email"), role);
            invited.await.map_err(Fault::of)
        }
        (_, fault) => Err(Ok(fault.unwrap_or_default())),
    };
    let (invitation, opaque_token) = match invited {
        Ok(invited) => invited,
        Err(fault) => {
            return unprocessable(&invite_page(&app, &person, &form, fault?).await?);
        }
    };
    link_page(
        &person,
        format!("{} invited", invitation.email),
        "Copy the link now; you won't be able to see it again. Send it over a channel that only they can read. It works once and expires in 7 days.",
        &(super::clients::base(&app, &headers), opaque_token),
    )
}

/// Shows the link of an invitation.
fn link_page(
    person: &Person,
    heading: String,
    explanation: &'static str,
    (base, opaque_token): &(String, OpaqueToken),
) -> Reply {
    let link = format!("{base}/console/join/{}", opaque_token.expose().as_str());
    page(&OncePage {
        frame: Frame::new(person, "Copy the invitation link", "members"),
        heading,
        explanation,
        what: "Invitation link",
        secrets: vec![Zeroizing::new(link)],
        next: "/console/members".to_owned(),
        ..OncePage::default()
    })
}

fn id(text: &str, what: &'static str) -> Result<Uuid, PageError> {
    Uuid::try_parse(text).map_err(|_| PageError::NotFound(what))
}

async fn member_page(
    app: &App,
    person: &Person,
    member: &Member,
    form: &Form,
    fault: Fault,
) -> Result<MemberPage, PageError> {
    let fields = match person.admin().administers() {
        true => role_form::fields(app, person, form, &fault).await?,
        false => Vec::new(),
    };
    Ok(MemberPage {
        frame: Frame::new(person, member.name.to_string(), "members"),
        id: member.id.to_string(),
        line: line(&mut Words::new(app), member).await?,
        opened: role_form::form_of(&member.role).encoded(),
        fields,
        fault,
        myself: member.id == person.member.id,
    })
}

/// `GET /console/members/{id}`
pub(super) async fn one(Path(text): Path<String>, SignedIn(app, person): SignedIn) -> Reply {
    let member = members::show(&app.data, &person.admin(), id(&text, "member")?).await?;
    let form = role_form::form_of(&member.role);
    page(&member_page(&app, &person, &member, &form, Fault::default()).await?)
}

/// `POST /console/members/{id}`: another role.
pub(super) async fn change(
    Path(text): Path<String>,
    headers: HeaderMap,
    sent: PostedForm,
) -> Reply {
    let (app, person, form) = sent.parts();
    let member = members::show(&app.data, &person.admin(), id(&text, "member")?).await?;
    person.admin().must_administer()?;
    let mut faults = Faults::default();
    let role = role_form::role(&form, &mut faults)?;
    if let Some(fault) = faults.all() {
        let mut shown = member_page(&app, &person, &member, &form, fault).await?;
        shown.opened = form.text("opened").to_owned();
        return unprocessable(&shown);
    }
    let opened = Form::read(form.text("opened").as_bytes()).unwrap_or_default();
    let seen = role_form::role(&opened, &mut Faults::default())?;
    // Their own role has no form; the verb says so.
    let changed = match seen.is_some() || member.id == person.member.id {
        true => {
            let change = members::Change {
                seen,
                role,
                disabled: None,
            };
            members::change(&app.data, person.admin(), member.id, change).await
        }
        false => Err(Refused::Changed("member's role")),
    };
    match changed {
        Ok((_, None)) => Ok(see("/console/members?done=member")),
        Ok((member, Some(opaque_token))) => link_page(
            &person,
            format!("Role of {} changed", member.email),
            "The new role has more permissions, so the password and other sign-in methods were removed and all sessions were signed out. Send the member this link over a channel that only they can read. It works once, expires in 7 days and is not shown again. Single sign-on works without it.",
            &(super::clients::base(&app, &headers), opaque_token),
        ),
        Err(Refused::Changed(_)) => {
            let member = members::show(&app.data, &person.admin(), member.id).await?;
            let now = Words::new(&app).of(&member.role).await?;
            let text = format!(
                "Couldn't save: the role was changed while you were editing. It is now: {now}. Your selection is below. Review it, then save again."
            );
            let fault = Fault::new("", text);
            let shown = member_page(&app, &person, &member, &form, fault).await?;
            with_status(StatusCode::CONFLICT, &shown)
        }
        Err(refused) => {
            let fault = Fault::of(refused)?;
            let mut shown = member_page(&app, &person, &member, &form, fault).await?;
            shown.opened = form.text("opened").to_owned();
            unprocessable(&shown)
        }
    }
}

/// `GET /console/members/{id}/{act}`
pub(super) async fn ask_act(
    Path((text, act)): Path<(String, String)>,
    SteppedUp(app, person): SteppedUp,
) -> Reply {
    let member = members::show(&app.data, &person.admin(), id(&text, "member")?).await?;
    person.admin().must_administer()?;
    let (button, says): (_, &[&str]) = match act.as_str() {
        "remove" => (
            "Remove member",
            &[
                "They are signed out everywhere immediately and can't sign in again.",
                "This can't be undone. To give them access again, invite them again. Their past activity stays in the audit log.",
            ],
        ),
        "disable" => (
            "Disable member",
            &["They are signed out everywhere immediately. They can't sign in until re-enabled."],
        ),
        "enable" => (
            "Enable member",
            &["They can sign in again, with the role and the sign-in methods they had."],
        ),
        _ => return Err(PageError::NotFound("page")),
    };
    let title = format!("{button} {} ({})", member.name, member.email);
    page(&ConfirmPage::of(
        Frame::new(&person, title, "members"),
        (says, button),
        format!("/console/members/{}/{act}", member.id),
        format!("/console/members/{}", member.id),
    ))
}

/// `POST /console/members/{id}/{act}`
pub(super) async fn act(Path((text, act)): Path<(String, String)>, sent: PostedForm) -> Reply {
    let (admin, id) = (sent.person.admin(), id(&text, "member")?);
    let disabled = match act.as_str() {
        "remove" => {
            members::remove(&sent.app.data, admin, id).await?;
            return Ok(see("/console/members?done=member-removed"));
        }
        "disable" => true,
        "enable" => false,
        _ => return Err(PageError::NotFound("page")),
    };
    let change = members::Change {
        seen: None,
        role: None,
        disabled: Some(disabled),
    };
    members::change(&sent.app.data, admin, id, change).await?;
    Ok(see("/console/members?done=member"))
}

/// `GET /console/invitations/{id}/withdraw`
pub(super) async fn ask_withdraw(
    Path(text): Path<String>,
    SignedIn(app, person): SignedIn,
) -> Reply {
    let id = id(&text, "invitation")?;
    let (_, invited) = members::list(&app.data, &person.admin()).await?;
    let found = invited.into_iter().find(|one| one.id == id);
    let found = found.ok_or(PageError::NotFound("invitation"))?;
    let title = format!("Revoke invitation for {}", invited_name(&found.email));
    let says = ["The invitation link stops working immediately. You can invite them again."];
    page(&ConfirmPage::of(
        Frame::new(&person, title, "members"),
        (&says, "Revoke invitation"),
        format!("/console/invitations/{id}/withdraw"),
        "/console/members".to_owned(),
    ))
}

/// `POST /console/invitations/{id}/withdraw`
pub(super) async fn withdraw(Path(text): Path<String>, sent: PostedForm) -> Reply {
    members::withdraw(
        &sent.app.data,
        sent.person.admin(),
        id(&text, "invitation")?,
    )
    .await?;
    Ok(see("/console/members?done=withdrawn"))
}
