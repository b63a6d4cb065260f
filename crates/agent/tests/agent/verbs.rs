//! `status`, `revoke`, `doctor`, `init`; and that nothing anywhere shows a secret.

use crate::world::{
    FILE_HOME, Finish as _, KNOWN_SIGNALS, World, agent, chmod, failed, finish, out, private_file,
    running, terminate,
};
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tokenward_testkit::{assert_contains, assert_lacks, wait_until};

#[test]
fn status_shows_both_sides_and_makes_nothing() {
    let world = World::new(3600);
    world.file_config();
    let before = out(&world.agent(&["status"]));
    assert!(before.contains("none kept"), "{before}");
    assert_eq!(world.generation(), 0);
    let token = out(&world.agent(&["get"]));
    let status: serde_json::Value =
        serde_json::from_str(&out(&world.agent(&["status", "--json"]))).unwrap();
    assert_eq!(status["token"]["generation"], 1);
    assert_eq!(status["server"]["live"], true);
    assert_eq!(status["token"]["made_today"], 1);
    let lines = out(&world.agent(&["status"]));
    assert!(lines.contains("generation 1, live"), "{lines}");
    assert!(!lines.contains(token.trim()) && !status.to_string().contains(token.trim()));
    assert_eq!(world.generation(), 1);
}

#[test]
fn revoke_ends_the_token_and_empties_every_place() {
    let world = World::new(3600);
    world.config(&format!(
        "{FILE_HOME}[[client.erp.destination]]\nkind = \"dotenv\"\npath = \".env\"\n"
    ));
    let token = out(&world.agent(&["get"]));
    assert_contains(&world.text(".env"), token.trim());
    assert!(out(&world.agent(&["revoke"])).starts_with("revoked generation 1,"));
    assert_eq!(world.check(token.trim()), 401);
    assert!(!world.path("token.json").exists() && !world.path(".env").exists());
    assert!(out(&world.agent(&["revoke"])).contains("nothing was revoked"));
    let next = out(&world.agent(&["get"]));
    assert_eq!(world.check(next.trim()), 200);
}

