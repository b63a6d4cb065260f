//! A store of an older version, which has no fingerprints of its digest keys yet.

use crate::basics::{START, keyring};
use crate::house::{House, Who};
use crate::place::{Place, on_both};
use std::sync::Arc;
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_store::{KeyFault, Keys, StoreError, stored_keys};

/// A ring of other keys under these ids.
fn other(ids: &[u8]) -> Keys {
    let keys = ids.iter().map(|id| DigestKey::new(KeyId(*id), [8; 32]));
    Keys::given(Arc::new(Keyring::new(keys.collect()).unwrap()))
}

async fn fault(place: &Arc<Place>, keys: Keys) -> KeyFault {
    let opened = House::open_with(place, Who::new(), keys).await;
    match opened.map(drop) {
        Err(StoreError::DigestKeys(fault)) => *fault,
        other => panic!("{other:?}"),
    }
}

fn missing() -> Keys {
    Keys {
        found: None,
        make: Box::new(|_| panic!("no key may be made beside data")),
        replace: false,
    }
}

async fn the_first_start_records_keys_only_when_the_data_fits_them(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    house.generate(&clients[0]).await.unwrap();
    house.close();
    place.back_to_version(4);
    let one = KeyId(1);
    assert_eq!(fault(&place, missing()).await, KeyFault::Missing(vec![one]));
    assert_eq!(fault(&place, other(&[1])).await, KeyFault::Disproved(one));
    let lacking = fault(&place, other(&[2])).await;
    assert!(matches!(lacking, KeyFault::Lacking { id, .. } if id == one));
    // Nothing was changed.
    assert_eq!(place.number("SELECT schema FROM head"), 4);
    House::open(&place).await.close();
    assert_eq!(place.number("SELECT count(*) FROM digest_key"), 1);
    // The time of the last audit entry.
    assert!(place.number("SELECT clock FROM head") > 0);
    let different = fault(&place, other(&[1])).await;
    assert!(matches!(different, KeyFault::Different { id, .. } if id == one));
    let keys = stored_keys(&place.location, START).unwrap();
    let uses = keys[0].uses;
    assert_eq!((keys.len(), uses.secrets, uses.tokens), (1, 1, 1));
    let own = keyring().fingerprints().next().map(|(_, one)| one);
    assert_eq!(keys[0].fingerprint, own);
}

async fn a_key_is_made_for_an_empty_store_only(place: Arc<Place>) {
    let keys = Keys {
        found: None,
        make: Box::new(|id| Keyring::new(vec![DigestKey::new(id, [9; 32])]).map_err(str::to_owned)),
        replace: false,
    };
    let opened = House::open_with(&place, Who::new(), keys).await;
    opened.unwrap().close();
    let fault = fault(&place, missing()).await;
    assert_eq!(fault, KeyFault::Missing(vec![KeyId(1)]));
    assert_eq!(place.number("SELECT count(*) FROM node"), 0);
}

on_both!(
    the_first_start_records_keys_only_when_the_data_fits_them,
    a_key_is_made_for_an_empty_store_only,
);
