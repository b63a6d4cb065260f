//! `tokenward-demo`: the life of an access token, shown with the real server and a sample product.
//!
//! Without flags it tells the story on the terminal and leaves everything running to play with; with
//! `--check` it runs the same walk unattended and fails on any surprise. Either way all that it started ends
//! with it, and its data directory with them.
//!
//! It uses only what a customer has: the `tokenward` binary, its HTTP interfaces and its files. It must
//! never reach into the server's code.

mod answer;
mod api;
mod clock;
mod playground;
mod server;
mod stage;
mod story;
mod walk;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    stage::{Ports, Stage},
    story::{Story, Surprise},
};

/// Walks through the life of an access token with a real Tokenward and a sample product API.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Run unattended: free ports, no waiting at the end, a non-zero exit on any surprise.
    #[arg(long)]
    check: bool,
    /// The tokenward binary; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let mut story = Story::new();
    let outcome = match ends_asked_for() {
        Ok(asked) => tell(&flags, &mut story, asked).await,
        Err(why) => Err(why),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(surprise) => {
            story.surprise(&surprise);
            ExitCode::FAILURE
        }
    }
}

async fn tell(
    flags: &Flags,
    story: &mut Story,
    asked: impl Future<Output = ()>,
) -> Result<(), Surprise> {
    let ports = if flags.check {
        Ports::Free
    } else {
        Ports::Preferred
    };
    let mut asked = std::pin::pin!(asked);
    // Dropping a half-made stage ends what it had started.
    let stage = tokio::select! {
        stage = Stage::set(flags.server.clone(), ports) => stage?,
        () = &mut asked => return Err(Surprise::new("asked to end before the start was done")),
    };
    let told = async {
        walk::walk(&stage, story).await?;
        if flags.check {
            playground::try_lines(&stage, story).await
        } else {
            playground::invite(&stage, story).await
        }
    };
    let outcome = tokio::select! {
        outcome = told => outcome.map(|()| true),
        () = &mut asked => {
            if flags.check {
                Err(Surprise::new("asked to end in the middle of the walk"))
            } else {
                Ok(false)
            }
        }
    };
    if !flags.check && matches!(outcome, Ok(true)) {
        asked.await;
    }
    let outcome = outcome.map_err(|surprise| surprise.with_log(stage.server_log()));
    let ended = stage.strike().await;
    outcome?;
    ended?;
    story.done(flags.check);
    Ok(())
}

/// Resolves when a person or the system asks this program to end.
fn ends_asked_for() -> Result<impl Future<Output = ()>, Surprise> {
    let listen = |kind| signal(kind).map_err(|why| Surprise::new(format!("no signals: {why}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}
