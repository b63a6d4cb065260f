//! `run`: tokens ahead of time in every place, whatever happens around it.

use crate::clear_stand_in::ClearStandIn;
use crate::helper::Helper;
use crate::services::{exchange, http};
use crate::world::{FILE_HOME, Finish as _, World, agent, failed, out, refused, running};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokenward_testkit::{NewClient, Server, assert_contains, free_port, wait_until};

const LIMIT: Duration = Duration::from_secs(40);

fn run(folder: &Path) -> Helper {
    running(&folder.join("agent.toml"), &[])
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default()
}

#[test]
fn tells_every_place_and_only_then_ends_the_previous_token() {
    let world = World::with(NewClient::sandbox("erp").lifetime(4).handover(60));
    let port = free_port();
    world.config(&format!(
        "margin_seconds = 1.5\nhandover_seconds = 60\n{FILE_HOME}\
         [[client.erp.destination]]\nkind = \"dotenv\"\npath = \"copy/.env\"\n\
         [[client.erp.destination]]\nkind = \"credential\"\nfolder = \".\"\nname = \"bare\"\n\
         [daemon]\nlisten = \"127.0.0.1:{port}\"\n",
    ));
    let _agent = run(world.folder.path());
    // The copy's folder does not exist: that place cannot confirm.
    let bare = || std::fs::read_to_string(world.path("bare")).ok();
    let first = wait_until("the bare token", LIMIT, bare);
    let second = wait_until("the next token", LIMIT, || {
        bare().filter(|token| *token != first)
    });
    assert_eq!(world.check(&second), 200);
    let health = || http("GET", &format!("http://127.0.0.1:{port}/health"), &[], None);
    let (status, told) = health();
    assert_eq!(status, 200, "{told}");
    wait_until("the trouble", LIMIT, || {
        let told = health().1;
        let trouble = told["clients"][0]["trouble"].as_str()?.to_owned();
        trouble.contains("create the folder").then_some(())
    });
    // While one place lacks the new token, the previous one goes on working there.
    let kept = world.generation();
    let has_previous = || !world.status()["previous_valid_till"].is_null();
    assert!(kept == world.generation() && has_previous() || world.generation() > kept);
    // Mended, it confirms, and then the previous one is ended.
    std::fs::create_dir(world.path("copy")).unwrap();
    wait_until("the copy", LIMIT, || {
        let text = std::fs::read_to_string(world.path("copy/.env")).ok()?;
        Some(text.contains(&format!("CLEARTAX_AUTH_TOKEN={}\n", bare()?))).filter(|same| *same)
    });
    wait_until("the end of the previous token", LIMIT, || !has_previous());
    let metrics = |headers: &[(&str, &str)]| {
        let url = format!("http://127.0.0.1:{port}/metrics");
        String::from_utf8(exchange("GET", &url, headers, None).1).unwrap()
    };
    let open = metrics(&[("accept", "application/openmetrics-text")]);
    assert_contains(&open, "# TYPE tokenward_agent_generated counter\n");
    assert_contains(&open, "# EOF");
    let metrics = metrics(&[]);
    assert_contains(&metrics, "tokenward_agent_token_living{client=\"erp\"} 1");
    assert_contains(&metrics, "tokenward_agent_generated_total{client=\"erp\"}");
    // Without that header the text format of Prometheus.
    assert_contains(&metrics, "# TYPE tokenward_agent_generated_total counter\n");
    assert!(!metrics.contains("# EOF"), "{metrics}");
    assert!(!metrics.contains("sandbox.1."));
}

#[test]
fn outlives_a_restart_of_the_server() {
    // At the same address, as a customer's server is.
    let address = ([127, 0, 0, 1], free_port()).into();
    let server = Server::builder().public(address).start();
    let mut world = World::on(server, NewClient::sandbox("erp").lifetime(3));
    world.config(&format!("margin_seconds = 1\n{FILE_HOME}"));
    let _agent = run(world.folder.path());
    wait_until("a token", LIMIT, || {
        json(&world.path("token.json"))["generation"].as_u64()
    });
    world.server.kill9();
    wait_until("the end of the token", LIMIT, || {
        let till = json(&world.path("token.json"))["tokenward"]["valid_till_micros"].as_i64()?;
        (tokenward_client::clock::ServerClock::default().now().0 > till).then_some(())
    });
    world.server.restart();
    let before = world.generation();
    let kept = wait_until("a new token", LIMIT, || {
        let kept = json(&world.path("token.json"));
        (kept["generation"].as_u64()? > before).then_some(kept)
    });
    assert_eq!(world.check(kept["access_token"].as_str().unwrap()), 200);
}

#[test]
fn a_full_disk_costs_no_token() {
    let world = World::new(3600);
    world.config("[[client.erp.destination]]\nkind = \"file\"\npath = \"disk/token.json\"\n");
    std::fs::create_dir(world.path("disk")).unwrap();
    // A small disk of one's own, in a namespace of one's own.
    let script = r#"
        mount -t tmpfs -o size=64k none disk
        "$AGENT" --config agent.toml get > first || exit 10
        /bin/cp disk/token.json kept.json; : > disk/token.json
        /bin/dd if=/dev/zero of=disk/filler bs=4k 2> /dev/null
        "$AGENT" --config agent.toml get 2> said; test $? = 75 || exit 11
        /bin/rm disk/filler
        "$AGENT" --config agent.toml get > second || exit 12
        /bin/ls -A disk > left
    "#;
    let output = Command::new("unshare")
        .args(["-rm", "/bin/sh", "-c", script])
        .env("AGENT", env!("CARGO_BIN_EXE_tokenward-agent"))
        .current_dir(world.folder.path())
        .stdin(Stdio::null())
        .finish();
    out(&output);
    assert_contains(&world.text("said"), "make room on the disk");
    // Met while nothing was lost: the try on the full disk made no token.
    assert_eq!(world.generation(), 2);
    assert_eq!(world.check(world.text("second").trim()), 200);
}

#[test]
fn a_fast_clock_renews_nothing() {
    // The server is two hours behind: seen from there, this machine's clock is fast, and every token looks over.
    let behind = Duration::from_secs(7_200);
    let server = ClearStandIn::behind("s3cret", Duration::from_secs(3_600), behind);
    let folder = server.folder(FILE_HOME);
    let first = out(&agent(folder.path(), &["get"]).finish());
    for _ in 0..3 {
        assert_eq!(out(&agent(folder.path(), &["get"]).finish()), first);
    }
    assert_eq!(server.made(), 1);
}

#[test]
fn another_holder_is_named_and_not_fought() {
    let server = ClearStandIn::start("s3cret", Duration::from_secs(3_600));
    let folder = server.folder(FILE_HOME);
    let mut token = out(&agent(folder.path(), &["get"]).finish());
    let refused = |token: &str| refused(folder.path(), token);
    server.generate_elsewhere();
    token = out(&refused(&token));
    server.generate_elsewhere();
    for _ in 0..5 {
        let said = failed(&refused(&token), 78);
        assert_contains(&said, "another holder of this client secret exists");
    }
    assert_eq!(server.made(), 2);
    let doctor = agent(folder.path(), &["doctor"]).finish();
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("BAD  home"));
}
