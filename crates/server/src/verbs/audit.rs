//! The audit log: read as far as one may, and verified from its first entry to its head.

use super::Refused;
use super::authority::Admin;
use crate::app::App;
use tokenward_core::audit::{Verifier, Written};
use tokenward_store::{AuditFilter, PAGE_MAX};

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

/// Follows the whole chain.
pub async fn verify(app: &App, admin: &Admin) -> Result<Verified, Refused> {
    admin.must_audit()?;
    if admin.own_workspace().is_some() {
        admin.must_operate()?;
    }
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
                return Ok(Verified::Broken { at: entry.seq, why });
            }
        }
        if !taken {
            let at = verifier.head().0 + 1;
            let why = format!("entries from number {at} are missing");
            return Ok(Verified::Broken { at, why });
        }
    }
    let (entries, found) = verifier.head();
    if found != hash {
        let why = "the chain does not end where the head says".to_owned();
        return Ok(Verified::Broken { at: entries, why });
    }
    Ok(Verified::Whole {
        entries,
        hash: found,
    })
}
