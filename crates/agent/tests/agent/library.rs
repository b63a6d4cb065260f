//! The library's faces: the middleware on real requests, the blocking face, a caller who gives up.

use crate::clear_stand_in::ClearStandIn;
use crate::services::{bare, stub};
use crate::world::{FILE_HOME, World};
use axum::http::HeaderMap;
use axum::response::Response;
use reqwest::Url;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenward_client::middleware::{Carrier, TokenMiddleware};
use tokenward_client::{TokenSource, blocking, config};
use tokenward_testkit::{assert_lacks, wait_until};

const LIMIT: Duration = Duration::from_secs(20);

/// A product that writes down what it is sent and always answers the same.
struct Product {
    heads: Arc<Mutex<Vec<HeaderMap>>>,
    url: Url,
}

impl Product {
    fn start(answer: impl Fn() -> Response + Send + Sync + 'static) -> Product {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = heads.clone();
        let base = stub(move |request| {
            noted.lock().unwrap().push(request.headers().clone());
            answer()
        });
        let url = Url::parse(&base).unwrap();
        Product { heads, url }
    }

    fn heads(&self) -> Vec<HeaderMap> {
        self.heads.lock().unwrap().clone()
    }

    fn url(&self) -> Url {
        self.url.clone()
    }
}

/// The source of the only client of a configuration.
fn source(config: &Path) -> TokenSource {
    let config = config::load(config).unwrap();
    config.client(None).unwrap().source.clone()
}

fn client(
    source: &TokenSource,
    carrier: Carrier,
    origins: &[Url],
) -> reqwest_middleware::ClientWithMiddleware {
    TokenMiddleware::new(source.clone(), carrier, origins)
        .into_client(tokenward_testkit::http())
        .unwrap()
}

/// The status of a call.
fn status_of(client: &reqwest_middleware::ClientWithMiddleware, url: Url) -> u16 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(client.get(url).send()).unwrap();
    answer.status().as_u16()
}

#[test]
fn the_middleware_renews_after_a_401_and_never_after_a_403() {
    let world = World::new(3600);
    let source = source(&world.file_config());
    let url = Url::parse(&world.check_url()).unwrap();
    for carrier in [Carrier::ClearHeader, Carrier::Bearer] {
        let client = client(&source, carrier, std::slice::from_ref(&url));
        let call = || status_of(&client, url.clone());
        assert_eq!(call(), 200);
        let before = world.generation();
        world.ask(async |api| api.revoke(&world.client.id).await.unwrap().expect(200));
        assert_eq!(call(), 200);
        assert_eq!(call(), 200);
        assert_eq!(world.generation(), before + 1);
    }
    let refused = Product::start(|| bare(403, &[]));
    let client = client(&source, Carrier::ClearHeader, &[refused.url()]);
    let before = world.generation();
    assert_eq!(
        (status_of(&client, refused.url()), refused.heads().len()),
        (403, 1)
    );
    assert_eq!(world.generation(), before);
}

#[test]
fn the_middleware_sends_a_request_twice_at_most() {
    let world = World::new(3600);
    let source = source(&world.file_config());
    let product = Product::start(|| bare(401, &[]));
    let client = client(&source, Carrier::ClearHeader, &[product.url()]);
    assert_eq!(
        (status_of(&client, product.url()), product.heads().len()),
        (401, 2)
    );
    assert_eq!(world.generation(), 2);
}

#[test]
fn the_middleware_gives_the_token_to_the_origins_named_and_nobody_else() {
    let world = World::new(3600);
    let source = source(&world.file_config());
    let stranger = Product::start(|| bare(200, &[]));
    let elsewhere = stranger.url();
    let product = Product::start(move || bare(307, &[("location", elsewhere.as_str())]));
    let client = client(&source, Carrier::ClearHeader, &[product.url()]);
    // Sent on elsewhere by the product: the answer is the redirect itself.
    assert_eq!(status_of(&client, product.url()), 307);
    let sent = product.heads()[0]["x-cleartax-auth-token"].clone();
    assert!(sent.to_str().unwrap().starts_with("sandbox.1."));
    assert!(stranger.heads().is_empty());
    // Asked directly: it gets the request, without a token.
    assert_eq!(status_of(&client, stranger.url()), 200);
    assert_lacks(&format!("{:?}", stranger.heads()[0]), "auth-token");
}

#[test]
fn the_blocking_face_retries_once() {
    let world = World::new(3600);
    let tokens = blocking::TokenSource::new(source(&world.file_config())).unwrap();
    let mut seen = Vec::new();
    let result = tokens.call(|entry| {
        seen.push(entry.generation);
        ("refused", true)
    });
    assert_eq!(result, Ok("refused"));
    assert_eq!(seen, [Some(1), Some(2)]);
    assert_eq!(tokens.call(|entry| (entry.generation, false)), Ok(Some(2)));
}

#[test]
fn a_caller_who_gives_up_tears_no_renewal_apart() {
    let server = ClearStandIn::start("s3cret", Duration::from_secs(3_600));
    let folder = server.folder(FILE_HOME);
    let source = source(&folder.path().join("agent.toml"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Asked, begun, and dropped before anything could come of it.
    runtime.block_on(async {
        let mut asked = Box::pin(source.token());
        std::future::poll_fn(|context| {
            assert!(asked.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    });
    wait_until("the token in its place", LIMIT, || {
        let text = std::fs::read_to_string(folder.path().join("token.json")).ok()?;
        text.contains("access_token").then_some(())
    });
    runtime.block_on(source.token()).unwrap();
    assert_eq!(server.made(), 1);
}
