//! The layer for Rust services among the gateways: `front` of `examples/tower-axum`, which checks inside
//! itself and passes on what may pass. It must be started as anybody would start it, by its flags.

use crate::gateway::{Kind, Places, Running, await_listening};
use std::net::{Ipv4Addr, SocketAddr};
use tokenward_testkit::free_port;
use tokenward_testkit::{Process, example_binary};

/// With a replica of its own, fed over TCP.
pub(crate) const REPLICA: Kind = Kind {
    name: "tower layer with its replica",
    asks: false,
    start: |places| start(places, &tcp(places), true),
};
/// The same, fed over a unix socket.
pub(crate) const REPLICA_UNIX: Kind = Kind {
    name: "tower layer with its replica over a unix socket",
    asks: false,
    start: |places| start(places, &unix(places), true),
};
/// Asking a node.
pub(crate) const NODE: Kind = Kind {
    name: "tower layer that asks",
    asks: true,
    start: |places| start(places, &tcp(places), false),
};
/// Asking a node over a unix socket.
pub(crate) const NODE_UNIX: Kind = Kind {
    name: "tower layer that asks over a unix socket",
    asks: true,
    start: |places| start(places, &unix(places), false),
};

/// Asking a node by TLS, with a certificate of its own.
pub(crate) const NODE_CERTIFIED: Kind = Kind {
    name: "tower layer that asks with certificates",
    asks: true,
    start: |places| start(places, &named(places), false),
};
/// With a replica of its own, fed by TLS, with a certificate of its own.
pub(crate) const REPLICA_CERTIFIED: Kind = Kind {
    name: "tower layer with its replica and certificates",
    asks: false,
    start: |places| start(places, &named(places), true),
};

/// The name in Tokenward's certificate that resolves on every machine.
fn named(places: &Places) -> String {
    format!("localhost:{}", places.tokenward.port())
}

fn tcp(places: &Places) -> String {
    places.tokenward.to_string()
}

fn unix(places: &Places) -> String {
    format!("unix:{}", places.tokenward_unix.display())
}

fn start(places: &Places, node: &str, replica: bool) -> Running {
    let program = example_binary("tokenward-example-tower-axum", "front");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("output.log");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut process = Process::start(&program, None, &output, &output, |command| {
        command.args(["--environment", "production", "--node", node]);
        command.args(["--listen", &address.to_string()]);
        for (slug, place) in [("e-invoice", places.e_invoice), ("gst", places.gst)] {
            command.args(["--onward", &format!("{slug}={place}")]);
        }
        if let Some(files) = &places.certificates {
            command.arg("--node-authorities").arg(&files.authority);
            command.arg("--certificate").arg(&files.certificate);
            command.arg("--key").arg(&files.key);
        }
        if replica {
            command.arg("--replica-keys").arg(&places.replica_keys);
        }
    })
    .unwrap_or_else(|error| panic!("setpriv (Debian package util-linux) starts it: {error}"));
    await_listening("front", &mut process, address, &output);
    Running {
        address,
        process_id: process.id(),
        output,
        _keep: Box::new((process, folder)),
    }
}
