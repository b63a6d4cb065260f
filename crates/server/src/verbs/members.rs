//! Members: invite, join, read, change, remove. Whoever may say what another may do may never say more than they
//! may themselves.

use super::prelude::*;
use super::sign_in::folded;
use super::{account, roles};
use crate::audit::detail;
use crate::auth::opaque_token::OpaqueToken;
use crate::auth::password::Caller;
use serde_json::Value;
use tokenward_core::audit::Actor;
use tokenward_core::client::Role;
use tokenward_core::label::{self, Name};
use tokenward_store::people::{Invitation, OpaqueTokenDigest, Proofs};

/// Seconds an invitation's link is good for: a week.
pub const INVITATION_SECONDS: u64 = 7 * 86_400;
/// Seconds the first operator's link is good for.
pub const FIRST_SECONDS: u64 = 86_400;
/// Most members and open invitations together: people, not machines.
pub const MEMBERS_MAX: usize = 10_000;
/// Most of them with a role in one workspace, so that its administrators cannot use up the whole number.
pub const WORKSPACE_MEMBERS_MAX: usize = 1_000;

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
pub async fn list(data: &Data, admin: &Admin) -> Result<(Vec<Member>, Vec<Invitation>), Refused> {
    admin.must_see_members()?;
    let reader = data.reader();
    let (mut members, mut invitations) = (reader.members().await?, reader.invitations().await?);
    members.retain(|member| admin.sees_role(&member.role));
    invitations.retain(|invitation| admin.sees_role(&invitation.role));
    Ok((members, invitations))
}

/// One member.
pub async fn show(data: &Data, admin: &Admin, id: Uuid) -> Result<Member, Refused> {
    admin.must_see_members()?;
    let member = data.reader().member(id).await?;
    member
        .filter(|member| admin.sees_role(&member.role))
        .ok_or(NO_MEMBER)
}

fn wants(role: Option<&Role>) -> ReadSet {
    ReadSet {
        people: true,
        products: true,
        workspace: role.and_then(Role::workspace),
        ..ReadSet::default()
    }
}

/// A new invitation, whose link has a secret with this digest.
fn invitation_of(
    acting: &Acting,
    (email, role): (&str, Role),
    digest: OpaqueTokenDigest,
    now: Timestamp,
) -> Invitation {
    Invitation {
        id: random::uuid(),
        digest,
        email: email.to_owned(),
        role,
        created_at: now,
        expires_at: now.plus_seconds(INVITATION_SECONDS),
        invited_by: acting.who().text(),
    }
}

/// Ends invitations, with an audit entry in each workspace other than the one that the act itself is told in.
fn end_invitations<'a>(
    decided: &mut Decided,
    ended: impl Iterator<Item = &'a Invitation>,
    told_in: Option<WorkspaceId>,
    entry: impl Fn(&'static str, Option<WorkspaceId>, &Value) -> Entry,
) {
    for one in ended {
        decided.records.push(Record::InvitationRemoved(one.id));
        let workspace = one.role.workspace();
        if workspace != told_in {
            let detail = json!({ "invitation": one.id, "email": one.email });
            let entry = entry("member.invitation_ended", workspace, &detail);
            decided.audit.push(entry);
        }
    }
}

/// Refuses one more member or invitation where there are as many as may be. Invitations that have ended don't count.
fn must_have_room(role: &Role, view: &View) -> Result<(), Refused> {
    let open = view.invitations.iter();
    let open = open.filter(|one| view.now < one.expires_at);
    let members = view.members.iter().map(|member| &member.role);
    let roles: Vec<&Role> = open.map(|one| &one.role).chain(members).collect();
    if roles.len() >= MEMBERS_MAX {
        let why = format!("there are {MEMBERS_MAX} members and invitations; remove some first");
        return Err(Refused::Conflict(Conflict::TooManyMembers, why));
    }
    let Some(workspace) = role.workspace() else {
        return Ok(());
    };
    let there = roles.iter();
    let there = there.filter(|role| role.workspace() == Some(workspace));
    if there.count() >= WORKSPACE_MEMBERS_MAX {
        let why = format!(
            "the workspace has {WORKSPACE_MEMBERS_MAX} members and invitations; remove some first"
        );
        return Err(Refused::Conflict(Conflict::TooManyMembers, why));
    }
    Ok(())
}

