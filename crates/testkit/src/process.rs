//! One child process and the ways to end it. A child is only ever named by its own process id.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Look, child_processes, wait_until};

/// Longest time that a program which ends by itself may take on a machine that is busy with other work.
pub const PROGRAM_LIMIT: Duration = Duration::from_secs(180);
/// How long a signal may take to stop every thread.
const FREEZE_LIMIT: Duration = Duration::from_secs(30);

/// A child that ends with this value, and with the test process however that ends.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `program` with both output streams appended to files; `user` drops root's rights.
    ///
    /// # Errors
    /// When a file can't be opened or `setpriv` is missing. A missing program ends the child at once.
    pub fn start(
        program: &Path,
        user: Option<&str>,
        stdout: &Path,
        stderr: &Path,
        fill: impl FnOnce(&mut Command),
    ) -> std::io::Result<Process> {
        let append = |path: &Path| {
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
        };
        let mut command = as_user(program, user, "KILL");
        fill(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(append(stdout)?)
            .stderr(append(stderr)?);
        let name = program
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let child = child_processes::start(command)?;
        Ok(Process { child, name })
    }

    /// Starts a program with its output in the file `log`, and looks until it is ready.
    ///
    /// # Panics
    /// When it does not start, ends, or is not ready within `limit`; the message holds what it wrote.
    pub fn serving<L: Look>(
        program: &Path,
        user: Option<&str>,
        log: &Path,
        limit: Duration,
        fill: impl FnOnce(&mut Command),
        mut ready: impl FnMut() -> L,
    ) -> (Process, L::Value) {
        let mut process = Process::start(program, user, log, log, fill)
            .unwrap_or_else(|error| panic!("setpriv (Debian package util-linux): {error}"));
        let what = format!("{} to serve", process.name);
        let value = wait_until(&what, limit, || {
            let ended = process.ended().is_some();
            let said = || std::fs::read_to_string(log).unwrap_or_default();
            assert!(!ended, "{} ended: {}", process.name, said());
            ready().value()
        });
        (process, value)
    }

    /// The operating system's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, once the process has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = pid(self.child.id()) {
            // An error here means that it has ended already, which is what a signal is for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Stops the process where it stands (SIGSTOP): it still holds its connections and does nothing.
    /// Returns when every thread of it stands still.
    ///
    /// # Panics
    /// When one goes on.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        wait_until("every thread to stop", FREEZE_LIMIT, || {
            all_stopped(self.id())
        });
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it has not ended within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of {} (process {})", self.name, self.child.id());
        wait_until(&what, limit, || self.child.try_wait().ok().flatten())
    }

    /// Ends it without a chance to tidy up.
    pub fn kill9(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Runs a command to its end and returns what it wrote. Its input is what the command says, or nothing.
///
/// # Panics
/// When it does not start, or when it or a process that holds its output has not ended within `limit`; it is killed
/// then.
pub fn finish(command: &mut Command, limit: Duration) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    finish_child(child, &name, limit)
}

/// Waits for the end of a child whose streams are pipes, as [`finish`] does.
///
/// # Panics
/// When it has not ended within `limit`; it is killed then.
pub fn finish_child(child: Child, name: &str, limit: Duration) -> Output {
    let mut process = Process {
        child,
        name: name.to_owned(),
    };
    // Closed, so that a child that reads its input comes to the end of it.
    drop(process.child.stdin.take());
    let stdout = collect(process.child.stdout.take());
    let stderr = collect(process.child.stderr.take());
    let status = process.wait(limit);
    let text = |stream: Receiver<Vec<u8>>| {
        stream
            .recv_timeout(limit)
            .unwrap_or_else(|_| panic!("a process that {name} started holds its output"))
    };
    Output {
        status,
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

/// Waits for the end of a child and leaves its streams alone.
///
/// # Panics
/// When it has not ended within `limit`.
pub fn ended(child: &mut Child, name: &str, limit: Duration) -> ExitStatus {
    let what = format!("the end of {name} (process {})", child.id());
    wait_until(&what, limit, || child.try_wait().ok().flatten())
}

/// The first line that a program writes, without the line break. The rest is read and dropped, so that the program is
/// never stopped by a full or closed pipe.
///
/// # Panics
/// When there is none within `limit`; the message names `what`.
pub fn first_line(
    stream: impl std::io::Read + Send + 'static,
    what: &str,
    limit: Duration,
) -> String {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        // Nothing is sent at an end or an error, which the receiver sees as a closed channel.
        if stream.read_line(&mut line).is_ok_and(|count| count > 0) {
            let _ = send.send(line);
        }
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let line: Result<String, _> = receive.recv_timeout(limit);
    let line = line.unwrap_or_else(|error| panic!("no line from {what} within {limit:?}: {error}"));
    line.trim_end_matches(['\n', '\r']).to_owned()
}

/// Reads a stream to its end on a thread of its own.
fn collect(stream: Option<impl std::io::Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read before an error counts too.
            let _ = stream.read_to_end(&mut bytes);
        }
        let _ = send.send(bytes);
    });
    receive
}

/// `program` as a command that ends with this process (see [`child_processes`]) and, when asked, as `user`.
pub(crate) fn as_user(program: &Path, user: Option<&str>, death_signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", death_signal]);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// The living children of a process.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|&id| {
            parent_and_state(id).is_some_and(|(its, state)| its == parent && state != 'Z')
        })
        .collect()
}

/// Whether a process still exists and is not merely waiting to be reaped.
pub(crate) fn lives(id: u32) -> bool {
    parent_and_state(id).is_some_and(|(_, state)| state != 'Z')
}

/// Whether a signal has stopped every thread of a process.
fn all_stopped(id: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, state)| state.starts_with('T'))
    })
}

pub(crate) fn kill_by_id(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        let _ = kill_process(pid, signal);
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

/// Field 4 and field 3 of `/proc/ID/stat`; the name in field 2 may hold spaces and brackets.
fn parent_and_state(id: u32) -> Option<(u32, char)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    #[test]
    fn first_line_is_read_and_the_rest_does_not_stop_the_program() {
        let mut shell = shell("echo here; head -c 1000000 /dev/zero; exit 7");
        let mut child = shell.stdout(Stdio::piped()).spawn().unwrap();
        let line = first_line(child.stdout.take().unwrap(), "the shell", PROGRAM_LIMIT);
        assert_eq!(line, "here");
        assert_eq!(
            ended(&mut child, "the shell", PROGRAM_LIMIT).code(),
            Some(7)
        );
    }

    #[test]
    #[should_panic(expected = "no line from the silent shell")]
    fn silence_is_named() {
        let (reader, _writer) = std::io::pipe().unwrap();
        first_line(reader, "the silent shell", Duration::from_millis(5));
    }

    #[test]
    #[should_panic(expected = "in vain for the end of sh")]
    fn program_that_does_not_end_is_named() {
        finish(&mut shell("exec sleep 600"), Duration::from_millis(5));
    }
}
