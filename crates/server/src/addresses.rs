//! Where a request really comes from: by the same rules as in the layer for Rust services.

pub use tokenward_tower::address::{Peer, caller};
