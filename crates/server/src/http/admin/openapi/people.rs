//! The operations of the admin API about the people behind the console, and their schemas.

use super::Operation;
use super::answers::json_answer;
use super::operations::{CONFLICT, FORBIDDEN, NOT_FOUND, signed, with_body};
use super::schemas::{
    count, list, named_products, named_workspace, object, or_null, page, reference, role, slug,
    text, time, time_or_null, uuid, whole, with,
};
use http::Method;
use serde_json::{Value, json};
use tokenward_core::client::PRODUCTS_MAX;
use tokenward_core::label::NAME_BYTES_MAX;

const MEMBERS: &str = "members";

fn about(method: Method, path: &'static str, id: &str, summary: &str) -> Operation {
    signed(method, path, id, MEMBERS, summary).answers_as(&[FORBIDDEN])
}

fn member(method: Method, id: &str, summary: &str) -> Operation {
    about(method, "/members/{id}", id, summary)
        .path_parameter("id", uuid(), "the member")
        .answers_as(&[NOT_FOUND])
}

pub(in crate::http::admin) fn list_members() -> Operation {
    about(
        Method::GET,
        "/members",
        "listMembers",
        "Who may sign in to the console",
    )
    .saying("A workspace admin and an auditor of one workspace see those of their workspace.")
    .answers("200", json_answer("all of them", "MemberPage"))
}

pub(in crate::http::admin) fn invite_member() -> Operation {
    let summary = "Invite somebody to the console";
    with_body(
        about(Method::POST, "/members", "inviteMember", summary),
        "MemberInvite",
    )
    .saying(
        "The link is this server's public address with `join_path` behind it. It is shown here and never again, works once, for \
        seven days, and ends the older links for the same address that you may grant. The link gives the role of this invitation \
        and no other. For a member with this role it is a way back in: what they set replaces what they proved themselves with. \
        `MEMBER_EXISTS` when you see a member with this address and another role; a member whom you may not see changes nothing \
        about the answer, but the link will not work. `TOO_MANY_MEMBERS` at 1,000 members and open invitations of the workspace, or \
        10,000 in all.",
    )
    .answers("201", json_answer("invited", "MemberInvited"))
    .answers_as(&[CONFLICT])
}

pub(in crate::http::admin) fn show_member() -> Operation {
    member(Method::GET, "showMember", "One member").answers("200", json_answer("it", "Member"))
}

pub(in crate::http::admin) fn change_member() -> Operation {
    let summary = "Give a member another role, disable or enable them";
    with_body(member(Method::PATCH, "changeMember", summary), "MemberChange")
        .saying(
            "What is left out stays; a role is written whole, with its workspace and products. Links that were made for the \
            member before end. A disabled member's sessions end with the answer. A role that allows anything the one before did \
            not ends the member's sessions and removes their password, authenticator app and passkeys: `join_path` is then the \
            path of a link to set them again, for the owner of the address; it works once, for seven days. Single sign-on keeps \
            working. `OWN_MEMBERSHIP`; `LAST_OPERATOR` for the last operator who can sign in.",
        )
        .answers("200", json_answer("the member afterwards", "MemberChanged"))
        .answers_as(&[CONFLICT])
}

pub(in crate::http::admin) fn remove_member() -> Operation {
    member(Method::DELETE, "removeMember", "Remove a member")
        .saying(
            "The member's sessions and links end with the answer. `OWN_MEMBERSHIP`; `LAST_OPERATOR` for the last operator who \
            can sign in.",
        )
        .answers("204", json!({ "description": "removed" }))
        .answers_as(&[CONFLICT])
}

pub(in crate::http::admin) fn list_invitations() -> Operation {
    about(
        Method::GET,
        "/invitations",
        "listInvitations",
        "Who is invited and has not joined",
    )
    .saying("Those whose link has ended are among them until they are withdrawn or invited again.")
    .answers("200", json_answer("all of them", "InvitationPage"))
}

pub(in crate::http::admin) fn withdraw_invitation() -> Operation {
    about(
        Method::DELETE,
        "/invitations/{id}",
        "withdrawInvitation",
        "Withdraw an invitation",
    )
    .path_parameter("id", uuid(), "the invitation")
    .answers(
        "204",
        json!({ "description": "withdrawn: its link is worthless" }),
    )
    .answers_as(&[NOT_FOUND])
}

/// A role as it is told: three members of what has it.
fn with_role(members: Value) -> Value {
    let told = json!({ "role": role(), "workspace_id": or_null(uuid()), "products": or_null(list(slug(), PRODUCTS_MAX)) });
    whole(with(members, told))
}

/// Every schema by name.
pub(super) fn schemas() -> Value {
    let flag = || json!({ "type": "boolean" });
    let email = json!({
        "type": "string", "pattern": r"^\s*[^@\s,]+@[^@\s,]+\s*$", "examples": ["asha@example.com"],
        "description": "capitals and blanks around it do not count",
    });
    let member = json!({
        "id": uuid(), "email": { "type": "string" }, "name": text(NAME_BYTES_MAX, "a name"),
        "has_password": flag(), "has_authenticator_app": flag(), "passkeys": count(), "single_sign_on": flag(),
        "disabled": flag(), "disabled_at": time_or_null(), "created_at": time(),
    });
    let join_path = json!({ "type": "string", "pattern": "^/console/join/[A-Za-z0-9_-]{43}$" });
    json!({
        "MemberChanged": with_role(with(member.clone(), json!({ "join_path": or_null(join_path.clone()) }))),
        "Member": with_role(member),
        "MemberPage": page("Member"),
        "MemberInvite": object(&["email", "role"], json!({
            "email": email, "role": role(), "workspace_id": named_workspace(), "products": named_products(),
        })),
        "MemberInvited": whole(json!({
            "invitation": reference("Invitation"),
            "join_path": join_path,
        })),
        "MemberChange": object(&[], json!({
            "role": or_null(role()), "workspace_id": named_workspace(), "products": named_products(),
            "disabled": or_null(flag()),
        })),
        "Invitation": with_role(json!({
            "id": uuid(),
            "email": with(or_null(json!({ "type": "string" })), json!({ "description": "null: whoever holds the first operator's link" })),
            "invited_by": { "type": "string", "description": "as in the audit log" },
            "created_at": time(), "expires_at": time(),
        })),
        "InvitationPage": page("Invitation"),
    })
}
