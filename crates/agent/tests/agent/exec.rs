//! `exec`: the program gets the token and everything else that is its own: signals, exit codes, streams, terminal.

use crate::world::{FILE_HOME, Finish as _, World, agent, chmod, failed, out};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tokenward_testkit::wait_until;

/// Long enough for a machine that is busy with other work.
const LIMIT: Duration = Duration::from_secs(120);

/// A stream that is read as it comes, on a thread of its own, so that waiting for its words has a deadline.
struct Heard {
    pieces: Receiver<Vec<u8>>,
    so_far: String,
}

impl Heard {
    fn of(mut stream: impl Read + Send + 'static) -> Heard {
        let (send, pieces) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 256];
            // The end of a pseudo terminal is an error.
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                if send.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Heard {
            pieces,
            so_far: String::new(),
        }
    }

    /// Waits for words.
    fn until(&mut self, expect: &str) {
        while !self.so_far.contains(expect) {
            let piece = self.pieces.recv_timeout(LIMIT);
            let piece = piece.unwrap_or_else(|error| {
                panic!("{:?} lacks {expect:?}: {error}", self.so_far);
            });
            self.so_far.push_str(&String::from_utf8_lossy(&piece));
        }
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
}

#[test]
fn gives_the_token_and_nothing_more() {
    let world = World::new(3600);
    world.file_config();
    let printed = out(&world.agent(&["exec", "--", "/usr/bin/env"]));
    let token = out(&world.agent(&["get"]));
    assert_eq!(printed, format!("CLEARTAX_AUTH_TOKEN={token}"));
    let named = agent(world.folder.path(), &["exec", "--variable", "GST_TOKEN"])
        .args(["--", "/bin/sh", "-c", "echo $GST_TOKEN"])
        .finish();
    assert_eq!(out(&named), token);

    // A secret that came by a variable is not passed on.
    world.edit("file = \"secret\"", "environment = \"ERP_SECRET\"");
    let output = agent(world.folder.path(), &["exec", "--", "/usr/bin/env"])
        .env("ERP_SECRET", &world.client.secret)
        .finish();
    assert_eq!(out(&output), printed);

    // With a bare token's file beside, its name comes too.
    world.config(
        "[[client.erp.destination]]\nkind = \"credential\"\nfolder = \".\"\nname = \"bare\"\n",
    );
    let script = "/usr/bin/cat $CLEARTAX_AUTH_TOKEN_FILE";
    let printed = out(&world.agent(&["exec", "--", "/bin/sh", "-c", script]));
    assert_eq!(world.check(&printed), 200);
}

#[test]
fn no_child_gets_a_client_secret_of_any_client() {
    let world = World::new(3600);
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/plugin.py");
    // A stand-in for systemd-creds: it keeps the text as it is, and tells what it was given.
    std::fs::create_dir(world.path("bin")).unwrap();
    let creds = "#!/bin/sh\nenv > creds.env\nexec cat\n";
    std::fs::write(world.path("bin/systemd-creds"), creds).unwrap();
    chmod(&world.path("bin/systemd-creds"), 0o755);
    let text = format!(
        "[client.a]\nserver = \"{server}\"\nsecret.environment = \"SECRET_A\"\n\
         [[client.a.destination]]\nkind = \"plugin\"\n\
         command = [\"/bin/sh\", \"-c\", \"env > plugin.env; exec python3 {script} plugin.sqlite\"]\n\
         [[client.a.destination]]\nkind = \"credential\"\nfolder = \".\"\nname = \"sealed\"\nencrypt = true\n\
         [client.b]\nserver = \"{server}\"\nsecret.environment = \"SECRET_B\"\n\
         [[client.b.destination]]\nkind = \"file\"\npath = \"b.json\"\n",
        server = world.server.public(),
        script = script.display()
    );
    std::fs::write(world.path("agent.toml"), text).unwrap();
    let path = format!("{}:/bin:/usr/bin", world.path("bin").display());
    for extra in [&[][..], &["--restart-on-renewal"]] {
        let mut command = agent(world.folder.path(), &["--client", "a", "exec"]);
        command
            .args(extra)
            .args(["--", "/usr/bin/env"])
            .env("PATH", &path)
            .env("SECRET_A", &world.client.secret)
            .env("SECRET_B", "the secret of b");
        let program = out(&command.finish());
        let children = [program, world.text("plugin.env"), world.text("creds.env")];
        for (nth, variables) in children.iter().enumerate() {
            assert!(variables.contains("PATH="), "child {nth}: {variables}");
            assert!(!variables.contains("SECRET_"), "child {nth}: {variables}");
            assert!(!variables.contains(&world.client.secret), "child {nth}");
        }
    }
}