/// Invites somebody; the answer holds the link's secret, which is not shown again. For a member with this role it is a
/// way back in: joining by the link replaces their password and everything else that proves them. Ends the invitations
/// for the address that the administrator may grant; the others stay beside it.
///
/// A member or an invitation that the administrator may not see changes nothing about the answer.
///
/// # Errors
/// [`Refused::Conflict`] for a visible member with another role, and when there are too many members.
pub async fn invite(
    data: &Data,
    admin: Admin,
    email: &str,
    role: Role,
) -> Result<(Invitation, OpaqueToken), Refused> {
    admin.must_grant(&role)?;
    let email = self::email(email)?;
    let opaque_token = OpaqueToken::new();
    let digest = opaque_token.digest();
    let decided = acting::decide(data, admin, wants(Some(&role)), move |acting, view| {
        roles::check(&role, view)?;
        must_have_room(&role, view)?;
        let member = view.members.iter().find(|member| member.email == email);
        let member = member.filter(|member| acting.sees_role(&member.role));
        if let Some(member) = member {
            // A way back in is worth as much as the member's role.
            acting.must_grant(&member.role)?;
            if member.role != role {
                let why = "there is a member with this address; change their role instead";
                return Err(Refused::Conflict(Conflict::MemberExists, why.into()));
            }
        }
        let invitation = invitation_of(acting, (&email, role), digest, view.now);
        let workspace = invitation.role.workspace();
        let detail = json!({ "invitation": invitation.id, "email": email, "role": invitation.role, "again": member.is_some() });
        let entry = acting.entry("member.invite", workspace, None, &detail);
        let mut decided = Decided::records(vec![Record::InvitationPut(invitation.clone())], entry);
        let older = view.invitations.iter().filter(|one| one.email == email);
        let older = older.filter(|one| acting.must_grant(&one.role).is_ok());
        end_invitations(
            &mut decided,
            older,
            workspace,
            |action, workspace, detail| acting.entry(action, workspace, None, detail),
        );
        Ok((decided, invitation))
    });
    decided.await.map(|invitation| (invitation, opaque_token))
}

/// Whether a member can act as an operator in the console: enabled, and with a way to sign in.
#[must_use]
pub fn operates(member: &Member) -> bool {
    let signs_in = member.proofs.password.is_some() || member.proofs.sso.is_some();
    member.role == Role::Operator && member.disabled_at.is_none() && signs_in
}

