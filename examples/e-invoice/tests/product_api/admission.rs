//! The door: what is asked, what is believed, and what happens when nobody answers.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    Product, TOKEN, answer, invoice, refusal,
    stand_in::{Say, StandIn},
};

const UNAVAILABLE: &str = "ADMISSION_UNAVAILABLE";

#[tokio::test]
async fn an_admitted_invoice_gets_its_number_and_names_the_caller() {
    let (product, _stand_in) = Product::permitted().await;
    let (status, body) = answer(product.post_invoice().json(&invoice())).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["number"], "TW/26-27/1");
    assert_eq!(
        body["admitted"],
        json!({
            "workspace": "7d0c4b0e-0f2d-4c39-8a51-0d6a9c3ce001",
            "client": "7d0c4b0e-0f2d-4c39-8a51-0d6a9c3ce002",
            "client_label": "erp",
            "environment": "production",
            "product": "e-invoice",
            "generation": "7",
            "valid_till": null,
        })
    );
}

#[tokio::test]
async fn the_check_is_asked_with_the_token_and_the_true_address_only() {
    let (product, stand_in) = Product::permitted().await;
    let request = product
        .post_invoice()
        .header("authorization", "Bearer other")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-tokenward-client", "spoofed")
        .header("x_cleartax_auth_token", "underscored")
        .header("cookie", "session=1")
        .json(&invoice());
    let (status, body) = answer(request).await;
    assert_eq!(status, 200);
    assert_eq!(body["admitted"]["client_label"], "erp");

    let asked = &stand_in.asked()[0];
    assert_eq!(asked.method, "GET");
    assert_eq!(asked.path, "/check/production/e-invoice");
    let mut sent: Vec<(&str, &str)> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .filter(|(name, _)| !matches!(*name, "host" | "accept"))
        .collect();
    sent.sort_unstable();
    assert_eq!(
        sent,
        [
            ("authorization", "Bearer other"),
            ("x-cleartax-auth-token", TOKEN),
            ("x-forwarded-for", "127.0.0.1"),
        ]
    );
}

#[tokio::test]
async fn doubled_tokens_reach_the_check_doubled() {
    let (product, stand_in) = Product::permitted().await;
    let request = product
        .post_invoice()
        .header("x-cleartax-auth-token", "second")
        .header("authorization", "Bearer a")
        .header("authorization", "Bearer b");
    request.send().await.unwrap();
    let headers = &stand_in.asked()[0].headers;
    let all = |name: &str| -> Vec<_> { headers.get_all(name).iter().cloned().collect() };
    assert_eq!(all("x-cleartax-auth-token"), [TOKEN, "second"]);
    assert_eq!(all("authorization"), ["Bearer a", "Bearer b"]);
}

#[tokio::test]
async fn each_product_asks_for_itself() {
    let (product, stand_in) = Product::permitted().await;
    let url = product.url("/gst/v1/gstins/27AAPFU0939F1ZV");
    let (status, body) = answer(product.http.get(url)).await;
    assert_eq!(status, 200);
    assert_eq!(body["pan"], "AAPFU0939F");
    assert_eq!(body["admitted"]["product"], "gst");
    assert_eq!(stand_in.asked()[0].path, "/check/production/gst");
}

