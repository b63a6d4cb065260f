//! The sealing of frames between a node and a replica: a counter and a keyed hash. It proves who wrote a
//! frame and that it is the next one; it hides nothing.

use crate::digest::{KeyId, Keyring};
use zeroize::Zeroizing;

/// Bytes of a frame's tag: half a hash, 128 bits.
const TAG_BYTES: usize = 16;

/// 32 random bytes, each side's own for each connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nonce(pub [u8; 32]);

/// Which end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The node.
    Node,
    /// The attached replica.
    Replica,
}

/// A frame that the other side did not write, or not as the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a frame that was not sealed by the other side as its next one")]
pub struct Forged;

/// One direction's key and how many frames it has sealed.
struct Direction {
    key: Zeroizing<[u8; 32]>,
    count: u64,
}

impl Direction {
    fn new(shared: &[u8; 32], label: &[u8], nonces: [&Nonce; 2], key: KeyId) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(shared);
        hasher.update(label);
        hasher.update(&nonces[0].0);
        hasher.update(&nonces[1].0);
        hasher.update(&[key.0]);
        Self {
            key: Zeroizing::new(*hasher.finalize().as_bytes()),
            count: 0,
        }
    }

    /// The tag of the next frame.
    fn tag(&mut self, body: &[u8]) -> [u8; TAG_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.count.to_le_bytes());
        hasher.update(body);
        self.count += 1;
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&hasher.finalize().as_bytes()[..TAG_BYTES]);
        tag
    }
}

/// Seals what this side writes.
pub struct Sealer(Direction);

/// Opens what the other side wrote.
pub struct Opener(Direction);

/// Both directions of one connection; none when the ring lacks key `id`. Both sides must name the node's
/// newest key, or they will not understand each other.
#[must_use]
pub fn channel(
    ring: &Keyring,
    id: KeyId,
    side: Side,
    node: &Nonce,
    replica: &Nonce,
) -> Option<(Sealer, Opener)> {
    let shared = ring.attachment(id)?;
    let of = |label: &[u8]| Direction::new(&shared, label, [node, replica], id);
    let (node, replica) = (of(b"node"), of(b"replica"));
    Some(match side {
        Side::Node => (Sealer(node), Opener(replica)),
        Side::Replica => (Sealer(replica), Opener(node)),
    })
}

impl Sealer {
    /// Seals a message: the frame with its length before it.
    #[must_use]
    pub fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        let tag = self.0.tag(body);
        let length = u32::try_from(body.len() + TAG_BYTES).expect("callers keep to `FRAME_MAX`");
        let mut frame = Vec::with_capacity(super::LENGTH_BYTES + body.len() + TAG_BYTES);
        frame.extend(length.to_le_bytes());
        frame.extend_from_slice(body);
        frame.extend(tag);
        frame
    }
}

impl Opener {
    /// Opens a frame without its length: the message in it. After an error the connection is worth
    /// nothing more.
    pub fn open<'a>(&mut self, frame: &'a [u8]) -> Result<&'a [u8], Forged> {
        let at = frame.len().checked_sub(TAG_BYTES).ok_or(Forged)?;
        let (body, given) = frame.split_at(at);
        let tag = self.0.tag(body);
        // A fold without a branch.
        let differ = tag.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
        if differ == 0 { Ok(body) } else { Err(Forged) }
    }
}
