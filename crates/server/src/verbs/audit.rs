//! The audit log: read as far as one may, and verified from its first entry to its head.

use super::prelude::*;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::time::Duration;
use tokenward_core::audit::{AuditRecord, Head, Verifier};
use tokenward_core::time::BootInstant;
use tokenward_store::{AuditFilter, Credential, PAGE_MAX};

/// Seconds one call verifies for: shorter than a request may take.
const CALL_SECONDS: u64 = 20;
/// Seconds after which a verification that nobody goes on with is begun anew.
const KEPT_SECONDS: u64 = 300;
/// Seconds to wait where a caller has a verification under way, or too many wait.
const BUSY_SECONDS: u64 = 5;
/// Seconds a caller waits for its turn: longer than another call verifies for.
const WAIT_SECONDS: u64 = 22;
/// Seconds after which a call ends that had to wait: what is left of a request's time is for reading the last page.
const END_SECONDS: u64 = 26;
/// Callers that verify or wait for their turn, each once.
const CALLERS_MAX: usize = 16;

/// What a verification found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verified {
    /// Every entry is there and as it was written.
    Whole {
        /// How many.
        entries: u64,
        /// The hash of the last.
        hash: [u8; 32],
    },
    /// An entry is missing or altered.
    Broken {
        /// Its number.
        at: u64,
        /// A sentence.
        why: String,
    },
}

/// Entries as the filter asks, kept to what the administrator may read.
pub async fn list(
    data: &Data,
    admin: &Admin,
    mut filter: AuditFilter,
) -> Result<Vec<AuditRecord>, Refused> {
    admin.must_audit()?;
    if let Some(wanted) = filter.workspace {
        admin.must_see_workspace(wanted)?;
    }
    // An administrator of one workspace reads that one's entries, asked for or not.
    filter.workspace = filter.workspace.or(admin.own_workspace());
    Ok(data.reader().audit(&filter).await?)
}

/// The first entry at or after a moment, by its number.
pub async fn first_at(data: &Data, admin: &Admin, at: Timestamp) -> Result<u64, Refused> {
    admin.must_audit()?;
    Ok(data.reader().audit_from(at).await?)
}

/// The verification under way, of which there is one at a time, and who wants it. Callers take turns in the order they
/// came, each admin key and member once, so that none of them keeps the others from it.
#[derive(Debug, Default)]
pub struct Verifications {
    under_way: tokio::sync::Mutex<Verification>,
    callers: Mutex<HashSet<Uuid>>,
}

/// A verification that has not come to the head yet.
#[derive(Debug, Default)]
struct Verification {
    verifier: Verifier,
    /// When a call last went on with it.
    at: Option<BootInstant>,
    /// Callers who were told to ask again.
    owed: HashSet<Uuid>,
    /// What the last one found that came to the head.
    found: Option<Verified>,
}

impl Verification {
    /// Notes that a caller is owed the result of the verification under way, which no earlier one's is.
    fn ask_again(&mut self, caller: Uuid) {
        self.found = None;
        self.owed.insert(caller);
    }

    /// The result for a caller who went on with a verification that another call then ended; none where the caller is
    /// owed none, or has kept an entry from after it.
    fn owed_to(&mut self, caller: Uuid, kept: Option<Head>) -> Option<Verified> {
        let found = self.found.as_ref().filter(|found| match (found, kept) {
            (Verified::Whole { entries, .. }, Some(kept)) => kept.seq <= *entries,
            _ => true,
        });
        let found = found.filter(|_| self.owed.contains(&caller)).cloned()?;
        self.owed.remove(&caller);
        Some(found)
    }
}

/// A caller who verifies or waits for it, until dropped.
struct Turn<'a> {
    all: &'a Verifications,
    caller: Uuid,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.all.callers.lock().remove(&self.caller);
    }
}

impl Verifications {
    fn turn(&self, caller: Uuid) -> Option<Turn<'_>> {
        let mut callers = self.callers.lock();
        let room = callers.len() < CALLERS_MAX && callers.insert(caller);
        room.then(|| Turn { all: self, caller })
    }
}

