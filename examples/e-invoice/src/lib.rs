//! A sample product API: two routes of an e-invoice service, each of its own product.
//!
//! It shows how a product API uses Tokenward. [`admission`] sends each request's token headers to Tokenward's
//! internal check and trusts only that answer. The rest is an ordinary small service: [`api`] has the routes,
//! [`errors`] the format of an error.
//!
//! It never decides by itself that a token is valid, and never serves a request that Tokenward has not admitted.

pub mod admission;
pub mod api;
pub mod errors;

pub use api::{Config, serve};
