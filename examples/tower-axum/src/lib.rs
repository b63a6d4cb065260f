//! Tokenward's check inside a Rust service, as two small programs: `invoices`, a product API that knows its
//! callers by their [`Permit`](tokenward_tower::Permit), and `front`, which lets callers through to products
//! that know nothing of tokens. Nothing here decides about a token: that is the layer's work.

pub mod guard;
pub mod invoices;
pub mod onward;
