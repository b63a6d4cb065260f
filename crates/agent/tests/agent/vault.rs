//! Vault's own ways, on a real OpenBao: policies, `bao agent`, sealing in the middle.

use crate::clear_stand_in::ClearStandIn;
use crate::helper::Helper;
use crate::services::{
    AGENT_POLICY, APP_POLICY, Asked, Bao, ROOT, bare, bare_folder, http, installed, stub,
};
use crate::world::{
    Finish as _, World, failed, out, private_file, refused, running, terminate, write_config,
};
use axum::response::Response;
use serde_json::json;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;
use tokenward_testkit::{assert_contains, assert_lacks, free_port, wait_until};

const TOKEN: &str = "secret/data/tokenward/sandbox/erp/token";
const CLIENT: &str = "secret/data/tokenward/sandbox/erp/client";

/// A world whose client secret and token both lie in OpenBao.
fn world(lifetime: u64, lines: &str) -> (World, Bao) {
    let world = World::new(lifetime);
    let bao = Bao::start();
    let role = bao.role("agent", AGENT_POLICY);
    let secret = json!({"data": {"client_secret": world.client.secret}});
    bao.done("POST", CLIENT, secret);
    let place = bao.destination(world.folder.path(), &role);
    let text = format!(
        "[client.erp]\nserver = \"{}\"\n{lines}[client.erp.secret.vault]\naddress = \"{}\"\n\
         path = \"tokenward/sandbox/erp/client\"\n\
         login.approle = {{ role_id = \"{}\", secret_id_file = \"vault-secret-id\" }}\n\
         [[client.erp.destination]]\n{place}",
        world.server.public(),
        bao.address,
        role.0
    );
    std::fs::write(world.path("agent.toml"), text).unwrap();
    std::fs::remove_file(world.path("secret")).unwrap();
    (world, bao)
}

#[test]
fn each_role_may_do_its_part_and_no_more() {
    let (world, bao) = world(3600, "");
    let token = out(&world.agent(&["get"]));
    assert_eq!(world.check(token.trim()), 200);

    let (role, secret) = bao.role("app", APP_POLICY);
    let login = json!({"role_id": role, "secret_id": secret});
    let app = bao.call("POST", "auth/approle/login", "", Some(login)).1;
    let app = app["auth"]["client_token"].as_str().unwrap();
    let (status, read) = bao.call("GET", TOKEN, app, None);
    assert_eq!(status, 200);
    assert_eq!(
        read["data"]["data"]["access_token"].as_str(),
        Some(token.trim())
    );
    let check = |method: &str, path: &str| {
        let body = (method == "POST").then(|| json!({"data": {}}));
        assert_eq!(bao.call(method, path, app, body).0, 403, "{method} {path}");
    };
    check("GET", CLIENT);
    check("POST", TOKEN);
    check("POST", CLIENT);
    check("DELETE", TOKEN);
    check("GET", "secret/data/tokenward/production/erp/token");
    check("LIST", "secret/metadata/tokenward");

    // An agent with the applications' role is told what it lacks.
    private_file(&world.path("vault-secret-id"), &secret);
    let text = world.text("agent.toml");
    let theirs = text.split("role_id = \"").nth(1).unwrap();
    world.edit(theirs.split('"').next().unwrap(), &role);
    world.ask(async |api| api.revoke(&world.client.id).await.unwrap().expect(200));
    let said = failed(&refused(world.folder.path(), &token), 78);
    assert!(said.contains("permission denied"), "{said}");
}

#[test]
fn an_engine_that_demands_check_and_set_is_served() {
    let (world, bao) = world(3600, "");
    let demand = json!({"cas_required": true, "max_versions": 3});
    bao.done("POST", "secret/config", demand);
    let first = out(&world.agent(&["get"]));
    assert_eq!(out(&world.agent(&["get"])), first);
    assert_eq!(world.generation(), 1);
}

