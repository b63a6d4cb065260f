//! A replica attached to the nodes of a run, behind the Rust layer, as a product has it in its own process.

use std::convert::Infallible;
use std::path::Path;

use http::{Request, Response};
use http_body_util::{BodyExt, Either};
use tokenward_testkit::Answer;
use tokenward_tower::{CheckLayer, Checker, Endpoint, Environment, Replica};
use tower::{Layer, ServiceExt, service_fn};

use super::subject::PRODUCTS;
use crate::history::Outcome;

/// A replica, and a layer for each product.
#[derive(Debug)]
pub struct Attached {
    replica: Replica,
    layers: Vec<CheckLayer>,
}

impl Attached {
    /// Attaches a replica to these nodes, of which it uses the first that answers, with the replica keys in a file.
    ///
    /// # Panics
    /// When an address or the keys can't be read.
    #[must_use]
    pub fn to(nodes: &[String], keys: &Path) -> Attached {
        let endpoint = |text: &String| text.parse::<Endpoint>().expect("a node's address");
        let nodes: Vec<Endpoint> = nodes.iter().map(endpoint).collect();
        let replica = Replica::attach(nodes, keys).expect("replica keys");
        let layer = |(product, _): (&str, &str)| {
            CheckLayer::new(Checker::new(replica.clone(), Environment::Sandbox, product))
        };
        Attached {
            layers: PRODUCTS.into_iter().map(layer).collect(),
            replica,
        }
    }

    /// Waits until it answers checks.
    pub async fn ready(&self) {
        self.replica.ready().await;
    }

    /// Whether it answers checks now.
    #[must_use]
    pub fn is_vouching(&self) -> bool {
        self.replica.is_vouching()
    }

    /// Decides a request for the product at `product` of [`PRODUCTS`] with a token.
    pub(crate) async fn check(&self, product: usize, token: &str) -> Outcome {
        let request = Request::get("/")
            .header("x-cleartax-auth-token", token)
            .body(())
            .expect("a header of plain characters");
        let decided = self.layers[product]
            .layer(service_fn(inside))
            .oneshot(request)
            .await;
        let Ok(answer) = decided;
        let (parts, body) = answer.into_parts();
        let body = match body {
            Either::Left(()) => return Outcome::Permitted,
            Either::Right(_) if parts.status == 503 => return Outcome::Unavailable,
            Either::Right(body) => body.collect().await,
        };
        let Ok(body) = body;
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        };
        Outcome::Denied(answer.code().unwrap_or_default())
    }
}

/// The product behind the layer.
async fn inside(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}
