//! What a node and an attached replica send each other, under any bytes: greetings, frames, messages both ways,
//! replica keys, the parts of a snapshot. Nothing panics; no frame is believed that was not sealed with the
//! keys; a message that is read writes and reads back as itself.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tokenward_core::attach::{Greeting, Nonce, ReplicaKeys, Side, ToNode, ToReplica, channel};
use tokenward_core::check::{Facts, Presented};
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_core::time::{BootInstant, Clock, Timestamp};
use tokenward_core::{Environment, Replica, Verdict};

struct Still;

impl Clock for Still {
    fn wall(&self) -> Timestamp {
        Timestamp(0)
    }
    fn boot(&self) -> BootInstant {
        BootInstant(0)
    }
}

fn ring() -> Keyring {
    let own = Keyring::new(vec![DigestKey::new(KeyId(1), [42; 32])]).expect("one good key");
    ReplicaKeys::ring(ReplicaKeys::of(&own).text()).expect("keys that were written are read")
}

fuzz_target!(|data: &[u8]| {
    let ring = ring();
    if let Ok(message) = ToNode::from_bytes(data) {
        let bytes = message.to_bytes();
        let again = ToNode::from_bytes(&bytes).expect("a message that was written is read");
        assert_eq!(again.to_bytes(), bytes);
    }
    if let Ok(message) = ToReplica::from_bytes(data) {
        let bytes = message.to_bytes();
        let again = ToReplica::from_bytes(&bytes).expect("a message that was written is read");
        assert_eq!(again.to_bytes(), bytes);
    }
    if let Some(greeting) = data.first_chunk().and_then(Greeting::from_bytes) {
        assert_eq!(
            Greeting::from_bytes(&greeting.to_bytes()).map(|again| again.keys),
            Some(greeting.keys)
        );
    }
    if let Ok(text) = std::str::from_utf8(data) {
        drop(ReplicaKeys::ring(text));
    }

    let (node, replica) = (Nonce([1; 32]), Nonce([2; 32]));
    let of =
        |side| channel(&ring, ring.current(), side, &node, &replica).expect("a key of the ring");
    let ((mut sealer, _), (_, mut opener)) = (of(Side::Node), of(Side::Replica));
    assert!(
        opener.open(data).is_err(),
        "a frame nobody sealed was believed"
    );
    let (_, mut opener) = of(Side::Replica);
    let frame = sealer.seal(data);
    let sealed = &frame[tokenward_core::attach::LENGTH_BYTES..];
    assert_eq!(
        opener.open(sealed).ok(),
        Some(data),
        "what was sealed is opened"
    );
    assert!(opener.open(sealed).is_err(), "a frame was believed twice");

    snapshot(data, ring);
});

/// Parts of a snapshot, each behind its length: taken or refused, and the replica they make answers without
/// ever letting anybody pass, for it has no lease.
fn snapshot(mut data: &[u8], ring: Keyring) {
    let held = Replica::new(Arc::new(ring), 16);
    let mut loading = held.loading();
    while let Some((length, rest)) = data.split_first() {
        let (part, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        data = rest;
        if loading.part(part).is_err() {
            return;
        }
    }
    loading.finish(1);
    let facts = Facts {
        environment: Environment::Production,
        product: "gst",
        address: Some([10, 1, 2, 3].into()),
    };
    let verdict = held.check(Presented::One("null"), &facts, &Still);
    assert!(matches!(verdict, Verdict::CannotVouch), "{verdict:?}");
}
