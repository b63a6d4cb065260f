//! `exec`: a program with the token in its environment. Without more it becomes that program, so that signals, exit
//! codes, the terminal and the standard streams are the program's own. When it is to be restarted, or signalled, at
//! each renewal, it stays beside it, passes signals on, and goes on renewing until the program has ended: a signal is
//! never taken for the end, because a program may use any of them for something else (HUP: reload, QUIT: thread dump).

use crate::exit::End;
use crate::get::fetch;
use crate::logs;
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
use tokenward_client::Entry;
use tokenward_client::clock::sleep_through_suspend;
use tokenward_client::config::Parts;
use tokenward_client::protocol::{Outcome, backoff};
use tokenward_core::time::BootInstant;
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
            parts.source.close().await;
            logs::finish();
            let error = command(parts, wish, &entry).exec();
            Err(not_started(wish, &error))
        }
        _ => {
            let status = supervise(parts, wish, entry).await?;
            // What follows may end this process by a signal.
            parts.source.close().await;
            logs::finish();
            Ok(finish(&status))
        }
    }
}

fn command(parts: &Parts, wish: &Wish, entry: &Entry) -> Command {
    let mut command = Command::new(&wish.command[0]);
    command.args(&wish.command[1..]);
    command.env(&wish.variable, entry.token.expose());
    if let Some(file) = &parts.token_file {
        command.env(format!("{}_FILE", wish.variable), file);
    }
    // The program uses the token. It gets no client secret, of no client of the configuration.
    for secret in &*parts.secret_variables {
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

async fn supervise(parts: &Parts, wish: &Wish, mut entry: Arc<Entry>) -> Result<ExitStatus, End> {
    // Before the program starts, so that no signal is missed.
    let mut signals = signals()?;
    let mut child = start(parts, wish, &entry)?;
    let restarts = matches!(wish.at_renewal, AtRenewal::Restart(_));
    let mut asked = AskedToEnd::default();
    let mut failures = 0;
    loop {
        // A token that the program does not have yet, because it was asked to end when the token came.
        let owed = restarts
            && parts
                .source
                .known()
                .is_some_and(|known| !known.token.is(&entry.token));
        let pause = match (failures, parts.source.renews_in()) {
            (0, _) if owed => Duration::ZERO,
            (0, Some(left)) => left,
            (0, None) => Duration::MAX / 4,
            (nth, _) => backoff(nth, 0.5, None),
        };
        // A program that is shutting down is not restarted meanwhile.
        let pause = pause.max(asked.remaining(parts));
        tokio::select! {
            status = child.wait() => return status.map_err(|error| End::failed(error.to_string())),
            Some(signal) = signals.recv() => {
                asked.note(signal, wish, parts);
                pass_on(&child, signal);
            }
            slept = sleep_through_suspend(pause) => {
                slept.map_err(|error| End::failed(error.to_string()))?;
                // Signals are passed on, and the program's end is noticed, while the renewal runs too.
                let renewal = renew(parts);
                tokio::pin!(renewal);
                let renewed = loop {
                    tokio::select! {
                        renewed = &mut renewal => break renewed,
                        status = child.wait() => return status.map_err(|error| End::failed(error.to_string())),
                        Some(signal) = signals.recv() => {
                            asked.note(signal, wish, parts);
                            pass_on(&child, signal);
                        }
                    }
                };
                let Some(renewed) = renewed else {
                    failures += 1;
                    continue;
                };
                failures = 0;
                // A program that was asked to end meanwhile is given its time; the loop comes back here after it.
                if renewed.token.is(&entry.token) || restarts && !asked.remaining(parts).is_zero() {
                    continue;
                }
                entry = renewed;
                match wish.at_renewal {
                    AtRenewal::Restart(grace) => {
                        if let Some(status) = stop(&mut child, grace, &mut signals).await {
                            return Ok(status);
                        }
                        child = start(parts, wish, &entry)?;
                    }
                    AtRenewal::Signal(signal) => send(&child, signal),
                    AtRenewal::Nothing => {}
                }
            }
        }
    }
}

/// A token that will do, in every place; none where there was none to be had.
async fn renew(parts: &Parts) -> Option<Arc<Entry>> {
    let renewed = match parts.source.refresh().await {
        Outcome::Failed(_) | Outcome::Meanwhile(..) => None,
        outcome => outcome.into_token().ok(),
    };
    if renewed.is_some() {
        let _ = parts.source.settle().await;
    }
    renewed
}

/// Whether somebody asked the program to end a moment ago. It has its grace for that, in which it is not restarted with
/// a new token; a program that goes on after that has chosen to, and its token is renewed as before.
#[derive(Debug, Default)]
struct AskedToEnd {
    until: Option<BootInstant>,
}

impl AskedToEnd {
    fn note(&mut self, signal: Arrived, wish: &Wish, parts: &Parts) {
        if let (true, AtRenewal::Restart(grace)) = (signal.asks_to_end(), wish.at_renewal) {
            let now = parts.source.issuer().clock().boot();
            let grace = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
            self.until = Some(BootInstant(now.0.saturating_add(grace)));
        }
    }

    fn remaining(&self, parts: &Parts) -> Duration {
        let now = parts.source.issuer().clock().boot();
        let until = self.until.map_or(0, |until| until.0);
        Duration::from_nanos(until.saturating_sub(now.0))
    }
}

/// Ends the program for a restart. A status is returned when that end is final: somebody asked for it meanwhile, or it
/// ended by a signal that was passed on.
async fn stop(
    child: &mut Child,
    grace: Duration,
    signals: &mut mpsc::UnboundedReceiver<Arrived>,
) -> Option<ExitStatus> {
    send(child, SIGTERM);
    let mut asked = false;
    let mut passed = Vec::new();
    let limit = sleep_through_suspend(grace);
    tokio::pin!(limit);
    loop {
        tokio::select! {
            status = child.wait() => return status.ok().filter(|status| {
                asked || status.signal().is_some_and(|signal| passed.contains(&signal))
            }),
            Some(signal) = signals.recv() => {
                asked |= signal.asks_to_end();
                passed.push(signal.number);
                pass_on(child, signal);
            }
            _ = &mut limit => {
                let _ = child.kill().await;
                return None;
            }
        }
    }
}

/// A signal that reached this process.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    number: i32,
    /// A terminal sends Ctrl-C to the whole foreground group: the program has had that one already.
    is_for_us_alone: bool,
}

impl Arrived {
    fn asks_to_end(self) -> bool {
        matches!(self.number, SIGTERM | SIGINT)
    }
}

/// Signals to this process. A hang-up that is ignored from the start (`nohup`) stays ignored, here and, by
/// inheritance, in the program.
fn signals() -> Result<mpsc::UnboundedReceiver<Arrived>, End> {
    let failed = |error: std::io::Error| End::failed(format!("signals: {error}"));
    let wanted = PASSED_ON
        .into_iter()
        .filter(|signal| *signal != SIGHUP || !is_ignored(SIGHUP));
    let mut arriving = SignalsInfo::<WithOrigin>::new(wanted).map_err(failed)?;
    let (send, receive) = mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for origin in arriving.forever() {
                let arrived = Arrived {
                    number: origin.signal,
                    is_for_us_alone: origin.cause != Cause::Kernel,
                };
                if send.send(arrived).is_err() {
                    return;
                }
            }
        })
        .map_err(failed)?;
    Ok(receive)
}

/// Whether this process was started with a signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0) >> (signal - 1) & 1 == 1
}

fn pass_on(child: &Child, signal: Arrived) {
    if signal.is_for_us_alone {
        send(child, signal.number);
    }
}

fn send(child: &Child, signal: i32) {
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
