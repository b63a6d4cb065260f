//! The walks of `node/`, each in Debian's Chromium, against a server of its own.

use std::path::Path;
use std::process::Command;
use tokenward_testkit::Server;

fn walk(script: &str, ways: &[(&str, &str)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console/node");
    let needed = folder.join("node_modules/playwright-core");
    assert!(
        needed.exists(),
        "{} is missing: run `make setup`",
        needed.display()
    );
    let server = Server::builder().start();
    let link = std::fs::read_to_string(server.data_dir().join("console-link"));
    let link = link.expect("the link that makes the first operator");
    let output = Command::new("node")
        .arg(folder.join(script))
        .env("PUBLIC", server.public().to_string())
        .env("INTERNAL", server.internal().to_string())
        .env("LINK", link.trim())
        .envs(ways.iter().copied())
        .output()
        .expect("node runs; `make setup` installs it");
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
fn the_seed_walked_without_a_script() {
    walk("walk.mjs", &[("SCRIPT", "off")]);
}