#[test]
fn bao_agent_renders_what_we_keep() {
    let (world, bao) = world(3600, "");
    let token = out(&world.agent(&["get"]));
    let (role, secret) = bao.role("app", APP_POLICY);
    private_file(&world.path("role-id"), &role);
    private_file(&world.path("app-secret-id"), &secret);
    let template = r#"{{ with secret "secret/data/tokenward/sandbox/erp/token" }}CLEARTAX_AUTH_TOKEN={{ .Data.data.access_token }}{{ end }}"#;
    private_file(&world.path("template"), template);
    let here = |name: &str| world.path(name).display().to_string();
    let config = format!(
        "vault {{ address = \"{}\" }}\n\
         auto_auth {{ method \"approle\" {{ config = {{ role_id_file_path = \"{}\", secret_id_file_path = \"{}\", \
         remove_secret_id_file_after_reading = false }} }} }}\n\
         template {{ source = \"{}\", destination = \"{}\", perms = \"0600\" }}\n\
         listener \"tcp\" {{ address = \"127.0.0.1:{}\", tls_disable = true }}\n",
        bao.address,
        here("role-id"),
        here("app-secret-id"),
        here("template"),
        here("rendered"),
        free_port()
    )
    .replace("source = ", "\n source = ")
    .replace(", destination", "\n destination")
    .replace(", perms", "\n perms");
    std::fs::write(world.path("bao-agent.hcl"), config).unwrap();
    let helper = Helper::start(&installed("bao"), |command| {
        command
            .arg("agent")
            .arg(format!("-config={}", here("bao-agent.hcl")));
    });
    let rendered = wait_until("the rendered file", Duration::from_secs(30), || {
        let text = std::fs::read_to_string(world.path("rendered")).ok();
        assert_lacks(&helper.output(), "error parsing");
        text.filter(|text| !text.is_empty())
    });
    assert_eq!(rendered, format!("CLEARTAX_AUTH_TOKEN={}", token.trim()));
}

#[test]
fn sealed_in_the_middle_of_a_renewal_loses_no_token_and_makes_none() {
    let (world, bao) = world(
        4,
        "margin_seconds = 1\nanswer_limit_seconds = 1\npatience_seconds = 4\n",
    );
    let port = free_port();
    let daemon = format!("[daemon]\nlisten = \"127.0.0.1:{port}\"\n[client.erp]\n");
    world.edit("[client.erp]\n", &daemon);
    let health = || http("GET", &format!("http://127.0.0.1:{port}/health"), &[], None);
    let agent = running(&world.path("agent.toml"), &[]);
    let limit = Duration::from_secs(40);
    wait_until("a second token", limit, || world.generation() >= 2);
    bao.seal();
    let at_seal = world.generation();
    // The token runs out while nothing can be leased: then there is none, and none is made.
    wait_until("the end of the token", limit, || {
        let (status, told) = health();
        status == 503 && told["clients"][0]["trouble"].to_string().contains("sealed")
    });
    assert!(world.generation() <= at_seal + 1, "made without a lease");
    let sealed_at = world.generation();
    bao.unseal();
    wait_until("recovery", limit * 2, || {
        health().0 == 200 && world.generation() > sealed_at
    });
    let kept = bao.call("GET", TOKEN, ROOT, None).1;
    let kept = kept["data"]["data"]["generation"].as_u64().unwrap();
    assert!(kept + 1 >= world.generation());
    let log = agent.output();
    assert_lacks(&log, &world.client.secret);
    assert_lacks(&log, "sandbox.1.");
}

#[test]
fn sealed_between_generating_and_storing_keeps_the_token_and_stores_it_later() {
    let folder = bare_folder();
    let bao = Arc::new(Bao::start());
    let server = ClearStandIn::start("s3cret", Duration::from_secs(3_600));
    let role = bao.role("agent", AGENT_POLICY);
    let place = bao.destination(folder.path(), &role);
    let lines = format!("server_kind = \"clear\"\n[[client.erp.destination]]\n{place}");
    let path = write_config(&folder.path().join("agent.toml"), &server.base, &lines);
    let sealing = bao.clone();
    server.set_trap(move || sealing.seal());
    let agent = running(&path, &[]);
    let limit = Duration::from_secs(60);
    wait_until("the token that cannot be stored", limit, || {
        let told = agent.output();
        server.trapped() == 1 && told.contains("not stored yet")
    });
    bao.unseal();
    let stored = wait_until("the token in its place", limit, || {
        let (status, document) = bao.call("GET", TOKEN, ROOT, None);
        let token = document["data"]["data"]["access_token"].as_str()?;
        (status == 200).then(|| token.to_owned())
    });
    assert_eq!(server.made(), 1, "another was made: {}", agent.output());
    let product = [("x-cleartax-auth-token", stored.as_str())];
    assert_eq!(http("GET", &server.product_url(), &product, None).0, 200);
}

/// How many sessions OpenBao holds.
fn sessions(bao: &Bao) -> usize {
    let (status, answer) = bao.call("LIST", "auth/token/accessors", ROOT, None);
    assert_eq!(status, 200, "{answer}");
    answer["data"]["keys"].as_array().unwrap().len()
}

#[test]
fn every_verb_gives_its_session_back() {
    let (world, bao) = world(3600, "");
    let before = sessions(&bao);
    let verbs =
        "get|get|status|doctor|exec -- /bin/true|exec --restart-on-renewal -- /bin/true|revoke";
    for verb in verbs.split('|') {
        out(&world.agent(&Vec::from_iter(verb.split(' '))));
        assert_eq!(sessions(&bao), before, "{verb}");
    }
    // One that fails after logging in, too.
    let wrong = json!({"data": {"client_secret": "tw-secret.wrong"}});
    bao.done("POST", CLIENT, wrong);
    failed(&world.agent(&["get"]), 78);
    assert_eq!(sessions(&bao), before);
}