/// Makes the first operator's link while no operator can sign in to the console; each start makes the older ones
/// worthless. None when there is an operator: other members do not count, they cannot invite one.
pub async fn first_link(data: &Data) -> Result<Option<OpaqueToken>, Failure> {
    let opaque_token = OpaqueToken::new();
    let digest = opaque_token.digest();
    let decided = data.decide(wants(None), move |view: &View| {
        if view.members.iter().any(operates) {
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
        let entry = Entry::by_system(view.now, "member.first_link", &detail);
        Ok((Decided::records(records, entry), true))
    });
    let made = decided.await?.unwrap_or(false);
    Ok(made.then_some(opaque_token))
}

/// The invitation a link is for, while it is good.
pub async fn invitation(
    data: &Data,
    opaque_token: &OpaqueToken,
) -> Result<Option<Invitation>, Refused> {
    use tokenward_core::time::Clock;
    let (digest, now) = (opaque_token.digest(), data.clock().wall());
    let all = data.reader().invitations().await?;
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
    /// The password they chose.
    pub password: Zeroizing<String>,
    /// The IP address of the caller.
    pub source: Option<IpAddr>,
}

/// The address of a member as written.
pub fn email(text: &str) -> Result<String, Refused> {
    label::email(&folded(text)).map_err(|why| Refused::Invalid("email", why.0))
}

impl Joining {
    /// What is wrong with the fields of the form, each by itself; nothing is hashed.
    #[must_use]
    pub fn judge(&self, invited: &Invitation) -> Vec<Refused> {
        let (named, mut judged) = (super::name(self.name.trim()), Vec::new());
        let address = match invited.email.as_str() {
            "" => match email(&self.email) {
                Ok(address) => address,
                Err(refused) => {
                    judged.push(refused);
                    String::new()
                }
            },
            known => known.to_owned(),
        };
        let own = [address.as_str(), named.as_ref().map_or("", Name::as_str)];
        let password = account::judge("password", &self.password, &own);
        judged.extend(named.err());
        judged.extend(password.err());
        judged
    }
}

/// Refuses a join by the first operator's link when there is an operator, or a member with this address and another role.
fn may_be_first(members: &[Member], invitation: &Invitation, email: &str) -> Result<(), Refused> {
    if members.iter().any(operates) {
        return Err(Refused::NotFound("invitation"));
    }
    let mut others = members
        .iter()
        .filter(|member| member.role != invitation.role);
    if others.any(|member| member.email == email) {
        let why = "there is a member with this address and another role; use another address";
        return Err(Refused::Conflict(Conflict::MemberExists, why.into()));
    }
    Ok(())
}

/// Makes the member an invitation is for, with the invitation's role and no other, and ends every invitation for the
/// address. A member with another role is left as they are: the invitation ends, with an audit entry where the member
/// belongs, and its holder learns no more than of a link that had ended before.
///
/// # Errors
/// [`Refused::NotFound`] for a link that has ended, or for a member with another role; [`Refused::Conflict`] for such
/// a member where the holder of the first operator's link named the address.
pub async fn join(
    people: &People,
    opaque_token: &OpaqueToken,
    joining: Joining,
) -> Result<Member, Refused> {
    // What costs little comes first: the password is hashed only for a join that can succeed.
    let name = super::name(joining.name.trim())?;
    let found = invitation(&people.data, opaque_token).await?;
    let invited = found.ok_or(Refused::NotFound("invitation"))?;
    let email = match invited.email.as_str() {
        "" => {
            let email = email(&joining.email)?;
            let members = people.data.reader().members().await?;
            may_be_first(&members, &invited, &email)?;
            email
        }
        known => known.to_owned(),
    };
    account::judge("password", &joining.password, &[&email, name.as_str()])?;
    let hashed = account::hash_chosen(people, Caller::Invited(invited.id), joining.password);
    let (password, source) = (hashed.await?, joining.source);
    let digest = opaque_token.digest();
    let wants = ReadSet {
        proves: true,
        ..wants(None)
    };
    let decided = people.data.decide(wants, move |view: &View| -> Result<_, Refused> {
        let found = view.invitations.iter().find(|one| one.digest == digest);
        let found = found.filter(|one| view.now < one.expires_at);
        let invitation = found.ok_or(Refused::NotFound("invitation"))?;
        if invitation.email.is_empty() {
            may_be_first(&view.members, invitation, &email)?;
        }
        let before = view.members.iter().find(|member| member.email == email);
        let by_member = |id: Option<Uuid>, action, workspace, detail: &Value| Entry {
            at: view.now,
            actor: id.map_or(Actor::System, Actor::Member),
            source,
            action,
            workspace,
            client: None,
            detail: detail.to_string(),
        };
        if let Some(member) = before.filter(|member| member.role != invitation.role) {
            let detail = json!({ "invitation": invitation.id, "email": email, "member": member.id, "invited_by": invitation.invited_by });
            let entry = by_member(None, "member.join_refused", member.role.workspace(), &detail);
            let ended = Decided::records(vec![Record::InvitationRemoved(invitation.id)], entry);
            return Ok((ended, Err(Refused::NotFound("invitation"))));
        }
        let proofs = Proofs {
            password: Some(password),
            ..Proofs::default()
        };
        let member = Member {
            id: before.map_or_else(random::uuid, |member| member.id),
            email,
            name,
            role: invitation.role.clone(),
            proofs,
            created_at: before.map_or(view.now, |member| member.created_at),
            disabled_at: before.and_then(|member| member.disabled_at),
        };
        let detail = json!({ "invitation": invitation.id, "email": member.email, "role": member.role, "again": before.is_some() });
        let workspace = member.role.workspace();
        let entry = by_member(Some(member.id), "member.join", workspace, &detail);
        // An older link for the address would let its holder replace what the member has just set. The first
        // operator's link ends once there is an operator.
        let first_is_over = operates(&member);
        let over = |one: &&Invitation| {
            one.id == invitation.id
                || one.email == member.email
                || (one.email.is_empty() && first_is_over)
        };
        let records = vec![
            Record::SessionsEnded { member: member.id, but: None },
            Record::MemberPut(Box::new(member.clone())),
        ];
        let mut decided = Decided::records(records, entry);
        let over = view.invitations.iter().filter(over);
        end_invitations(&mut decided, over, workspace, |action, workspace, detail| {
            by_member(Some(member.id), action, workspace, detail)
        });
        Ok((decided, Ok(member)))
    });
    decided.await??
}

/// Withdraws an invitation.
pub async fn withdraw(data: &Data, admin: Admin, id: Uuid) -> Result<(), Refused> {
    admin.must_see_members()?;
    let decided = acting::decide(data, admin, wants(None), move |acting, view| {
        let found = view.invitations.iter().find(|one| one.id == id);
        let found = found.filter(|one| acting.sees_role(&one.role));
        let invitation = found.ok_or(Refused::NotFound("invitation"))?;
        acting.must_grant(&invitation.role)?;
        let detail = json!({ "invitation": id, "email": invitation.email });
        let workspace = invitation.role.workspace();
        let entry = acting.entry("member.withdraw_invitation", workspace, None, &detail);
        let removed = vec![Record::InvitationRemoved(id)];
        Ok((Decided::records(removed, entry), ()))
    });
    decided.await
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

/// Whether everything that `new` may do is something that `old` may do too.
fn covers(old: &Role, new: &Role) -> bool {
    match (old, new) {
        (Role::Operator, _) => true,
        (Role::WorkspaceAdmin { workspace }, new) => new.workspace() == Some(*workspace),
        (
            Role::ProductAdmin {
                workspace,
                products,
            },
            Role::ProductAdmin {
                workspace: at,
                products: wanted,
            },
        ) => workspace == at && wanted.iter().all(|slug| products.contains(slug)),
        (Role::Auditor { workspace: None }, Role::Auditor { .. }) => true,
        (Role::Auditor { workspace }, Role::Auditor { workspace: at }) => workspace == at,
        _ => false,
    }
}

/// Changes a member's role, or disables or enables them. The invitations for the address end that the administrator
/// may grant, and the sessions of a disabled member.
///
/// A role that may do anything that the one before might not is given to the owner of the address, not to the password
/// chosen so far, whose chooser may never have read mail at that address: the sessions end, everything that proves the
/// member is removed but the single sign-on provider's name for them, and the answer holds a new link to set it again.
///
/// # Errors
/// [`Refused::Conflict`] for one's own membership and for the last operator.
pub async fn change(
    data: &Data,
    admin: Admin,
    id: Uuid,
    change: Change,
) -> Result<(Member, Option<OpaqueToken>), Refused> {
    alter(data, admin, id, change.role.clone(), move |view, member| {
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
///
/// # Errors
/// [`Refused::Conflict`] for one's own membership and for the last operator.
pub async fn remove(data: &Data, admin: Admin, id: Uuid) -> Result<Member, Refused> {
    let removed = alter(data, admin, id, None, |_, _| Ok("member.remove"));
    removed.await.map(|(member, _)| member)
}

async fn alter(
    data: &Data,
    admin: Admin,
    id: Uuid,
    role: Option<Role>,
    altering: impl FnOnce(&View, &mut Member) -> Result<&'static str, Refused> + Send + 'static,
) -> Result<(Member, Option<OpaqueToken>), Refused> {
    admin.must_see_members()?;
    if let Some(role) = &role {
        admin.must_grant(role)?;
    }
    let opaque_token = OpaqueToken::new();
    let digest = opaque_token.digest();
    let decided = acting::decide(data, admin, wants(role.as_ref()), move |acting, view| {
        let found = view.members.iter().find(|member| member.id == id);
        let old = found
            .filter(|member| acting.sees_role(&member.role))
            .ok_or(NO_MEMBER)?;
        acting.must_grant(&old.role)?;
        if acting.who() == Actor::Member(id) {
            let why = "nobody changes or removes themselves; ask another administrator";
            return Err(Refused::Conflict(Conflict::OwnMembership, why.into()));
        }
        let mut member = old.clone();
        let action = altering(view, &mut member)?;
        let removed = action == "member.remove";
        if member == *old && !removed {
            return Ok((Decided::nothing(), (member, false)));
        }
        let raised = !covers(&old.role, &member.role);
        if raised {
            let sso = member.proofs.sso.take();
            member.proofs = Proofs {
                sso,
                ..Proofs::default()
            };
        }
        let mut others = view.members.iter().filter(|other| other.id != id);
        if operates(old) && (removed || !operates(&member)) && !others.any(operates) {
            let why = "this is the last operator who can sign in; make another first";
            return Err(Refused::Conflict(Conflict::LastOperator, why.into()));
        }
        let invitation = raised.then(|| {
            let invited = (member.email.as_str(), member.role.clone());
            invitation_of(acting, invited, digest, view.now)
        });
        let mut decided = Decided {
            audit: told(acting, action, old, &member, invitation.as_ref()),
            ..Decided::default()
        };
        if removed {
            decided.records.push(Record::MemberRemoved(id));
        } else {
            decided
                .records
                .push(Record::MemberPut(Box::new(member.clone())));
            if raised || member.disabled_at.is_some() {
                let all = Record::SessionsEnded {
                    member: id,
                    but: None,
                };
                decided.records.push(all);
            }
        }
        // A link made before would bring back who is removed, or set the proofs of who is changed.
        let links = view.invitations.iter();
        let links = links.filter(|one| {
            one.email == old.email && acting.must_grant(&one.role).is_ok()
                || one.email.is_empty() && operates(&member)
        });
        let told_in = member.role.workspace();
        end_invitations(&mut decided, links, told_in, |action, workspace, detail| {
            acting.entry(action, workspace, None, detail)
        });
        decided
            .records
            .extend(invitation.map(Record::InvitationPut));
        Ok((decided, (member, raised)))
    });
    let (member, raised) = decided.await?;
    Ok((member, raised.then_some(opaque_token)))
}

/// The audit entries of a change of a member: one where they belong now, and one where they belonged before.
fn told(
    acting: &Acting,
    action: &'static str,
    old: &Member,
    member: &Member,
    invitation: Option<&Invitation>,
) -> Vec<Entry> {
    let (before, workspace) = (old.role.workspace(), member.role.workspace());
    let mut detail = json!({
        "member": member.id, "email": member.email, "role": member.role,
        "disabled": member.disabled_at.is_some(),
    });
    if let Some(invitation) = invitation {
        detail["invitation"] = json!(invitation.id);
    }
    if action != "member.remove" {
        let settings = |member: &Member| json!({ "role": member.role, "disabled": member.disabled_at.is_some() });
        detail = detail::with_changes(detail, &settings(old), &settings(member));
    }
    let mut entries = vec![acting.entry(action, workspace, None, &detail)];
    if before != workspace {
        let detail =
            json!({ "member": old.id, "email": old.email, "role": old.role, "moved": true });
        entries.push(acting.entry(action, before, None, &detail));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenward_core::label::Slug;

    #[test]
    fn role_covers_what_allows_no_more_than_it() {
        let [one, two] = [1, 2].map(|n| WorkspaceId(Uuid::from_u128(n)));
        let products = |slugs: &[&str]| {
            slugs
                .iter()
                .map(|slug| Slug::parse(slug).unwrap())
                .collect()
        };
        let roles = [
            Role::Operator,
            Role::WorkspaceAdmin { workspace: one },
            Role::WorkspaceAdmin { workspace: two },
            Role::ProductAdmin {
                workspace: one,
                products: products(&["a"]),
            },
            Role::ProductAdmin {
                workspace: one,
                products: products(&["a", "b"]),
            },
            Role::ProductAdmin {
                workspace: two,
                products: products(&["a"]),
            },
            Role::Auditor { workspace: None },
            Role::Auditor {
                workspace: Some(one),
            },
            Role::Auditor {
                workspace: Some(two),
            },
        ];
        // A row: what the role of that number covers.
        let expected: [&[usize]; 9] = [
            &[0, 1, 2, 3, 4, 5, 6, 7, 8],
            &[1, 3, 4, 7],
            &[2, 5, 8],
            &[3],
            &[3, 4],
            &[5],
            &[6, 7, 8],
            &[7],
            &[8],
        ];
        for (old, expected) in roles.iter().zip(expected) {
            let covered = (0..roles.len()).filter(|new| covers(old, &roles[*new]));
            assert_eq!(covered.collect::<Vec<_>>(), expected, "{old:?}");
        }
    }
}
