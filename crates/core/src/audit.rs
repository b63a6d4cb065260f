//! The audit log: who did what, each entry bound to the one before by a hash. Written in the same
//! transaction as the change it tells of; a change that can't be audited does not happen.

use crate::ids::{ClientId, WorkspaceId};
use crate::time::Timestamp;
use sha2::{Digest as _, Sha256};
use std::fmt::Display;
use std::net::IpAddr;
use uuid::Uuid;

/// The hash before the first entry.
pub const CHAIN_START: [u8; 32] = [0; 32];

/// Who acted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// The holder of an admin key.
    AdminKey(Uuid),
    /// A person who signed in to the console.
    Member(Uuid),
    /// The holder of a client secret, by the secret's number.
    ClientSecret(ClientId, u32),
    /// A command run on the server's own machine.
    System,
    /// Somebody whose credential was refused.
    Unverified,
}

impl Actor {
    /// The actor in one word, as kept and exported.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::AdminKey(id) => format!("admin-key:{id}"),
            Self::Member(id) => format!("member:{id}"),
            Self::ClientSecret(client, n) => format!("client:{client}#{n}"),
            Self::System => "system".to_owned(),
            Self::Unverified => "unverified".to_owned(),
        }
    }
}

/// An entry before it is written: the store gives it its number and hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When, by the server's clock.
    pub at: Timestamp,
    /// Who acted.
    pub actor: Actor,
    /// From where, if over the network.
    pub source: Option<IpAddr>,
    /// What, such as `token.generate`: stable words.
    pub action: &'static str,
    /// In which workspace, if in one.
    pub workspace: Option<WorkspaceId>,
    /// On which client, if on one.
    pub client: Option<ClientId>,
    /// The rest, as a JSON object; never a secret, token or digest.
    pub detail: String,
}

impl Entry {
    /// What the server did by itself, about no workspace and no client.
    #[must_use]
    pub fn by_system(at: Timestamp, action: &'static str, detail: &impl Display) -> Self {
        Self {
            at,
            actor: Actor::System,
            source: None,
            action,
            workspace: None,
            client: None,
            detail: detail.to_string(),
        }
    }
}

/// An entry as kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRecord {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// When, by the server's clock.
    pub at: Timestamp,
    /// Who: [`Actor::text`].
    pub actor: String,
    /// From where; empty when not over the network.
    pub source: String,
    /// The name of the action.
    pub action: String,
    /// In which workspace, if in one.
    pub workspace: Option<WorkspaceId>,
    /// On which client, if on one.
    pub client: Option<ClientId>,
    /// The rest, as a JSON object.
    pub detail: String,
    /// The chain's hash with this entry.
    pub hash: [u8; 32],
}

impl AuditRecord {
    /// The entry at number `seq` after a chain that ends in `before`.
    #[must_use]
    pub fn new(entry: &Entry, seq: u64, before: &[u8; 32]) -> Self {
        let mut written = Self {
            seq,
            at: entry.at,
            actor: entry.actor.text(),
            source: entry
                .source
                .map(|address| address.to_canonical().to_string())
                .unwrap_or_default(),
            action: entry.action.to_owned(),
            workspace: entry.workspace,
            client: entry.client,
            detail: entry.detail.clone(),
            hash: [0; 32],
        };
        written.hash = written.chain(before);
        written
    }

    /// SHA-256 over the hash before and every field: each text preceded by its length in eight bytes,
    /// numbers as eight bytes, all big-endian; absent ids as empty texts. Written so plainly that an
    /// auditor can check an export with a page of their own code.
    #[must_use]
    pub fn chain(&self, before: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(before);
        hash.update(self.seq.to_be_bytes());
        hash.update(self.at.0.to_be_bytes());
        let workspace = self.workspace.map(|id| id.to_string()).unwrap_or_default();
        let client = self.client.map(|id| id.to_string()).unwrap_or_default();
        for text in [
            &self.actor,
            &self.source,
            &self.action,
            &workspace,
            &client,
            &self.detail,
        ] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().into()
    }
}