#[test]
fn a_secret_id_for_one_use_serves_the_daemon_for_as_long_as_the_role_allows() {
    let (world, bao) = world(4, "margin_seconds = 1\n");
    let role = "auth/approle/role/agent";
    bao.done(
        "POST",
        role,
        json!({"secret_id_num_uses": 1, "token_ttl": "3s", "token_max_ttl": "24h", "token_policies": ["agent"]}),
    );
    let secret = bao.done("POST", &format!("{role}/secret-id"), json!({}));
    let secret = secret["data"]["secret_id"].as_str().unwrap();
    private_file(&world.path("vault-secret-id"), secret);
    let before = sessions(&bao);
    let mut agent = crate::world::agent(world.folder.path(), &["run"])
        .spawn()
        .unwrap();
    // Several times longer than a session that nobody renews; secret and home share one login.
    let limit = Duration::from_secs(240);
    wait_until("tokens", limit, || world.generation() >= 6);
    assert_eq!(sessions(&bao), before + 1);
    terminate(&agent);
    let status = wait_until("the end", limit, || agent.try_wait().unwrap());
    assert!(status.success());
    assert_eq!(sessions(&bao), before);
    // Used up, it is told by name.
    let said = failed(&world.agent(&["get"]), 78);
    assert_contains(&said, "used up or expired");
    assert_contains(&said, "vault-secret-id");
}

/// The world's configuration, with another address of Vault and these hosts.
fn through(world: &World, bao: &Bao, address: &str, hosts: &str) {
    let text = world.text("agent.toml");
    let line = format!("address = \"{address}\"\nredirect_hosts = [{hosts}]\n");
    let known = format!("address = \"{}\"\n", bao.address);
    assert_eq!(text.matches(&known).count(), 2);
    std::fs::write(world.path("through.toml"), text.replace(&known, &line)).unwrap();
}

/// Gets a token by that configuration.
fn get(world: &World) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward-agent"));
    command
        .args(["--config", "through.toml", "get"])
        .current_dir(world.folder.path());
    command.finish()
}

/// The answer of a standby, which sends callers on to the active node.
fn to_active(active: &str, request: &Asked) -> Response {
    let there = format!("{active}{}", request.uri());
    bare(307, &[("location", &there)])
}

#[test]
fn a_standby_is_followed_to_listed_hosts_by_the_same_scheme() {
    let (world, bao) = world(3600, "");
    let active = bao.address.clone();
    let standby = stub(move |request| to_active(&active, request));
    let authority = bao.address.trim_start_matches("http://").to_owned();
    for unlisted in ["", "\"vault.example.com\"", "\"127.0.0.1:1\""] {
        through(&world, &bao, &standby, unlisted);
        let said = failed(&get(&world), 78);
        assert_contains(&said, "redirect_hosts");
        assert_contains(&said, &authority);
    }
    assert_eq!(world.generation(), 0);
    for listed in [format!("\"{authority}\""), "\"127.0.0.1\"".to_owned()] {
        through(&world, &bao, &standby, &listed);
        let token = out(&get(&world));
        assert_eq!(world.check(token.trim()), 200);
    }
    assert_eq!(world.generation(), 1);
    // By another scheme, with no address at all, and in a circle.
    let elsewhere = stub(|_| bare(307, &[("location", "https://127.0.0.1/v1/x")]));
    let nowhere = stub(|_| bare(307, &[]));
    let circle = stub(|_| bare(307, &[("location", "/v1/x")]));
    for (address, code, expect) in [
        (elsewhere, 78, "instead of http://"),
        (nowhere, 75, "names no active node"),
        (circle, 75, "status 307"),
    ] {
        through(&world, &bao, &address, "\"127.0.0.1\"");
        let said = failed(&get(&world), code);
        assert!(said.contains(expect), "{said}");
    }
}

#[test]
fn nodes_that_cannot_serve_are_told_by_what_they_are() {
    let (world, bao) = world(3600, "");
    for (status, expect) in [
        (412, "lags behind"),
        (472, "disaster recovery secondary"),
        (473, "performance standby"),
        (501, "not initialised"),
    ] {
        let node = stub(move |_| bare(status, &[]));
        through(&world, &bao, &node, "");
        let said = failed(&get(&world), 75);
        assert!(said.contains(expect), "{said}");
    }
    // One that lags behind for a moment is waited for.
    let asked = std::sync::atomic::AtomicU32::new(0);
    let active = bao.address.clone();
    let node =
        stub(
            move |request| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 | 1 => bare(412, &[]),
                _ => to_active(&active, request),
            },
        );
    through(&world, &bao, &node, "\"127.0.0.1\"");
    let token = out(&get(&world));
    assert_eq!(world.check(token.trim()), 200);
}
