//! Bad input from an admitted caller: always a 4xx with the envelope, never a 5xx.

use serde_json::json;

use crate::{
    Product, answer, invoice, refusal,
    stand_in::{Say, StandIn},
};

#[tokio::test]
async fn bad_bodies_are_told_what_is_wrong() {
    let (product, _stand_in) = Product::permitted().await;
    let deep = "[".repeat(10_000);
    let (json, with_charset) = ("application/json", "application/json; charset=utf-8");
    let odd = b"{\"number\":\"\xff\xfe\"}".to_vec();
    let plain = invoice().to_string().into_bytes();
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        (json, br#"{"number": ""}"#.to_vec(), 422, "INVALID_NUMBER"),
        (json, Vec::new(), 400, "INVALID_JSON"),
        (json, b"{".to_vec(), 400, "INVALID_JSON"),
        (json, b"null".to_vec(), 422, "INVALID_JSON"),
        (json, odd, 400, "INVALID_JSON"),
        (json, deep.into(), 422, "INVALID_JSON"),
        (with_charset, b"[]".to_vec(), 422, "INVALID_JSON"),
        (json, vec![b' '; 64 * 1024 + 1], 413, "BODY_TOO_LARGE"),
        ("text/plain", plain, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("", Vec::new(), 415, "UNSUPPORTED_MEDIA_TYPE"),
    ];
    for (kind, body, status, code) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let request = product
            .post_invoice()
            .header("content-type", kind)
            .body(body);
        let got = refusal(request).await;
        assert_eq!(got, (status, vec![code.to_owned()]), "{kind:?} {shown:?}");
    }
}

#[tokio::test]
async fn a_problem_names_its_field() {
    let (product, _stand_in) = Product::permitted().await;
    let body = json!({"number": "x".repeat(17)});
    let (status, answer) = answer(product.post_invoice().json(&body)).await;
    assert_eq!(status, 422);
    assert_eq!(answer["errors"][0]["field"], "number");
    assert_eq!(answer["errors"][0]["error_source"], "E-INVOICE");
}

#[tokio::test]
async fn wrong_paths_and_methods_get_the_envelope_too() {
    let (product, _stand_in) = Product::permitted().await;
    let http = &product.http;
    let lost = refusal(http.get(product.url("/nowhere"))).await;
    assert_eq!(lost, (404, vec!["NOT_FOUND".to_owned()]));

    for (request, allow) in [
        (http.get(product.url("/e-invoice/v1/invoices")), "POST"),
        (http.delete(product.url("/gst/v1/gstins/x")), "GET, HEAD"),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers().get_all("allow").iter().count(), 1);
        assert_eq!(response.headers()["allow"], allow);
    }

    for gstin in ["27AAPFU0939F1Z", "%FF%FE", "%00", "27%2FAAPFU"] {
        let url = product.url(&format!("/gst/v1/gstins/{gstin}"));
        let got = refusal(http.get(url)).await;
        assert_eq!(got, (422, vec!["INVALID_GSTIN".to_owned()]), "{gstin}");
    }
}

#[tokio::test]
async fn nothing_is_read_for_a_caller_who_was_not_admitted() {
    let denial = r#"{"errors":[{"error_code":"ACCESS_TOKEN_UNKNOWN"}]}"#;
    let json_type = &[("content-type", "application/json")];
    let stand_in = StandIn::start(Say::Answer(401, json_type, denial.to_owned()));
    let product = Product::start(stand_in.address).await;
    // Bodies that an admitted caller would be told off for.
    for body in ["", "{", "[]"] {
        let request = product.post_invoice().body(body);
        assert_eq!(request.send().await.unwrap().status(), 401, "{body:?}");
    }
}
