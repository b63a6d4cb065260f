//! A service that holds the replica keys and lies about what it permitted: its reports change figures of clients and
//! products that exist, and nothing else.

use crate::house::House;
use crate::layer::whole_usage;
use std::net::IpAddr;
use tokenward_core::attach::{
    Greeting, Nonce, PREFACE, Permitted, ReplicaKeys, Sealer, Side, ToNode, Used, channel,
};
use tokenward_core::change::FORMAT;
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_core::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An attached replica that says what it likes.
struct Liar {
    stream: TcpStream,
    sealer: Sealer,
}

impl Liar {
    async fn attach(house: &House) -> Self {
        let keys = std::fs::read_to_string(&house.keys).unwrap();
        let ring = ReplicaKeys::ring(&keys).unwrap();
        let node = house.server.internal().trim_start_matches("http://");
        let mut stream = TcpStream::connect(node).await.unwrap();
        let nonce = Nonce([7; 32]);
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(&nonce.0).await.unwrap();
        let mut greeting = [0; Greeting::BYTES];
        stream.read_exact(&mut greeting).await.unwrap();
        let greeting = Greeting::from_bytes(&greeting).unwrap();
        let key = *greeting.keys.last().unwrap();
        let (sealer, _) = channel(&ring, key, Side::Replica, &greeting.nonce, &nonce).unwrap();
        let mut liar = Self { stream, sealer };
        let bearer = String::new();
        liar.say(ToNode::Attach {
            format: FORMAT,
            bearer,
        })
        .await;
        liar
    }

    async fn say(&mut self, message: ToNode) {
        let frame = self.sealer.seal(&message.to_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

/// A permitted check of the house's only client.
fn permitted(product: u32, last_at: Timestamp) -> Permitted {
    Permitted {
        client: ClientNo(0),
        generation: 1,
        product: ProductNo(product),
        address: Some(HERE),
        others: false,
        n: 1,
        last_at,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_about_what_is_not_there_are_left_out_and_none_is_of_the_future() {
    let house = House::new().await;
    let client = house.client().await;
    house.generate(&client.secret).await;
    let future = Timestamp(i64::MAX);
    for old_form in [true, false] {
        let mut liar = Liar::attach(&house).await;
        if old_form {
            let used = |client, product| Used {
                client: ClientNo(client),
                at: future,
                address: Some(HERE),
                product: ProductNo(product),
            };
            liar.say(ToNode::Used(vec![used(0, 0), used(7, 0)])).await;
        }
        // The products of the house are 0 and 1. A row each would fill memory and the database.
        let mut lies: Vec<_> = (2..2_000).map(|no| permitted(no, future)).collect();
        lies.push(Permitted {
            client: ClientNo(7),
            ..permitted(0, future)
        });
        lies.push(permitted(1, future));
        liar.say(ToNode::Permitted(lies)).await;
        let usage = whole_usage(&house, &client.id, if old_form { 1 } else { 2 });
        let counts = usage["counts"].as_array().unwrap();
        let permits = counts.iter().filter(|one| one["outcome"] == "PERMIT");
        assert!(
            permits.clone().all(|one| one["product"] == "e-invoice"),
            "{usage}"
        );
        assert!(!usage.to_string().contains("9999-"), "{usage}");
        let shown = house.api.read_client(&client.id).await.unwrap().json();
        assert_eq!(shown["last_used_from"], HERE.to_string(), "{shown}");
        assert!(!shown.to_string().contains("9999-"), "{shown}");
    }
}
