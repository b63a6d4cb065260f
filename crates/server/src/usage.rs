//! Who used a token last: noted in memory by the checks, written in batches, never a write per check.
//! A crash loses at most the last few seconds of it, and nothing else.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_core::{Permit, Replica, Timestamp};
use tokenward_store::Use;

/// A client's use is noted at most once in this time.
const EVERY_SECONDS: u32 = 60;
/// Uses held before they are written; more are not noted until there is room again.
const HELD_MAX: usize = 65_536;

/// Uses not yet written.
#[derive(Debug, Default)]
pub struct Usage {
    held: Mutex<HashMap<u32, (Timestamp, IpAddr, ProductNo)>>,
}

impl Usage {
    /// Notes a permitted use.
    pub fn note(&self, replica: &Replica, permit: &Permit, address: IpAddr) {
        let seconds = u32::try_from(permit.checked_at().unix_seconds()).unwrap_or(0);
        if replica.note_use(permit.client_no(), seconds, EVERY_SECONDS) {
            let mut held = self.held.lock();
            if held.len() < HELD_MAX || held.contains_key(&permit.client_no()) {
                held.insert(
                    permit.client_no(),
                    (permit.checked_at(), address, permit.product()),
                );
            }
        }
    }

    /// The last use of a client not yet written.
    #[must_use]
    pub fn pending(&self, client: ClientNo) -> Option<Use> {
        self.held
            .lock()
            .get(&client.0)
            .map(|(at, address, product)| described(client, *at, *address, *product))
    }

    /// Takes up to `most` uses for writing.
    #[must_use]
    pub fn take(&self, most: usize) -> Vec<Use> {
        let mut held = self.held.lock();
        let some: Vec<u32> = held.keys().copied().take(most).collect();
        let take = |no: &u32| {
            let (at, address, product) = held.remove(no)?;
            Some(described(ClientNo(*no), at, address, product))
        };
        some.iter().filter_map(take).collect()
    }
}

fn described(client: ClientNo, at: Timestamp, address: IpAddr, product: ProductNo) -> Use {
    Use {
        client,
        at,
        source: address.to_string(),
        product,
    }
}
