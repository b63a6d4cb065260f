//! What only the inside can arrange: two clients whose ids share a fingerprint.

use super::{Replica, index};
use crate::change::Change;
use crate::check::{Denial, Facts, Presented, Verdict};
use crate::client::{ApiClient, OnRepeat, Product, Settings, Workspace};
use crate::credential::AccessToken;
use crate::digest::{DigestKey, KeyId, Keyring};
use crate::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
use crate::label::{Label, Name, Slug};
use crate::restrictions::Networks;
use crate::slot::{Slot, TokenRecord};
use crate::time::{BootInstant, Clock, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

struct Zero;

impl Clock for Zero {
    fn wall(&self) -> Timestamp {
        Timestamp(0)
    }
    fn boot(&self) -> BootInstant {
        BootInstant(0)
    }
}

fn client(no: u32, id: ClientId) -> ApiClient {
    ApiClient {
        no: ClientNo(no),
        id,
        workspace: WorkspaceNo(0),
        environment: Environment::Production,
        settings: Settings {
            label: Label::parse(&format!("client {no}")).unwrap(),
            products: None,
            token_lifetime_seconds: None,
            secret_networks: Networks::default(),
            token_networks: Networks::default(),
            notification_emails: Vec::new(),
            on_repeat: OnRepeat::Replace,
            renew_before_seconds: 0,
            handover_max_seconds: 0,
        },
        created_at: Timestamp(0),
        disabled_at: None,
        deleted_at: None,
        secrets: [None; 2],
        next_secret: 1,
    }
}

#[test]
fn clients_with_one_fingerprint_are_told_apart_by_their_tokens() {
    // The fingerprint mixes `low ^ high.rotate_left(23)`: another high half with a low half to match.
    let twin = |high: u64| {
        let low = 0x0123_4567_89ab_cdef ^ high.rotate_left(23);
        ClientId(Uuid::from_u64_pair(high, low))
    };
    let ids: Vec<_> = [11, 22, 33, 44].map(twin).to_vec();
    assert!(
        ids.iter()
            .all(|id| index::fingerprint(*id) == index::fingerprint(ids[0]))
    );
    assert!(ids[0] != ids[1]);

    let keys = vec![
        DigestKey::new(KeyId(1), [1; 32]),
        DigestKey::new(KeyId(2), [2; 32]),
    ];
    let keyring = Arc::new(Keyring::new(keys).unwrap());
    let replica = Replica::new(Arc::clone(&keyring), 0);
    replica.lease().grant_for_ever();
    let name = Name::parse("Acme").unwrap();
    let created_at = Timestamp(0);
    let id = WorkspaceId(Uuid::from_u128(1));
    let workspace = Workspace {
        no: WorkspaceNo(0),
        id,
        name: name.clone(),
        created_at,
        disabled_at: None,
    };
    let slug = Slug::parse("gst").unwrap();
    let product = Product {
        no: ProductNo(0),
        slug,
        name,
        created_at,
    };
    let mut changes = vec![
        Change::WorkspacePut { workspace },
        Change::ProductPut { product },
    ];
    let token = |n: usize| AccessToken::from_random(Environment::Production, ids[n], [n as u8; 28]);
    for (no, id) in (0..).zip(&ids) {
        changes.push(Change::ClientCreated {
            client: Box::new(client(no, *id)),
        });
        // The last of the four has no token; its neighbours' digests are under different keys.
        if no < 3 {
            let key = KeyId(1 + no as u8 % 2);
            let digest = keyring.token(key, &token(no as usize)).unwrap();
            let record = TokenRecord {
                digest,
                key,
                issued_at: Timestamp(0),
                valid_till: None,
            };
            let slot = Box::new(Slot::default().issue(record, None));
            changes.push(Change::TokenIssued {
                client: ClientNo(no),
                slot,
            });
        }
    }
    replica.apply(&changes, 1).unwrap();

    let address = "192.0.2.1".parse().ok();
    let facts = Facts {
        environment: Environment::Production,
        product: "gst",
        address,
    };
    for (n, id) in ids.iter().enumerate() {
        let text = token(n).expose();
        match replica.check(Presented::One(&text), &facts, &Zero) {
            Verdict::Permit(permit) => {
                assert_eq!((permit.client_no() as usize, permit.client()), (n, *id));
                assert_eq!(permit.label(), format!("client {n}"));
                assert!(n < 3);
            }
            Verdict::Deny(Denial::TokenUnknown) => assert_eq!(n, 3),
            other => panic!("{other:?}"),
        }
    }
    assert!(replica.may_know(ids[3]));
    let nobody = ClientId(Uuid::from_u128(0));
    assert!(!replica.may_know(nobody));
    // Its absence is vouched for like a verdict: by the lease that was read before.
    let known = |id| replica.knows(id, || BootInstant(0));
    assert_eq!((known(ids[3]), known(nobody)), (Some(true), Some(false)));
    let granted_meanwhile = || {
        replica.lease().grant_for_ever();
        BootInstant(0)
    };
    replica.lease().end();
    assert_eq!(known(nobody), None);
    assert_eq!(replica.knows(nobody, granted_meanwhile), None);
    replica.lease().grant_for_ever();
    // One of them deleted changes nothing for the others.
    let deleted = Change::ClientDeleted {
        client: ClientNo(1),
        at: Timestamp(0),
    };
    replica.apply(&[deleted], 2).unwrap();
    let verdicts = [0, 1, 2].map(|n| {
        let text = token(n).expose();
        match replica.check(Presented::One(&text), &facts, &Zero) {
            Verdict::Permit(_) => "permit",
            Verdict::Deny(Denial::ClientDeleted) => "deleted",
            _ => "other",
        }
    });
    assert_eq!(verdicts, ["permit", "deleted", "permit"]);
}
