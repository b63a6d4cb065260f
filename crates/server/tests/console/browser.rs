//! The walks of `node/`, each in Debian's Chromium, against a server of its own.

use crate::balancer::Balancer;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokenward_testkit::{PROGRAM_LIMIT, PgCluster, Server, ended, finish, first_line};

/// Longest time for a walk of the browser.
const WALK_LIMIT: Duration = Duration::from_secs(900);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console/node")
}

fn walk(script: &str, ways: &[(&str, &str)]) {
    walk_at(&Server::builder().start(), script, ways);
}

fn walk_at(server: &Server, script: &str, ways: &[(&str, &str)]) {
    let folder = folder();
    let needed = folder.join("node_modules/playwright-core");
    assert!(
        needed.exists(),
        "{} is missing: run `make setup`",
        needed.display()
    );
    let link = std::fs::read_to_string(server.data_dir().join("console-link"));
    let link = link.expect("the link that makes the first operator");
    let mut node = Command::new("node");
    node.arg(folder.join(script))
        .env("PUBLIC", server.public())
        .env("INTERNAL", server.internal())
        .env("LINK", link.trim())
        .envs(ways.iter().copied());
    let output = finish(&mut node, WALK_LIMIT);
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("\"pages\""),
        "{script} {ways:?}\n{said}{complained}"
    );
}

#[test]
fn the_seed_walked_in_light_on_a_wide_screen() {
    walk("walk.mjs", &[("SCHEME", "light"), ("WIDTH", "1440")]);
}

#[test]
fn the_seed_walked_in_the_dark_on_a_phone() {
    walk("walk.mjs", &[("SCHEME", "dark"), ("WIDTH", "390")]);
}

#[test]
fn the_seed_walked_in_the_dark_on_a_wide_screen() {
    walk("walk.mjs", &[("SCHEME", "dark"), ("WIDTH", "1440")]);
}

#[test]
fn the_seed_walked_in_light_on_a_phone() {
    walk("walk.mjs", &[("SCHEME", "light"), ("WIDTH", "390")]);
}

#[test]
fn the_seed_walked_without_a_script() {
    walk("walk.mjs", &[("SCRIPT", "off")]);
}

/// Two servers on one database, of which each request reaches the other one than the request before.
struct Two {
    second: Server,
    _first: Server,
    _cluster: PgCluster,
    balancer: Balancer,
}

impl Two {
    fn start(arguments: &[&str]) -> Self {
        let cluster = PgCluster::builder().setting("fsync", "off").start();
        let node = || {
            let builder = Server::builder().database(&cluster.url());
            arguments
                .iter()
                .fold(builder, |builder, one| builder.arg(one))
        };
        let first = node().start();
        let keys = first.data_dir().join("digest-keys").display().to_string();
        let second = node().arg("--digest-keys").arg(&keys).start();
        let balancer = Balancer::over(&[first.public(), second.public()]);
        Self {
            second,
            _first: first,
            _cluster: cluster,
            balancer,
        }
    }

    fn walk(&self, script: &str, ways: &[(&str, &str)]) {
        // Each start makes a new link while no operator can sign in.
        let link = std::fs::read_to_string(self.second.data_dir().join("console-link")).unwrap();
        let public = self.balancer.public();
        let link = link.trim().replace(self.second.public(), public);
        let mut all = vec![("PUBLIC", public), ("LINK", link.as_str())];
        all.extend(ways);
        walk_at(&self.second, script, &all);
        assert!(
            self.balancer.requests() > 10,
            "the walk went by the balancer"
        );
    }
}

#[test]
fn the_seed_walked_while_each_request_reaches_another_node() {
    Two::start(&[]).walk("walk.mjs", &[("SCHEME", "light"), ("WIDTH", "1440")]);
}

#[test]
fn passkeys_while_each_request_reaches_another_node() {
    Two::start(&[]).walk("passkey.mjs", &[]);
}

#[test]
fn page_with_a_secret_shows_none_when_reloaded_or_come_back_to() {
    walk("once.mjs", &[]);
}

#[test]
fn passkeys_at_a_device_that_has_them() {
    walk("passkey.mjs", &[]);
}

/// Walks through single sign-on with a real provider: `start` starts what answers at an address with these arguments.
fn walk_with_provider<T>(
    start: impl FnOnce(&[&str]) -> T,
    public: impl Fn(&T) -> &str,
    walk: impl FnOnce(&T),
) {
    let mut provider = Command::new("node")
        .arg(folder().join("provider.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("node runs; `make setup` installs it");
    let said = provider.stdout.take().unwrap();
    let issuer = first_line(said, "the provider", PROGRAM_LIMIT);
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("secret");
    std::fs::write(&secret, "a-secret-of-the-console-at-its-provider\n").unwrap();
    let started = start(&[
        "--sso-issuer",
        issuer.trim(),
        "--sso-client-id",
        "tokenward",
        "--sso-client-secret-file",
        secret.to_str().unwrap(),
        "--sso-name",
        "Example login",
    ]);
    let back = public(&started).replace("127.0.0.1", "localhost");
    let input = provider.stdin.as_mut().unwrap();
    writeln!(input, "{back}/console/sso/return").unwrap();
    walk(&started);
    // Its input ends, and it with it.
    drop(provider.stdin.take());
    ended(&mut provider, "the provider", PROGRAM_LIMIT);
}

#[test]
fn single_sign_on_with_a_real_provider() {
    let start = |arguments: &[&str]| {
        let builder = arguments
            .iter()
            .fold(Server::builder(), |builder, one| builder.arg(one));
        builder.start()
    };
    walk_with_provider(start, Server::public, |server| {
        walk_at(server, "sso.mjs", &[])
    });
}

#[test]
fn single_sign_on_that_begins_at_one_node_and_ends_at_another() {
    walk_with_provider(
        Two::start,
        |two| two.balancer.public(),
        |two| two.walk("sso.mjs", &[]),
    );
}
