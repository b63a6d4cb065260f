//! `/members` and `/invitations`: who may sign in to the console. Nothing that proves a member is ever in an
//! answer; the secret of an invitation's link is in the one that makes it.

use super::prelude::*;
use crate::auth::opaque_token::OpaqueToken;
use crate::verbs::members;
use crate::verbs::roles::RoleFields;
use tokenward_api::{
    Invitation, JoinPath, Member, MemberChange, MemberChanged, MemberInvite, MemberInvited, Name,
};
use tokenward_store::people;

fn read(change: &MemberChange) -> Result<members::Change, Problem> {
    let sent = change.role.as_deref().map(|role| RoleFields {
        role,
        workspace: change.workspace_id.map(WorkspaceId),
        products: change.products.as_deref(),
    });
    if sent.is_none() && (change.workspace_id.is_some() || change.products.is_some()) {
        let detail = "A role is written whole: name it with its workspace_id and products.";
        return Err(Problem::invalid(Some("role"), detail));
    }
    Ok(members::Change {
        seen: None,
        role: sent.map(|sent| sent.read()).transpose()?,
        disabled: change.disabled,
    })
}

fn member(member: &people::Member) -> Member {
    let proofs = &member.proofs;
    Member {
        id: member.id,
        email: member.email.clone(),
        name: Name::of(&member.name),
        role: views::role(&member.role),
        has_password: proofs.password.is_some(),
        has_authenticator_app: proofs.totp.is_some(),
        passkeys: proofs.passkeys.len() as u64,
        single_sign_on: proofs.sso.is_some(),
        disabled: member.disabled_at.is_some(),
        disabled_at: member.disabled_at.map(views::time),
        created_at: views::time(member.created_at),
    }
}

fn invitation(invitation: &people::Invitation) -> Invitation {
    Invitation {
        id: invitation.id,
        // The holder of the first operator's link says who they are.
        email: (!invitation.email.is_empty()).then(|| invitation.email.clone()),
        role: views::role(&invitation.role),
        invited_by: invitation.invited_by.clone(),
        created_at: views::time(invitation.created_at),
        expires_at: views::time(invitation.expires_at),
    }
}

/// The path of the link of an invitation.
fn join_path(opaque_token: &OpaqueToken) -> JoinPath {
    JoinPath::of(&format!("/console/join/{}", opaque_token.expose().as_str()))
}

pub(super) async fn list(call: Call) -> Answer<Json<Page<Member>>> {
    let (found, _) = members::list(&call.data, &call.admin).await?;
    let items = found.iter().map(member).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn invited(call: Call) -> Answer<Json<Page<Invitation>>> {
    let (_, found) = members::list(&call.data, &call.admin).await?;
    let items = found.iter().map(invitation).collect();
    Ok(Json(views::page(items, None)))
}

pub(super) async fn invite(
    call: Call,
    Body(body): Body<MemberInvite>,
) -> Answer<Created<MemberInvited>> {
    let role = RoleFields {
        role: &body.role,
        workspace: body.workspace_id.map(WorkspaceId),
        products: body.products.as_deref(),
    };
    let (made, opaque_token) =
        members::invite(&call.data, call.admin, &body.email, role.read()?).await?;
    Ok(Created(MemberInvited {
        invitation: invitation(&made),
        join_path: join_path(&opaque_token),
    }))
}

pub(super) async fn show(call: Call<String>) -> Answer<Json<Member>> {
    let found = members::show(&call.data, &call.admin, id(&call.at, "member")?).await?;
    Ok(Json(member(&found)))
}

pub(super) async fn change(
    call: Call<String>,
    Body(body): Body<MemberChange>,
) -> Answer<Json<MemberChanged>> {
    let id = id(&call.at, "member")?;
    let (changed, opaque_token) = members::change(&call.data, call.admin, id, read(&body)?).await?;
    Ok(Json(MemberChanged {
        member: member(&changed),
        join_path: opaque_token.as_ref().map(join_path),
    }))
}

pub(super) async fn remove(call: Call<String>) -> Answer<NoContent> {
    members::remove(&call.data, call.admin, id(&call.at, "member")?).await?;
    Ok(NoContent)
}

pub(super) async fn withdraw(call: Call<String>) -> Answer<NoContent> {
    members::withdraw(&call.data, call.admin, id(&call.at, "invitation")?).await?;
    Ok(NoContent)
}
