//! The destination for SAP Cloud Integration, against a fake of the tenant: see there what it can show.

use crate::cpi_fake::{CLIENT_ID, CLIENT_SECRET, CpiFake, Manner};
use crate::world::{FILE_HOME, World, chmod, failed, out, private_file, private_folder};
use serde_json::json;
use std::time::Duration;
use tempfile::TempDir;
use tokenward_client::Entry;
use tokenward_client::destination::cpi::{CpiCredential, Login};
use tokenward_client::destination::{Destination as _, DestinationError, Kind};
use tokenward_core::{AccessToken, ClientId, Environment};
use tokenward_testkit::assert_contains;

const NAME: &str = "CLEARTAX_EINVOICE";
const CLIENT: &str = "0198a6f0-0000-7000-8000-000000000001";

/// A tenant of this manner and the destination for it.
struct Bench {
    fake: CpiFake,
    place: CpiCredential,
    runtime: tokio::runtime::Runtime,
    folder: TempDir,
}

impl Bench {
    fn new(manner: Manner) -> Bench {
        Bench::with_secret(manner, CLIENT_SECRET)
    }

    fn with_secret(manner: Manner, secret: &str) -> Bench {
        let fake = CpiFake::start(manner);
        let folder = private_folder();
        let secret_file = folder.path().join("cpi-secret");
        private_file(&secret_file, secret);
        let login = Login {
            token_url: format!("{}/oauth/token", fake.base),
            client_id: CLIENT_ID.to_owned(),
            secret_file,
        };
        let api = format!("{}/api/v1", fake.base);
        let place = CpiCredential::new(&api, NAME, login, None, Duration::from_secs(10)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Bench {
            fake,
            place,
            runtime,
            folder,
        }
    }

    fn put(&self, entry: &Entry) -> Result<(), DestinationError> {
        self.runtime.block_on(self.place.put(entry))
    }

    fn password(&self) -> String {
        let artifact = self.fake.deployed(NAME).expect("a deployed artifact");
        artifact["Password"].as_str().unwrap().to_owned()
    }
}

fn token(generation: u8) -> Entry {
    let client = ClientId(CLIENT.parse().unwrap());
    let token = AccessToken::from_random(Environment::Sandbox, client, [generation; 28]);
    let document = json!({
        "access_token": *token.expose(),
        "generation": generation,
        "valid_till": "2036-11-23T10:15:30+00:00",
    });
    Entry::from_json(&document.to_string()).unwrap()
}

#[test]
fn creates_then_replaces_and_returns_only_when_deployed() {
    let bench = Bench::new(Manner::default());
    bench.put(&token(1)).unwrap();
    let artifact = bench.fake.deployed(NAME).unwrap();
    assert_eq!(bench.password(), token(1).token.expose());
    assert_eq!(artifact["Kind"], "default");
    assert_eq!(artifact["User"], CLIENT);
    assert_eq!(
        artifact["Description"],
        "Tokenward: generation 1, valid till 2036-11-23T10:15:30+00:00"
    );
    bench.put(&token(2)).unwrap();
    assert_eq!(bench.password(), token(2).token.expose());
    assert_eq!((bench.fake.answered(202), bench.fake.logins()), (2, 1));
    assert!(
        bench.fake.most_a_second() <= 12,
        "{}",
        bench.fake.most_a_second()
    );
    assert_eq!(bench.fake.answered(429), 0);
}

#[test]
fn leaves_a_newer_token_and_takes_over_what_a_person_made() {
    let bench = Bench::new(Manner::default());
    bench.put(&token(5)).unwrap();
    bench.put(&token(4)).unwrap();
    assert_eq!(bench.password(), token(5).token.expose());
    bench.fake.place(json!({
        "Name": NAME, "Kind": "default", "Description": "by hand", "User": "someone", "Password": "old",
        "SecurityArtifactDescriptor": {"DeployedOn": "/Date(1)/", "Status": "DEPLOYED"},
    }));
    bench.put(&token(1)).unwrap();
    assert_eq!(bench.password(), token(1).token.expose());
}

#[test]
fn forgets_until_it_is_gone() {
    let bench = Bench::new(Manner::default());
    bench.runtime.block_on(bench.place.forget()).unwrap();
    bench.put(&token(1)).unwrap();
    bench.runtime.block_on(bench.place.forget()).unwrap();
    assert!(bench.fake.deployed(NAME).is_none());
}

#[test]
fn logs_in_again_when_the_login_has_run_out() {
    let bench = Bench::new(Manner {
        calls_a_login: 3,
        ..Manner::default()
    });
    bench.put(&token(1)).unwrap();
    bench.put(&token(2)).unwrap();
    assert_eq!(bench.password(), token(2).token.expose());
    assert!(bench.fake.logins() > 2);
    assert!(bench.fake.answered(401) > 0);
}

#[test]
fn waits_when_it_is_told_so() {
    let bench = Bench::new(Manner {
        refusals: 2,
        ..Manner::default()
    });
    bench.put(&token(1)).unwrap();
    assert_eq!(bench.password(), token(1).token.expose());
    assert_eq!(bench.fake.answered(429), 2);
}

#[test]
fn says_how_to_mend_what_is_wrong_and_nothing_secret() {
    let check = |bench: &Bench, expect: &str| {
        let trouble = bench.put(&token(1)).unwrap_err();
        let text = format!("{trouble} {trouble:?} {:?}", bench.place);
        assert_eq!(trouble.kind, Kind::Misconfigured);
        assert!(text.contains(expect), "{text}");
        assert_contains(&text, "SAP CPI credential CLEARTAX_EINVOICE at 127.0.0.1");
        for secret in [
            CLIENT_SECRET,
            token(1).token.expose(),
            "login-1",
            "forgery-1",
        ] {
            assert!(!text.contains(secret), "{text}");
        }
    };
    let role = Bench::new(Manner {
        may_edit: false,
        ..Manner::default()
    });
    check(&role, "role CredentialsEdit");
    check(
        &Bench::with_secret(Manner::default(), "wrong"),
        "check client_id and secret_file",
    );
    let open = Bench::new(Manner::default());
    chmod(&open.folder.path().join("cpi-secret"), 0o644);
    check(&open, "chmod 600");
}

#[test]
fn is_no_home() {
    let world = World::new(3600);
    private_file(&world.path("cpi-secret"), CLIENT_SECRET);
    world.config(
        "[[client.erp.destination]]\nkind = \"cpi\"\nname = \"A\"\napi = \"http://127.0.0.1:1/api/v1\"\n\
         token_url = \"http://127.0.0.1:1/oauth/token\"\nclient_id = \"a\"\nsecret_file = \"cpi-secret\"\n",
    );
    let text = failed(&world.agent(&["get"]), 78);
    assert!(text.contains("name it as a further destination"), "{text}");
    assert_eq!(world.generation(), 0);
}

#[test]
fn the_agent_hands_each_new_token_over() {
    let world = World::new(3600);
    let fake = CpiFake::start(Manner::default());
    private_file(&world.path("cpi-secret"), CLIENT_SECRET);
    world.config(&format!(
        "{FILE_HOME}[[client.erp.destination]]\nkind = \"cpi\"\nname = \"{NAME}\"\napi = \"{0}/api/v1\"\n\
         token_url = \"{0}/oauth/token\"\nclient_id = \"{CLIENT_ID}\"\nsecret_file = \"cpi-secret\"\n",
        fake.base
    ));
    let token = out(&world.agent(&["get"]));
    let artifact = fake.deployed(NAME).expect("a deployed artifact");
    assert_eq!(artifact["Password"].as_str(), Some(token.trim()));
    assert_eq!(artifact["User"].as_str(), Some(&*world.client.id));
    assert_eq!(world.check(token.trim()), 200);
}
