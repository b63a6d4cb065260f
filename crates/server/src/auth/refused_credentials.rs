//! Refused credentials: one line each in the log at the default level, up to a limit, and a count by kind. What was
//! presented is never part of it.

use crate::auth::People;
use crate::auth::attempts::{Attempt, Who};
use crate::auth::authority::Admin;
use crate::logs::Limit;
use crate::net::addresses;
use crate::request_id;
use std::net::IpAddr;
use tokenward_core::client::AdminKeyRecord;
use tokenward_core::ids::WorkspaceId;
use tokenward_core::time::Clock;
use tokenward_store::people::Member;

/// Lines a second; a flood of guesses must not fill the disk.
static LINES: Limit = Limit::new(50, 1);

/// Notes that a credential of this kind was refused with this code. What it claimed to be (an API client's or admin
/// key's id) stands in the request's span, where it was readable.
pub(crate) fn note(
    people: &People,
    kind: &'static str,
    source: Option<IpAddr>,
    subject: Option<&str>,
    code: &'static str,
) {
    people.data.metrics.credential_refused(kind);
    let Some(left_out) = LINES.admit(people.data.clock().boot()) else {
        return;
    };
    let left_out = (left_out > 0).then_some(left_out);
    let source = addresses::text(source);
    tracing::warn!(kind, source, subject, code, left_out, "credential refused");
}

/// Notes that somebody claimed to be a member and did not prove it: in the log, the metrics and the audit log.
pub(crate) fn member(
    people: &People,
    (kind, action): (&'static str, &'static str),
    source: Option<IpAddr>,
    member: &Member,
    (code, reason): (&'static str, &'static str),
) {
    note(people, kind, source, Some(&member.email), code);
    let (who, workspace) = (Who::Member(member.id), member.role.workspace());
    audited(people, who, (action, reason.to_owned()), source, workspace);
}

/// Notes for the audit log that a known admin key was refused.
pub(crate) fn admin_key(
    people: &People,
    source: Option<IpAddr>,
    key: &AdminKeyRecord,
    reason: &'static str,
) {
    let why = ("admin_key.authentication_failed", reason.to_owned());
    let (who, workspace) = (Who::AdminKey(key.id), key.role.workspace());
    audited(people, who, why, source, workspace);
}

/// Notes that an administrator's role does not allow an operation: in the log, the metrics and the audit log.
pub(crate) fn role(people: &People, admin: &Admin, operation: String) {
    let who = admin.who().text();
    note(people, "role", admin.source, Some(&who), "FORBIDDEN");
    let (who, workspace) = (Who::Admin(admin.clone()), admin.own_workspace());
    let denied = ("access.denied", operation);
    audited(people, who, denied, admin.source, workspace);
}

/// Notes an attempt for the audit log.
fn audited(
    people: &People,
    who: Who,
    (action, reason): (&'static str, String),
    source: Option<IpAddr>,
    workspace: Option<WorkspaceId>,
) {
    let attempt = Attempt {
        who,
        action,
        reason,
        source,
        workspace,
        request: request_id::current(),
    };
    people.attempts.note(attempt, people.data.clock().wall());
}

/// Writes into the request's span whom the request claims to come from.
pub(crate) fn claims(field: &'static str, id: impl std::fmt::Display) {
    tracing::Span::current().record(field, tracing::field::display(id));
}
