//! Streams of attached replicas on the internal listener: told apart by their first bytes or by TLS's
//! negotiation, proved by the replica keys, fed a snapshot and then every change. What may be answered
//! when is decided in the store's [`tokenward_store::Attachments`].
//!
//! No key leaves this room, and nobody is fed who has not proved to hold the replica keys.

use tokenward_core::attach::PREFACE;

mod stream;

pub(crate) use stream::serve;

/// Whether a connection that begins with these four bytes is a replica's.
pub(crate) fn begins(first: &[u8; 4]) -> bool {
    PREFACE.starts_with(first)
}
