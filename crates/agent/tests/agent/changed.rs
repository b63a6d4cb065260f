//! After a change of the configuration: what was kept for another API client, environment or server is not used.

use crate::clear_stand_in::ClearStandIn;
use crate::services::{bare, bare_folder, stub};
use crate::world::{FILE_HOME, Finish as _, World, agent, failed, out, private_file, write_config};
use std::time::Duration;
use tokenward_testkit::NewClient;

const HOMES: [&str; 3] = [
    "kind = \"file\"\npath = \"kept\"\n",
    "kind = \"dotenv\"\npath = \"kept\"\n",
    "kind = \"credential\"\nfolder = \".\"\nname = \"kept\"\n",
];

#[test]
fn a_token_of_another_client_is_not_used() {
    for home in HOMES {
        let world = World::new(3600);
        world.config(&format!("[[client.erp.destination]]\n{home}"));
        let first = out(&world.agent(&["get"]));
        let other = world.another(NewClient::sandbox("other"));
        let production = world.another(NewClient::production("live"));
        let mut before = first.clone();
        for next in [&other, &production] {
            private_file(&world.path("secret"), &next.secret);
            let told = out(&world.agent(&["status"]));
            assert!(told.contains("made for another API client"), "{told}");
            let told = out(&world.agent(&["doctor"]));
            assert!(told.contains("a token of another API client"), "{told}");
            let token = out(&world.agent(&["get"]));
            assert_ne!(token, before, "{home}");
            assert_eq!(out(&world.agent(&["get"])), token, "{home}");
            before = token;
        }
        assert_eq!(
            world.check(before.trim()),
            401,
            "it is of the other environment"
        );
        // The first client's token is not this client's to end.
        private_file(&world.path("secret"), &world.client.secret);
        let said = out(&world.agent(&["revoke"]));
        assert!(said.contains("not revoked"), "{said}");
        assert_eq!(world.check(first.trim()), 200);
    }
}

#[test]
fn a_token_kept_before_origins_were_noted_is_used_by_its_own_id() {
    let world = World::new(3600);
    world.file_config();
    let token = out(&world.agent(&["get"]));
    let path = world.path("token.json");
    let mut kept: serde_json::Value = serde_json::from_str(&world.text("token.json")).unwrap();
    let notes = kept["tokenward"].as_object_mut().unwrap();
    for part in ["server", "environment", "client"] {
        assert!(notes.remove(part).is_some(), "{part} was not noted");
    }
    std::fs::write(&path, kept.to_string()).unwrap();
    assert_eq!(out(&world.agent(&["get"])), token);
    let other = world.another(NewClient::sandbox("other"));
    private_file(&world.path("secret"), &other.secret);
    assert_ne!(out(&world.agent(&["get"])), token);
}

#[test]
fn a_token_of_another_server_is_not_used_and_leaves_no_copy_behind() {
    let folder = bare_folder();
    // The first server's tokens end later than the second's: that makes them no newer.
    let sandbox = ClearStandIn::start("s3cret", Duration::from_secs(80_000));
    let live = ClearStandIn::start("s3cret", Duration::from_secs(3_600));
    let get = |server: &ClearStandIn| {
        let lines = format!(
            "server_kind = \"clear\"\n{FILE_HOME}\
             [[client.erp.destination]]\nkind = \"dotenv\"\npath = \".env\"\n"
        );
        write_config(&folder.path().join("agent.toml"), &server.base, &lines);
        out(&agent(folder.path(), &["get"]).finish());
        // Whose token it is, its notes tell.
        for name in ["token.json", ".env"] {
            let kept = std::fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(kept.contains(&server.base), "{name}: {kept}");
        }
    };
    get(&sandbox);
    get(&sandbox);
    get(&live);
    get(&live);
    assert_eq!((sandbox.made(), live.made()), (1, 1));
}

#[cfg(feature = "aws")]
#[test]
fn a_wrong_clock_is_told_from_wrong_credentials() {
    // A stand-in for AWS that refuses every signature, with a clock that is right or 20 minutes ahead.
    for (ahead, code, expect) in [
        (1_200, 75, "behind AWS's"),
        (0, 78, "AWS refuses these credentials"),
    ] {
        let folder = bare_folder();
        let text =
            "[default]\naws_access_key_id = AKIDOFONETEST\naws_secret_access_key = ofonetest\n";
        private_file(&folder.path().join("aws-credentials"), text);
        let endpoint = stub(move |_| {
            let now = tokenward_client::clock::ServerClock::default().now();
            let seconds = u64::try_from(now.0 / 1_000_000).unwrap() + ahead;
            let date =
                httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
            let kind = ("x-amzn-errortype", "InvalidSignatureException");
            bare(400, &[("date", &date), kind])
        });
        let lines = format!(
            "[[client.erp.destination]]\nkind = \"aws\"\nsecret_id = \"erp\"\nregion = \"ap-south-1\"\n\
             endpoint = \"{endpoint}\"\ncredentials_file = \"aws-credentials\"\n"
        );
        write_config(
            &folder.path().join("agent.toml"),
            "http://127.0.0.1:1",
            &lines,
        );
        let said = failed(&agent(folder.path(), &["get"]).finish(), code);
        assert!(said.contains(expect), "{said}");
    }
}