#[tokio::test]
async fn a_refusal_is_handed_on_as_it_was_given() {
    let (product, stand_in) = Product::permitted().await;
    for status in [400, 401, 403, 429, 431, 503] {
        let given = format!(r#"{{"errors":[{{"error_code":"GIVEN_{status}"}}]}}"#);
        let headers = &[
            ("content-type", "application/json"),
            ("www-authenticate", "Bearer error=\"invalid_token\""),
            ("retry-after", "2"),
            ("x-inner", "stays inside"),
        ];
        stand_in.say(Say::Answer(status, headers, given.clone()));
        let request = product.post_invoice().json(&invoice());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(
            response.headers()["www-authenticate"],
            "Bearer error=\"invalid_token\""
        );
        assert_eq!(response.headers()["retry-after"], "2");
        assert!(!response.headers().contains_key("x-inner"));
        assert_eq!(response.text().await.unwrap(), given);
    }
}

#[tokio::test]
async fn a_refusal_without_an_envelope_gets_one() {
    let stand_in = StandIn::start(Say::Answer(431, &[], String::new()));
    let product = Product::start(stand_in.address).await;
    let (status, codes) = refusal(product.post_invoice().json(&invoice())).await;
    assert_eq!((status, codes), (431, vec!["REQUEST_REFUSED".to_owned()]));
}

#[tokio::test]
async fn whatever_is_not_a_verdict_of_tokenward_keeps_the_door_shut() {
    let (product, stand_in) = Product::permitted().await;
    let elsewhere = StandIn::start(Say::Permit);
    let elsewhere_url: &'static str =
        Box::leak(format!("http://{}/check/production/e-invoice", elsewhere.address).into());
    let location: &'static [(&str, &str)] = Box::leak(Box::new([("location", elsewhere_url)]));
    let strange = [
        Say::PermitWithout("x-tokenward-workspace"),
        Say::PermitWithout("x-tokenward-client"),
        Say::PermitWithout("x-tokenward-client-label"),
        Say::PermitWithout("x-tokenward-environment"),
        Say::PermitWithout("x-tokenward-product"),
        Say::PermitWithout("x-tokenward-generation"),
        Say::PermitWithout("x-tokenward-valid-till"),
        Say::PermitWith("x-tokenward-environment", "sandbox"),
        Say::PermitWith("x-tokenward-product", "gst"),
        Say::Answer(200, &[], "a page of some other server".to_owned()),
        Say::Answer(204, &[], String::new()),
        Say::Answer(302, location, String::new()),
        Say::Answer(404, &[], "PRODUCT_UNKNOWN".to_owned()),
        Say::Answer(500, &[], "inner words".to_owned()),
        Say::Answer(401, &[], "x".repeat(17 * 1024)),
    ];
    for (index, say) in strange.into_iter().enumerate() {
        stand_in.say(say);
        let (status, codes) = refusal(product.post_invoice().json(&invoice())).await;
        assert_eq!(
            (status, codes),
            (503, vec![UNAVAILABLE.to_owned()]),
            "answer {index}"
        );
    }
    assert!(elsewhere.asked().is_empty(), "a redirect was followed");
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "how long the caller waited is what is tested"
)]
async fn silence_is_a_503_after_a_second() {
    let stand_in = StandIn::start(Say::Silence);
    let product = Product::start(stand_in.address).await;
    let begun = Instant::now();
    let request = product.post_invoice().json(&invoice());
    let response = request.send().await.unwrap();
    let waited = begun.elapsed();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[tokio::test]
async fn an_outage_shuts_the_door_and_its_end_opens_it() {
    let stand_in = StandIn::start(Say::Permit);
    let address = stand_in.address;
    let product = Product::start(address).await;
    assert_eq!(answer(product.post_invoice().json(&invoice())).await.0, 200);

    drop(stand_in);
    let (status, codes) = refusal(product.post_invoice().json(&invoice())).await;
    assert_eq!((status, codes), (503, vec![UNAVAILABLE.to_owned()]));

    let _back = StandIn::start_on(address, Say::Permit);
    assert_eq!(answer(product.post_invoice().json(&invoice())).await.0, 200);
}

#[tokio::test]
async fn checks_share_a_kept_connection_and_are_asked_every_time() {
    let (product, stand_in) = Product::permitted().await;
    for _ in 0..50 {
        assert_eq!(answer(product.post_invoice().json(&invoice())).await.0, 200);
    }
    assert_eq!(stand_in.asked().len(), 50, "a permission was remembered");
    assert_eq!(stand_in.connections(), 1);
}
