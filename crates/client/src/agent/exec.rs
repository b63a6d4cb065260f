//! `exec`: a program with the token in its environment. Without more it becomes that program, so that signals, exit
//! codes, the terminal and the standard streams are the program's own. When it is to be restarted, or signalled, at
//! each renewal, it stays beside it and passes everything on.

use super::exit::End;
use super::get::fetch;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::Duration;
use tokenward_client::config::Parts;
use tokenward_client::protocol::{Outcome, backoff};
use tokenward_client::{Entry, timer};
use tokio::process::{Child, Command as ChildCommand};
use tokio::sync::mpsc;

/// Signals passed on to the program. Those by which a terminal stops and continues jobs reach both by themselves.
const PASSED_ON: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// What to do with the program when the token is renewed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AtRenewal {
    /// Nothing: it fetches its next token by itself, or ends before.
    Nothing,
    /// End it and start it with the new token; after this long without an end it is killed.
    Restart(Duration),
    /// Send it a signal; it reads the token's file again.
    Signal(i32),
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) command: Vec<OsString>,
    pub(crate) variable: String,
    pub(crate) at_renewal: AtRenewal,
}

/// Runs it; answers with its exit code, or never returns.
pub(crate) async fn exec(parts: &Parts, wish: &Wish) -> Result<ExitCode, End> {
    let entry = fetch(parts).await?;
    match wish.at_renewal {
        AtRenewal::Nothing => {
            let error = command(parts, wish, &entry).exec();
            Err(not_started(wish, &error))
        }
        _ => supervise(parts, wish, entry).await,
    }
}

fn command(parts: &Parts, wish: &Wish, entry: &Entry) -> Command {
    let mut command = Command::new(&wish.command[0]);
    command.args(&wish.command[1..]);
    command.env(&wish.variable, entry.token.expose());
    if let Some(file) = &parts.token_file {
        command.env(format!("{}_FILE", wish.variable), file);
    }
    // The program is to use the token; the secret behind it is not its business.
    if let Some(secret) = &parts.secret_variable {
        command.env_remove(secret);
    }
    command
}

fn not_started(wish: &Wish, error: &std::io::Error) -> End {
    let name = wish.command[0].to_string_lossy();
    // As a shell would say it.
    let code = if error.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    End::with_code(format!("{name}: {error}"), code)
}

fn start(parts: &Parts, wish: &Wish, entry: &Entry) -> Result<Child, End> {
    ChildCommand::from(command(parts, wish, entry))
        .spawn()
        .map_err(|error| not_started(wish, &error))
}

async fn supervise(parts: &Parts, wish: &Wish, mut entry: Arc<Entry>) -> Result<ExitCode, End> {
    // Before the program starts, so that no signal is missed.
    let mut signals = signals()?;
    let mut child = start(parts, wish, &entry)?;
    let mut ending = false;
    let mut failures = 0;
    loop {
        let pause = match (failures, parts.source.renews_in()) {
            (0, Some(left)) => left,
            (0, None) => Duration::MAX / 4,
            (nth, _) => backoff(nth, 0.5, None),
        };
        tokio::select! {
            status = child.wait() => return Ok(finish(&status.map_err(|error| End::failed(error.to_string()))?)),
            Some(signal) = signals.recv() => {
                ending |= matches!(signal, SIGTERM | SIGINT | SIGQUIT | SIGHUP);
                pass_on(&child, signal);
            }
            slept = timer::sleep_through_suspend(pause), if !ending => {
                slept.map_err(|error| End::failed(error.to_string()))?;
                let renewed = match parts.source.refresh().await {
                    Outcome::Failed(_) | Outcome::Meanwhile(..) => None,
                    outcome => outcome.into_token().ok(),
                };
                let Some(renewed) = renewed else {
                    failures += 1;
                    continue;
                };
                failures = 0;
                let _ = parts.source.settle().await;
                if renewed.token.is(&entry.token) {
                    continue;
                }
                entry = renewed;
                match wish.at_renewal {
                    AtRenewal::Restart(grace) => {
                        if let Some(status) = stop(&mut child, grace, &mut signals).await {
                            return Ok(finish(&status));
                        }
                        child = start(parts, wish, &entry)?;
                    }
                    AtRenewal::Signal(signal) => pass_on(&child, signal),
                    AtRenewal::Nothing => {}
                }
            }
        }
    }
}

/// Ends the program for a restart. A status is returned when somebody asked us to end meanwhile: then it is final.
async fn stop(
    child: &mut Child,
    grace: Duration,
    signals: &mut mpsc::UnboundedReceiver<i32>,
) -> Option<ExitStatus> {
    pass_on(child, SIGTERM);
    let mut ending = false;
    let limit = timer::sleep_through_suspend(grace);
    tokio::pin!(limit);
    loop {
        tokio::select! {
            status = child.wait() => return status.ok().filter(|_| ending),
            Some(signal) = signals.recv() => {
                ending |= matches!(signal, SIGTERM | SIGINT | SIGQUIT | SIGHUP);
                pass_on(child, signal);
            }
            _ = &mut limit => {
                let _ = child.kill().await;
                return None;
            }
        }
    }
}

/// Signals to this process that the program has not had already.
fn signals() -> Result<mpsc::UnboundedReceiver<i32>, End> {
    let failed = |error: std::io::Error| End::failed(format!("signals: {error}"));
    let mut arriving = SignalsInfo::<WithOrigin>::new(PASSED_ON).map_err(failed)?;
    let (send, receive) = mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for origin in arriving.forever() {
                // A terminal sends Ctrl-C to the whole foreground group: the program has it.
                if origin.cause != Cause::Kernel && send.send(origin.signal).is_err() {
                    return;
                }
            }
        })
        .map_err(failed)?;
    Ok(receive)
}

fn pass_on(child: &Child, signal: i32) {
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
        // It may have ended already.
        let _ = kill_process(pid, signal);
    }
}

/// Ends as the program did: with its code, or by its signal.
fn finish(status: &ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal() {
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        return ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(u8::MAX))
}

/// A signal by its name (`HUP`, `SIGUSR1`) or number.
pub(crate) fn signal_number(text: &str) -> Result<i32, String> {
    let bare = text.strip_prefix("SIG").unwrap_or(text);
    let named = PASSED_ON.into_iter().find(|number| {
        signal_hook::low_level::signal_name(*number)
            .is_some_and(|name| name.trim_start_matches("SIG") == bare)
    });
    named.ok_or_else(|| "one of HUP, INT, QUIT, TERM, USR1, USR2, WINCH".to_owned())
}
