//! What the replica does when it can't hear its node: it stops vouching, and no token that was revoked
//! meanwhile passes. And what the node does: it waits for such a replica once.

use crate::house::{House, figure_of, status, until};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokenward_testkit::{PgCluster, Server, expect_json};
use tokenward_tower::{Endpoint, Environment, Replica};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A wire to the node that can be blocked: nothing is closed, nothing passes. Or cut: both ends see it
/// closed, and a new one is closed as soon as it is made.
struct Wire {
    address: SocketAddr,
    blocked: Arc<AtomicBool>,
    cut: watch::Sender<bool>,
}

impl Wire {
    async fn to(node: &str) -> Self {
        Self::hiding(node, None).await
    }

    /// A wire that makes one byte of what the node says first a zero.
    async fn hiding(node: &str, byte: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let blocked = Arc::new(AtomicBool::new(false));
        let cut = watch::Sender::new(false);
        let (node, is_blocked) = (
            node.trim_start_matches("http://").to_owned(),
            Arc::clone(&blocked),
        );
        let cutting = cut.subscribe();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&node).await else {
                    continue;
                };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                let there = pass(near_in, far_out, Arc::clone(&is_blocked), None);
                let back = pass(far_in, near_out, Arc::clone(&is_blocked), byte);
                let mut cutting = cutting.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = cutting.wait_for(|cut| *cut) => {}
                        _ = async { tokio::join!(there, back) } => {}
                    }
                });
            }
        });
        Self {
            address,
            blocked,
            cut,
        }
    }

    fn block(&self, on: bool) {
        self.blocked.store(on, Ordering::SeqCst);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    blocked: Arc<AtomicBool>,
    mut hidden: Option<usize>,
) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if let Some(place) = hidden {
            if let Some(byte) = bytes[..count].get_mut(place) {
                *byte = 0;
            }
            hidden = place.checked_sub(count);
        }
        // A blocked wire swallows: what was on it never arrives, so it is of no use afterwards.
        if blocked.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// A client, its token, and the token's way through the replica.
async fn one_client(house: &House) -> (String, String) {
    let client = house.client().await;
    let token = house.generate(&client.secret).await;
    (client.secret, token)
}

