//! `run`: tokens ahead of time in every place, whatever happens around it.

use crate::clear_stand_in::ClearStandIn;
use crate::helper::Helper;
use crate::services::http;
use crate::wait::wait_until;
use crate::world::{Finish as _, World, agent, failed, out, private_file, running, write_config};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokenward_testkit::free_port;
use tokenward_testkit::{NewClient, assert_contains};

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
    let text = world.config(
        "margin_seconds = 1.5\nhandover_seconds = 60\n\
         [[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n\
         [[client.erp.destination]]\nkind = \"dotenv\"\npath = \"copy/.env\"\n\
         [[client.erp.destination]]\nkind = \"credential\"\nfolder = \".\"\nname = \"bare\"\n\
         [daemon]\nlisten = \"127.0.0.1:0\"\n",
    );
    let written = std::fs::read_to_string(&text)
        .unwrap()
        .replace("127.0.0.1:0\"\n", &format!("127.0.0.1:{port}\"\n"));
    std::fs::write(&text, written).unwrap();
    let _agent = run(world.folder.path());
    // The copy's folder does not exist: that place cannot confirm.
    let first = wait_until("the bare token", LIMIT, || {
        std::fs::read_to_string(world.path("bare")).ok()
    });
    let second = wait_until("the next token", LIMIT, || {
        std::fs::read_to_string(world.path("bare"))
            .ok()
            .filter(|token| *token != first)
    });
    assert_eq!(world.check(&second), 200);
    let health = http("GET", &format!("http://127.0.0.1:{port}/health"), &[], None);
    assert_eq!(health.0, 200, "{}", health.1);
    wait_until("the trouble", LIMIT, || {
        let told = http("GET", &format!("http://127.0.0.1:{port}/health"), &[], None).1;
        let trouble = told["clients"][0]["trouble"].as_str()?.to_owned();
        trouble.contains("create the folder").then_some(())
    });
    // While one place lacks the new token, the previous one goes on working there.
    let kept = world.generation();
    let previous = |world: &World| {
        world.ask(async |api| {
            let request = api.authz(reqwest::Method::GET, "/status", &world.client.secret);
            api.send(request).await.unwrap().json()["previous_valid_till"].clone()
        })
    };
    assert!(kept == world.generation() && !previous(&world).is_null() || world.generation() > kept);
    // Mended, it confirms, and then the previous one is ended.
    std::fs::create_dir(world.path("copy")).unwrap();
    wait_until("the copy", LIMIT, || {
        let text = std::fs::read_to_string(world.path("copy/.env")).ok()?;
        let bare = std::fs::read_to_string(world.path("bare")).ok()?;
        text.contains(&format!("CLEARTAX_AUTH_TOKEN={bare}\n"))
            .then_some(())
    });
    wait_until("the end of the previous token", LIMIT, || {
        previous(&world).is_null()
    });
    let metrics = reqwest_text(&format!("http://127.0.0.1:{port}/metrics"));
    assert_contains(&metrics, "tokenward_agent_token_living{client=\"erp\"} 1");
    assert_contains(&metrics, "tokenward_agent_generated_total{client=\"erp\"}");
    assert!(!metrics.contains("sandbox.1."));
}

fn reqwest_text(url: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let http = tokenward_testkit::http().build().unwrap();
        http.get(url).send().await.unwrap().text().await.unwrap()
    })
}

#[test]
fn outlives_a_restart_of_the_server() {
    let mut world = World::new(3);
    world.config(
        "margin_seconds = 1\n[[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n",
    );
    // The server comes back on another port: a name that stays is what a customer has, so a proxy stands for it.
    let relay = Relay::start(world.server.public());
    world.config_for(
        &relay.base,
        "margin_seconds = 1\n[[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n",
    );
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
    relay.to(world.server.public());
    let before = world.generation();
    wait_until("a new token", LIMIT, || {
        let kept = json(&world.path("token.json"));
        let generation = kept["generation"].as_u64()?;
        (generation > before).then_some(())
    });
    let token = json(&world.path("token.json"))["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(world.check(&token), 200);
}

/// Carries connections to wherever the server is now.
struct Relay {
    target: std::sync::Arc<std::sync::Mutex<String>>,
    base: String,
}

impl Relay {
    fn start(target: &str) -> Relay {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let target = std::sync::Arc::new(std::sync::Mutex::new(target.to_owned()));
        let current = target.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let address = current
                    .lock()
                    .unwrap()
                    .trim_start_matches("http://")
                    .to_owned();
                let Ok(onward) = std::net::TcpStream::connect(address) else {
                    continue;
                };
                for (mut from, mut to) in [
                    (stream.try_clone().unwrap(), onward.try_clone().unwrap()),
                    (onward, stream),
                ] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Relay { target, base }
    }

    fn to(&self, target: &str) {
        *self.target.lock().unwrap() = target.to_owned();
    }
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
    let said = std::fs::read_to_string(world.path("said")).unwrap();
    assert!(said.contains("make room on the disk"), "{said}");
    // Met while nothing was lost: the try on the full disk made no token.
    assert_eq!(world.generation(), 2);
    let second = std::fs::read_to_string(world.path("second")).unwrap();
    assert_eq!(world.check(second.trim()), 200);
}

#[test]
fn a_fast_clock_renews_nothing() {
    // The server is two hours behind: seen from there, this machine's clock is fast, and every token looks over.
    let folder = crate::services::bare_folder();
    let behind = Duration::from_secs(7_200);
    let server = ClearStandIn::behind("s3cret", Duration::from_secs(3_600), behind);
    let lines = "server_kind = \"clear\"\n[[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n";
    write_config(&folder.path().join("agent.toml"), &server.base, lines);
    let first = out(&agent(folder.path(), &["get"]).finish());
    for _ in 0..3 {
        assert_eq!(out(&agent(folder.path(), &["get"]).finish()), first);
    }
    assert_eq!(server.made(), 1);
}

#[test]
fn another_holder_is_named_and_not_fought() {
    let folder = crate::services::bare_folder();
    let server = ClearStandIn::start("s3cret", Duration::from_secs(3_600));
    let lines = "server_kind = \"clear\"\n[[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n";
    write_config(&folder.path().join("agent.toml"), &server.base, lines);
    let mut token = out(&agent(folder.path(), &["get"]).finish());
    let refused = |token: &str| {
        private_file(&folder.path().join("refused"), token);
        let file = std::fs::File::open(folder.path().join("refused")).unwrap();
        agent(folder.path(), &["get", "--refused"])
            .stdin(file)
            .finish()
    };
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
