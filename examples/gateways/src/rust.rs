//! The layer for Rust services among the gateways: `front` of `examples/tower-axum`, which checks inside
//! itself and passes on what may pass. It must be started as anybody would start it, by its flags.

use crate::gateway::{Places, Running, loopback, started};
use tokenward_testkit::example_binary;

/// The name in Tokenward's certificate that resolves on every machine.
pub(crate) fn named(places: &Places) -> String {
    format!("localhost:{}", places.tokenward.port())
}

pub(crate) fn tcp(places: &Places) -> String {
    places.tokenward.to_string()
}

pub(crate) fn unix(places: &Places) -> String {
    format!("unix:{}", places.tokenward_unix.display())
}

/// Starts it beside this node: with a replica of its own, or asking the node.
pub(crate) fn start(places: &Places, node: &str, replica: bool) -> Running {
    let program = example_binary("tokenward-example-tower-axum", "front");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("output.log");
    let address = loopback();
    started("front", &program, address, output, folder, |command| {
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
}
