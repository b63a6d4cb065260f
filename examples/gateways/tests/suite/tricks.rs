//! Paths that mean one thing to the gateway and another to somebody else. The product is what the
//! gateway's configuration says; no spelling of a path opens a product the token does not.

use crate::Row;
use crate::world::World;
use gateways::Ask;
use tokenward_testkit::NewClient;

pub(crate) const ROWS: &[Row] = &[
    (
        "no path leads to a product the token does not open",
        to_the_other,
    ),
    ("no path leads anywhere without a token", without_token),
    (
        "no path reaches Tokenward through the gateway",
        to_tokenward,
    ),
];

/// Spellings of a way from the first folder to the second.
fn ways(from: &str, to: &str) -> Vec<String> {
    // The last is empty.
    let steps =
        r"..|%2e%2e|%2E%2e|.%2e|..;|..;x=1|%252e%252e|..%00|..%2f|..%5c|%2e%2e%2f|..\|.|%2e|";
    let mut ways: Vec<String> = steps
        .split('|')
        .flat_map(|step| {
            [
                format!("/{from}/{step}/{to}/x"),
                format!("/{from}/{step}{to}/x"),
                format!("/{from}/a/{step}/{step}/{to}/x"),
            ]
        })
        .collect();
    ways.extend([
        format!("/{from}%2f..%2f{to}%2fx"),
        format!("/{from};/../{to}/x"),
        format!("/{from}/x?/../../{to}/x"),
        format!("/{from}/x%3f/../../{to}/x"),
        format!("/{from}/x#/../../{to}/x"),
        format!("/{from}/x%23/../../{to}/x"),
        format!("//{to}/x"),
        format!("///{to}//x"),
        format!("/./{to}/x"),
        format!("/%2f{to}/x"),
        format!("/{}/x", to.to_uppercase()),
        "/%67%73%74/x".to_owned(),
        format!("/{to}%2fx"),
        format!("/{to};/x"),
        format!("/{to}%00/x"),
        format!("/{to}"),
        format!("http://api.example.com/{to}/x"),
        format!("http://api.example.com//{to}/x"),
        format!("http://{from}/../{to}/x"),
    ]);
    ways
}

fn to_the_other(world: &mut World) {
    let client = world.client(|label| NewClient::production(label).products(&["e-invoice"]));
    let token = world.generate(&client);
    for way in ways("e-invoice", "gst").iter().chain(&ways("gst", "gst")) {
        // However it is answered, even by a closed connection.
        let _ = Ask::get(way).token(&token).try_send(world.gateway.address);
        let seen = world.gst.take();
        assert!(seen.is_empty(), "{way} reached gst: {seen:#?}");
    }
}

fn without_token(world: &mut World) {
    for way in ways("e-invoice", "gst")
        .iter()
        .chain(&ways("gst", "e-invoice"))
    {
        for ask in [
            Ask::get(way),
            Ask::of("OPTIONS", way),
            Ask::get(way).header("User-Agent", "kube-probe/1.30"),
        ] {
            let _ = ask.try_send(world.gateway.address);
            let seen = (world.gst.take(), world.e_invoice.take());
            assert!(seen.0.is_empty() && seen.1.is_empty(), "{way}: {seen:#?}");
        }
    }
}

fn to_tokenward(world: &mut World) {
    let words = "
        /check/production/e-invoice /_tokenward_check /_tokenward_deny /deny /metrics
        /health/ready /oauth2/introspect /e-invoice/../metrics /e-invoice/%2e%2e/metrics";
    for way in words.split_whitespace() {
        let answer = world.ask(&Ask::get(way).token(&world.token));
        let ours = answer.body.contains("tokenward_") || answer.body.contains("ready");
        assert!(!ours, "{way}: {answer:?}");
        assert_eq!(answer.header("x-tokenward-client"), "", "{way}");
    }
}
