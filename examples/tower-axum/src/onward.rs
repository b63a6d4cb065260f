//! The front: passes a permitted request on to a product that knows nothing of tokens, and tells it in
//! headers who calls. It must pass on no header by which a caller could pretend to be somebody: identity is
//! the permit's, the address the connection's.

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::routing::any;
use axum::{Router, response::IntoResponse, response::Response};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokenward_tower::Permit;

/// Headers that are about one connection and go no further (RFC 9110, section 7.6.1).
const HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Where a product is, and the connections to it.
#[derive(Clone)]
struct Product {
    authority: Authority,
    client: Client<HttpConnector, Body>,
}

/// The routes of one product, whose server is at `authority`: everything below `/NAME/`. They belong behind
/// the layer.
pub fn routes(name: &str, authority: Authority) -> Router {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    // The caller's own Host goes on.
    let client = Client::builder(TokioExecutor::new())
        .set_host(false)
        .build(connector);
    Router::new()
        .route(&format!("/{name}/"), any(onward))
        .route(&format!("/{name}/{{*path}}"), any(onward))
        .with_state(Product { authority, client })
}

async fn onward(
    permit: Permit,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    State(product): State<Product>,
    mut request: Request<Body>,
) -> Response {
    let mut uri = request.uri().clone().into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(product.authority);
    let Ok(uri) = Uri::from_parts(uri) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    let upgrade = wants_websocket(request.headers());
    let callers_end = upgrade.then(|| hyper::upgrade::on(&mut request));
    let headers = request.headers_mut();
    one_connection_only(headers);
    if upgrade {
        as_websocket(headers);
    }
    if tell(headers, &permit, caller).is_none() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let Ok(mut response) = product.client.request(request).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    match callers_end {
        Some(callers_end) if switches => {
            let products_end = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                // Whichever end goes first takes the other with it.
                let (Ok(caller), Ok(product)) = tokio::join!(callers_end, products_end) else {
                    return;
                };
                let (mut caller, mut product) = (TokioIo::new(caller), TokioIo::new(product));
                let _ = tokio::io::copy_bidirectional(&mut caller, &mut product).await;
            });
        }
        // A product that switches unasked is not followed.
        None if switches => return StatusCode::BAD_GATEWAY.into_response(),
        _ => one_connection_only(response.headers_mut()),
    }
    response.map(Body::new)
}

/// WebSocket is the one protocol that is switched to.
fn wants_websocket(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(header::UPGRADE).iter();
    let one = all.next().filter(|_| all.next().is_none());
    one.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn as_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Takes away what is about one connection, and what `Connection` names as such.
fn one_connection_only(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // How long a body is, is not for the caller to take away.
        .filter(|name| name != header::CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP) {
        headers.remove(name);
    }
}

/// Says who calls, after everything that a caller could have said was taken away.
fn tell(headers: &mut HeaderMap, permit: &Permit, caller: SocketAddr) -> Option<()> {
    let till = permit.valid_till().unwrap_or_default();
    for (name, value) in [
        ("x-tokenward-workspace", permit.workspace().to_string()),
        ("x-tokenward-client", permit.client().to_string()),
        ("x-tokenward-client-label", permit.label().to_owned()),
        (
            "x-tokenward-environment",
            permit.environment().as_str().to_owned(),
        ),
        ("x-tokenward-product", permit.product().to_owned()),
        ("x-tokenward-generation", permit.generation().to_string()),
        ("x-tokenward-valid-till", till),
        ("x-forwarded-for", caller.ip().to_canonical().to_string()),
    ] {
        headers.insert(HeaderName::from_static(name), value.parse().ok()?);
    }
    Some(())
}
