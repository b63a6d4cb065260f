//! Streams of attached replicas on the internal listener: told apart by their first bytes or by TLS's
//! negotiation, proved by the replica keys, fed a snapshot and then every change. What may be answered
//! when is decided in the store's [`tokenward_store::Attachments`].
//!
//! No key leaves this module, and no connection is fed before it has proved that it holds the replica keys.

use tokenward_core::attach::PREFACE;

mod stream;

pub(crate) use stream::serve;

/// Whether a connection that begins with these four bytes is a replica's.
pub(crate) fn begins(first: &[u8; 4]) -> bool {
    PREFACE.starts_with(first)
}
