//! Members: invite, join, read, change, remove. Whoever may say what another may do may never say more than they
//! may themselves.

use super::authority::Admin;
use super::sign_in::folded;
use super::{Refused, roles};
use crate::app::App;
use crate::people::ticket::Ticket;
use crate::random;
use serde_json::json;
use std::net::IpAddr;
use tokenward_core::audit::{Actor, Entry};
use tokenward_core::client::Role;
use tokenward_core::label::{self, Name};
use tokenward_core::time::Timestamp;
use tokenward_store::people::{Invitation, Member, Proofs, Record};
use tokenward_store::{Decided, Failure, View, Wants};
use uuid::Uuid;

/// Seconds an invitation's link is good for: a week.
pub const INVITATION_SECONDS: u64 = 7 * 86_400;
/// Seconds the first operator's link is good for.
pub const FIRST_SECONDS: u64 = 86_400;
/// Most members and invitations together: people, not machines.
pub const MEMBERS_MAX: usize = 10_000;

const NO_MEMBER: Refused = Refused::NotFound("member");

impl Admin {
    /// Whether it may know of somebody with this role.
    fn sees_role(&self, role: &Role) -> bool {
        match &self.role {
            Role::Operator | Role::Auditor { workspace: None } => true,
            Role::WorkspaceAdmin { workspace } => role.workspace() == Some(*workspace),
            Role::Auditor { workspace } => role.workspace() == *workspace,
            Role::ProductAdmin { .. } => false,
        }
    }

    /// For those who may give or take this role.
    fn must_grant(&self, role: &Role) -> Result<(), Refused> {
        match &self.role {
            Role::Operator => Ok(()),
            Role::WorkspaceAdmin { workspace } if role.workspace() == Some(*workspace) => Ok(()),
            Role::Auditor { .. } => Err(Refused::Forbidden("an auditor reads only")),
            _ => Err(Refused::Forbidden(
                "only an operator, or an admin of the same workspace, may do this",
            )),
        }
    }

    /// For those who may see members at all.
    pub fn must_see_members(&self) -> Result<(), Refused> {
        match &self.role {
            Role::ProductAdmin { .. } => Err(Refused::Forbidden(
                "a product admin may not see the members",
            )),
            _ => Ok(()),
        }
    }
}

/// Members and invitations, as far as the administrator sees them.
pub async fn list(app: &App, admin: &Admin) -> Result<(Vec<Member>, Vec<Invitation>), Refused> {
    admin.must_see_members()?;
    let reader = app.store.reader();
    let (mut members, mut invitations) = (reader.members().await?, reader.invitations().await?);
    members.retain(|member| admin.sees_role(&member.role));
    invitations.retain(|invitation| admin.sees_role(&invitation.role));
    Ok((members, invitations))
}

/// One member.
pub async fn show(app: &App, admin: &Admin, id: Uuid) -> Result<Member, Refused> {
    admin.must_see_members()?;
    let member = app.store.reader().member(id).await?;
    member
        .filter(|member| admin.sees_role(&member.role))
        .ok_or(NO_MEMBER)
}

fn wants(role: Option<&Role>) -> Wants {
    Wants {
        people: true,
        products: true,
        workspace: role.and_then(Role::workspace),
        ..Wants::default()
    }
}

fn written(records: Vec<Record>, entry: Entry) -> Decided {
    Decided {
        records,
        audit: vec![entry],
        ..Decided::default()
    }
}

/// Invites somebody; the link's secret is told here and never again. For somebody who is a member already it is a
/// way back in: what the link sets replaces what they proved themselves with.
pub async fn invite(
    app: &App,
    admin: Admin,
    email: &str,
    role: Role,
) -> Result<(Invitation, Ticket), Refused> {
    admin.must_grant(&role)?;
    let email = folded(email);
    let email = label::email(&email).map_err(|why| Refused::Invalid("email", why.0))?;
    let ticket = Ticket::new();
    let digest = ticket.digest();
    let decided = app.store.decide(wants(Some(&role)), move |view: &View| {
        roles::check(&role, view)?;
        if view.members.len() + view.invitations.len() >= MEMBERS_MAX {
            let why = format!("there are {MEMBERS_MAX} members and invitations; remove some first");
            return Err(Refused::Conflict("TOO_MANY_MEMBERS", why));
        }
        let member = view.members.iter().find(|member| member.email == email);
        if let Some(member) = member {
            // A way back in is worth as much as the member's role.
            admin.must_grant(&member.role)?;
            if member.role != role {
                let why = "there is a member with this address; change their role instead";
                return Err(Refused::Conflict("MEMBER_EXISTS", why.into()));
            }
        }
        let invitation = Invitation {
            id: random::uuid(),
            digest,
            email: email.clone(),
            role,
            created_at: view.now,
            expires_at: view.now.plus_seconds(INVITATION_SECONDS),
            invited_by: admin.who.text(),
        };
        let detail = json!({ "invitation": invitation.id, "email": email, "role": invitation.role, "again": member.is_some() });
        let entry = admin.entry("member.invite", invitation.role.workspace(), None, &detail, view.now);
        // A newer link for the same person makes the older worthless.
        let older = view.invitations.iter().filter(|one| one.email == email);
        let mut records: Vec<Record> = older.map(|one| Record::InvitationRemoved(one.id)).collect();
        records.push(Record::InvitationPut(invitation.clone()));
        Ok((written(records, entry), invitation))
    });
    decided.await?.map(|invitation| (invitation, ticket))
}

