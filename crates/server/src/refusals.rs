//! Refused credentials: one line each in the log at the default level, up to a limit, and a count by kind. What was
//! presented is never part of it.

use crate::addresses;
use crate::app::App;
use crate::logs::Limit;
use std::net::IpAddr;
use tokenward_core::time::Clock;

/// Lines a second; a flood of guesses must not fill the disk.
static LINES: Limit = Limit::new(50, 1);

/// Notes that a credential of this kind was refused with this code. What it claimed to be (an API client's or admin
/// key's id) stands in the request's span, where it was readable.
pub(crate) fn note(
    app: &App,
    kind: &'static str,
    source: Option<IpAddr>,
    subject: Option<&str>,
    code: &'static str,
) {
    app.metrics.credential_refused(kind);
    let Some(left_out) = LINES.admit(app.clock().boot()) else {
        return;
    };
    let left_out = (left_out > 0).then_some(left_out);
    let source = addresses::text(source);
    tracing::warn!(kind, source, subject, code, left_out, "credential refused");
}

/// Writes into the request's span whom the request claims to come from.
pub(crate) fn claims(field: &'static str, id: impl std::fmt::Display) {
    tracing::Span::current().record(field, tracing::field::display(id));
}
