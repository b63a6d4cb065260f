//! The admin API, one function an operation; `admin::routes` joins each with its handler.

use super::Operation;
use super::answers::{header, json_answer};
use super::schemas::{slug, uuid};
use http::Method;
use serde_json::{Value, json};
use tokenward_core::label::LABEL_BYTES_MAX;
use tokenward_store::PAGE_MAX;

/// An operation for holders of an admin key, with the answers that all of them have.
pub(super) fn signed(
    method: Method,
    path: &'static str,
    id: &str,
    tag: &str,
    summary: &str,
) -> Operation {
    Operation::new(method, path, id, tag, summary)
        .opened_by(&["adminKey"])
        .answers_as(&[
            ("401", "ProblemUnauthorized"),
            ("429", "ProblemTooMany"),
            ("500", "Internal"),
            ("503", "ProblemUnavailable"),
        ])
}

pub(super) fn with_body(operation: Operation, schema: &str) -> Operation {
    operation
        .body("application/json", schema, true)
        .answers_as(&[
            ("400", "ProblemInvalid"),
            ("413", "ProblemTooLarge"),
            ("415", "ProblemNotJson"),
        ])
}

fn paged(operation: Operation) -> Operation {
    let cursor = json!({ "type": "string", "pattern": "^c[0-9]{1,9}$" });
    limited(operation).query("cursor", cursor, "`next_cursor` of the page before")
}

pub(super) fn limited(operation: Operation) -> Operation {
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": 100 });
    operation
        .query("limit", limit, "how many at most")
        .answers_as(&[("400", "ProblemInvalid")])
}

pub(super) const FORBIDDEN: (&str, &str) = ("403", "ProblemForbidden");
pub(super) const NOT_FOUND: (&str, &str) = ("404", "ProblemNotFound");
pub(super) const CONFLICT: (&str, &str) = ("409", "ProblemConflict");

pub(in crate::http::admin) fn show_document() -> Operation {
    let document: Value = json!({
        "description": "this document",
        "content": { "application/json": { "schema": { "type": "object", "required": ["openapi"] } } },
    });
    Operation::new(
        Method::GET,
        "/openapi.json",
        "showDocument",
        "server",
        "This document",
    )
    .answers("200", document)
    .answers_as(&[("500", "Internal")])
}

pub(in crate::http::admin) fn show_status() -> Operation {
    signed(
        Method::GET,
        "/status",
        "showStatus",
        "server",
        "What runs here",
    )
    .saying("An admin key of one workspace sees version, vouching and writable only.")
    .answers("200", json_answer("the server's state", "Status"))
}

const WORKSPACES: &str = "workspaces";

pub(in crate::http::admin) fn list_workspaces() -> Operation {
    paged(signed(
        Method::GET,
        "/workspaces",
        "listWorkspaces",
        WORKSPACES,
        "Workspaces, oldest first",
    ))
    .answers("200", json_answer("a page", "WorkspacePage"))
}

pub(in crate::http::admin) fn create_workspace() -> Operation {
    let operation = signed(
        Method::POST,
        "/workspaces",
        "createWorkspace",
        WORKSPACES,
        "Create a workspace",
    );
    with_body(operation, "WorkspaceCreate")
        .answers("201", json_answer("created", "Workspace"))
        .answers_as(&[FORBIDDEN])
}

fn workspace(method: Method, id: &str, summary: &str) -> Operation {
    signed(method, "/workspaces/{id}", id, WORKSPACES, summary)
        .path_parameter("id", uuid(), "the workspace")
        .answers("200", json_answer("the workspace", "Workspace"))
        .answers_as(&[NOT_FOUND])
}

pub(in crate::http::admin) fn show_workspace() -> Operation {
    workspace(Method::GET, "showWorkspace", "One workspace")
}

pub(in crate::http::admin) fn change_workspace() -> Operation {
    let summary = "Rename, disable or enable a workspace";
    with_body(workspace(Method::PATCH, "changeWorkspace", summary), "WorkspaceChange")
        .saying("All clients of a disabled workspace, their secrets and tokens, sleep with it. Null counts as left out.")
        .answers_as(&[FORBIDDEN])
}

const CLIENTS: &str = "clients";

pub(in crate::http::admin) fn list_clients() -> Operation {
    let environment = json!({ "type": "string", "enum": ["sandbox", "production"] });
    let summary = "API clients of a workspace, oldest first";
    paged(signed(
        Method::GET,
        "/workspaces/{id}/clients",
        "listClients",
        CLIENTS,
        summary,
    ))
    .path_parameter("id", uuid(), "the workspace")
    .query("environment", environment, "only those of this environment")
    .query(
        "label",
        json!({ "type": "string" }),
        "only the one with this label",
    )
    .query(
        "deleted",
        json!({ "type": "boolean", "default": false }),
        "whether deleted ones are listed too",
    )
    .answers("200", json_answer("a page", "ClientPage"))
    .answers_as(&[NOT_FOUND])
}

