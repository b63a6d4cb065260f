//! The latest denials, held in memory, so that an `error_id`, or the question why a client is denied, leads to the request
//! behind it. Never written anywhere, and bounded: old ones make room for new ones.

use crate::net::addresses;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use tokenward_core::ids::ClientId;
use tokenward_core::time::Timestamp;
use uuid::Uuid;

/// Denials held of one kind, some 3 MiB.
const KEPT_MAX: usize = 10_000;
/// Denials held of one client, so that a client that is denied continually does not displace the others.
const OF_ONE_MAX: usize = 100;
/// Most characters of what a caller wrote into an address.
const TEXT_MAX: usize = 64;

/// A denied request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Denied {
    /// When.
    pub(crate) at: Timestamp,
    /// The id in its answer.
    pub(crate) error_id: Uuid,
    /// The `x-request-id` of its answer, where it has one.
    pub(crate) request_id: Option<Uuid>,
    /// The code in its answer.
    pub(crate) code: &'static str,
    /// The sentence in its answer.
    pub(crate) message: String,
    /// The client that the credential names.
    pub(crate) client: Option<ClientId>,
    /// Whether the credential is or was one of that client. Without this, the request may come from anyone who knows the client's id.
    pub(crate) proved: bool,
    /// The environment and product that were asked for; empty for requests of tokens.
    pub(crate) environment: String,
    pub(crate) product: String,
    /// From which address.
    pub(crate) source: String,
}

impl Denied {
    /// A denial without environment and product.
    pub(crate) fn new(
        at: Timestamp,
        error_id: Uuid,
        (code, message): (&'static str, String),
        source: Option<IpAddr>,
    ) -> Self {
        Self {
            at,
            error_id,
            request_id: None,
            code,
            message,
            client: None,
            proved: false,
            environment: String::new(),
            product: String::new(),
            source: addresses::text(source),
        }
    }

    /// The client that the credential names, and whether it is proved.
    pub(crate) fn of(mut self, client: Option<ClientId>, proved: bool) -> Self {
        self.client = client;
        self.proved = proved && client.is_some();
        self
    }

    /// What a check was asked for.
    pub(crate) fn about(mut self, environment: &str, product: &str) -> Self {
        let short = |text: &str| text.chars().take(TEXT_MAX).collect();
        self.environment = short(environment);
        self.product = short(product);
        self
    }
}

/// Denials of one kind in the order they came.
#[derive(Default, Debug)]
struct Kept {
    all: BTreeMap<u64, Denied>,
    of: HashMap<Option<ClientId>, VecDeque<u64>>,
    next: u64,
}

impl Kept {
    fn put(&mut self, denied: Denied) {
        let (client, no) = (denied.client, self.next);
        self.next += 1;
        let own = self.of.entry(client).or_default();
        own.push_back(no);
        let oldest = (own.len() > OF_ONE_MAX).then(|| own.pop_front()).flatten();
        if let Some(oldest) = oldest {
            self.all.remove(&oldest);
        }
        self.all.insert(no, denied);
        if self.all.len() > KEPT_MAX
            && let Some((_, gone)) = self.all.pop_first()
            && let Some(own) = self.of.get_mut(&gone.client)
        {
            // The oldest of all is the oldest of its client.
            own.pop_front();
            if own.is_empty() {
                self.of.remove(&gone.client);
            }
        }
    }
}

/// The latest denials. Those whose credential is not proved are kept apart, so that made-up credentials cannot displace proved ones.
#[derive(Default, Debug)]
pub(crate) struct Denials {
    proved: Mutex<Kept>,
    claimed: Mutex<Kept>,
}

impl Denials {
    /// Notes a denial.
    pub(crate) fn note(&self, denied: Denied) {
        let kept = if denied.proved {
            &self.proved
        } else {
            &self.claimed
        };
        kept.lock().put(denied);
    }

    /// The latest of a client, at most `most`, the newest first; with those that only name it.
    pub(crate) fn of_client(&self, client: ClientId, most: usize) -> Vec<Denied> {
        let mut found = Vec::new();
        for kept in [&self.proved, &self.claimed] {
            let kept = kept.lock();
            let own = kept.of.get(&Some(client)).into_iter().flatten().rev();
            found.extend(own.take(most).filter_map(|no| kept.all.get(no)).cloned());
        }
        found.sort_by_key(|denied| std::cmp::Reverse(denied.at));
        found.truncate(most);
        found
    }

    /// The one with this `error_id`, or with this request id.
    pub(crate) fn find(&self, id: Uuid) -> Option<Denied> {
        let is = |denied: &&Denied| denied.error_id == id || denied.request_id == Some(id);
        [&self.proved, &self.claimed]
            .into_iter()
            .find_map(|kept| kept.lock().all.values().rev().find(is).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(n: u128, client: u128, proved: bool) -> Denied {
        let at = Timestamp(n as i64);
        let code = ("TOKEN_REVOKED", String::new());
        Denied::new(at, Uuid::from_u128(n), code, None)
            .of(Some(ClientId(Uuid::from_u128(client))), proved)
    }

    #[test]
    fn one_client_pushes_out_its_own_denials_only() {
        let denials = Denials::default();
        denials.note(denied(1, 1, true));
        for n in 2..2_000 {
            denials.note(denied(n, 2, true));
        }
        assert!(denials.find(Uuid::from_u128(1)).is_some());
        let own = denials.of_client(ClientId(Uuid::from_u128(2)), 1_000);
        assert_eq!(own.len(), OF_ONE_MAX);
        assert_eq!(
            (own[0].at, own[99].at),
            (Timestamp(1_999), Timestamp(1_900))
        );
        assert!(denials.find(Uuid::from_u128(1_899)).is_none());
    }

    #[test]
    fn invented_credentials_push_out_no_proved_ones() {
        let denials = Denials::default();
        denials.note(denied(1, 1, true));
        for n in 2..20_000 {
            denials.note(denied(n, n, false));
        }
        let claimed = denials.claimed.lock();
        assert_eq!((claimed.all.len(), claimed.of.len()), (KEPT_MAX, KEPT_MAX));
        drop(claimed);
        assert_eq!(denials.find(Uuid::from_u128(1)), Some(denied(1, 1, true)));
        assert!(denials.find(Uuid::from_u128(2)).is_none());
    }
}
