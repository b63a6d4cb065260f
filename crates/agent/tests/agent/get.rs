//! `get`: one token for all who ask, renewed only when needed, kept where only its owner reads it.

use crate::world::{FILE_HOME, World, chmod, failed, out, private_file};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn asks_once_and_reuses_what_is_kept() {
    let world = World::new(3600);
    world.file_config();
    let first = out(&world.agent(&["get"]));
    assert_eq!(world.check(first.trim()), 200);
    for _ in 0..3 {
        assert_eq!(out(&world.agent(&["get"])), first);
    }
    assert_eq!(world.generation(), 1);
    let json: serde_json::Value =
        serde_json::from_str(&out(&world.agent(&["get", "--json"]))).unwrap();
    assert_eq!(json["access_token"].as_str(), Some(first.trim()));
    assert_eq!(json["generation"], 1);
}

#[test]
fn keeps_the_token_where_only_its_owner_reads_it() {
    let world = World::new(3600);
    world.file_config();
    out(&world.agent(&["get"]));
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let name = entry.file_name().into_string().unwrap();
        assert!(
            mode == 0o600 || name == "agent.toml",
            "{name} has mode {mode:o}"
        );
    }
}

#[test]
fn says_how_to_mend_what_is_wrong() {
    let world = World::new(3600);
    let check = |lines: &str, code, expect: &str| {
        world.config(lines);
        let text = failed(&world.agent(&["get"]), code);
        assert!(text.contains(expect), "{text}");
        assert!(!text.contains(&world.client.secret));
    };
    let home = FILE_HOME;
    check("", 78, "missing field `destination`");
    check(&format!("typo = 1\n{home}"), 78, "unknown field `typo`");
    check(
        &home.replace("token.json", "missing/token.json"),
        78,
        "create the folder first",
    );
    chmod(&world.path("secret"), 0o644);
    check(home, 78, "run chmod 600");
    // Who can change the configuration chooses the server that gets the secret.
    let config = world.path("agent.toml");
    for mode in [0o666, 0o602] {
        chmod(&config, mode);
        check(home, 78, "run chmod o-w");
    }
    chmod(&config, 0o644);
    private_file(&world.path("secret"), "tw-secret.wrong");
    check(home, 78, "CLIENT_SECRET_INVALID");
}
