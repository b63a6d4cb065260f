//! What a test of several sessions stands in: the real server with one API client, and a PostgreSQL that is the database of the
//! SAP system.

use crate::session::Session;
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::PathBuf;
use tempfile::TempDir;
use tokenward_testkit::{Api, ApiClient, NewClient, PgCluster, Server};

/// The path of the API behind destination `API`: the check of a product, which is what its gateway would ask.
pub(crate) const API_PATH: &str = "/check/sandbox/e-invoice";

pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) api: Api,
    pub(crate) client: ApiClient,
    pub(crate) database: PgCluster,
    folder: TempDir,
    made: Cell<u32>,
    /// The base of destination TOKENWARD where it is not the server itself.
    pub(crate) token_server: Option<String>,
}

impl House {
    /// A server with one API client, an SAP database with the package's tables, and the alias set up with the secret in the
    /// SM59 destination.
    pub(crate) async fn new() -> House {
        House::with(NewClient::sandbox("erp").lifetime(3600)).await
    }

    pub(crate) async fn with(new: NewClient) -> House {
        let server = Server::start();
        let api = server.api();
        let workspace = api.workspace("Sahyadri Tools").await.expect("a workspace");
        api.product("e-invoice", "E-Invoice")
            .await
            .expect("a product");
        let client = api.client(&workspace, new).await.expect("an API client");
        // Nothing here crashes the database, and its answers are waited for.
        let database = PgCluster::builder().setting("fsync", "off").start();
        let folder = tempfile::tempdir().expect("a folder");
        let house = House {
            server,
            api,
            client,
            database,
            folder,
            made: Cell::new(0),
            token_server: None,
        };
        let mut person = house.session(&json!({"create": true}));
        let saved = person.ask(&json!({
            "do": "save",
            "client": {"destination": "TOKENWARD", "secret_in": "D", "client_id": house.client.id},
        }));
        assert_eq!(saved, json!({}));
        house
    }

    /// A session of the SAP system; `changes` replace parts of its set-up.
    pub(crate) fn session(&self, changes: &Value) -> Session {
        let number = self.made.get();
        self.made.set(number + 1);
        let token_server = self.token_server.as_deref().unwrap_or(self.server.public());
        let mut bench = json!({
            "database": self.database.url(),
            "destinations": {
                "TOKENWARD": {"url": token_server, "user": self.client.id, "password": self.client.secret},
                "API": {"url": self.server.internal()},
            },
        });
        for (name, value) in changes.as_object().expect("an object") {
            bench[name] = value.clone();
        }
        let path: PathBuf = self.folder.path().join(format!("session-{number}.json"));
        std::fs::write(&path, bench.to_string()).expect("a written set-up");
        Session::start(&path, &format!("session-{number}"))
    }

    /// How many tokens the server has made for the API client.
    pub(crate) async fn generations(&self) -> u64 {
        let client = self
            .api
            .read_client(&self.client.id)
            .await
            .expect("an answer");
        let client = client.expect(200).json();
        client["token"]["generation"]
            .as_u64()
            .unwrap_or_else(|| panic!("no generation in {client}"))
    }

    /// One value of the SAP database, by SQL.
    pub(crate) fn value(&self, statement: &str) -> String {
        self.database.sql("tokenward", statement)
    }

    /// Fails when a text holds the client secret or any token of the SAP database.
    pub(crate) fn assert_no_secret_in(&self, what: &str, text: &str) {
        assert!(
            !text.contains(&self.client.secret),
            "{what} holds the client secret"
        );
        let token = self.value("SELECT access_token FROM ztkw_tokens");
        for token in token.lines().filter(|line| !line.trim().is_empty()) {
            assert!(!text.contains(token.trim()), "{what} holds a token");
        }
    }
}
