//! `tokenward-agent`: an access token for programs that have none of our libraries. It reads its configuration,
//! and each verb has a room of its own under `agent`. It never takes a secret from the command line and never
//! prints one but where printing the token is what was asked for.

mod agent;

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::run()
}
