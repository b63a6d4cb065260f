//! A store of an older version, which has no fingerprints of its digest keys yet.

use crate::basics::keyring;
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
    match House::open_with(place, Who::new(), keys).await {
        Err(StoreError::DigestKeys(fault)) => *fault,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
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
    house.generate(clients[0].0, &clients[0].1).await.unwrap();
    house.close().await;
    place.back_to_version(4);
    assert_eq!(
        fault(&place, missing()).await,
        KeyFault::Missing(vec![KeyId(1)])
    );
    assert_eq!(
        fault(&place, other(&[1])).await,
        KeyFault::Disproved(KeyId(1))
    );
    assert!(matches!(
        fault(&place, other(&[2])).await,
        KeyFault::Lacking { id: KeyId(1), .. }
    ));
    assert_eq!(
        place.number("SELECT schema FROM head"),
        4,
        "nothing was changed"
    );
    House::open(&place).await.close().await;
    assert_eq!(place.number("SELECT count(*) FROM digest_key"), 1);
    assert!(
        place.number("SELECT clock FROM head") > 0,
        "the time of the last audit entry"
    );
    assert!(matches!(
        fault(&place, other(&[1])).await,
        KeyFault::Different { id: KeyId(1), .. }
    ));
    let keys = stored_keys(&place.location, crate::basics::START).unwrap();
    assert_eq!(
        (keys.len(), keys[0].uses.secrets, keys[0].uses.tokens),
        (1, 1, 1)
    );
    assert_eq!(
        Some(keys[0].fingerprint.unwrap()),
        keyring().fingerprints().next().map(|(_, one)| one)
    );
}

async fn a_key_is_made_for_an_empty_store_only(place: Arc<Place>) {
    let keys = Keys {
        found: None,
        make: Box::new(|id| Keyring::new(vec![DigestKey::new(id, [9; 32])]).map_err(str::to_owned)),
        replace: false,
    };
    House::open_with(&place, Who::new(), keys)
        .await
        .unwrap()
        .close()
        .await;
    assert_eq!(
        fault(&place, missing()).await,
        KeyFault::Missing(vec![KeyId(1)])
    );
    assert_eq!(place.number("SELECT count(*) FROM node"), 0);
}

on_both!(
    the_first_start_records_keys_only_when_the_data_fits_them,
    a_key_is_made_for_an_empty_store_only,
);
