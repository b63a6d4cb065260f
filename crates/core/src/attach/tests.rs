//! Keys, seals and messages: what fits is understood, everything else refused.

use super::*;
use crate::credential::{AccessToken, ClientSecret};
use crate::digest::{DigestKey, KeyId, Keyring};
use crate::ids::{ClientId, ClientNo, Environment};
use proptest::prelude::*;
use uuid::Uuid;

fn ring(ids: &[u8]) -> Keyring {
    let keys = ids.iter().map(|id| DigestKey::new(KeyId(*id), [*id; 32]));
    Keyring::new(keys.collect()).unwrap()
}

fn carried(ring: &Keyring) -> Keyring {
    ReplicaKeys::ring(ReplicaKeys::of(ring).text()).unwrap()
}

#[test]
fn replica_keys_check_tokens_and_nothing_else() {
    let node = ring(&[1, 2]);
    let replica = carried(&node);
    let id = node.client_id(ClientNo(7), [9; 12]);
    let token = AccessToken::from_random(Environment::Sandbox, id, [3; 28]);
    for key in node.ids() {
        let (own, theirs) = (node.token(key, &token), replica.token(key, &token));
        assert!(own.is_some_and(|own| theirs == Some(own)));
    }
    assert_eq!(replica.client_no(id), ClientNo(7));
    assert_eq!(replica.current(), node.current());
    let secret = ClientSecret::from_random(Environment::Sandbox, ClientId(Uuid::nil()), [0; 28]);
    assert!(node.secret(KeyId(1), &secret).is_some());
    assert!(replica.secret(KeyId(1), &secret).is_none());
}

#[test]
fn a_file_of_something_else_is_refused() {
    let good = ReplicaKeys::of(&ring(&[1]));
    let without_numbers: Vec<_> = good
        .text()
        .lines()
        .filter(|line| !line.starts_with("numbers"))
        .collect();
    for bad in [
        "",
        "1:abc",
        "x",
        "numbers:00",
        &without_numbers.join("\n"),
        &good.text().replace("1:", "0:"),
    ] {
        assert!(ReplicaKeys::ring(bad).is_err(), "{bad}");
    }
    // A file of digest keys looks much alike, and must not be taken for one.
    assert!(ReplicaKeys::ring(&format!("1:{}", "ab".repeat(32))).is_err());
}

/// The node's pen and the replica's eye.
fn channels(node: &Keyring, replica: &Keyring) -> (Sealer, Opener) {
    let (a, b) = (Nonce([1; 32]), Nonce([2; 32]));
    let of = |ring: &Keyring, side| channel(ring, node.current(), side, &a, &b).unwrap();
    (of(node, Side::Node).0, of(replica, Side::Replica).1)
}

#[test]
fn only_the_next_frame_of_the_other_side_opens() {
    let node = ring(&[1, 2]);
    let (mut ours, mut theirs) = channels(&node, &carried(&node));
    let frames = [ours.seal(b"one"), ours.seal(b"two"), ours.seal(b"three")];
    let frame = |at: usize| &frames[at][LENGTH_BYTES..];
    assert_eq!(theirs.open(frame(0)), Ok(&b"one"[..]));
    // The third before the second, and the first again.
    let fresh = || channels(&node, &carried(&node)).1;
    let mut skipping = fresh();
    assert!(skipping.open(frame(0)).is_ok() && skipping.open(frame(2)).is_err());
    let mut repeating = fresh();
    assert!(repeating.open(frame(0)).is_ok() && repeating.open(frame(0)).is_err());
    // What a side wrote itself does not open as the other's.
    let (a, b) = (Nonce([1; 32]), Nonce([2; 32]));
    let (mut pen, mut eye) = channel(&node, KeyId(2), Side::Node, &a, &b).unwrap();
    let own = pen.seal(b"one");
    assert!(eye.open(&own[LENGTH_BYTES..]).is_err());
    for at in 0..frame(0).len() {
        let mut changed = frame(0).to_vec();
        changed[at] ^= 1;
        assert!(fresh().open(&changed).is_err(), "{at}");
    }
    assert!(fresh().open(&[]).is_err());
}

