//! The layer and a node whose internal listener speaks TLS: both ways of deciding, and nobody believed whose
//! certificate is not the one named.

use crate::house::{House, gst, status, until};
use std::path::{Path, PathBuf};
use tokenward_testkit::{Authority, NewClient};
use tokenward_tower::{Endpoint, Node, Replica};

/// A certificate for this address alone; the files of it and of its key.
fn certify(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let [certificate, key] =
        ["certificate", "key"].map(|what| folder.join(format!("{name}-{what}.pem")));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

async fn house(certificate: &Path, key: &Path) -> House {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (certificate, key) = (text(certificate), text(key));
    let house = House::with(&[
        "--internal-tls-certificate",
        &certificate,
        "--internal-tls-key",
        &key,
    ])
    .await;
    assert!(house.server.internal().starts_with("https://"));
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_of_deciding_work_behind_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certify(folder.path(), "node");
    let mut house = house(&certificate, &key).await;
    let endpoint = Endpoint::tls(house.server.internal(), &certificate).unwrap();
    let replica = house.replica_at(endpoint.clone()).await;
    let products = [gst(replica.clone()), gst(Node::new(endpoint))];
    let client = house.client().await;
    let mut token = house.generate(&client.secret).await;
    for _ in 0..3 {
        for product in &products {
            assert_eq!(status(product, &token).await, 200);
        }
        let new = house.generate(&client.secret).await;
        for product in &products {
            assert_eq!(status(product, &token).await, 401);
            assert_eq!(status(product, &new).await, 200);
        }
        token = new;
    }
    house.server.kill9();
    assert_eq!(status(&products[1], &token).await, 503);
    until("the replica to stop vouching", || !replica.is_vouching());
    assert_eq!(status(&products[0], &token).await, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_node_that_was_named_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certify(folder.path(), "node");
    let (stranger, _) = certify(folder.path(), "stranger");
    let house = house(&certificate, &key).await;
    let token = house.token_of(NewClient::production("erp")).await;
    let here = house.server.internal();
    let elsewhere = here.replace("127.0.0.1", "localhost");
    let plain = here.replace("https://", "http://");
    let mut misled = Vec::new();
    for (what, endpoint) in [
        (
            "an unknown authority",
            Endpoint::tls(here, &stranger).unwrap(),
        ),
        (
            "another name",
            Endpoint::tls(&elsewhere, &certificate).unwrap(),
        ),
        ("no TLS", plain.parse().unwrap()),
    ] {
        let replica = Replica::attach(endpoint.clone(), &house.keys).unwrap();
        misled.push((what, replica));
        let asking = gst(Node::new(endpoint));
        assert_eq!(status(&asking, &token).await, 503, "{what}");
    }
    // Begun after them, and ready: they have tried by now, and do not vouch.
    for _ in 0..3 {
        let endpoint = Endpoint::tls(here, &certificate).unwrap();
        drop(house.replica_at(endpoint).await);
    }
    for (what, replica) in misled {
        assert!(!replica.is_vouching(), "{what}");
        assert_eq!(status(&gst(replica), &token).await, 503, "{what}");
    }
    // What is no certificate is said at once.
    for authorities in [&key, &folder.path().join("nothing")] {
        assert!(Endpoint::tls(here, authorities).is_err());
    }
    assert!(Endpoint::tls("no port", &certificate).is_err());
}

/// The node asks its callers for certificates: each may ask, attach, both or nothing, as its name is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_decides_who_may_ask_and_who_may_attach() {
    const NOW: (i32, i32) = (2020, 2099);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (authority, stranger) = (Authority::new("callers"), Authority::new("strangers"));
    let authorities = write("authority.pem", authority.pem());
    let (certificate, key) = authority.issue(&["127.0.0.1"], NOW);
    let (certificate, key) = (write("node.pem", &certificate), write("node.key", &key));
    let flag = |name: &str, path: &Path| format!("--internal-{name}={}", path.display());
    let house = House::with(&[
        &flag("tls-certificate", &certificate),
        &flag("tls-key", &key),
        &flag("client-authority", &authorities),
        "--internal-caller=both.internal=production/gst,both.internal=replica",
        "--internal-caller=asks.internal=production/gst",
        "--internal-caller=copies.internal=replica",
        "--internal-caller=invoices.internal=production/e-invoice",
    ])
    .await;
    let token = house.token_of(NewClient::production("erp")).await;
    let here = house.server.internal();
    let issued = |name: &str, (certificate, key): (String, String)| {
        let files = ["pem", "key"].map(|end| folder.path().join(format!("{name}.{end}")));
        std::fs::write(&files[0], certificate).unwrap();
        std::fs::write(&files[1], key).unwrap();
        Endpoint::mutual_tls(here, &authorities, &files[0], &files[1]).unwrap()
    };
    let named = |name: &str| issued(name, authority.issue(&[name], NOW));
    let renewed = issued("renewed", authority.issue(&["both.internal"], (2020, 2021)));
    let mut refused = Vec::new();
    for (what, endpoint, asks, attaches) in [
        ("both", named("both.internal"), 200, true),
        ("asks", named("asks.internal"), 200, false),
        ("copies", named("copies.internal"), 503, true),
        ("other product", named("invoices.internal"), 503, false),
        ("not in the table", named("nobody.internal"), 503, false),
        (
            "none",
            Endpoint::tls(here, &authorities).unwrap(),
            503,
            false,
        ),
        (
            "another authority",
            issued("stranger", stranger.issue(&["both.internal"], NOW)),
            503,
            false,
        ),
        ("expired", renewed.clone(), 503, false),
    ] {
        let asking = gst(Node::new(endpoint.clone()));
        assert_eq!(status(&asking, &token).await, asks, "{what}");
        if attaches {
            let product = gst(house.replica_at(endpoint).await);
            assert_eq!(status(&product, &token).await, 200, "{what}");
        } else {
            refused.push((what, Replica::attach(endpoint, &house.keys).unwrap()));
        }
    }
    until("all to be refused", || {
        let output = house.server.output();
        let told = |words: &str, times: usize| output.matches(words).count() >= times;
        told("has no name with the grant replica", 4)
            && told("it asked for replica without a client certificate", 1)
            && told("not from an authority in internal_client_authority", 2)
            && told("its client certificate has expired", 2)
    });
    for (what, replica) in &refused {
        assert!(!replica.is_vouching(), "{what}");
    }
    // A renewed certificate is used for the next connection, also by a replica that tries again by itself.
    let asking = gst(Node::new(renewed));
    assert_eq!(status(&asking, &token).await, 503);
    drop(issued("renewed", authority.issue(&["both.internal"], NOW)));
    assert_eq!(status(&asking, &token).await, 200);
    let (_, expired) = refused.last().unwrap();
    until("the replica to attach", || expired.is_vouching());
    // A key of another certificate is said at once.
    let other = folder.path().join("both.internal.key");
    let wrong = Endpoint::mutual_tls(here, &authorities, &certificate, &other);
    assert!(wrong.is_err());
}
