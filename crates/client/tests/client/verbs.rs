//! `status`, `revoke`, `doctor`, `init`; and that nothing anywhere shows a secret.

use crate::wait::wait_until;
use crate::world::{World, agent, failed, out, private_file};
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

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
    world.config(
        "[[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n\
         [[client.erp.destination]]\nkind = \"dotenv\"\npath = \".env\"\n",
    );
    let token = out(&world.agent(&["get"]));
    assert!(
        std::fs::read_to_string(world.path(".env"))
            .unwrap()
            .contains(token.trim())
    );
    assert_eq!(
        out(&world.agent(&["revoke"])).trim_end().split(',').next(),
        Some("revoked generation 1")
    );
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
    assert!(
        well.contains("ok   secret") && well.contains("for sandbox"),
        "{well}"
    );
    assert!(well.contains("ok   lease"), "{well}");
    assert_eq!(world.generation(), 0);

    let mode = |path: &std::path::Path, mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    };
    mode(&config, 0o666);
    assert!(doctor(1).contains("chmod go-w"));
    mode(&config, 0o644);
    mode(&world.path("secret"), 0o640);
    assert!(doctor(1).contains("chmod 600"));
    let token = out(&{
        mode(&world.path("secret"), 0o600);
        world.agent(&["get"])
    });
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
    let init = || {
        let mut child = agent(world.folder.path(), &["init", "made.toml"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that refuses at once may be gone before it has read anything: what it says is looked at.
        let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
        child.wait_with_output().unwrap()
    };
    assert!(out(&init()).contains("doctor"));
    std::fs::rename(&path, world.path("agent.toml")).unwrap();
    let token = out(&world.agent(&["get"]));
    assert_eq!(world.check(token.trim()), 200);
    // What stands there is left as it is.
    std::fs::write(&path, "mine").unwrap();
    assert!(failed(&init(), 1).contains("left as it is"));
    for place in ["dotenv", "credential", "vault", "aws"] {
        std::fs::remove_file(&path).unwrap();
        let answers = answers.replace("\nfile\n", &format!("\n{place}\n"));
        let mut child = agent(world.folder.path(), &["init", "made.toml"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(answers.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        tokenward_client::config::load(&path).unwrap();
    }
}

#[test]
fn no_secret_in_logs_errors_or_the_process_list() {
    let world = World::new(2);
    for format in ["text", "json"] {
        let path = world.config(
            "margin_seconds = 0.5\n[[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n\
             [[client.erp.destination]]\nkind = \"dotenv\"\npath = \"missing/.env\"\n",
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let head = format!("[log]\nlevel = \"trace\"\nformat = \"{format}\"\n");
        std::fs::write(&path, head + &text).unwrap();
        let before = world.generation();
        let daemon = crate::helper::Helper::start(
            env!("CARGO_BIN_EXE_tokenward-agent").as_ref(),
            |command| {
                command
                    .arg("--config")
                    .arg(&path)
                    .arg("run")
                    .env("RUST_LOG", "trace");
            },
        );
        let mut commands = String::new();
        wait_until("three renewals", Duration::from_secs(30), || {
            let line = format!("/proc/{}/cmdline", daemon.process_id());
            commands.push_str(&std::fs::read_to_string(line).unwrap_or_default());
            (world.generation() >= before + 3).then_some(())
        });
        let log = daemon.output();
        assert!(log.contains("generated an access token"), "{log}");
        assert!(commands.contains("run"));
        for text in [&log, &commands] {
            assert!(!text.contains("sandbox.1."), "{text}");
            assert!(!text.contains("tw-secret."), "{text}");
            let secret = &world.client.secret;
            assert!(!text.contains(&secret[secret.len() - 64..]), "{text}");
        }
    }
}
