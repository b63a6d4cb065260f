//! Connections that take room and give nothing: idle ones, in thousands, and those that never read. The listener that
//! checks tokens, and other callers of the public one, must not notice them.

use crate::house::{House, LIMIT};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;
use tokenward_testkit::{
    Server, ServerBuilder, address_of, assert_contains, assert_lacks, status_of, wait_until,
    write_with_mode,
};

/// HTTP/2: preface, empty settings, and `GET /` of the host `x` as stream 1.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01x";
/// A good request of HTTP/1.1.
const HTTP1: &[u8] = b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n";
/// The same, as the only one of its connection.
const ONCE: &str = "GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Lets this process open as many files as it may; how many that is.
fn raise_own_limit(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let reached = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        reached >= wanted,
        "this test opens {wanted} files; its hard limit is {reached} (raise it with ulimit -Hn)"
    );
    reached
}

/// Connects from an address of this machine's own choosing: 127.0.0.0/8 is all loopback.
fn connect_from(source: Ipv4Addr, base: &str) -> TcpStream {
    use socket2::{Domain, Socket, Type};
    let address: SocketAddr = address_of(base).parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// A server that starts with these soft and hard limits of open files.
pub(crate) fn limited(folder: &Path, soft: u64, hard: u64) -> ServerBuilder {
    let program = folder.join("limited");
    let script = format!(
        "#!/bin/sh\nexec prlimit --nofile={soft}:{hard} {} \"$@\"\n",
        env!("CARGO_BIN_EXE_tokenward")
    );
    write_with_mode(&program, &script, 0o755);
    Server::builder().binary(&program)
}

/// One request on a connection of its own; the status.
fn ask(source: Ipv4Addr, base: &str, request: &str) -> std::io::Result<u16> {
    let mut stream = connect_from(source, base);
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(status_of(&answer))
}

/// Whether a connection is still open, read to the end of what stands in it.
fn is_open(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4_096];
    stream.set_nonblocking(true).unwrap();
    let open = loop {
        match stream.read(&mut bytes) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(error) => break error.kind() == ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).unwrap();
    open
}

/// 1,050 idle connections of both protocols from ten sources, then 10,000 checks, each on a new connection.
async fn checks_go_on(soft: u64, hard: u64) {
    let hard = raise_own_limit(4_096).min(hard);
    let folder = tempfile::tempdir().unwrap();
    let house = House::of(limited(folder.path(), soft, hard)).await;
    let (erp, token) = house.erp().await;
    let (public, internal) = (house.server.public(), house.server.internal());
    let mut idle: Vec<TcpStream> = Vec::new();
    for n in 0..1_050_u16 {
        let source = Ipv4Addr::new(127, 0, 1, u8::try_from(n % 10).unwrap() + 1);
        let mut stream = connect_from(source, public);
        let request = if n % 2 == 0 { HTTP1 } else { HTTP2 };
        stream.write_all(request).unwrap();
        idle.push(stream);
    }
    let check = format!(
        "GET /check/sandbox/gst HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-cleartax-auth-token: {token}\r\n\r\n"
    );
    for n in 0..10_000 {
        let status = ask(Ipv4Addr::LOCALHOST, internal, &check);
        assert_eq!(status.unwrap(), 200, "check {n}");
    }
    // And others reach the public listener.
    let generate = format!(
        "GET /integration/v1/authz/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-clear-client-secret: {}\r\n\r\n",
        erp.secret
    );
    let other = Ipv4Addr::new(127, 0, 2, 1);
    assert_eq!(ask(other, public, &generate).unwrap(), 200);
    assert_lacks(&house.server.output(), "could not accept");
    drop(idle);
}

#[tokio::test]
async fn idle_public_connections_never_stop_checks_with_a_soft_limit_of_1024_files() {
    checks_go_on(1_024, 65_536).await;
}

#[tokio::test]
async fn idle_public_connections_never_stop_checks_with_a_hard_limit_of_1024_files() {
    checks_go_on(1_024, 1_024).await;
}

#[tokio::test]
async fn one_source_never_has_all_public_connections() {
    raise_own_limit(4_096);
    let folder = tempfile::tempdir().unwrap();
    let house = House::of(limited(folder.path(), 1_024, 1_024)).await;
    let (public, source) = (house.server.public(), Ipv4Addr::new(127, 0, 1, 1));
    let mut held: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect_from(source, public);
            let _ = stream.write_all(HTTP1);
            stream
        })
        .collect();
    // 512 connections by half of the files, a quarter of them for one source.
    wait_until("the connections above its share to close", LIMIT, || {
        let open = held.iter_mut().map(is_open);
        open.filter(|open| *open).count() == 128
    });
    let refused = house
        .api
        .figure("tokenward_public_connections_refused_total");
    assert_eq!(refused.await, Some(72.0));
    assert_contains(&house.server.output(), "LimitNOFILE");
    // A proxy that is trusted carries many callers.
    let proxy = limited(folder.path(), 1_024, 1_024).arg("--trusted-proxy=127.0.1.1/32");
    let house = House::of(proxy).await;
    let public = house.server.public();
    let mut held: Vec<TcpStream> = (0..200).map(|_| connect_from(source, public)).collect();
    for stream in &mut held {
        stream.write_all(HTTP1).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 404");
    }
}

