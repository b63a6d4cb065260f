//! What a node and an attached replica say to each other: the keys both hold, the sealed frames, the
//! messages. Bytes in, bytes out; the sockets are the server's and the layer's.
//!
//! No key ever travels. Every frame is sealed under a key that only holders of the replica keys can derive, so
//! neither side can be impersonated and nothing on the way can be changed, left out, repeated or moved; it is
//! not hidden, and holds nothing but keyed digests, ids and labels.

mod bytes;
mod channel;
mod keys;
mod message;

pub(crate) use bytes::{Cut, Reader};
pub use channel::{Forged, Nonce, Opener, Sealer, Side, channel};
pub use keys::{BadReplicaKeys, ReplicaKeys};
pub use message::{Damaged, Permitted, ToNode, ToReplica, Used};

/// The first bytes of a connection of an attached replica, where HTTP/2 has its preface: no HTTP request
/// begins like this.
pub const PREFACE: &[u8; 8] = b"TWR/1\r\n\n";
/// The protocol's name in TLS's negotiation (ALPN).
pub const ALPN: &[u8] = b"tokenward-replica/1";
/// The largest frame, in bytes: a group of changes with room to spare.
pub const FRAME_MAX: usize = 4 * 1024 * 1024;
/// Bytes before a frame: its length.
pub const LENGTH_BYTES: usize = 4;

/// What the node answers to the preface and the replica's nonce, before any key is proved: its nonce and
/// the ids of its keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Greeting {
    /// The node's nonce.
    pub nonce: Nonce,
    /// The ids of the keys that digests may be made with, oldest first.
    pub keys: Vec<crate::digest::KeyId>,
    /// Whether the node reads [`ToNode::Permitted`]. It travels in the last key's place, which older nodes leave 0 and older
    /// replicas do not read, so a node with [`KEYS_MAX`](crate::digest::KEYS_MAX) keys can't say it and gets the last
    /// use only. It is not authenticated: changing it in transit ends the stream or hides statistics, as cutting the
    /// connection does.
    pub reads_permitted: bool,
}

impl Greeting {
    /// Bytes of every greeting.
    pub const BYTES: usize = 32 + 1 + crate::digest::KEYS_MAX;

    /// As sent.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..32].copy_from_slice(&self.nonce.0);
        out[32] = u8::try_from(self.keys.len()).unwrap_or(u8::MAX);
        for (place, key) in out[33..].iter_mut().zip(&self.keys) {
            *place = key.0;
        }
        if self.keys.len() < crate::digest::KEYS_MAX {
            out[Self::BYTES - 1] = self.reads_permitted.into();
        }
        out
    }

    /// Reads [`Greeting::to_bytes`] back.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let mut nonce = [0; 32];
        nonce.copy_from_slice(&bytes[..32]);
        let keys = bytes[33..].get(..bytes[32].into())?;
        Some(Self {
            nonce: Nonce(nonce),
            keys: keys.iter().map(|id| crate::digest::KeyId(*id)).collect(),
            reads_permitted: keys.len() < crate::digest::KEYS_MAX && bytes[Self::BYTES - 1] == 1,
        })
    }
}

#[cfg(test)]
mod tests;