/// Follows the whole chain; `kept` is an entry that must be in it as it was. One call does so at a time, for at most
/// `CALL_SECONDS`, the others wait for their turn; a log too long for that is verified by several calls, each going on
/// where the last one ended.
///
/// # Errors
/// [`Refused::Busy`] while the same administrator has a call under way, where the turn does not come in time, and where
/// the verification is to be gone on with.
pub async fn verify(
    (data, verifications): (&Data, &Verifications),
    admin: &Admin,
    kept: Option<Head>,
) -> Result<Verified, Refused> {
    let verified = verify_chain((data, verifications), admin, kept).await?;
    let whole = matches!(verified, Verified::Whole { .. });
    data.metrics.audit_verified(whole, data.clock().wall());
    // A head that was mistyped is no fault of the log: the metric tells of the chain alone.
    let verified = match (verified, kept) {
        (Verified::Whole { entries, hash }, Some(kept)) => {
            match missed(data, kept, entries).await? {
                Some((at, why)) => Verified::Broken { at, why },
                None => Verified::Whole { entries, hash },
            }
        }
        (verified, _) => verified,
    };
    if let Verified::Broken { at, why } = &verified {
        tracing::error!(at, "the audit log does not verify: {why}");
    }
    Ok(verified)
}

/// Where and why a chain that is whole does not hold an entry that was kept; none when it does.
async fn missed(data: &Data, kept: Head, entries: u64) -> Result<Option<(u64, String)>, Refused> {
    if let Some(why) = kept.beyond(entries) {
        return Ok(Some((entries + 1, why)));
    }
    let filter = AuditFilter {
        after: kept.seq - 1,
        limit: 1,
        ..AuditFilter::default()
    };
    let found = data.reader().audit(&filter).await?.pop();
    let why = found.and_then(|entry| kept.differs(entry.seq, &entry.hash));
    Ok(why.map(|why| (kept.seq, why)))
}

async fn verify_chain(
    (data, verifications): (&Data, &Verifications),
    admin: &Admin,
    kept: Option<Head>,
) -> Result<Verified, Refused> {
    admin.must_audit()?;
    if admin.own_workspace().is_some() {
        admin.must_operate()?;
    }
    let busy = || {
        let why = "Another verification of the audit log is under way. Ask again when it is done.";
        Refused::Busy(BUSY_SECONDS, why.to_owned())
    };
    let caller = match admin.credential {
        Credential::AdminKey(id) => id,
        Credential::Session { member, .. } => member,
    };
    let clock = data.clock();
    let since = |begun: BootInstant| clock.boot().0.saturating_sub(begun.0) / 1_000_000_000;
    let asked = clock.boot();
    let _turn = verifications.turn(caller).ok_or_else(busy)?;
    // The lock is given in the order in which it was asked for.
    let waiting = verifications.under_way.lock();
    let own_turn = tokio::time::timeout(Duration::from_secs(WAIT_SECONDS), waiting).await;
    let mut under_way = own_turn.map_err(|_| busy())?;
    if under_way.at.is_some_and(|at| since(at) > KEPT_SECONDS) {
        *under_way = Verification::default();
    }
    if let Some(found) = under_way.owed_to(caller, kept) {
        return Ok(found);
    }
    let begun = clock.boot();
    let reader = data.reader();
    // The head first: entries written meanwhile are beyond it and do no harm.
    let (seq, hash, _) = reader.head().await?;
    let reader = &reader;
    let page = |after| async move {
        let filter = AuditFilter {
            after,
            limit: PAGE_MAX,
            ..AuditFilter::default()
        };
        reader.audit(&filter).await
    };
    let followed = go_on(&mut under_way.verifier, (seq, hash), page, || {
        since(begun) < CALL_SECONDS && since(asked) < END_SECONDS
    });
    let followed = followed.await?;
    under_way.at = Some(clock.boot());
    let Some(verified) = followed else {
        under_way.ask_again(caller);
        let at = under_way.verifier.head().0;
        let why = format!("Verified up to entry {at} of {seq} so far. Ask again to go on.");
        return Err(Refused::Busy(1, why));
    };
    under_way.verifier = Verifier::default();
    under_way.owed.remove(&caller);
    under_way.found = Some(verified.clone());
    Ok(verified)
}

