//! Every operation of the admin API: method, path, handler, name and errors. The router and the document are made of this
//! table. Parameters in the path, bodies and answers follow from the path and the types of the handler; 403 stands where a
//! role is needed.

use super::openapi::{Route, document_route, route, tag as tag_name, uuid};
use super::{audit, clients, keys, members, nodes, products, status, usage, webhooks, workspaces};
use crate::app::App;
use crate::verbs::usage_figures::{DAYS_DEFAULT, DAYS_MAX};
use http::Method;
use serde_json::json;
use std::sync::Arc;
use tokenward_core::label::LABEL_BYTES_MAX;

type Routes = Vec<Route<Arc<App>>>;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// Cursors of most lists.
const CURSOR: &str = "^c[0-9]{1,9}$";
/// Cursors of notices, whose places are beyond the numbers of other lists.
const NOTICE_CURSOR: &str = "^n[0-9]{1,18}$";

/// The whole table.
pub(super) fn routes() -> Routes {
    let sections = [
        server(),
        of_workspaces(),
        of_products(),
        of_clients(),
        of_credentials(),
        of_notices(),
        of_audit(),
        of_members(),
        of_admin_keys(),
    ];
    sections.into_iter().flatten().collect()
}

fn server() -> Routes {
    vec![
        document_route(),
        route(GET, "/status", status::show)
            .named("server", "showStatus", "The state of the server")
            .saying(
                "An admin key of one workspace sees version, role, vouching and writable only.",
            ),
        route(GET, "/nodes", nodes::list)
            .named(
                "server",
                "listNodes",
                "The nodes of the database, as the node that answers sees them",
            )
            .saying("On SQLite there is one.")
            .refuses(&["403"]),
    ]
}

fn of_workspaces() -> Routes {
    let tag = "workspaces";
    vec![
        route(GET, "/workspaces", workspaces::list)
            .named(tag, "listWorkspaces", "Workspaces, oldest first")
            .paged(CURSOR),
        route(POST, "/workspaces", workspaces::create)
            .named(tag, "createWorkspace", "Create a workspace")
            .refuses(&["403"]),
        route(GET, "/workspaces/{id}", workspaces::show)
            .named(tag, "showWorkspace", "One workspace")
            .refuses(&["404"]),
        route(PATCH, "/workspaces/{id}", workspaces::change)
            .named(tag, "changeWorkspace", "Rename, disable or enable a workspace")
            .saying(
                "While a workspace is disabled, all its API clients, their secrets and tokens are refused. Null counts as left \
                out.",
            )
            .refuses(&["403", "404"]),
    ]
}

fn of_products() -> Routes {
    let tag = "products";
    vec![
        route(GET, "/products", products::list).named(tag, "listProducts", "Every product"),
        route(PUT, "/products/{slug}", products::put)
            .named(tag, "putProduct", "Create or rename a product")
            .refuses(&["403"]),
        route(DELETE, "/products/{slug}", products::delete)
            .named(tag, "deleteProduct", "Delete a product")
            .saying("`PRODUCT_IN_USE` while an API client is restricted to it.")
            .refuses(&["403", "404", "409"]),
    ]
}