pub(in crate::http::admin) fn create_client() -> Operation {
    let operation = signed(
        Method::POST,
        "/workspaces/{id}/clients",
        "createClient",
        CLIENTS,
        "Create an API client",
    );
    with_body(operation, "ClientCreate")
        .saying("The client secret is shown here and never again. `LABEL_TAKEN` when the label is not free.")
        .path_parameter("id", uuid(), "the workspace")
        .answers("201", json_answer("created", "ClientCreated"))
        .answers_as(&[FORBIDDEN, NOT_FOUND, CONFLICT])
}

/// Something about one client.
pub(super) fn client(method: Method, path: &'static str, id: &str, summary: &str) -> Operation {
    signed(method, path, id, CLIENTS, summary)
        .path_parameter("id", uuid(), "the API client")
        .answers_as(&[NOT_FOUND])
}

/// An act on one client that answers with it.
fn act(method: Method, path: &'static str, id: &str, summary: &str) -> Operation {
    client(method, path, id, summary)
        .answers("200", json_answer("the API client afterwards", "Client"))
        .answers_as(&[FORBIDDEN, CONFLICT])
}

pub(in crate::http::admin) fn show_client() -> Operation {
    client(Method::GET, "/clients/{id}", "showClient", "One API client")
        .saying("The ETag is the version of its settings, for `If-Match` of a change.")
        .answers("200", versioned("the API client"))
}

/// An API client with the version of its settings.
fn versioned(what: &str) -> Value {
    let mut response = json_answer(what, "Client");
    let schema = json!({ "type": "string", "pattern": "^\"[0-9a-f]{32}\"$" });
    response["headers"]["etag"] = header("the version of the settings", schema);
    response
}

pub(in crate::http::admin) fn change_client() -> Operation {
    let operation = act(
        Method::PATCH,
        "/clients/{id}",
        "changeClient",
        "Change an API client's settings",
    );
    let if_match = json!({
        "name": "If-Match", "in": "header", "required": false,
        "schema": { "type": "string", "pattern": "^(\\*|\"[0-9a-f]{32}\")$" },
        "description": "change the client only if its settings are of this version: the ETag of the answer that showed them",
    });
    with_body(operation, "ClientChange")
        .saying("What is left out stays. A new restriction binds the live token at once. With `If-Match`, settings that were changed in the meantime are not overwritten: 412 `VERSION_MISMATCH`. `LABEL_TAKEN`, `CLIENT_DELETED`.")
        .parameter(if_match)
        .answers("200", versioned("the API client afterwards"))
        .answers_as(&[("412", "ProblemMismatch")])
}

pub(in crate::http::admin) fn delete_client() -> Operation {
    let label = json!({ "type": "string", "minLength": 1, "maxLength": LABEL_BYTES_MAX });
    act(Method::DELETE, "/clients/{id}", "deleteClient", "Delete an API client for good")
        .saying("Its secrets and its token are dead from the moment of the answer. The label is typed back in the query or in the body, else `LABEL_MISMATCH`; `CLIENT_DELETED` when it is deleted already.")
        .query("label", label, "the client's label, typed back")
        .body("application/json", "ClientDelete", false)
        .answers_as(&[("400", "ProblemInvalid"), ("408", "ProblemTooSlow"), ("413", "ProblemTooLarge")])
}

pub(in crate::http::admin) fn disable_client() -> Operation {
    act(
        Method::POST,
        "/clients/{id}/disable",
        "disableClient",
        "Disable an API client",
    )
    .saying("Its secrets and its token sleep until it is enabled again. `CLIENT_DELETED`.")
}

pub(in crate::http::admin) fn enable_client() -> Operation {
    act(
        Method::POST,
        "/clients/{id}/enable",
        "enableClient",
        "Enable an API client",
    )
    .saying("`CLIENT_DELETED`.")
}

pub(in crate::http::admin) fn resend_confirmation() -> Operation {
    act(
        Method::POST,
        "/clients/{id}/confirmation-mails",
        "resendConfirmation",
        "Send confirmation mails again",
    )
    .saying(
        "To one notification address, or to every one that is pending. The link before ends. A mailbox gets at most three in a \
        day, a workspace sends at most 100. `ADDRESS_CONFIRMED`; `ADDRESS_STOPPED` within 30 days after the owner stopped \
        notices; `CONFIRMATION_UNAVAILABLE` when `mail_url` or `public_url` is not set; `CLIENT_DELETED`.",
    )
    .body("application/json", "ConfirmationMails", false)
    .answers_as(&[("400", "ProblemInvalid"), ("408", "ProblemTooSlow"), ("413", "ProblemTooLarge")])
}

pub(in crate::http::admin) fn create_secret() -> Operation {
    client(Method::POST, "/clients/{id}/secrets", "createSecret", "Add a second client secret")
        .saying("Shown here and never again; the other one stays good until it is deleted. `TOO_MANY_SECRETS`, `CLIENT_DELETED`.")
        .answers("201", json_answer("created", "SecretCreated"))
        .answers_as(&[FORBIDDEN, CONFLICT])
}