#[test]
fn other_keys_other_nonces_no_understanding() {
    let node = ring(&[1]);
    let opens = |ring: &Keyring, nonce: [u8; 32]| {
        let (mut ours, _) = channels(&node, &node);
        let frame = ours.seal(b"hello");
        let theirs = channel(
            ring,
            KeyId(1),
            Side::Replica,
            &Nonce([1; 32]),
            &Nonce(nonce),
        );
        theirs.is_some_and(|(_, mut eye)| eye.open(&frame[LENGTH_BYTES..]).is_ok())
    };
    assert!(opens(&carried(&node), [2; 32]));
    // A newer file serves an older node, too.
    assert!(opens(&carried(&ring(&[1, 2])), [2; 32]));
    assert!(!opens(&carried(&ring(&[2])), [2; 32]));
    assert!(!opens(&carried(&node), [3; 32]));
    let other = Keyring::new(vec![DigestKey::new(KeyId(1), [9; 32])]).unwrap();
    assert!(!opens(&carried(&other), [2; 32]));
    // The same key under another pad would look for clients in the wrong places.
    assert!(!opens(&carried(&ring(&[3, 1])), [2; 32]));
}

#[test]
fn messages_and_greetings_round_trip() {
    let greeting = Greeting {
        nonce: Nonce([7; 32]),
        keys: vec![KeyId(1), KeyId(9)],
        reads_permitted: true,
    };
    assert_eq!(
        Greeting::from_bytes(&greeting.to_bytes()),
        Some(greeting.clone())
    );
    // As a node of an older version greets, and as one with no place left for the word.
    let mut older = greeting.to_bytes();
    older[Greeting::BYTES - 1] = 0;
    let older = Greeting::from_bytes(&older).unwrap();
    assert_eq!(
        (older.keys, older.reads_permitted),
        (greeting.keys.clone(), false)
    );
    let full = Greeting {
        keys: (1..=8).map(KeyId).collect(),
        ..greeting.clone()
    };
    let read = Greeting::from_bytes(&full.to_bytes()).unwrap();
    assert_eq!((read.keys, read.reads_permitted), (full.keys, false));
    let mut long = greeting.to_bytes();
    long[32] = 200;
    assert_eq!(Greeting::from_bytes(&long), None);
    let to_node = [
        ToNode::Attach {
            format: 1,
            bearer: "b".into(),
        },
        ToNode::Renew { round: 3 },
        ToNode::Acknowledge { number: u64::MAX },
        ToNode::Release,
        ToNode::Used(vec![Used {
            client: ClientNo(3),
            at: crate::Timestamp(-5),
            address: "192.0.2.7".parse().ok(),
            product: crate::ProductNo(4),
        }]),
        ToNode::Permitted(
            [("192.0.2.7", false), ("2001:db8::7", true), ("", false)]
                .map(|(address, others)| Permitted {
                    client: ClientNo(3),
                    generation: 7,
                    product: crate::ProductNo(4),
                    address: address.parse().ok(),
                    others,
                    n: u32::MAX,
                    last_at: crate::Timestamp(-5),
                })
                .to_vec(),
        ),
    ];
    for message in to_node {
        let bytes = message.to_bytes();
        assert_eq!(ToNode::from_bytes(&bytes), Ok(message));
        assert!(ToNode::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }
    let to_replica = [
        ToReplica::Snapshot {
            base: 5,
            clients: 2,
        },
        ToReplica::Part(b"part"),
        ToReplica::Loaded,
        ToReplica::Changes {
            first: 6,
            bodies: vec!["{}", "", "x"],
        },
        ToReplica::Granted {
            round: 1,
            through: 2,
            term: 3,
        },
        ToReplica::Expelled("why"),
    ];
    for message in to_replica {
        let bytes = message.to_bytes();
        assert_eq!(ToReplica::from_bytes(&bytes), Ok(message));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        let _ = ToNode::from_bytes(&bytes);
        let _ = ToReplica::from_bytes(&bytes);
    }
}