fn of_clients() -> Routes {
    let tag = "clients";
    let environment = json!({ "type": "string", "enum": ["sandbox", "production"] });
    let deleted = json!({ "type": "boolean", "default": false });
    let if_match = json!({ "type": "string", "pattern": "^(\\*|\"[0-9a-f]{32}\")$" });
    let label = json!({ "type": "string", "minLength": 1, "maxLength": LABEL_BYTES_MAX });
    let days =
        json!({ "type": "integer", "minimum": 1, "maximum": DAYS_MAX, "default": DAYS_DEFAULT });
    vec![
        route(GET, "/workspaces/{id}/clients", clients::list)
            .named(tag, "listClients", "API clients of a workspace, oldest first")
            .paged(CURSOR)
            .query("environment", environment, "only those of this environment")
            .query("label", json!({ "type": "string" }), "only the one with this label")
            .query("tag", tag_name(), "only those with this tag")
            .query("deleted", deleted, "whether deleted ones are listed too")
            .refuses(&["404"]),
        route(POST, "/workspaces/{id}/clients", clients::create)
            .named(tag, "createClient", "Create an API client")
            .saying("The client secret is shown here and never again. `LABEL_TAKEN` when the label is not free.")
            .refuses(&["403", "404", "409"]),
        route(GET, "/clients/{id}", clients::show)
            .named(tag, "showClient", "One API client")
            .saying("The ETag is the version of its settings, for `If-Match` of a change.")
            .refuses(&["404"]),
        route(PATCH, "/clients/{id}", clients::change)
            .named(tag, "changeClient", "Change an API client's settings")
            .saying(
                "What is left out stays. A new restriction binds the live token at once. With `If-Match`, settings that were \
                changed in the meantime are not overwritten: 412 `VERSION_MISMATCH`. `LABEL_TAKEN`, `CLIENT_DELETED`.",
            )
            .header(
                "If-Match",
                if_match,
                "change the client only if its settings are of this version: the ETag of the answer that showed them",
            )
            .refuses(&["403", "404", "409", "412"]),
        route(DELETE, "/clients/{id}", clients::delete)
            .named(tag, "deleteClient", "Delete an API client permanently")
            .saying(
                "Its secrets and its token are refused from the moment of the answer. The label is typed back in the query or \
                in the body, else `LABEL_MISMATCH`; `CLIENT_DELETED` when it is deleted already.",
            )
            .query("label", label, "the client's label, typed back")
            .refuses(&["403", "404", "409"]),
        route(POST, "/clients/{id}/disable", clients::disable)
            .named(tag, "disableClient", "Disable an API client")
            .saying("Its secrets and its token are refused until it is enabled again. `CLIENT_DELETED`.")
            .refuses(&["403", "404", "409"]),
        route(POST, "/clients/{id}/enable", clients::enable)
            .named(tag, "enableClient", "Enable an API client")
            .saying("`CLIENT_DELETED`.")
            .refuses(&["403", "404", "409"]),
        route(PUT, "/clients/{id}/tags/{tag}", clients::tag)
            .named(tag, "tagClient", "Add a tag to an API client")
            .saying("Tags are for finding clients; no check reads them. A client that has it stays as it is. `CLIENT_DELETED`.")
            .refuses(&["400", "403", "404", "409"]),
        route(DELETE, "/clients/{id}/tags/{tag}", clients::untag)
            .named(tag, "untagClient", "Remove a tag from an API client")
            .saying("A client without it stays as it is. `CLIENT_DELETED`.")
            .refuses(&["400", "403", "404", "409"]),
        route(POST, "/clients/{id}/confirmation-mails", clients::ask_again)
            .named(tag, "resendConfirmation", "Send confirmation mails again")
            .saying(
                "To one notification address, or to every one that is pending. The link before ends. A mailbox gets at most \
                three in a day, a workspace sends at most 100. `ADDRESS_CONFIRMED`; `ADDRESS_STOPPED` within 30 days after the \
                owner stopped notices; `CONFIRMATION_UNAVAILABLE` when `mail_url` or `public_url` is not set; `CLIENT_DELETED`.",
            )
            .refuses(&["403", "404", "409"]),
        route(GET, "/clients/{id}/usage", usage::show)
            .named(tag, "showUsage", "The use of an API client's tokens, by day")
            .saying(
                "Days are those of UTC. A crash of the server may lose the counts of its last seconds. What is not counted for \
                a product has product null.",
            )
            .query("days", days, "how many days, today included")
            .refuses(&["400", "404"]),
    ]
}

