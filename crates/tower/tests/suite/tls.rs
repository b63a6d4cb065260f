//! The layer and a node whose internal listener speaks TLS: both ways of deciding, and nobody believed whose
//! certificate is not the one named.

use crate::house::{House, router, status, until};
use std::path::{Path, PathBuf};
use tokenward_testkit::NewClient;
use tokenward_tower::{Checker, Endpoint, Environment, Node, Replica};

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
    let (production, gst) = (Environment::Production, "gst");
    let products = [
        house.by_replica(&replica, production, gst),
        router(Checker::new(Node::new(endpoint), production, gst)),
    ];
    let new = NewClient::production("erp");
    let client = house.api.client(&house.workspace, new).await.unwrap();
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
    let new = NewClient::production("erp");
    let client = house.api.client(&house.workspace, new).await.unwrap();
    let token = house.generate(&client.secret).await;
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
        misled.push((
            what,
            Replica::attach(endpoint.clone(), &house.keys).unwrap(),
        ));
        let asking = Checker::new(Node::new(endpoint), Environment::Production, "gst");
        assert_eq!(status(&router(asking), &token).await, 503, "{what}");
    }
    // Begun after them, and ready: they have tried by now, and do not vouch.
    for _ in 0..3 {
        let endpoint = Endpoint::tls(here, &certificate).unwrap();
        drop(house.replica_at(endpoint).await);
    }
    for (what, replica) in misled {
        assert!(!replica.is_vouching(), "{what}");
        let product = house.by_replica(&replica, Environment::Production, "gst");
        assert_eq!(status(&product, &token).await, 503, "{what}");
    }
    // What is no certificate is said at once.
    for authorities in [&key, &folder.path().join("nothing")] {
        assert!(Endpoint::tls(here, authorities).is_err());
    }
    assert!(Endpoint::tls("no port", &certificate).is_err());
}
