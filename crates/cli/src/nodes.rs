//! `tokenward node`.

use super::api::Answer;
use super::error::CliError;
use super::session::Session;
use super::views;
use tokenward_api::Nodes;

/// Commands on nodes.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Verb {
    /// List the nodes that use the same database, as the one that answers sees them.
    #[command(
        after_help = "BEHIND counts changes that the node has not applied yet. SILENT is the time since its last renewal: changes wait \
                      for a node that is silent until its lease is over, at most 12 seconds; then it is removed from the list."
    )]
    List,
}

/// Carries out one command.
pub(crate) async fn run(verb: Verb, session: &Session) -> Result<(), CliError> {
    match verb {
        Verb::List => {
            let nodes: Answer<Nodes> = session.api.get("/nodes").await?;
            session.out.object(&nodes, views::nodes)?;
            let all: &Nodes = &nodes;
            let (seconds, side) = match all.clock_difference_seconds {
                behind if behind < 0.0 => (-behind, "behind"),
                ahead => (ahead, "ahead of"),
            };
            session.out.note(&format!(
                "If the database fails: {}.\nDigest key for new digests: {}.\nThe clock of the node that answers is {seconds:.1} s {side} the database's.",
                views::coherence(all.coherence),
                all.digest_key,
            ));
            Ok(())
        }
    }
}
