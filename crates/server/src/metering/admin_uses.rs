//! When admin keys were last used: noted in memory by each call, written by housekeeping, once a minute and key. A crash
//! loses at most that minute.

use crate::net::addresses;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use tokenward_core::Timestamp;
use tokenward_store::people::Record;
use uuid::Uuid;

/// A key's use is written at most once in this time.
const EVERY_SECONDS: u64 = 60;

/// The latest use of each key since the start. Only keys that opened the door are noted, so there are as many as keys.
#[derive(Debug, Default)]
pub(crate) struct AdminUses(Mutex<BTreeMap<Uuid, Noted>>);

#[derive(Clone, Copy, Debug)]
struct Noted {
    at: Timestamp,
    source: Option<IpAddr>,
    written: Option<Timestamp>,
}

impl AdminUses {
    /// Notes that a key was used.
    pub(crate) fn note(&self, id: Uuid, at: Timestamp, source: Option<IpAddr>) {
        let mut uses = self.0.lock();
        let written = uses.get(&id).and_then(|noted| noted.written);
        let noted = Noted {
            at,
            source,
            written,
        };
        uses.insert(id, noted);
    }

    /// The latest use of each key since the start.
    #[must_use]
    pub(crate) fn all(&self) -> BTreeMap<Uuid, (Timestamp, String)> {
        let uses = self.0.lock();
        let told = |(id, noted): (&Uuid, &Noted)| (*id, (noted.at, addresses::text(noted.source)));
        uses.iter().map(told).collect()
    }

    /// What is to be written; `all` at a stop. What is not written after all is written a minute later.
    #[must_use]
    pub(crate) fn take(&self, all: bool) -> Vec<Record> {
        let mut uses = self.0.lock();
        let due = |noted: &Noted| match noted.written {
            None => true,
            Some(written) => {
                noted.at > written && (all || noted.at.seconds_since(written) >= EVERY_SECONDS)
            }
        };
        let due = uses.iter_mut().filter(|(_, noted)| due(noted));
        due.map(|(id, noted)| {
            noted.written = Some(noted.at);
            Record::AdminKeyUsed {
                id: *id,
                at: noted.at,
                source: addresses::text(noted.source),
            }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_written_once_a_minute_and_shown_at_once() {
        let (uses, id) = (AdminUses::default(), Uuid::from_u128(7));
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let source = Some(IpAddr::from([10, 0, 0, 7]));
        uses.note(id, at(100), source);
        assert_eq!(uses.take(false).len(), 1);
        uses.note(id, at(130), source);
        assert_eq!(uses.take(false).len(), 0);
        assert_eq!(uses.all()[&id], (at(130), "10.0.0.7".to_owned()));
        assert_eq!(uses.take(true).len(), 1, "a stop writes all");
        assert_eq!(uses.take(true).len(), 0);
        uses.note(id, at(190), source);
        assert_eq!(uses.take(false).len(), 1);
    }
}
