//! What the walk stands on: a temporary folder, the real server, and the sample product in both
//! environments. Made whole, taken down whole.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use example_e_invoice::{Config, serve};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    api::Api,
    server::{Listening, Server, find_binary, read_admin_key},
    story::{Surprise, While as _},
};

const PRODUCT_STOP_LIMIT: Duration = Duration::from_secs(10);

/// Which ports to take.
#[derive(Clone, Copy)]
pub(crate) enum Ports {
    /// 8080, 8081 and 8082, each if it is free: easy to remember while playing.
    Preferred,
    /// Whatever the system gives.
    Free,
}

impl Ports {
    fn address(self, preferred: u16) -> SocketAddr {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match self {
            Self::Preferred if TcpListener::bind(at(preferred)).is_ok() => at(preferred),
            _ => at(0),
        }
    }
}

/// The sample product, serving one environment.
struct Product {
    base: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Everything that runs.
pub(crate) struct Stage {
    // Ended before the folder they stand in is removed: fields are dropped in this order.
    production: Product,
    sandbox: Product,
    server: Server,
    folder: TempDir,
    pub(crate) listening: Listening,
    pub(crate) api: Api,
}

impl Stage {
    /// Starts everything and waits until it serves.
    pub(crate) async fn set(server: Option<PathBuf>, ports: Ports) -> Result<Self, Surprise> {
        let binary = find_binary(server)?;
        let folder = tempfile::Builder::new()
            .prefix("tokenward-demo-")
            .tempdir()
            .during("making a temporary folder")?;
        let data_dir = folder.path().join("data");
        std::fs::create_dir(&data_dir).during("making a data directory")?;
        let log = folder.path().join("server.log");
        let mut server = Server::start(
            &binary,
            &data_dir,
            &log,
            ports.address(8080),
            ports.address(8081),
        )?;
        let listening = server.ready(&data_dir).await?;
        let admin_key = read_admin_key(&data_dir.join("admin-key"))?;
        let production =
            Product::start(ports.address(8082), "production", &listening.internal).await?;
        let sandbox =
            Product::start(Ports::Free.address(0), "sandbox", &listening.internal).await?;
        Ok(Self {
            production,
            sandbox,
            server,
            folder,
            api: Api::new(&listening.public, &admin_key)?,
            listening,
        })
    }

    /// Base URL of the product serving production.
    pub(crate) fn production(&self) -> &str {
        &self.production.base
    }

    /// Base URL of the product serving the sandbox.
    pub(crate) fn sandbox(&self) -> &str {
        &self.sandbox.base
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// The server's last words.
    pub(crate) fn server_log(&self) -> String {
        self.server.log_end()
    }

    /// Ends everything in order and demands that it ends well.
    pub(crate) async fn strike(self) -> Result<(), Surprise> {
        let Self {
            production,
            sandbox,
            server,
            folder,
            api,
            ..
        } = self;
        // Its idle connections would keep both servers waiting.
        drop(api);
        let production = production.end().await;
        let sandbox = sandbox.end().await;
        let server = server.end().await;
        let folder = folder.close().during("removing the temporary folder");
        production.and(sandbox).and(server).and(folder)
    }
}

impl Product {
    async fn start(
        address: SocketAddr,
        environment: &str,
        internal: &str,
    ) -> Result<Self, Surprise> {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .during(format_args!("starting the sample product on {address}"))?;
        let address = listener
            .local_addr()
            .during("starting the sample product")?;
        let config = Config {
            tokenward: internal.to_owned(),
            environment: environment.to_owned(),
            product: "e-invoice".to_owned(),
            gst_product: "gst".to_owned(),
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            serve(listener, &config, async {
                // A dropped sender means the same as a sent word: end.
                let _ = stopped.await;
            })
            .await
        });
        Ok(Self {
            base: format!("http://{address}"),
            stop,
            task,
        })
    }

    async fn end(self) -> Result<(), Surprise> {
        let _ = self.stop.send(());
        tokio::time::timeout(PRODUCT_STOP_LIMIT, self.task)
            .await
            .during("ending the sample product")?
            .during("ending the sample product")?
            .during("serving the sample product")
    }
}