/// Follows the chain to its head, for as long as `may_go_on`; none when it has not come there.
async fn go_on<E, F>(
    verifier: &mut Verifier,
    (seq, hash): (u64, [u8; 32]),
    page: impl Fn(u64) -> F,
    may_go_on: impl Fn() -> bool,
) -> Result<Option<Verified>, E>
where
    F: Future<Output = Result<Vec<AuditRecord>, E>>,
{
    while verifier.head().0 < seq {
        if !may_go_on() {
            return Ok(None);
        }
        let entries = page(verifier.head().0).await?;
        if let Some(broken) = follow(verifier, &entries, seq) {
            return Ok(Some(broken));
        }
    }
    let (entries, found) = verifier.head();
    Ok(Some(match found == hash {
        true => Verified::Whole { entries, hash },
        false => Verified::Broken {
            at: entries,
            why: "the chain does not end where the head says".to_owned(),
        },
    }))
}

/// Takes the next entries, up to the number `seq`; what is wrong with them.
fn follow(verifier: &mut Verifier, entries: &[AuditRecord], seq: u64) -> Option<Verified> {
    let mut taken = false;
    for entry in entries.iter().take_while(|entry| entry.seq <= seq) {
        taken = true;
        if let Err(broken) = verifier.next(entry) {
            let why = broken.to_string();
            return Some(Verified::Broken { at: entry.seq, why });
        }
    }
    if taken {
        return None;
    }
    let at = verifier.head().0 + 1;
    let why = format!("entries from number {at} are missing");
    Some(Verified::Broken { at, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use tokenward_core::audit::{CHAIN_START, Entry};
    use tokenward_core::time::Timestamp;

    fn chain(count: u64) -> Vec<AuditRecord> {
        let mut before = CHAIN_START;
        let entry = Entry::by_system(Timestamp(1), "token.generate", &"{}");
        let written = |seq| {
            let written = AuditRecord::new(&entry, seq, &before);
            before = written.hash;
            written
        };
        (1..=count).map(written).collect()
    }

    #[tokio::test]
    async fn a_log_too_long_for_one_call_is_verified_by_several() {
        let entries = chain(1_000);
        let head = (1_000, entries[999].hash);
        let page = |after: u64| {
            let after = usize::try_from(after).unwrap();
            let page = entries[after..].iter().take(100).cloned().collect();
            std::future::ready(Ok::<Vec<AuditRecord>, Infallible>(page))
        };
        let mut verifier = Verifier::default();
        let mut calls = 0;
        let verified = loop {
            calls += 1;
            assert!(calls < 10, "a call begins where the one before ended");
            let pages = std::cell::Cell::new(0);
            let three = || pages.replace(pages.get() + 1) < 3;
            if let Some(verified) = go_on(&mut verifier, head, page, three).await.unwrap() {
                break verified;
            }
        };
        assert_eq!(calls, 4);
        let (entries, hash) = head;
        assert_eq!(verified, Verified::Whole { entries, hash });
    }

    #[test]
    fn each_caller_has_one_turn() {
        let all = Verifications::default();
        let [one, two] = [1, 2].map(Uuid::from_u128);
        let first = all.turn(one);
        assert!(first.is_some() && all.turn(one).is_none());
        let second = all.turn(two);
        assert!(second.is_some());
        drop(first);
        assert!(all.turn(one).is_some());
    }

    #[test]
    fn a_result_is_shared_with_those_who_were_told_to_ask_again() {
        let [one, two] = [1, 2].map(Uuid::from_u128);
        let whole = Verified::Whole {
            entries: 5,
            hash: [1; 32],
        };
        // What an earlier verification found says nothing about the log of today.
        let mut verification = Verification {
            found: Some(whole.clone()),
            ..Verification::default()
        };
        verification.ask_again(one);
        assert_eq!(verification.owed_to(one, None), None, "not found yet");
        verification.found = Some(whole.clone());
        assert_eq!(verification.owed_to(two, None), None);
        let head = |seq| Some(Head { seq, hash: [1; 32] });
        assert_eq!(verification.owed_to(one, head(6)), None, "kept from later");
        assert_eq!(verification.owed_to(one, head(5)), Some(whole));
        assert_eq!(verification.owed_to(one, None), None, "once");
    }
}