/// Makes the first operator's link when nobody can sign in to the console; each start makes the older ones
/// worthless. None when there is a member.
pub async fn first_link(app: &App) -> Result<Option<Ticket>, Failure> {
    let ticket = Ticket::new();
    let digest = ticket.digest();
    let decided = app.store.decide(wants(None), move |view: &View| {
        if !view.members.is_empty() {
            return Ok::<_, std::convert::Infallible>((Decided::nothing(), false));
        }
        let older = view.invitations.iter().filter(|one| one.email.is_empty());
        let mut records: Vec<Record> = older.map(|one| Record::InvitationRemoved(one.id)).collect();
        let invitation = Invitation {
            id: random::uuid(),
            digest,
            email: String::new(),
            role: Role::Operator,
            created_at: view.now,
            expires_at: view.now.plus_seconds(FIRST_SECONDS),
            invited_by: Actor::System.text(),
        };
        let detail = json!({ "invitation": invitation.id, "role": invitation.role });
        records.push(Record::InvitationPut(invitation));
        let entry = Entry {
            at: view.now,
            actor: Actor::System,
            source: None,
            action: "member.first_link",
            workspace: None,
            client: None,
            detail: detail.to_string(),
        };
        Ok((written(records, entry), true))
    });
    let made = decided.await?.unwrap_or(false);
    Ok(made.then_some(ticket))
}

/// The invitation a link is for, while it is good.
pub async fn invitation(app: &App, ticket: &Ticket) -> Result<Option<Invitation>, Refused> {
    use tokenward_core::time::Clock;
    let (digest, now) = (ticket.digest(), app.clock().wall());
    let all = app.store.reader().invitations().await?;
    let found = all.into_iter().find(|one| one.digest == digest);
    Ok(found.filter(|one| now < one.expires_at))
}

/// What somebody who holds a link says about themselves.
#[derive(Debug)]
pub struct Joining {
    /// Only where the invitation names none.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// The hash of the password they chose.
    pub password: String,
    /// From where.
    pub source: Option<IpAddr>,
}

/// Makes the member an invitation is for, and uses it up.
pub async fn join(app: &App, ticket: &Ticket, joining: Joining) -> Result<Member, Refused> {
    let name = Name::parse(joining.name.trim()).map_err(|why| Refused::Invalid("name", why.0))?;
    let digest = ticket.digest();
    let decided = app.store.decide(wants(None), move |view: &View| {
        let found = view.invitations.iter().find(|one| one.digest == digest);
        let found = found.filter(|one| view.now < one.expires_at);
        let invitation = found.ok_or(Refused::NotFound("invitation"))?;
        let email = if invitation.email.is_empty() {
            label::email(&folded(&joining.email)).map_err(|why| Refused::Invalid("email", why.0))?
        } else {
            invitation.email.clone()
        };
        let before = view.members.iter().find(|member| member.email == email);
        let proofs = Proofs {
            password: Some(joining.password),
            ..Proofs::default()
        };
        let member = Member {
            id: before.map_or_else(random::uuid, |member| member.id),
            email,
            name,
            role: before.map_or_else(|| invitation.role.clone(), |member| member.role.clone()),
            proofs,
            created_at: before.map_or(view.now, |member| member.created_at),
            disabled_at: before.and_then(|member| member.disabled_at),
        };
        let admin = Admin {
            who: Actor::Member(member.id),
            role: member.role.clone(),
            source: joining.source,
        };
        let detail = json!({ "invitation": invitation.id, "email": member.email, "role": member.role, "again": before.is_some() });
        let entry = admin.entry("member.join", member.role.workspace(), None, &detail, view.now);
        // The link for whoever comes first is over once somebody came, by whatever link.
        let over = |one: &&Invitation| one.id == invitation.id || one.email.is_empty();
        let over = view.invitations.iter().filter(over);
        let mut records: Vec<Record> = over.map(|one| Record::InvitationRemoved(one.id)).collect();
        records.push(Record::SessionsEnded { member: member.id, but: None });
        records.push(Record::MemberPut(Box::new(member.clone())));
        Ok((written(records, entry), member))
    });
    decided.await?
}

