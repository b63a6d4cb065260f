//! The same on a terminal: a real one, made for the test.

use crate::run::{ERP, at, erp, run, server};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use tokenward_testkit::{
    PROGRAM_LIMIT, Server, assert_contains, assert_contains_all, assert_lacks, ended, expect_error,
    words,
};

/// Runs a command on a terminal. When `prompt` appears, `answer` is typed. Everything shown, and
/// the exit code.
fn on_terminal(command: &mut Command, columns: u16, prompt: &str, answer: &str) -> (String, i32) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("its other end");
    unlockpt(&master).expect("its other end");
    let name = ptsname(&master, Vec::new())
        .expect("its name")
        .into_string()
        .expect("UTF-8");
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name)
        .expect("its other end");
    let size = Winsize {
        ws_row: 50,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).expect("its size");
    let end = || slave.try_clone().expect("a handle");
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().expect("the program runs");
    // Ours would keep the terminal open after the program's end.
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    drop(slave);

    let mut master = File::from(master);
    let mut reading = master.try_clone().expect("a handle");
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut block = [0; 4_096];
        // The end of the program is the end of the terminal, which reads as an error.
        while let Ok(count @ 1..) = reading.read(&mut block) {
            if send.send(block[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut shown = Vec::new();
    let mut typed = false;
    loop {
        match receive.recv_timeout(PROGRAM_LIMIT) {
            Ok(block) => shown.extend_from_slice(&block),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                panic!("nothing more on the terminal after {shown:?}");
            }
        }
        if !typed && String::from_utf8_lossy(&shown).contains(prompt) {
            master.write_all(answer.as_bytes()).expect("typing");
            typed = true;
        }
    }
    let ended = ended(&mut child, "tokenward", PROGRAM_LIMIT);
    let code = ended.code().expect("an exit code");
    (String::from_utf8_lossy(&shown).into_owned(), code)
}

fn delete(server: &Server, answer: &str) -> (String, i32) {
    let mut command = at(server);
    command.args(["client", "delete"]).args(words(ERP));
    on_terminal(&mut command, 80, "Type \"erp\": ", answer)
}

#[tokio::test]
async fn deleting_wants_the_label_typed_back() {
    let server = server();
    let secret = erp(&server);
    let (shown, code) = delete(&server, "yes\n");
    assert_eq!(code, 1, "{shown}");
    assert_contains(&shown, "permanently");
    assert_contains(&shown, "nothing was done");
    let kept = run(&server, "client show @erp --json").json();
    assert_eq!(kept["state"], "enabled");

    let (shown, code) = delete(&server, "erp\n");
    assert_eq!(code, 0, "{shown}");
    expect_error(server.api().generate(&secret), 401, "CLIENT_DELETED").await;
}

#[test]
fn a_person_gets_tables_and_colour() {
    let server = server();
    erp(&server);
    let show = |columns: u16, colour: &str| {
        let mut command = at(&server);
        command
            .args(["client", "list"])
            .env("TERM", "xterm")
            .env("NO_COLOR", colour);
        on_terminal(&mut command, columns, "never appears", "")
    };
    let (plain, code) = show(200, "1");
    assert_eq!(code, 0, "{plain}");
    assert_contains_all(&plain, &["│", "LABEL"]);
    assert_lacks(&plain, "\x1b");
    assert_contains_all(&show(200, "").0, &["│", "\x1b"]);
    let (narrow, _) = show(60, "1");
    assert_contains(&narrow, "LABEL        erp");
    assert_lacks(&narrow, "│");
}
