//! `tokenward status`.

use super::error::CliError;
use super::session::{Common, Session};
use super::views;

/// What `tokenward status` takes.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Shows what the server says of itself.
pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    session
        .out
        .object(&session.api.get("/status").await?, views::members)
}