fn of_credentials() -> Routes {
    let tag = "clients";
    vec![
        route(POST, "/clients/{id}/secrets", clients::rotate)
            .named(tag, "createSecret", "Add a second client secret")
            .saying(
                "Shown here and never again; the other one stays valid until it is deleted. `TOO_MANY_SECRETS`, \
                `CLIENT_DELETED`.",
            )
            .refuses(&["403", "404", "409"]),
        route(PATCH, "/clients/{id}/secrets/{n}", clients::change_secret)
            .named(tag, "changeSecret", "Change the note of a client secret")
            .saying("`CLIENT_DELETED`.")
            .refuses(&["403", "404", "409"]),
        route(DELETE, "/clients/{id}/secrets/{n}", clients::delete_secret)
            .named(tag, "deleteSecret", "Delete a client secret")
            .saying("The token that it generated stays valid. `CLIENT_DELETED`.")
            .refuses(&["403", "404", "409"]),
        route(POST, "/clients/{id}/token", clients::generate)
            .named(tag, "generateTokenByAdmin", "Generate an access token")
            .saying("Shown here and never again; it revokes the live one. `CLIENT_DISABLED`, `CLIENT_DELETED`.")
            .refuses(&["403", "404", "409"]),
        route(DELETE, "/clients/{id}/token", clients::revoke)
            .named(tag, "revokeTokenByAdmin", "Revoke the access token without a new one")
            .saying("It is no error when none is live. `CLIENT_DELETED`.")
            .refuses(&["403", "404", "409"]),
    ]
}

fn of_notices() -> Routes {
    let tag = "notices";
    vec![
        route(GET, "/workspaces/{id}/webhooks", webhooks::list)
            .named(tag, "listWebhooks", "Webhooks of a workspace")
            .refuses(&["403", "404"]),
        route(POST, "/workspaces/{id}/webhooks", webhooks::create)
            .named(tag, "createWebhook", "Create a webhook for events of the workspace's API clients")
            .saying(
                "Messages are signed as the Standard Webhooks specification has it. The secret is shown here and never again. \
                `TOO_MANY_WEBHOOKS`.",
            )
            .refuses(&["403", "404", "409"]),
        route(PATCH, "/webhooks/{id}", webhooks::change)
            .named(tag, "changeWebhook", "Disable or enable a webhook, choose its events, or change its note")
            .saying("Notices that wait for a disabled webhook are given up.")
            .refuses(&["403", "404"]),
        route(DELETE, "/webhooks/{id}", webhooks::delete)
            .named(tag, "deleteWebhook", "Delete a webhook")
            .saying("Notices that wait for it are given up.")
            .refuses(&["403", "404"]),
        route(POST, "/webhooks/{id}/secret", webhooks::rotate)
            .named(tag, "rotateWebhookSecret", "Give a webhook a new secret")
            .saying("Shown here and never again. For a day messages bear the signature of the secret before, too.")
            .refuses(&["403", "404"]),
        route(POST, "/webhooks/{id}/test", webhooks::test)
            .named(tag, "testWebhook", "Send a test message to a webhook")
            .saying("The notices list shows whether it was delivered. `WEBHOOK_DISABLED`.")
            .refuses(&["403", "404", "409"]),
        route(GET, "/workspaces/{id}/notification-addresses", webhooks::addresses)
            .named(tag, "listNotificationAddresses", "Notification emails of a workspace's API clients")
            .saying("With the delivery of each event.")
            .refuses(&["403", "404"]),
        route(PATCH, "/workspaces/{id}/notification-addresses", webhooks::change_address)
            .named(tag, "changeNotificationAddress", "Choose the events of a notification email")
            .saying("Holds for every API client of the workspace that names the address. An address that none names is refused.")
            .refuses(&["403", "404"]),
        route(GET, "/workspaces/{id}/notices", webhooks::notices)
            .named(tag, "listNotices", "Notices of a workspace's API clients, newest first")
            .paged(NOTICE_CURSOR)
            .refuses(&["403", "404"]),
    ]
}

