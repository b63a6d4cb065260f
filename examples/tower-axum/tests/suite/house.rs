//! A node, and the product API beside it.

use gateways::{Ask, Line};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokenward_testkit::{Answer, Api, ApiClient, NewClient, Process, Server, wait_until};

/// Longer than anything here takes on a busy machine; never waited for when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

pub(crate) struct House {
    pub(crate) node: Server,
    pub(crate) api: Api,
    keys: PathBuf,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

/// How the product decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Replica,
    Node,
}

impl House {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Server::builder()
            .data_dir(&folder.path().join("data"))
            .arg("--trusted-proxy=127.0.0.1/32")
            .start();
        let keys = gateways::replica_keys(&node, folder.path());
        let api = node.api();
        let house = Self {
            node,
            api,
            keys,
            folder,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        };
        house.wait(house.api.product("e-invoice", "E-Invoice"));
        house
    }

    pub(crate) fn wait<T>(
        &self,
        call: impl Future<Output = Result<T, tokenward_testkit::Broken>>,
    ) -> T {
        self.runtime.block_on(call).unwrap()
    }

    /// A client of a workspace of its own.
    pub(crate) fn client(&self, label: &str) -> ApiClient {
        let workspace = self.wait(self.api.workspace(label));
        let new = NewClient::production(label);
        self.wait(self.api.client(&workspace, new))
    }

    pub(crate) fn token(&self, client: &ApiClient) -> String {
        self.wait(self.api.generate(&client.secret))
            .expect(200)
            .token()
            .access_token
    }

    /// Starts the product and waits until it listens.
    pub(crate) fn product(&self, by: By) -> Product {
        let address = SocketAddr::from(([127, 0, 0, 1], tokenward_testkit::free_port()));
        let log = self.folder.path().join(format!("{by:?}.log"));
        let program = env!("CARGO_BIN_EXE_invoices").as_ref();
        let mut process = Process::start(program, None, &log, &log, |command| {
            let node = self.node.internal().trim_start_matches("http://");
            command.args(["--environment", "production", "--node", node]);
            command.args(["--listen", &address.to_string()]);
            if by == By::Replica {
                command.arg("--replica-keys").arg(&self.keys);
            }
        })
        .unwrap();
        wait_until("the product to listen", LIMIT, || {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(process.ended().is_none(), "{}", said());
            std::net::TcpStream::connect(address).ok()
        });
        Product { process, address }
    }

    /// One figure of the node's metrics.
    pub(crate) fn figure(&self, name: &str) -> String {
        let text = self.wait(self.api.metrics()).body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .to_owned()
    }
}

/// The running product.
pub(crate) struct Product {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// A list of one's invoices.
pub(crate) fn list(token: &str) -> Ask {
    Ask::get("/v1/invoices").token(token)
}

impl Product {
    /// A kept connection.
    #[track_caller]
    pub(crate) fn line(&self) -> Line {
        Line::open(self.address, gateways::wire::CALLER).unwrap()
    }

    #[track_caller]
    pub(crate) fn ask(&self, ask: &Ask) -> Answer {
        ask.send(self.address)
    }

    #[track_caller]
    pub(crate) fn status(&self, token: &str) -> u16 {
        self.ask(&list(token)).status
    }

    #[track_caller]
    pub(crate) fn is_ready(&self) -> bool {
        self.ask(&Ask::get("/ready")).status == 200
    }
}
