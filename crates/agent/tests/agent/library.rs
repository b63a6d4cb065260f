//! The library's faces: the middleware on real requests, the blocking face, a caller who gives up.

use crate::clear_stand_in::ClearStandIn;
use crate::services::bare_folder;
use crate::wait::wait_until;
use crate::world::{World, write_config};
use reqwest::Url;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenward_client::middleware::{Carrier, TokenMiddleware};
use tokenward_client::{TokenSource, blocking, config};
use tokenward_testkit::assert_lacks;

const LIMIT: Duration = Duration::from_secs(20);

/// A product that writes down what it is sent and always answers the same.
struct Product {
    heads: Arc<Mutex<Vec<String>>>,
    base: String,
}

impl Product {
    fn start(answer: &str) -> Product {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (noted, answer) = (heads.clone(), answer.to_owned());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
                noted.lock().unwrap().push(head.to_lowercase());
                let end = "connection: close\r\ncontent-length: 0\r\n\r\n";
                let _ = write!(stream, "HTTP/1.1 {answer}\r\n{end}");
            }
        });
        Product { heads, base }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    fn url(&self) -> Url {
        Url::parse(&self.base).unwrap()
    }
}

fn source(world: &World) -> TokenSource {
    config::load(&world.file_config())
        .unwrap()
        .client(None)
        .unwrap()
        .source
        .clone()
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

#[test]
fn the_middleware_renews_after_a_401_and_never_after_a_403() {
    let world = World::new(3600);
    let source = source(&world);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = Url::parse(&world.check_url()).unwrap();
    for carrier in [Carrier::ClearHeader, Carrier::Bearer] {
        let client = client(&source, carrier, std::slice::from_ref(&url));
        let call = || {
            let sent = runtime.block_on(client.get(url.clone()).send());
            sent.unwrap().status().as_u16()
        };
        assert_eq!(call(), 200);
        let before = world.generation();
        world.ask(async |api| api.revoke(&world.client.id).await.unwrap().expect(200));
        assert_eq!(call(), 200);
        assert_eq!(call(), 200);
        assert_eq!(world.generation(), before + 1);
    }
    let refused = Product::start("403 Forbidden");
    let client = client(&source, Carrier::ClearHeader, &[refused.url()]);
    let before = world.generation();
    let status = runtime
        .block_on(client.get(refused.url()).send())
        .unwrap()
        .status();
    assert_eq!((status.as_u16(), refused.heads().len()), (403, 1));
    assert_eq!(world.generation(), before);
}

#[test]
fn the_middleware_sends_a_request_twice_at_most() {
    let world = World::new(3600);
    let source = source(&world);
    let product = Product::start("401 Unauthorized");
    let client = client(&source, Carrier::ClearHeader, &[product.url()]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let status = runtime
        .block_on(client.get(product.url()).send())
        .unwrap()
        .status();
    assert_eq!((status.as_u16(), product.heads().len()), (401, 2));
    assert_eq!(world.generation(), 2);
}

#[test]
fn the_middleware_gives_the_token_to_the_origins_named_and_nobody_else() {
    let world = World::new(3600);
    let source = source(&world);
    let stranger = Product::start("200 OK");
    let redirect = format!("307 Temporary Redirect\r\nlocation: {}/", stranger.base);
    let product = Product::start(&redirect);
    let client = client(&source, Carrier::ClearHeader, &[product.url()]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Sent on elsewhere by the product: the answer is the redirect itself.
    let status = runtime
        .block_on(client.get(product.url()).send())
        .unwrap()
        .status();
    assert_eq!(status.as_u16(), 307);
    assert!(product.heads()[0].contains("x-cleartax-auth-token: sandbox.1."));
    assert!(stranger.heads().is_empty());
    // Asked directly: it gets the request, without a token.
    let status = runtime
        .block_on(client.get(stranger.url()).send())
        .unwrap()
        .status();
    assert_eq!(status.as_u16(), 200);
    assert_lacks(&stranger.heads()[0], "auth-token");
}

#[test]
fn the_blocking_face_retries_once() {
    let world = World::new(3600);
    let tokens = blocking::TokenSource::new(source(&world)).unwrap();
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
    let folder = bare_folder();
    let server = ClearStandIn::start("s3cret", Duration::from_secs(3_600));
    let lines = "server_kind = \"clear\"\n[[client.erp.destination]]\nkind = \"file\"\npath = \"token.json\"\n";
    let path = write_config(&folder.path().join("agent.toml"), &server.base, lines);
    let source = config::load(&path)
        .unwrap()
        .client(None)
        .unwrap()
        .source
        .clone();
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