fn of_audit() -> Routes {
    let tag = "audit";
    let after = json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX, "default": 0 });
    let head =
        json!({ "type": "string", "maxLength": 85, "pattern": "^[1-9][0-9]{0,17}:[0-9a-f]{64}$" });
    vec![
        route(GET, "/audit", audit::list)
            .named(tag, "listAudit", "Audit entries, oldest first")
            .limited()
            .query("after", after, "only those after this number: `next_after` of the page before")
            .query("client_id", uuid(), "only those about this API client")
            .query("workspace_id", uuid(), "only those in this workspace")
            .refuses(&["403", "404"]),
        route(GET, "/audit/verify", audit::verify)
            .named(tag, "verifyAudit", "Verify the whole chain of hashes")
            .query(
                "head",
                head,
                "`SEQ:HASH` of an entry kept from an earlier verification: the log must still hold it",
            )
            .refuses(&["400", "403"]),
    ]
}

fn of_members() -> Routes {
    let tag = "members";
    vec![
        route(GET, "/members", members::list)
            .named(tag, "listMembers", "Who may sign in to the console")
            .saying("A workspace admin and an auditor of one workspace see those of their workspace.")
            .refuses(&["403"]),
        route(POST, "/members", members::invite)
            .named(tag, "inviteMember", "Invite somebody to the console")
            .saying(
                "The link is this server's public address followed by `join_path`. It is shown here and never again, works \
                once, for seven days, and ends the older links for the same address that you may grant. The link gives the role \
                of this invitation and no other. For a member with this role it resets how they sign in. `MEMBER_EXISTS` when \
                you see a member with this address and another role; a member whom you may not see changes nothing about the \
                answer, but the link will not work. `TOO_MANY_MEMBERS` at 1,000 members and open invitations of the workspace, \
                or 10,000 in all.",
            )
            .refuses(&["403", "409"]),
        route(GET, "/members/{id}", members::show)
            .named(tag, "showMember", "One member")
            .refuses(&["403", "404"]),
        route(PATCH, "/members/{id}", members::change)
            .named(tag, "changeMember", "Give a member another role, disable or enable them")
            .saying(
                "What is left out stays; a role is written whole, with its workspace and products. Links that were made for the \
                member before end. A disabled member's sessions end with the answer. A role that allows anything the one before \
                did not ends the member's sessions and removes their password, authenticator app and passkeys: `join_path` is \
                then the path of a link to set them again, for the owner of the address; it works once, for seven days. Single \
                sign-on keeps working. `OWN_MEMBERSHIP`; `LAST_OPERATOR` for the last operator who can sign in.",
            )
            .refuses(&["403", "404", "409"]),
        route(DELETE, "/members/{id}", members::remove)
            .named(tag, "removeMember", "Remove a member")
            .saying(
                "The member's sessions and links end with the answer. `OWN_MEMBERSHIP`; `LAST_OPERATOR` for the last operator \
                who can sign in.",
            )
            .refuses(&["403", "404", "409"]),
        route(GET, "/invitations", members::invited)
            .named(tag, "listInvitations", "Who is invited and has not joined")
            .saying("Invitations whose link has expired are listed until they are withdrawn or made again.")
            .refuses(&["403"]),
        route(DELETE, "/invitations/{id}", members::withdraw)
            .named(tag, "withdrawInvitation", "Withdraw an invitation")
            .saying("Its link stops working.")
            .refuses(&["403", "404"]),
    ]
}

fn of_admin_keys() -> Routes {
    let tag = "admin-keys";
    vec![
        route(GET, "/admin-keys", keys::list)
            .named(tag, "listAdminKeys", "Every admin key")
            .refuses(&["403"]),
        route(POST, "/admin-keys", keys::create)
            .named(tag, "createAdminKey", "Create an admin key")
            .saying("The key is shown here and never again.")
            .refuses(&["403"]),
        route(PATCH, "/admin-keys/{id}", keys::change)
            .named(tag, "changeAdminKey", "Change the note of an admin key")
            .refuses(&["403", "404"]),
        route(DELETE, "/admin-keys/{id}", keys::revoke)
            .named(tag, "revokeAdminKey", "Revoke an admin key")
            .saying("`LAST_OPERATOR` when no operator's key without an end would be left.")
            .refuses(&["403", "404", "409"]),
    ]
}