/// The number and hash of an entry, kept to find out later whether the log still has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The entry's number, from 1.
    pub seq: u64,
    /// The chain's hash with it.
    pub hash: [u8; 32],
}

impl Head {
    /// Reads `SEQ:HASH`, as [`Head`] is displayed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, hash) = text.trim().split_once(':')?;
        let plain = seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = seq.parse().ok().filter(|seq| plain && *seq > 0)?;
        let hash = crate::Digest::from_hex(hash)?.0;
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

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, crate::Digest(self.hash).to_hex())
    }
}

/// Where a chain first fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// An entry is missing before this number.
    #[error("entries are missing before number {0}")]
    Gap(u64),
    /// The entry of this number, or the one before, was altered.
    #[error("entry {0} or the one before was altered")]
    Altered(u64),
}

/// Follows a chain entry by entry.
#[derive(Clone, Debug)]
pub struct Verifier {
    seq: u64,
    hash: [u8; 32],
}

impl Default for Verifier {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: CHAIN_START,
        }
    }
}

impl Verifier {
    /// Takes the next entry.
    pub fn next(&mut self, entry: &AuditRecord) -> Result<(), Broken> {
        if entry.seq != self.seq + 1 {
            return Err(Broken::Gap(entry.seq));
        }
        if entry.chain(&self.hash) != entry.hash {
            return Err(Broken::Altered(entry.seq));
        }
        self.seq = entry.seq;
        self.hash = entry.hash;
        Ok(())
    }

    /// The number and hash of the last entry taken.
    #[must_use]
    pub fn head(&self) -> (u64, [u8; 32]) {
        (self.seq, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: u64) -> Vec<AuditRecord> {
        let mut before = CHAIN_START;
        (1..=count)
            .map(|seq| {
                let entry = Entry {
                    at: Timestamp(seq.cast_signed()),
                    actor: Actor::System,
                    source: None,
                    action: "token.generate",
                    workspace: None,
                    client: Some(ClientId(Uuid::from_u128(seq.into()))),
                    detail: "{}".to_owned(),
                };
                let written = AuditRecord::new(&entry, seq, &before);
                before = written.hash;
                written
            })
            .collect()
    }

    fn verify(entries: &[AuditRecord]) -> Result<(), Broken> {
        let mut verifier = Verifier::default();
        entries.iter().try_for_each(|entry| verifier.next(entry))
    }

    #[test]
    fn a_whole_chain_verifies() {
        assert_eq!(verify(&chain(5)), Ok(()));
    }

    #[test]
    fn every_kind_of_tampering_is_found() {
        let check = |tamper: fn(&mut Vec<AuditRecord>), expect: Broken| {
            let mut entries = chain(5);
            tamper(&mut entries);
            assert_eq!(verify(&entries), Err(expect));
        };
        check(|e| e[2].detail.push(' '), Broken::Altered(3));
        check(|e| e[2].actor = "admin-key:x".into(), Broken::Altered(3));
        check(|e| e[2].at = Timestamp(99), Broken::Altered(3));
        check(|e| e[2].client = None, Broken::Altered(3));
        check(|e| drop(e.remove(2)), Broken::Gap(4));
        check(|e| drop(e.remove(0)), Broken::Gap(2));
        check(|e| e.swap(1, 2), Broken::Gap(3));
        check(|e| e[2].hash[0] ^= 1, Broken::Altered(3));
    }

    #[test]
    fn head_is_read_as_it_is_printed() {
        let hash = "ab".repeat(32);
        let head = Head::parse(&format!("35:{hash}\n")).unwrap();
        assert_eq!((head.seq, head.hash), (35, [0xab; 32]));
        assert_eq!(head.to_string(), format!("35:{hash}"));
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
