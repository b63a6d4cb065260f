//! `tokenward hold`: the sockets stay open while the server behind them is restarted, also when the next one does not
//! start. `examples/gateways` has restarts under load.

use crate::house::House;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokenward_testkit::{Server, Signal, connect, wait_until};

/// Longer than a pause of `tokenward hold` and a start on a busy machine.
const START: Duration = Duration::from_secs(60);

#[tokio::test]
async fn callers_wait_while_a_server_does_not_start_and_a_stop_ends_the_trying() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("check.sock");
    let file = folder.path().join("tokenward.toml");
    let good = format!("internal_unix = {path:?}\n");
    std::fs::write(&file, &good).unwrap();
    let builder = Server::builder().held().arg("--config");
    let mut house = House::of(builder.arg(file.to_str().unwrap())).await;
    let (_, token) = house.erp().await;

    // Without the setting the next server does not know what the callers of the socket want.
    std::fs::write(&file, "").unwrap();
    house.server.signal(Signal::USR2);
    let refused = "was handed over, which is none of public, internal and internal_unix";
    wait_until("a refused start", START, || {
        house.server.output().contains(refused)
    });
    let check = format!(
        "GET /check/sandbox/gst HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-cleartax-auth-token: {token}\r\n\r\n"
    );
    let mut tcp = connect(house.server.internal());
    let mut unix = UnixStream::connect(&path).unwrap();
    let mut console = connect(house.server.public());
    tcp.write_all(check.as_bytes()).unwrap();
    unix.write_all(check.as_bytes()).unwrap();
    let page = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    console.write_all(page.as_bytes()).unwrap();
    std::fs::write(&file, &good).unwrap();
    let mut answers = [String::new(), String::new(), String::new()];
    tcp.set_read_timeout(Some(START)).unwrap();
    unix.set_read_timeout(Some(START)).unwrap();
    console.set_read_timeout(Some(START)).unwrap();
    tcp.read_to_string(&mut answers[0]).unwrap();
    unix.read_to_string(&mut answers[1]).unwrap();
    console.read_to_string(&mut answers[2]).unwrap();
    for answer in &answers[..2] {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("x-tokenward-client-label: erp"), "{answer}");
    }
    assert!(answers[2].starts_with("HTTP/1.1 "), "{}", answers[2]);

    std::fs::write(&file, "").unwrap();
    let again = || house.server.output().matches("starting it again").count();
    let before = again();
    house.server.signal(Signal::USR2);
    wait_until("a refused start again", START, || again() > before);
    let _ = house.server.terminate();
    // Its file goes with the process that made it.
    assert!(!path.exists());
}