async fn back_again(replica: &Replica) {
    until("the replica to vouch again", || replica.is_vouching());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_wire_holds_an_answer_up_once_and_lets_no_revoked_token_pass() {
    let house = House::new().await;
    let wire = Wire::to(house.server.internal()).await;
    let replica = house.replica_at(Endpoint::from(wire.address)).await;
    let product = house.by_replica(&replica, Environment::Production, "gst");
    let (secret, old) = one_client(&house).await;
    assert_eq!(status(&product, &old).await, 200);

    wire.block(true);
    // Answered only when the replica can no longer vouch by what it was granted.
    let new = house.generate(&secret).await;
    assert_eq!(status(&product, &old).await, 503);
    assert_eq!(house.figure("tokenward_replicas_expelled").await, "1");
    // And nobody is waited for any more: were there, this would be held as well.
    let newer = house.generate(&secret).await;
    assert_eq!(house.figure("tokenward_replicas").await, "0");
    assert_eq!(status(&product, &new).await, 503);
    assert!(!replica.is_vouching());

    wire.block(false);
    back_again(&replica).await;
    assert_eq!(status(&product, &old).await, 401);
    assert_eq!(status(&product, &newer).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_wire_holds_an_answer_up_once_and_lets_no_revoked_token_pass() {
    let house = House::new().await;
    let wire = Wire::to(house.server.internal()).await;
    let replica = house.replica_at(Endpoint::from(wire.address)).await;
    let product = house.by_replica(&replica, Environment::Production, "gst");
    let (secret, old) = one_client(&house).await;
    assert_eq!(status(&product, &old).await, 200);

    // It goes on by the lease it has; so the node, which sees it gone, must not answer before that is over.
    wire.cut.send_replace(true);
    assert_eq!(status(&product, &old).await, 200);
    let new = house.generate(&secret).await;
    assert_eq!(status(&product, &old).await, 503);
    assert_eq!(house.figure("tokenward_replicas").await, "0");

    wire.cut.send_replace(false);
    back_again(&replica).await;
    assert_eq!(status(&product, &old).await, 401);
    assert_eq!(status(&product, &new).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_outlived_by_seconds_and_its_successor_waits_for_them() {
    let mut house = House::new().await;
    let replica = house.replica().await;
    let product = house.by_replica(&replica, Environment::Production, "gst");
    let (secret, old) = one_client(&house).await;
    assert_eq!(status(&product, &old).await, 200);

    house.server.kill9();
    // A cut stream ends no lease: a node may be started again within it and nobody notices. But it ends.
    until("the replica to stop vouching", || !replica.is_vouching());
    assert_eq!(status(&product, &old).await, 503);
    house.server.restart();
    house.api = house.server.api();

    // The replica knows the old address; a new one takes its place.
    let replica = house.replica().await;
    let product = house.by_replica(&replica, Environment::Production, "gst");
    assert_eq!(status(&product, &old).await, 200);
    house.server.kill9();
    house.server.restart();
    house.api = house.server.api();
    // The lease lives on in the process that the new node has never heard of.
    let new = house.generate(&secret).await;
    assert_ne!(status(&product, &old).await, 200);
    assert_ne!(status(&product, &new).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_node_is_not_vouched_for() {
    let house = House::new().await;
    let replica = house.replica().await;
    let product = house.by_replica(&replica, Environment::Production, "gst");
    let (secret, old) = one_client(&house).await;
    house.server.freeze();
    until("the replica to stop vouching", || !replica.is_vouching());
    assert_eq!(status(&product, &old).await, 503);
    house.server.thaw();
    back_again(&replica).await;
    let new = house.generate(&secret).await;
    assert_eq!(status(&product, &old).await, 401);
    assert_eq!(status(&product, &new).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_in_good_order_holds_nobody_up() {
    let house = House::new().await;
    let replica = house.replica().await;
    let product = house.by_replica(&replica, Environment::Production, "gst");
    let (secret, old) = one_client(&house).await;
    assert_eq!(house.figure("tokenward_replicas").await, "1");
    replica.leave().await;
    assert_eq!(status(&product, &old).await, 503);
    let handle = tokio::runtime::Handle::current();
    until("the node to know", || {
        handle.block_on(house.figure("tokenward_replicas")) == "0"
    });
    house.generate(&secret).await;
    assert_eq!(house.figure("tokenward_replicas_expelled").await, "0");
}

/// A node of an older version does not say that it reads sums of permitted checks, and would end a stream that holds one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_reads_no_sums_is_told_the_last_use() {
    let house = House::new().await;
    // The last byte of the greeting: 32 of the nonce, the number of keys, eight keys.
    let wire = Wire::hiding(house.server.internal(), Some(40)).await;
    let endpoint = Endpoint::from(wire.address);
    let replica = house.replica_at(endpoint).await;
    let product = house.by_replica(&replica, Environment::Production, "gst");
    let client = house.client().await;
    let token = house.generate(&client.secret).await;
    assert_eq!(status(&product, &token).await, 200);
    let handle = tokio::runtime::Handle::current();
    until("the last use to be told", || {
        let shown = handle.block_on(house.api.read_client(&client.id)).unwrap();
        shown.json()["last_used_from"] == crate::house::HOME
    });
    let path = format!("/clients/{}/usage", client.id);
    let usage = expect_json(house.api.ask(reqwest::Method::GET, &path), 200).await;
    assert_eq!(usage["sources"], serde_json::json!([]), "{usage}");
    assert!(replica.is_vouching());
}

/// Three nodes on one database: a replica moves to the next one when its own is killed, and when it stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_moves_to_another_node_and_goes_on() {
    let cluster = PgCluster::builder().setting("fsync", "off").start();
    let url = cluster.url();
    let house = House::with(&["--database-url", &url]).await;
    let keys = house.server.data_dir().join("digest-keys");
    let beside = || {
        Server::builder()
            .database(&url)
            .args(&["--digest-keys", &keys.display().to_string()])
            .start()
    };
    let (mut first, last) = (beside(), beside());
    let nodes: [Endpoint; 3] = [first.internal(), house.server.internal(), last.internal()]
        .map(|one| one.parse().unwrap());
    let replica = Replica::attach(nodes, &house.keys).unwrap();
    tokio::time::timeout(crate::house::LIMIT, replica.ready())
        .await
        .expect("a replica that vouches");
    let product = house.by_replica(&replica, Environment::Production, "gst");
    let (secret, old) = one_client(&house).await;
    assert_eq!(status(&product, &old).await, 200);
    assert_eq!(figure_of(&first, "tokenward_replicas").await, "1");
    first.kill9();
    let handle = tokio::runtime::Handle::current();
    // It goes on by the lease that it has, and denies nothing meanwhile.
    until("the replica to have moved", || {
        assert_ne!(handle.block_on(status(&product, &old)), 401);
        handle.block_on(house.figure("tokenward_replicas")) == "1" && replica.is_vouching()
    });
    let new = house.generate(&secret).await;
    assert_eq!(status(&product, &old).await, 401);
    assert_eq!(status(&product, &new).await, 200);
    house.server.freeze();
    until("the replica to vouch by the last one", || {
        handle.block_on(figure_of(&last, "tokenward_replicas")) == "1" && replica.is_vouching()
    });
    house.server.thaw();
    assert_eq!(status(&product, &new).await, 200);
}