/// Withdraws an invitation.
pub async fn withdraw(app: &App, admin: Admin, id: Uuid) -> Result<(), Refused> {
    admin.must_see_members()?;
    let decided = app.store.decide(wants(None), move |view: &View| {
        let found = view.invitations.iter().find(|one| one.id == id);
        let found = found.filter(|one| admin.sees_role(&one.role));
        let invitation = found.ok_or(Refused::NotFound("invitation"))?;
        admin.must_grant(&invitation.role)?;
        let detail = json!({ "invitation": id, "email": invitation.email });
        let workspace = invitation.role.workspace();
        let entry = admin.entry(
            "member.withdraw_invitation",
            workspace,
            None,
            &detail,
            view.now,
        );
        Ok((written(vec![Record::InvitationRemoved(id)], entry), ()))
    });
    decided.await?
}

/// What is to be different about a member.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The role that the caller has seen and means to change; none for any.
    pub seen: Option<Role>,
    /// Another role.
    pub role: Option<Role>,
    /// Whether the member may not sign in.
    pub disabled: Option<bool>,
}

/// Changes what a member may do; their links end, and sessions of a disabled member. Nobody changes themselves, so
/// the last operator stays one.
pub async fn change(app: &App, admin: Admin, id: Uuid, change: Change) -> Result<Member, Refused> {
    alter(app, admin, id, change.role.clone(), move |view, member| {
        if change.seen.is_some_and(|seen| seen != member.role) {
            return Err(Refused::Changed("member's role"));
        }
        if let Some(role) = change.role {
            roles::check(&role, view)?;
            member.role = role;
        }
        if let Some(disabled) = change.disabled
            && disabled != member.disabled_at.is_some()
        {
            member.disabled_at = disabled.then_some(view.now);
        }
        Ok("member.change")
    })
    .await
}

/// Removes a member with all sessions.
pub async fn remove(app: &App, admin: Admin, id: Uuid) -> Result<Member, Refused> {
    alter(app, admin, id, None, |_, _| Ok("member.remove")).await
}

async fn alter(
    app: &App,
    admin: Admin,
    id: Uuid,
    role: Option<Role>,
    altering: impl FnOnce(&View, &mut Member) -> Result<&'static str, Refused> + Send + 'static,
) -> Result<Member, Refused> {
    admin.must_see_members()?;
    if let Some(role) = &role {
        admin.must_grant(role)?;
    }
    let decided = app.store.decide(wants(role.as_ref()), move |view: &View| {
        let found = view.members.iter().find(|member| member.id == id);
        let old = found
            .filter(|member| admin.sees_role(&member.role))
            .ok_or(NO_MEMBER)?;
        admin.must_grant(&old.role)?;
        if admin.who == Actor::Member(id) {
            let why = "nobody changes or removes themselves; ask another administrator";
            return Err(Refused::Conflict("OWN_MEMBERSHIP", why.into()));
        }
        let mut member = old.clone();
        let action = altering(view, &mut member)?;
        let removed = action == "member.remove";
        if member == *old && !removed {
            return Ok((Decided::nothing(), member));
        }
        let entry = told(&admin, action, &member, view.now);
        // A link made before would bring back who is removed, or give its holder the new role.
        let links = view.invitations.iter();
        let links = links.filter(|one| one.email == old.email);
        let mut records: Vec<Record> = links.map(|one| Record::InvitationRemoved(one.id)).collect();
        if removed {
            records.push(Record::MemberRemoved(id));
        } else {
            records.push(Record::MemberPut(Box::new(member.clone())));
            if member.disabled_at.is_some() {
                records.push(Record::SessionsEnded {
                    member: id,
                    but: None,
                });
            }
        }
        Ok((written(records, entry), member))
    });
    decided.await?
}

fn told(admin: &Admin, action: &'static str, member: &Member, now: Timestamp) -> Entry {
    let detail = json!({
        "member": member.id, "email": member.email, "role": member.role,
        "disabled": member.disabled_at.is_some(),
    });
    admin.entry(action, member.role.workspace(), None, &detail, now)
}
