//! The walks of `node/`, each in Debian's Chromium, against a server of its own.

use crate::balancer::Balancer;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokenward_testkit::{PROGRAM_LIMIT, PgCluster, Server, ended, finish, first_line, set_up};

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
    let _ = set_up("crates/server/tests/console/node/node_modules/playwright-core");
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
    let done = output.status.success() && said.contains("\"pages\"");
    assert!(done, "{script} {ways:?}\n{said}{complained}");
}

/// What the names of pictures taken on a phone begin with.
const PHONE: &str = "phone-";

/// The pictures that the guide shows.
fn pictures_of_the_guide() -> BTreeSet<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/console");
    let text = std::fs::read_to_string(guide.join("README.md")).unwrap();
    let named = text.split("](").skip(1);
    let named = named.filter_map(|rest| rest.split(')').next()?.strip_suffix(".png"));
    let named: BTreeSet<String> = named.map(str::to_owned).collect();
    let files = std::fs::read_dir(guide).unwrap();
    let files = files.filter_map(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".png").map(str::to_owned)
    });
    let files: BTreeSet<String> = files.collect();
    assert_eq!(files, named, "the guide shows each picture of its folder");
    named
}

/// A walk that takes the pictures of the guide, of a phone or of a wide screen. `make pictures` puts them into the guide.
fn walk_pictured(ways: &[(&str, &str)], phone: bool) {
    let all = pictures_of_the_guide();
    let wanted = all.iter().filter(|name| name.starts_with(PHONE) == phone);
    let wanted: Vec<&str> = wanted.map(String::as_str).collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(format!("{name}.png"));
    for name in &wanted {
        // One that an earlier run took says nothing of today.
        let _ = std::fs::remove_file(file(name));
    }
    let (names, folder) = (wanted.join(","), folder.to_str().unwrap());
    let prefix = if phone { PHONE } else { "" };
    let pictured = [("PICTURES", folder), ("WANTED", &names), ("PREFIX", prefix)];
    walk("walk.mjs", &[ways, &pictured].concat());
    for name in &wanted {
        assert!(file(name).exists(), "the walk takes no picture {name}");
    }
}

#[test]
fn the_seed_walked_in_light_on_a_wide_screen() {
    walk_pictured(&[("SCHEME", "light"), ("WIDTH", "1440")], false);
}

#[test]
fn the_seed_walked_in_the_dark_on_a_phone() {
    walk_pictured(&[("SCHEME", "dark"), ("WIDTH", "390")], true);
}

#[test]
fn six_tasks_are_done_by_the_console_alone() {
    walk("tasks.mjs", &[]);
}

#[test]
fn every_component_is_readable_in_both_themes_and_at_every_width() {
    walk("style.mjs", &[]);
}

#[test]
fn the_seed_walked_in_the_dark_on_a_wide_screen() {
    let ways = [("SCHEME", "dark"), ("WIDTH", "1440"), ("JUDGED", "colours")];
    walk("walk.mjs", &ways);
}

#[test]
fn the_seed_walked_in_light_on_a_phone() {
    let ways = [("SCHEME", "light"), ("WIDTH", "390"), ("JUDGED", "colours")];
    walk("walk.mjs", &ways);
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
            builder.args(arguments)
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
        // The walk went by the balancer.
        assert!(self.balancer.requests() > 10);
    }
}

#[test]
fn the_seed_walked_while_each_request_reaches_another_node() {
    let ways = [
        ("SCHEME", "light"),
        ("WIDTH", "1440"),
        ("JUDGED", "nothing"),
    ];
    Two::start(&[]).walk("walk.mjs", &ways);
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
        &format!("--sso-issuer={}", issuer.trim()),
        "--sso-client-id=tokenward",
        &format!("--sso-client-secret-file={}", secret.display()),
        "--sso-name=Example login",
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
    let start = |arguments: &[&str]| Server::builder().args(arguments).start();
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
