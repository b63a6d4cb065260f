//! The product API over real sockets, against a stand-in for Tokenward's check.
//!
//! What Tokenward itself decides is tested with the real server by the demo; here it is the product's half
//! that is on trial: what it asks, what it believes, and that it stays shut when nobody vouches.

mod admission;
mod input;
mod stand_in;

use std::net::SocketAddr;

use example_e_invoice::{Config, serve};
use serde_json::{Value, json};
use stand_in::{Say, StandIn};
use tokio::net::TcpListener;

const TOKEN: &str = "a token; its shape is Tokenward's business";

/// A running product API, ended with the test's runtime.
struct Product {
    address: SocketAddr,
    http: reqwest::Client,
}

impl Product {
    async fn start(tokenward: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            tokenward: format!("http://{tokenward}"),
            environment: "production".to_owned(),
            product: "e-invoice".to_owned(),
            gst_product: "gst".to_owned(),
        };
        tokio::spawn(async move { serve(listener, &config, std::future::pending()).await });
        Self {
            address,
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(std::time::Duration::from_secs(30))
                .build()
                .unwrap(),
        }
    }

    /// One beside a stand-in that permits everything.
    async fn permitted() -> (Self, StandIn) {
        let stand_in = StandIn::start(Say::Permit);
        (Self::start(stand_in.address).await, stand_in)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn post_invoice(&self) -> reqwest::RequestBuilder {
        self.http
            .post(self.url("/e-invoice/v1/invoices"))
            .header("x-cleartax-auth-token", TOKEN)
    }
}

/// Status and body of an answer; the body must be JSON, whatever the status.
async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the product answers");
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} with {text:?}"));
    (status, body)
}

/// Status and the codes in the errors envelope.
async fn refusal(request: reqwest::RequestBuilder) -> (u16, Vec<String>) {
    let (status, body) = answer(request).await;
    let errors = body["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("{status} without envelope: {body}"));
    let codes = errors.iter().map(|error| {
        for field in ["error_message", "error_source", "error_id"] {
            assert!(error[field].is_string(), "no {field}: {error}");
        }
        error["error_code"].as_str().expect("a code").to_owned()
    });
    (status, codes.collect())
}

fn invoice() -> Value {
    json!({"number": "TW/26-27/1"})
}
