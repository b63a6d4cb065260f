//! What the rows share: a server, two products, one gateway between, and API clients to call with.

use gateways::wire::CALLER;
use gateways::{Ask, Certificates, Kind, Line, Places, Product, Running, Seen};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use tokenward_testkit::{Answer, Api, ApiClient, NewClient, Server, ServerBuilder};

/// A target of the product `e-invoice`.
pub(crate) const INVOICES: &str = "/e-invoice/v1/invoices";
/// A target of the product `gst`.
pub(crate) const GSTINS: &str = "/gst/v1/gstins";

/// The seven names in which a product learns who calls.
pub(crate) const IDENTITY: [&str; 7] = [
    "x-tokenward-workspace",
    "x-tokenward-client",
    "x-tokenward-client-label",
    "x-tokenward-environment",
    "x-tokenward-product",
    "x-tokenward-generation",
    "x-tokenward-valid-till",
];

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) api: Api,
    pub(crate) gateway: Running,
    /// Where the gateway finds everything; for another one beside it.
    pub(crate) places: Places,
    pub(crate) e_invoice: Product,
    pub(crate) gst: Product,
    pub(crate) workspace: String,
    /// A production client of all products, and its live token.
    pub(crate) token: String,
    runtime: tokio::runtime::Runtime,
    clients: u32,
    internal: SocketAddr,
    over_unix: bool,
    /// Whether the gateway asks about each request, or has a replica.
    pub(crate) asks: bool,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn start(kind: &Kind) -> World {
        Self::behind(kind, Server::builder(), None)
    }

    /// The same with a server that has more settings, and perhaps certificates for the gateway.
    pub(crate) fn behind(
        kind: &Kind,
        server: ServerBuilder,
        certificates: Option<Certificates>,
    ) -> World {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let internal = SocketAddr::from((Ipv4Addr::LOCALHOST, tokenward_testkit::free_port()));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let unix = folder.path().join("check.sock");
        let server = server
            .internal(internal)
            // The gateway's own address; the callers' are others.
            .arg("--trusted-proxy")
            .arg("127.0.0.1/32")
            .arg("--internal-unix")
            .arg(unix.to_str().expect("a text"))
            .start();
        let api = server.api();
        let replica_keys = gateways::replica_keys(&server, folder.path());
        let (e_invoice, gst) = (Product::start("e-invoice"), Product::start("gst"));
        let places = Places {
            tokenward: internal,
            tokenward_unix: unix,
            e_invoice: e_invoice.address(),
            gst: gst.address(),
            replica_keys,
            certificates,
        };
        let gateway = kind.start(&places);
        let workspace = runtime.block_on(api.workspace("acme")).expect("an answer");
        runtime
            .block_on(api.product("e-invoice", "E-Invoice"))
            .expect("an answer");
        let mut world = World {
            server,
            api,
            gateway,
            places,
            e_invoice,
            gst,
            workspace,
            token: String::new(),
            runtime,
            clients: 0,
            internal,
            over_unix: kind.name.contains("unix"),
            asks: kind.asks,
            _folder: folder,
        };
        let erp = world.client(NewClient::production);
        world.token = world.generate(&erp);
        world
    }

    /// Waits for a call of the server's own interfaces.
    pub(crate) fn wait<T>(
        &self,
        call: impl Future<Output = Result<T, tokenward_testkit::Broken>>,
    ) -> T {
        self.runtime.block_on(call).expect("the server answers")
    }

    /// A new client with a label of its own.
    pub(crate) fn client(&mut self, new: impl FnOnce(&str) -> NewClient) -> ApiClient {
        self.clients += 1;
        let label = format!("erp {}", self.clients);
        self.wait(self.api.client(&self.workspace, new(&label)))
    }

    /// So many new clients, made beside each other.
    pub(crate) fn crowd(&self, count: usize) {
        const AT_ONCE: usize = 64;
        let make = async |api: Api, workspace: String, n: usize| {
            let new = NewClient::production(&format!("crowd {n}"));
            api.client(&workspace, new).await.expect("an answer");
        };
        self.runtime.block_on(async {
            let mut making = tokio::task::JoinSet::new();
            for n in 0..count {
                if making.len() == AT_ONCE {
                    making.join_next().await.expect("some").expect("no panic");
                }
                making.spawn(make(self.api.clone(), self.workspace.clone(), n));
            }
            making.join_all().await;
        });
    }

    /// A token of this client; its live one ends.
    pub(crate) fn generate(&self, client: &ApiClient) -> String {
        self.wait(self.api.generate(&client.secret))
            .token()
            .access_token
    }

    /// A kept connection to the gateway.
    #[track_caller]
    pub(crate) fn line(&self) -> Line {
        Line::open(self.gateway.address, CALLER).expect("the gateway listens")
    }

    /// Sends a request through the gateway.
    #[track_caller]
    pub(crate) fn ask(&self, ask: &Ask) -> Answer {
        ask.send(self.gateway.address)
    }

    /// A GET of the e-invoice product with this token.
    #[track_caller]
    pub(crate) fn invoices(&self, token: &str) -> Answer {
        self.ask(&Ask::get(INVOICES).token(token))
    }

    /// What Tokenward itself says to a check of the e-invoice product.
    pub(crate) fn check(&self, ask: &Ask) -> Answer {
        let target = "/check/production/e-invoice";
        let head = String::from_utf8_lossy(&ask.bytes()).replacen(INVOICES, target, 1);
        let line = Line::open(self.internal, Ipv4Addr::LOCALHOST.into());
        let mut line = line.expect("the server listens");
        line.write(head.as_bytes()).expect("the server reads");
        line.answer(false).expect("the server answers")
    }

    /// The one request that reached the e-invoice product since the row began, or the last call.
    #[track_caller]
    pub(crate) fn reached(&self) -> Seen {
        let mut seen = self.e_invoice.take();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.remove(0)
    }

    /// Nothing has reached any product.
    #[track_caller]
    pub(crate) fn untouched(&self) {
        let (e_invoice, gst) = (self.e_invoice.take(), self.gst.take());
        assert!(
            e_invoice.is_empty() && gst.is_empty(),
            "reached: {e_invoice:#?} {gst:#?}"
        );
    }

    /// Each row begins with products that have seen nothing.
    pub(crate) fn forget(&self) {
        self.e_invoice.take();
        self.gst.take();
    }

    /// Whether bytes lie unread at Tokenward's internal listener. The kernel tells this of TCP only: over
    /// a unix socket the answer is yes at once, and what follows must hold in either order.
    pub(crate) fn unread(&self) -> bool {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
        let port = format!(":{:04X}", self.internal.port());
        self.over_unix
            || table.lines().skip(1).any(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let unread = fields[4]
                    .split(':')
                    .nth(1)
                    .is_some_and(|count| count != "00000000");
                fields[1].ends_with(&port) && fields[3] == "01" && unread
            })
    }

    /// Checks counted by Tokenward, all outcomes together.
    pub(crate) fn checks(&self) -> u64 {
        self.counted("tokenward_checks_total")
    }

    /// The sum of a counter over its labels.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let metrics = self.wait(self.api.metrics()).expect(200).body;
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        let figures = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        figures.sum()
    }
}

/// An errors envelope without its id, which differs each time.
#[track_caller]
pub(crate) fn envelope(answer: &Answer) -> Value {
    let mut body = answer.json();
    let error = body["errors"][0].as_object_mut().expect("an error");
    let id = error.remove("error_id").expect("an error_id");
    let id = id.as_str().expect("a text");
    let shape: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(shape, [8, 4, 4, 4, 12], "{id}");
    body
}
