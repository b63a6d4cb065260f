//! `exec`: the program gets the token and everything else that is its own: signals, exit codes, streams, terminal.

use crate::wait::wait_until;
use crate::world::{World, agent, failed, out};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
}

#[test]
fn gives_the_token_and_nothing_more() {
    let world = World::new(3600);
    let config = world.file_config();
    let printed = out(&world.agent(&["exec", "--", "/usr/bin/env"]));
    let token = out(&world.agent(&["get"]));
    assert_eq!(printed, format!("CLEARTAX_AUTH_TOKEN={token}"));
    let named = [
        "exec",
        "--variable",
        "GST_TOKEN",
        "--",
        "/bin/sh",
        "-c",
        "echo $GST_TOKEN",
    ];
    assert_eq!(out(&world.agent(&named)), token);

    // A secret that came by a variable is not passed on.
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace(
            "secret.file = \"secret\"",
            "secret.environment = \"ERP_SECRET\"",
        ),
    )
    .unwrap();
    let output = agent(world.folder.path(), &["exec", "--", "/usr/bin/env"])
        .env("ERP_SECRET", &world.client.secret)
        .output()
        .unwrap();
    assert_eq!(out(&output), printed);

    // With a bare token's file beside, its name comes too.
    world.config(
        "[[client.erp.destination]]\nkind = \"credential\"\nfolder = \".\"\nname = \"bare\"\n",
    );
    let bare = [
        "exec",
        "--",
        "/bin/sh",
        "-c",
        "/usr/bin/cat $CLEARTAX_AUTH_TOKEN_FILE",
    ];
    let printed = out(&world.agent(&bare));
    assert_eq!(world.check(&printed), 200);
}

#[test]
fn ends_as_the_program_ends() {
    let world = World::new(3600);
    world.file_config();
    for extra in [&[][..], &["--restart-on-renewal"]] {
        let shell = |script: &str| {
            let mut words = vec!["exec"];
            words.extend(extra);
            words.extend(["--", "/bin/sh", "-c", script]);
            agent(world.folder.path(), &words).output().unwrap().status
        };
        assert_eq!(shell("exit 0").code(), Some(0));
        assert_eq!(shell("exit 37").code(), Some(37));
        assert_eq!(shell("kill -9 $$").signal(), Some(9), "{extra:?}");
        assert_eq!(shell("kill -TERM $$").signal(), Some(15), "{extra:?}");
        let mut words = vec!["exec"];
        words.extend(extra);
        words.extend(["--", "/nowhere/program"]);
        assert!(failed(&world.agent(&words), 127).contains("No such file"));
    }
}

#[test]
fn passes_streams_and_signals_on() {
    let world = World::new(3600);
    world.file_config();
    for extra in [&[][..], &["--restart-on-renewal"]] {
        let script = "trap 'echo hup' HUP; trap 'echo term; exit 5' TERM; echo ready; cat; \
                      echo error >&2; while :; do /bin/sleep 0.01; done";
        let mut words = vec!["exec"];
        words.extend(extra);
        words.extend(["--", "/bin/sh", "-c", script]);
        let mut child = agent(world.folder.path(), &words)
            .env("PATH", "/bin:/usr/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"through\n").unwrap();
        drop(stdin);
        let mut stdout = child.stdout.take().unwrap();
        let mut seen = String::new();
        let mut until = |expect: &str| {
            while !seen.ends_with(expect) {
                let mut byte = [0];
                assert_eq!(
                    stdout.read(&mut byte).unwrap(),
                    1,
                    "{seen:?} lacks {expect:?}"
                );
                seen.push(char::from(byte[0]));
            }
        };
        until("ready\nthrough\n");
        let mut stderr = child.stderr.take().unwrap();
        let mut error = [0; 6];
        stderr.read_exact(&mut error).unwrap();
        assert_eq!(&error, b"error\n");
        send(&child, Signal::HUP);
        until("hup\n");
        send(&child, Signal::TERM);
        until("term\n");
        assert_eq!(child.wait().unwrap().code(), Some(5));
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
        let slave = || {
            let path = std::path::PathBuf::from(name.to_str().unwrap());
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap()
        };
        // setsid gives the agent a session with this terminal, as a login would; and tests that were
        // started in the background ignore interrupts, which a login does not.
        let inner = agent(world.folder.path(), &["exec"]);
        let mut command = std::process::Command::new("env");
        command
            .args(["--default-signal=INT", "setsid", "--ctty", "--wait"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .args(extra);
        let script = "n=0; trap 'n=$((n+1))' INT; test -t 0 && test -t 1 && echo tty; \
                      read line; sleep 0.3; echo interrupts $n";
        command
            .args(["--", "/bin/sh", "-c", script])
            .current_dir(world.folder.path());
        let mut child = command
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .unwrap();
        let mut terminal = std::fs::File::from(master.as_fd().try_clone_to_owned().unwrap());
        let mut seen = String::new();
        let mut until = |terminal: &mut std::fs::File, expect: &str| {
            while !seen.contains(expect) {
                let mut bytes = [0; 256];
                let count = terminal.read(&mut bytes).unwrap();
                seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        until(&mut terminal, "tty");
        terminal.write_all(b"\x03").unwrap();
        terminal.write_all(b"go\n").unwrap();
        until(&mut terminal, "interrupts ");
        until(&mut terminal, "\n");
        let status = wait_until("the end", LIMIT, || child.try_wait().unwrap());
        assert!(status.success(), "{seen}");
        assert!(seen.contains("interrupts 1"), "{extra:?}: {seen:?}");
    }
}

#[test]
fn restarts_a_real_program_with_each_new_token() {
    let world = World::new(2);
    world.config("margin_seconds = 0.5\n[[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n");
    let script = "trap 'exit 0' TERM; echo $CLEARTAX_AUTH_TOKEN >> tokens; while :; do /bin/sleep 0.05; done";
    let mut child = agent(
        world.folder.path(),
        &[
            "exec",
            "--restart-on-renewal",
            "--",
            "/bin/sh",
            "-c",
            script,
        ],
    )
    .spawn()
    .unwrap();
    let tokens = wait_until("three tokens", LIMIT, || {
        let text = std::fs::read_to_string(world.path("tokens")).ok()?;
        (text.lines().count() >= 3).then_some(text)
    });
    send(&child, Signal::TERM);
    // Told to end, it ends as the program does and starts it no more.
    assert!(wait_until("the end", LIMIT, || child.try_wait().unwrap()).success());
    let lines: Vec<&str> = tokens.lines().collect();
    assert!(lines.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(world.generation() as usize >= lines.len());
}

#[test]
fn signals_a_real_program_at_each_new_token() {
    let world = World::new(2);
    world.config("margin_seconds = 0.5\n[[client.erp.destination]]\nkind = \"credential\"\nfolder = \".\"\nname = \"bare\"\n");
    let script = "trap 'cat $CLEARTAX_AUTH_TOKEN_FILE >> tokens; echo >> tokens' USR1; trap 'exit 0' TERM; \
                  while :; do sleep 0.05; done";
    let mut child = agent(
        world.folder.path(),
        &[
            "exec",
            "--signal-on-renewal",
            "USR1",
            "--",
            "/bin/sh",
            "-c",
            script,
        ],
    )
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