#[test]
fn ends_as_the_program_ends() {
    let world = World::new(3600);
    world.file_config();
    for extra in [&[][..], &["--restart-on-renewal"]] {
        let exec = |words: &[&str]| {
            let mut command = agent(world.folder.path(), &["exec"]);
            command.args(extra).arg("--").args(words).finish()
        };
        let shell = |script: &str| exec(&["/bin/sh", "-c", script]).status;
        assert_eq!(shell("exit 0").code(), Some(0));
        assert_eq!(shell("exit 37").code(), Some(37));
        assert_eq!(shell("kill -9 $$").signal(), Some(9), "{extra:?}");
        assert_eq!(shell("kill -TERM $$").signal(), Some(15), "{extra:?}");
        let missing = exec(&["/nowhere/program"]);
        assert!(failed(&missing, 127).contains("No such file"));
    }
}

#[test]
fn passes_streams_and_signals_on() {
    let world = World::new(3600);
    world.file_config();
    for extra in [&[][..], &["--restart-on-renewal"]] {
        let script = "trap 'echo hup' HUP; trap 'echo term; exit 5' TERM; echo ready; cat; \
                      echo error >&2; while :; do /bin/sleep 0.01; done";
        let mut child = agent(world.folder.path(), &["exec"])
            .args(extra)
            .args(["--", "/bin/sh", "-c", script])
            .env("PATH", "/bin:/usr/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"through\n").unwrap();
        drop(stdin);
        let mut stdout = Heard::of(child.stdout.take().unwrap());
        stdout.until("ready\nthrough\n");
        Heard::of(child.stderr.take().unwrap()).until("error\n");
        send(&child, Signal::HUP);
        stdout.until("hup\n");
        send(&child, Signal::TERM);
        stdout.until("term\n");
        let status = wait_until("the end", LIMIT, || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(5));
    }
}

/// A world whose tokens are renewed every one or two seconds, with a file as home.
fn short_life() -> World {
    let world = World::new(2);
    world.config(&format!("margin_seconds = 0.5\n{FILE_HOME}"));
    world
}

/// A program that writes its token into the file `tokens` and lives until it is ended.
const WRITES_ITS_TOKEN: &str =
    "echo $CLEARTAX_AUTH_TOKEN >> tokens; while :; do /bin/sleep 0.05; done";

/// Waits until the program was started with this many tokens.
fn wait_for_tokens(world: &World, count: usize) -> Vec<String> {
    wait_until("tokens", LIMIT, || {
        let text = std::fs::read_to_string(world.path("tokens")).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    })
}

#[test]
fn a_signal_that_the_program_outlives_ends_no_renewal() {
    let world = short_life();
    for (signal, trap) in [
        (Signal::HUP, "trap : HUP"),
        (Signal::QUIT, "trap : QUIT"),
        (Signal::INT, "trap '' INT"),
        (Signal::TERM, "trap '' TERM"),
    ] {
        let _ = std::fs::remove_file(world.path("tokens"));
        let script = format!("{trap}; {WRITES_ITS_TOKEN}");
        let words = ["exec", "--restart-on-renewal", "--grace", "1", "--"];
        let child = agent(world.folder.path(), &words)
            .args(["/bin/sh", "-c", &script])
            // What is left behind when this fails does not hold the output of the test program.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Running {
            child,
            world: &world,
        };
        let before = wait_for_tokens(&world, 1).len();
        send(&running.child, signal);
        let tokens = wait_for_tokens(&world, before + 2);
        assert!(tokens.windows(2).all(|pair| pair[0] != pair[1]), "{trap}");
        assert!(running.child.try_wait().unwrap().is_none(), "{trap}");
    }
}

/// An agent with the programs that it started: they end with this value, also when the test fails.
struct Running<'a> {
    child: Child,
    world: &'a World,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        end_programs_of(self.world);
    }
}

/// Ends the programs that a killed agent left behind: those whose working folder is the world's.
fn end_programs_of(world: &World) {
    wait_until("the end of what is left", LIMIT, || {
        let mut left = 0;
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let name = process.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let works_in = std::fs::read_link(process.path().join("cwd"));
            if works_in.is_ok_and(|folder| folder == world.folder.path()) {
                left += 1;
                let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::KILL);
            }
        }
        left == 0
    });
}

