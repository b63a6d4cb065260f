//! `tokenward status`.

use super::api::Answer;
use super::error::CliError;
use super::session::{Common, Session};
use super::views;
use tokenward_api::Status;

/// What `tokenward status` takes.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Shows what the server says of itself.
pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    let status: Answer<Status> = session.api.get("/status").await?;
    let members = views::members(&status.json);
    session.out.object(&status, |_| members)
}
