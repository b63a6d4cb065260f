//! The audit log: read as far as one may, and verified from its first entry to its head.

use super::Refused;
use super::authority::Admin;
use crate::app::App;
use tokenward_core::audit::{Verifier, Written};
use tokenward_core::time::Clock as _;
use tokenward_store::{AuditFilter, PAGE_MAX};

/// An entry as somebody keeps it to find out later whether it is still there: its number and its hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The entry's number, from 1.
    pub seq: u64,
    /// The chain's hash with it.
    pub hash: [u8; 32],
}

impl Head {
    /// Reads `SEQ:HASH`, as `tokenward audit verify` prints it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, hash) = text.trim().split_once(':')?;
        let plain = seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = seq.parse().ok().filter(|seq| plain && *seq > 0)?;
        let hash = tokenward_core::Digest::from_hex(hash)?.0;
        Some(Self { seq, hash })
    }

    /// Why an entry that was found in this one's place is another; none when it is the same.
    #[must_use]
    pub fn differs(&self, seq: u64, hash: &[u8; 32]) -> Option<String> {
        (seq == self.seq && *hash != self.hash).then(|| {
            format!(
                "entry {seq} is not the one of the head given: the log was written anew before or at it"
            )
        })
    }

    /// Why the chain does not reach this entry; none when it does.
    #[must_use]
    pub fn beyond(&self, entries: u64) -> Option<String> {
        (entries < self.seq).then(|| {
            format!(
                "the log ends at entry {entries}, before entry {} of the head given: later entries are missing",
                self.seq
            )
        })
    }
}

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
    app: &App,
    admin: &Admin,
    mut filter: AuditFilter,
) -> Result<Vec<Written>, Refused> {
    admin.must_audit()?;
    if let Some(wanted) = filter.workspace {
        admin.must_see_workspace(wanted)?;
    }
    // An administrator of one workspace reads that one's entries, asked for or not.
    filter.workspace = filter.workspace.or(admin.own_workspace());
    Ok(app.store.reader().audit(&filter).await?)
}

/// Follows the whole chain; `kept` is an entry that must be in it as it was.
pub async fn verify(app: &App, admin: &Admin, kept: Option<Head>) -> Result<Verified, Refused> {
    admin.must_audit()?;
    if admin.own_workspace().is_some() {
        admin.must_operate()?;
    }
    let (verified, chain) = follow(app, kept).await?;
    if let Some(whole) = chain {
        app.metrics.audit_verified(whole, app.clock().wall());
    }
    if let Verified::Broken { at, why } = &verified {
        tracing::error!(at, "the audit log does not verify: {why}");
    }
    Ok(verified)
}

/// What was found, and whether the chain in itself is whole: a head that was mistyped is no fault of the log. None when
/// the chain was not followed to its end.
async fn follow(app: &App, kept: Option<Head>) -> Result<(Verified, Option<bool>), Refused> {
    let reader = app.store.reader();
    // The head first: entries written meanwhile are beyond it and do no harm.
    let (seq, hash, _) = reader.head().await?;
    let mut verifier = Verifier::default();
    while verifier.head().0 < seq {
        let filter = AuditFilter {
            after: verifier.head().0,
            limit: PAGE_MAX,
            ..AuditFilter::default()
        };
        let entries = reader.audit(&filter).await?;
        let mut taken = false;
        for entry in entries.iter().take_while(|entry| entry.seq <= seq) {
            taken = true;
            if let Err(broken) = verifier.next(entry) {
                let why = broken.to_string();
                return Ok((Verified::Broken { at: entry.seq, why }, Some(false)));
            }
            let (at, hash) = verifier.head();
            if let Some(why) = kept.and_then(|kept| kept.differs(at, &hash)) {
                return Ok((Verified::Broken { at, why }, None));
            }
        }
        if !taken {
            let at = verifier.head().0 + 1;
            let why = format!("entries from number {at} are missing");
            return Ok((Verified::Broken { at, why }, Some(false)));
        }
    }
    let (entries, found) = verifier.head();
    if found != hash {
        let why = "the chain does not end where the head says".to_owned();
        return Ok((Verified::Broken { at: entries, why }, Some(false)));
    }
    if let Some(why) = kept.and_then(|kept| kept.beyond(entries)) {
        let at = entries + 1;
        return Ok((Verified::Broken { at, why }, Some(true)));
    }
    let hash = found;
    Ok((Verified::Whole { entries, hash }, Some(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_read_as_it_is_printed() {
        let hash = "ab".repeat(32);
        let head = Head::parse(&format!("35:{hash}\n")).unwrap();
        assert_eq!((head.seq, head.hash), (35, [0xab; 32]));
        for bad in [
            "35".to_owned(),
            format!("0:{hash}"),
            format!("+5:{hash}"),
            format!(":{hash}"),
            "35:abc".to_owned(),
            format!("35:{hash}0"),
        ] {
            assert_eq!(Head::parse(&bad), None, "{bad}");
        }
        assert!(head.differs(35, &[0; 32]).is_some() && head.differs(35, &[0xab; 32]).is_none());
        assert!(head.differs(34, &[0; 32]).is_none());
        assert!(head.beyond(34).is_some() && head.beyond(35).is_none());
    }
}