pub(in crate::http::admin) fn delete_secret() -> Operation {
    act(
        Method::DELETE,
        "/clients/{id}/secrets/{n}",
        "deleteSecret",
        "Delete a client secret",
    )
    .saying("The token it generated lives on. `CLIENT_DELETED`.")
    .path_parameter(
        "n",
        json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        "the secret's number",
    )
}

pub(in crate::http::admin) fn generate_token() -> Operation {
    client(
        Method::POST,
        "/clients/{id}/token",
        "generateTokenByAdmin",
        "Generate an access token",
    )
    .saying(
        "Shown here and never again; it revokes the live one. `CLIENT_DISABLED`, `CLIENT_DELETED`.",
    )
    .answers("201", json_answer("generated", "TokenByAdmin"))
    .answers_as(&[FORBIDDEN, CONFLICT])
}

pub(in crate::http::admin) fn revoke_token() -> Operation {
    act(
        Method::DELETE,
        "/clients/{id}/token",
        "revokeTokenByAdmin",
        "Revoke the access token without a new one",
    )
    .saying("Nothing live is no error. `CLIENT_DELETED`.")
}

const PRODUCTS: &str = "products";

pub(in crate::http::admin) fn list_products() -> Operation {
    signed(
        Method::GET,
        "/products",
        "listProducts",
        PRODUCTS,
        "Every product",
    )
    .answers("200", json_answer("all of them", "ProductPage"))
}

pub(in crate::http::admin) fn put_product() -> Operation {
    let operation = signed(
        Method::PUT,
        "/products/{slug}",
        "putProduct",
        PRODUCTS,
        "Create or rename a product",
    );
    with_body(operation, "ProductPut")
        .path_parameter("slug", slug(), "the product")
        .answers("200", json_answer("renamed, or as it was", "Product"))
        .answers("201", json_answer("created", "Product"))
        .answers_as(&[FORBIDDEN])
}

pub(in crate::http::admin) fn delete_product() -> Operation {
    signed(
        Method::DELETE,
        "/products/{slug}",
        "deleteProduct",
        PRODUCTS,
        "Delete a product",
    )
    .saying("`PRODUCT_IN_USE` while an API client is restricted to it.")
    .path_parameter("slug", slug(), "the product")
    .answers("204", json!({ "description": "deleted" }))
    .answers_as(&[FORBIDDEN, NOT_FOUND, CONFLICT])
}

const AUDIT: &str = "audit";

pub(in crate::http::admin) fn list_audit() -> Operation {
    let after = json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX, "default": 0 });
    limited(signed(
        Method::GET,
        "/audit",
        "listAudit",
        AUDIT,
        "Audit entries, oldest first",
    ))
    .query(
        "after",
        after,
        "only those behind this number: `next_after` of the page before",
    )
    .query("client_id", uuid(), "only those about this API client")
    .query("workspace_id", uuid(), "only those in this workspace")
    .answers("200", json_answer("a page", "AuditPage"))
    .answers_as(&[FORBIDDEN, NOT_FOUND])
}

pub(in crate::http::admin) fn verify_audit() -> Operation {
    signed(
        Method::GET,
        "/audit/verify",
        "verifyAudit",
        AUDIT,
        "Verify the whole chain of hashes",
    )
    .query(
        "head",
        json!({ "type": "string", "maxLength": 85, "pattern": "^[1-9][0-9]{0,17}:[0-9a-f]{64}$" }),
        "`SEQ:HASH` of an entry kept from an earlier verification: the log must still hold it",
    )
    .answers(
        "200",
        json_answer("whole, or where it is broken", "AuditVerified"),
    )
    .answers_as(&[("400", "ProblemInvalid"), FORBIDDEN])
}

const ADMIN_KEYS: &str = "admin-keys";

pub(in crate::http::admin) fn list_admin_keys() -> Operation {
    signed(
        Method::GET,
        "/admin-keys",
        "listAdminKeys",
        ADMIN_KEYS,
        "Every admin key",
    )
    .answers("200", json_answer("all of them", "AdminKeyPage"))
    .answers_as(&[FORBIDDEN])
}

pub(in crate::http::admin) fn create_admin_key() -> Operation {
    let operation = signed(
        Method::POST,
        "/admin-keys",
        "createAdminKey",
        ADMIN_KEYS,
        "Create an admin key",
    );
    with_body(operation, "AdminKeyCreate")
        .saying("The key is shown here and never again.")
        .answers("201", json_answer("created", "AdminKeyCreated"))
        .answers_as(&[FORBIDDEN])
}

pub(in crate::http::admin) fn revoke_admin_key() -> Operation {
    signed(
        Method::DELETE,
        "/admin-keys/{id}",
        "revokeAdminKey",
        ADMIN_KEYS,
        "Revoke an admin key",
    )
    .saying("`LAST_OPERATOR` when no operator's key without an end would be left.")
    .path_parameter("id", uuid(), "the admin key")
    .answers("200", json_answer("the admin key afterwards", "AdminKey"))
    .answers_as(&[FORBIDDEN, NOT_FOUND, CONFLICT])
}
