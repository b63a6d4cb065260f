//! What the replica does when it can't hear its node: it stops vouching, and no token that was revoked
//! meanwhile passes. And what the node does: it waits for such a replica once.

use crate::house::{House, figure_of, gst, status, until};
use std::net::SocketAddr;
use tokenward_testkit::{Network, PgCluster, Relay, Server, expect_json};
use tokenward_tower::{Endpoint, Replica};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A network between a replica and the node.
fn wire_to(house: &House) -> (Relay, Endpoint) {
    let (_, port) = house.server.internal().rsplit_once(':').unwrap();
    let relay = Relay::to(port.parse().unwrap());
    let endpoint = SocketAddr::from(([127, 0, 0, 1], relay.port()));
    (relay, endpoint.into())
}

/// A wire to the node that makes one byte of what it says first a zero.
async fn hiding(node: &str, place: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let node = node.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (mut near_in, mut near_out) = near.into_split();
            let (mut far_in, mut far_out) = TcpStream::connect(&node).await.unwrap().into_split();
            tokio::spawn(async move {
                let back = async {
                    let mut first = vec![0; place + 1];
                    far_in.read_exact(&mut first).await?;
                    first[place] = 0;
                    near_out.write_all(&first).await?;
                    tokio::io::copy(&mut far_in, &mut near_out).await
                };
                tokio::try_join!(tokio::io::copy(&mut near_in, &mut far_out), back)
            });
        }
    });
    address
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
    let (wire, endpoint) = wire_to(&house);
    let replica = house.replica_at(endpoint).await;
    let product = gst(replica.clone());
    let (secret, old) = one_client(&house).await;
    assert_eq!(status(&product, &old).await, 200);

    // The connection is not of any use afterwards: the replica must end it by itself.
    wire.set(Network::Lost);
    // Answered only when the replica can no longer vouch by what it was granted.
    let new = house.generate(&secret).await;
    assert_eq!(status(&product, &old).await, 503);
    assert_eq!(house.figure("tokenward_replicas_expelled").await, "1");
    // And nobody is waited for any more: were there, this would be held as well.
    let newer = house.generate(&secret).await;
    assert_eq!(house.figure("tokenward_replicas").await, "0");
    assert_eq!(status(&product, &new).await, 503);
    assert!(!replica.is_vouching());

    wire.set(Network::Good);
    back_again(&replica).await;
    assert_eq!(status(&product, &old).await, 401);
    assert_eq!(status(&product, &newer).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_wire_holds_an_answer_up_once_and_lets_no_revoked_token_pass() {
    let house = House::new().await;
    let (wire, endpoint) = wire_to(&house);
    let replica = house.replica_at(endpoint).await;
    let product = gst(replica.clone());
    let (secret, old) = one_client(&house).await;
    assert_eq!(status(&product, &old).await, 200);

    // It goes on by the lease it has; so the node, which sees it gone, must not answer before that is over.
    wire.set(Network::Cut);
    assert_eq!(status(&product, &old).await, 200);
    let new = house.generate(&secret).await;
    assert_eq!(status(&product, &old).await, 503);
    assert_eq!(house.figure("tokenward_replicas").await, "0");

    wire.set(Network::Good);
    back_again(&replica).await;
    assert_eq!(status(&product, &old).await, 401);
    assert_eq!(status(&product, &new).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_outlived_by_seconds_and_its_successor_waits_for_them() {
    let mut house = House::new().await;
    let replica = house.replica().await;
    let product = gst(replica.clone());
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
    let product = gst(replica.clone());
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
    let product = gst(replica.clone());
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
    let product = gst(replica.clone());
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
    let wire = hiding(house.server.internal(), 40).await;
    let replica = house.replica_at(wire.into()).await;
    let product = gst(replica.clone());
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
    let product = gst(replica.clone());
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
