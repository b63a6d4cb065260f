//! A tonic service behind the layer, called by tonic's own client: calls and streams, refusals as gRPC
//! statuses, the caller's address taken from tonic's connection.

use crate::house::House;
use http::Request;
use std::net::SocketAddr;
use tokenward_testkit::NewClient;
use tokenward_tower::{CheckLayer, Checker, Environment, Node, PeerAddr};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataValue;
use tonic::transport::server::TcpConnectInfo;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Tells the layer who is at the other end of a tonic connection.
fn with_peer<B>(mut request: Request<B>) -> Request<B> {
    let info = request.extensions().get::<TcpConnectInfo>();
    if let Some(peer) = info.and_then(TcpConnectInfo::remote_addr) {
        request.extensions_mut().insert(PeerAddr(peer.ip()));
    }
    request
}

/// Serves tonic's health service behind the layer, until the test ends.
async fn serve(checker: Checker) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder()
        .layer(tower::util::MapRequestLayer::new(with_peer))
        .layer(CheckLayer::new(checker))
        .add_service(health)
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    address
}

struct Caller(HealthClient<Channel>);

impl Caller {
    async fn new(to: SocketAddr) -> Self {
        let place = Channel::from_shared(format!("http://{to}")).unwrap();
        Self(HealthClient::new(place.connect().await.unwrap()))
    }

    fn request(tokens: &[&str]) -> tonic::Request<HealthCheckRequest> {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        for token in tokens {
            let value: MetadataValue<_> = token.parse().unwrap();
            request
                .metadata_mut()
                .append("x-cleartax-auth-token", value);
        }
        request
    }

    async fn call(&mut self, tokens: &[&str]) -> Result<i32, Status> {
        let answer = self.0.check(Self::request(tokens)).await?;
        Ok(answer.into_inner().status)
    }

    /// The first message of a stream.
    async fn stream(&mut self, token: &str) -> Result<Option<i32>, Status> {
        let answer = self.0.watch(Self::request(&[token])).await?;
        let first = answer.into_inner().message().await?;
        Ok(first.map(|message| message.status))
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, status: Code, code: &str) {
    let refusal = answer.unwrap_err();
    let told = refusal.metadata().get("tokenward-code").unwrap();
    assert_eq!(
        (refusal.code(), told.to_str().unwrap()),
        (status, code),
        "{refusal:?}"
    );
    assert!(!refusal.message().is_empty());
}

const SERVING: i32 = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tonic_service_is_checked_like_any_other() {
    let mut house = House::new().await;
    let replica = house.replica().await;
    let erp = house.client().await;
    let near = NewClient::production("near").token_networks(&["127.0.0.1/32"]);
    let far = NewClient::production("far").token_networks(&["10.0.0.0/8"]);
    let other = NewClient::production("other").products(&["e-invoice"]);
    let near = house.token_of(near).await;
    let far = house.token_of(far).await;
    let other = house.token_of(other).await;
    let mut token = house.generate(&erp.secret).await;
    let mut callers = Vec::new();
    for checker in [
        Checker::new(replica, Environment::Production, "gst"),
        Checker::new(Node::new(house.endpoint()), Environment::Production, "gst"),
    ] {
        callers.push(Caller::new(serve(checker).await).await);
    }
    for caller in &mut callers {
        assert_eq!(caller.call(&[&token]).await.unwrap(), SERVING);
        assert_eq!(caller.stream(&token).await.unwrap(), Some(SERVING));
        assert_eq!(caller.call(&[&near]).await.unwrap(), SERVING);
        let missing = caller.call(&[]).await;
        refused(missing, Code::Unauthenticated, "ACCESS_TOKEN_MISSING");
        let doubled = caller.call(&[&token, &token]).await;
        refused(doubled, Code::Unauthenticated, "ACCESS_TOKEN_MALFORMED");
        let far = caller.call(&[&far]).await;
        refused(far, Code::PermissionDenied, "ADDRESS_NOT_ALLOWED");
        let walled = caller.call(&[&other]).await;
        refused(walled, Code::PermissionDenied, "PRODUCT_NOT_ALLOWED");
        let new = house.generate(&erp.secret).await;
        let old = caller.stream(&token).await;
        refused(old, Code::Unauthenticated, "TOKEN_SUPERSEDED");
        assert_eq!(caller.stream(&new).await.unwrap(), Some(SERVING));
        token = new;
    }
    house.server.kill9();
    let down = callers[1].call(&[&token]).await;
    refused(down, Code::Unavailable, "CANNOT_VOUCH");
}