#[test]
fn a_program_asked_to_end_has_its_time_and_is_not_started_anew() {
    let world = short_life();
    // It has the agent asked at once, when its token is fresh, and needs longer to end than the token lives.
    let script = format!(
        "trap 'echo asked >> tokens; /bin/sleep 4; exit 7' INT; kill -INT $PPID; {WRITES_ITS_TOKEN}"
    );
    let words = ["exec", "--restart-on-renewal", "--grace", "600", "--"];
    let mut child = agent(world.folder.path(), &words)
        .args(["/bin/sh", "-c", &script])
        .spawn()
        .unwrap();
    let status = wait_until("the end", LIMIT, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(7));
    let lines = wait_for_tokens(&world, 1);
    assert_eq!(lines.last().map(String::as_str), Some("asked"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| *line == "asked").count(), 1);
}

#[test]
fn a_hang_up_ignored_from_the_start_stays_ignored() {
    let world = World::new(3600);
    world.file_config();
    for extra in [&[][..], &["--restart-on-renewal"]] {
        let inner = agent(world.folder.path(), &["exec"]);
        let script = "trap 'echo usr1' USR1; trap 'exit 5' TERM; echo ready; while :; do /bin/sleep 0.01; done";
        // All words but the one that sets the signals to what a login has.
        let mut child = std::process::Command::new("/usr/bin/env")
            .arg("--ignore-signal=HUP")
            .args(inner.get_args().skip(1))
            .args(extra)
            .args(["--", "/bin/sh", "-c", script])
            .current_dir(world.folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = Heard::of(child.stdout.take().unwrap());
        stdout.until("ready\n");
        send(&child, Signal::HUP);
        send(&child, Signal::USR1);
        stdout.until("usr1\n");
        send(&child, Signal::TERM);
        let status = wait_until("the end", LIMIT, || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(5), "{extra:?}");
    }
}

#[test]
fn a_terminal_stays_a_terminal_and_its_interrupt_arrives_once() {
    let world = World::new(3600);
    world.file_config();
    for extra in [&[][..], &["--restart-on-renewal"]] {
        let master =
            rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY)
                .unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let mut slave = std::fs::OpenOptions::new();
        let slave = slave.read(true).write(true);
        let slave = || slave.open(name.to_str().unwrap()).unwrap();
        // setsid gives the agent a session with this terminal, as a login would.
        let inner = agent(world.folder.path(), &["exec"]);
        let script = "n=0; trap 'n=$((n+1))' INT; test -t 0 && test -t 1 && echo tty; \
                      read line; sleep 0.3; echo interrupts $n";
        let mut child = std::process::Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .args(extra)
            .args(["--", "/bin/sh", "-c", script])
            .current_dir(world.folder.path())
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .unwrap();
        let mut terminal = std::fs::File::from(master.as_fd().try_clone_to_owned().unwrap());
        let mut heard = Heard::of(terminal.try_clone().unwrap());
        heard.until("tty");
        terminal.write_all(b"\x03").unwrap();
        terminal.write_all(b"go\n").unwrap();
        heard.until("interrupts 1");
        let status = wait_until("the end", LIMIT, || child.try_wait().unwrap());
        assert!(status.success(), "{extra:?}");
    }
}

#[test]
fn restarts_a_real_program_with_each_new_token() {
    let world = short_life();
    let script = format!("trap 'exit 0' TERM; {WRITES_ITS_TOKEN}");
    let mut child = agent(world.folder.path(), &["exec", "--restart-on-renewal", "--"])
        .args(["/bin/sh", "-c", &script])
        .spawn()
        .unwrap();
    let lines = wait_for_tokens(&world, 3);
    send(&child, Signal::TERM);
    // Told to end, it ends as the program does and starts it no more.
    assert!(wait_until("the end", LIMIT, || child.try_wait().unwrap()).success());
    assert!(lines.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(world.generation() as usize >= lines.len());
}

#[test]
fn signals_a_real_program_at_each_new_token() {
    let world = World::new(2);
    world.config("margin_seconds = 0.5\n[[client.erp.destination]]\nkind = \"credential\"\nfolder = \".\"\nname = \"bare\"\n");
    let script = "trap 'cat $CLEARTAX_AUTH_TOKEN_FILE >> tokens; echo >> tokens' USR1; trap 'exit 0' TERM; \
                  while :; do sleep 0.05; done";
    let words = ["exec", "--signal-on-renewal", "USR1", "--"];
    let mut child = agent(world.folder.path(), &words)
        .args(["/bin/sh", "-c", script])
        .env("PATH", "/bin:/usr/bin")
        .spawn()
        .unwrap();
    wait_until("two signals", LIMIT, || {
        let text = std::fs::read_to_string(world.path("tokens")).ok()?;
        (text.lines().count() >= 2).then_some(())
    });
    send(&child, Signal::TERM);
    assert!(wait_until("the end", LIMIT, || child.try_wait().unwrap()).success());
}