#[test]
fn doctor_finds_each_fault_and_says_how_to_mend_it() {
    let world = World::new(3600);
    let config = world.file_config();
    let doctor = |code: i32| {
        let output = world.agent(&["doctor"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    };
    let well = doctor(0);
    assert_contains(&well, "ok   secret");
    assert_contains(&well, "for sandbox");
    assert!(well.contains("ok   lease"), "{well}");
    assert_eq!(world.generation(), 0);

    chmod(&config, 0o664);
    assert!(doctor(1).contains("chmod go-w"));
    chmod(&config, 0o644);
    chmod(&world.path("secret"), 0o644);
    assert!(doctor(1).contains("chmod 600"));
    chmod(&world.path("secret"), 0o600);
    let token = out(&world.agent(&["get"]));
    private_file(&world.path("secret"), token.trim());
    assert!(doctor(1).contains("an access token stands there"));
    private_file(&world.path("secret"), &world.client.secret);
    world.ask(async |api| {
        api.generate(&world.client.secret)
            .await
            .unwrap()
            .expect(200)
    });
    assert!(
        doctor(0).contains("odd  home     file"),
        "somebody generates elsewhere"
    );
    world.ask(async |api| api.disable(&world.client.id).await.unwrap());
    assert!(doctor(1).contains("an administrator can enable it again"));
    std::fs::remove_file(world.path("secret")).unwrap();
    assert!(doctor(1).contains("BAD  secret"));
}

/// Runs `init` with these answers.
fn init(world: &World, answers: &str) -> Output {
    let mut child = agent(world.folder.path(), &["init", "made.toml"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses at once may be gone before it has read anything: what it says is looked at.
    let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
    finish(child)
}

#[test]
fn init_asks_and_writes_what_works() {
    let world = World::new(3600);
    let path = world.path("made.toml");
    let answers = format!(
        "erp\n{}\n\n{}\nfile\n{}\n",
        world.server.public(),
        world.path("secret").display(),
        world.path("token.json").display()
    );
    assert!(out(&init(&world, &answers)).contains("doctor"));
    std::fs::rename(&path, world.path("agent.toml")).unwrap();
    let token = out(&world.agent(&["get"]));
    assert_eq!(world.check(token.trim()), 200);
    // What stands there is left as it is.
    std::fs::write(&path, "mine").unwrap();
    assert!(failed(&init(&world, &answers), 1).contains("left as it is"));
    for place in ["dotenv", "credential", "vault", "aws"] {
        std::fs::remove_file(&path).unwrap();
        let answers = answers.replace("\nfile\n", &format!("\n{place}\n"));
        out(&init(&world, &answers));
        tokenward_client::config::load(&path).unwrap();
    }
}

#[test]
fn init_takes_no_silence_for_an_answer() {
    let world = World::new(3600);
    for answers in ["", "erp\nhttps://tokens.example\n"] {
        let output = init(&world, answers);
        let said = failed(&output, 1);
        assert!(said.contains("Nothing was written"), "{said}");
        assert!(!world.path("made.toml").exists(), "{answers:?}");
    }
    // Each question is a line where no person reads them; empty lines take the defaults.
    let asked = out(&init(&world, "\n\n\n\n\n\n"));
    let questions: Vec<&str> = asked.lines().filter(|line| line.ends_with("]:")).collect();
    assert_eq!(questions.len(), 6, "{asked}");
    tokenward_client::config::load(&world.path("made.toml")).unwrap();
}

/// The end to write to of a pipe that nobody reads.
fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

#[test]
fn closed_pipes_end_every_verb_quietly() {
    let world = World::new(3600);
    world.file_config();
    out(&world.agent(&["get"]));
    let verbs =
        "get|get --json|status|status --json|doctor|doctor --json|init made.toml|--help|revoke";
    for verb in verbs.split('|') {
        let child = agent(world.folder.path(), &Vec::from_iter(verb.split(' ')))
            .stdout(closed_pipe())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = finish(child);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{verb:?}: {said}");
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1)), "{verb:?}: {output:?}");
        if verb == "revoke" {
            // It was done, whether anybody reads it or not.
            assert!(output.status.success());
        }
    }
    // Nor does it matter that nobody reads what went wrong.
    std::fs::remove_file(world.path("secret")).unwrap();
    for words in [&["get"][..], &["exec", "--", "/bin/true"], &["run"]] {
        let verb = words[0];
        // Before the agent starts: it may generate as soon as the secret is back.
        let before = world.generation();
        let mut child = agent(world.folder.path(), words)
            .stdout(closed_pipe())
            .stderr(closed_pipe())
            .spawn()
            .unwrap();
        if verb == "run" {
            // It goes on trying; that it does so without a reader is seen when it ends as it is told to.
            private_file(&world.path("secret"), &world.client.secret);
            wait_until("a token", Duration::from_secs(120), || {
                world.generation() > before
            });
            terminate(&child);
        }
        let limit = Duration::from_secs(120);
        let status = wait_until("the end", limit, || child.try_wait().unwrap());
        let expect = if verb == "run" { 0 } else { 78 };
        assert_eq!(status.code(), Some(expect), "{verb}");
    }
}

#[test]
fn a_stalled_reader_of_the_log_stops_nothing() {
    let world = World::new(2);
    world.config(&format!("margin_seconds = 0.5\n{FILE_HOME}"));
    world.edit("[client.erp]", "[log]\nlevel = \"trace\"\n[client.erp]");
    // A pipe that is full, and that nobody reads.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let room = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
    writer.write_all(&vec![b'x'; room]).unwrap();
    let mut child = agent(world.folder.path(), &["run"])
        .stderr(writer)
        .spawn()
        .unwrap();
    let limit = Duration::from_secs(120);
    wait_until("three tokens", limit, || world.generation() >= 3);
    terminate(&child);
    let status = wait_until("the end", limit, || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    drop(reader);
}

#[test]
fn empty_variables_are_unset_ones_and_blanks_do_not_count() {
    let world = World::new(3600);
    let path = world.file_config();
    let folder = world.path("home/.config/tokenward");
    std::fs::create_dir_all(&folder).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let absolute = |name: &str| world.path(name).display().to_string();
    let text = text
        .replace("\"secret\"", &format!("\"{}\"", absolute("secret")))
        .replace("\"token.json\"", &format!("\"{}\"", absolute("token.json")));
    std::fs::write(folder.join("agent.toml"), text).unwrap();
    let get = |variables: &[(&str, &str)]| {
        let mut command = Command::new("/usr/bin/env");
        command
            .arg(KNOWN_SIGNALS)
            .args([env!("CARGO_BIN_EXE_tokenward-agent"), "get"])
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .current_dir(world.folder.path());
        command.finish()
    };
    let home = absolute("home");
    let token = out(&get(&[("HOME", &home)]));
    let padded = format!(" {} \n", path.display());
    for variables in [
        &[("HOME", home.as_str()), ("TOKENWARD_AGENT_CONFIG", "")][..],
        &[
            ("HOME", home.as_str()),
            ("TOKENWARD_AGENT_CONFIG", " "),
            ("XDG_CONFIG_HOME", ""),
        ],
        &[("TOKENWARD_AGENT_CONFIG", padded.as_str())],
    ] {
        assert_eq!(out(&get(variables)), token, "{variables:?}");
    }
    // The same for a secret.
    world.edit("file = \"secret\"", "environment = \"ERP\"");
    let status = |secret: &str| {
        agent(world.folder.path(), &["get"])
            .env("ERP", secret)
            .finish()
    };
    std::fs::remove_file(world.path("token.json")).unwrap();
    for nothing in ["", " \t\n"] {
        assert!(failed(&status(nothing), 78).contains("it is not set"));
    }
    out(&status(&format!("  {}\n", world.client.secret)));
}

#[test]
fn no_secret_in_logs_errors_or_the_process_list() {
    let world = World::new(2);
    for format in ["text", "json"] {
        let path = world.config(&format!(
            "margin_seconds = 0.5\n{FILE_HOME}\
             [[client.erp.destination]]\nkind = \"dotenv\"\npath = \"missing/.env\"\n\
             [log]\nlevel = \"trace\"\nformat = \"{format}\"\n"
        ));
        let before = world.generation();
        let daemon = running(&path, &[("RUST_LOG", "trace")]);
        let mut commands = String::new();
        wait_until("three renewals", Duration::from_secs(30), || {
            let line = format!("/proc/{}/cmdline", daemon.process_id());
            commands.push_str(&std::fs::read_to_string(line).unwrap_or_default());
            world.generation() >= before + 3
        });
        let log = daemon.output();
        assert!(log.contains("generated an access token"), "{log}");
        assert!(commands.contains("run"));
        let secret = &world.client.secret;
        for text in [&log, &commands] {
            for secret in ["sandbox.1.", "tw-secret.", &secret[secret.len() - 64..]] {
                assert_lacks(text, secret);
            }
        }
    }
}