#[tokio::test]
async fn idle_connections_of_a_source_make_room_for_others_there() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::of(limited(folder.path(), 200, 200)).await;
    let (public, source) = (house.server.public(), Ipv4Addr::new(127, 0, 1, 1));
    // A quarter of the 100 connections: half of them have asked, half are silent.
    let _idle: Vec<TcpStream> = (0..25)
        .map(|n| {
            let mut stream = connect_from(source, public);
            if n % 2 == 0 {
                stream.write_all(HTTP1).unwrap();
                stream.read_exact(&mut [0; 12]).unwrap();
            }
            stream
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(ask(source, public, ONCE).unwrap(), 404);
    }
}

/// Connections from sources 127.0.3.1 and on, each with a request whose body stops after its first byte.
fn held_bodies(public: &str, sources: u8, each: usize) -> Vec<TcpStream> {
    let half = "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 99\r\n\r\na";
    let sources = (1..=sources).flat_map(|source| std::iter::repeat_n(source, each));
    let hold = |source| {
        let mut stream = connect_from(Ipv4Addr::new(127, 0, 3, source), public);
        stream.write_all(half.as_bytes()).unwrap();
        stream
    };
    sources.map(hold).collect()
}

/// Whether the other end closed a connection without any answer.
fn ended_unanswered(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[tokio::test]
async fn bodies_held_back_keep_no_other_callers_out() {
    raise_own_limit(1_024);
    let folder = tempfile::tempdir().unwrap();
    let house = House::of(limited(folder.path(), 240, 240)).await;
    let public = house.server.public();
    // All 120 connections, by sources that keep to their quarter.
    let mut held = held_bodies(public, 5, 24);
    let other = Ipv4Addr::new(127, 0, 2, 1);
    assert_eq!(ask(other, public, ONCE).unwrap(), 404);
    let why = "the caller waited until bodies were given up";
    assert!(held.iter_mut().any(ended_unanswered), "{why}");
    // A quarter by one source: others there have its share.
    drop(held);
    let mut held = held_bodies(public, 1, 30);
    let source = Ipv4Addr::new(127, 0, 3, 1);
    // Those who held bodies before may still be counted: then the first caller finds room without an end.
    wait_until("room for another caller of the source", LIMIT, || {
        let is_answered = ask(source, public, ONCE).is_ok_and(|status| status == 404);
        is_answered && held.iter_mut().any(ended_unanswered)
    });
}

#[tokio::test]
async fn idle_connections_of_both_protocols_end_by_the_configured_limit() {
    let house = House::with(&["--public-idle-seconds=2"]).await;
    for request in [HTTP1, HTTP2] {
        let mut stream = connect_from(Ipv4Addr::LOCALHOST, house.server.public());
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(!answer.is_empty());
    }
}

#[tokio::test]
async fn answers_that_are_never_read_end_their_connection() {
    // So that the limit of idle connections does not end them.
    let house = House::with(&["--public-idle-seconds=3600"]).await;
    // HTTP/1: requests as long as the server takes them, and nothing is read.
    let mut stream = connect_from(Ipv4Addr::LOCALHOST, house.server.public());
    let requests = HTTP1.repeat(1_000);
    let limit = Some(Duration::from_secs(1));
    stream.set_write_timeout(limit).unwrap();
    while stream.write_all(&requests).is_ok() {}
    // HTTP/2: a window of no bytes, so that the answer's body can't be sent.
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
    let mut http2 = connect_from(Ipv4Addr::LOCALHOST, house.server.public());
    let begin = [&HTTP2[..24], settings.as_slice(), &HTTP2[33..]].concat();
    http2.write_all(&begin).unwrap();
    // After 80 s HTTP/2's own ping, which is not answered here, would end it too.
    wait_until("the connections to end", Duration::from_secs(70), || {
        let reset = stream
            .write(b"G")
            .is_err_and(|error| error.kind() != ErrorKind::WouldBlock);
        reset && !is_open(&mut http2)
    });
}

#[tokio::test]
async fn a_peer_that_takes_no_notice_of_the_end_keeps_no_server_from_ending() {
    let builder = Server::builder().arg("--drain-seconds=1");
    let mut house = House::of(builder).await;
    let base = house.server.public().to_owned();
    // HTTP/2 whose peer is answered, and neither reads nor writes after that; and a request that never becomes whole.
    let mut silent = connect_from(Ipv4Addr::LOCALHOST, &base);
    silent.write_all(HTTP2).unwrap();
    let mut first = [0; 9];
    silent.read_exact(&mut first).unwrap();
    let mut slow = connect_from(Ipv4Addr::LOCALHOST, &base);
    let head = "POST /admin/v1/workspaces HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    let ended = tokio::task::spawn_blocking(move || house.server.terminate());
    assert!(ended.await.unwrap().success());
    drop((silent, slow));
}
