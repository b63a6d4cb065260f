//! A sample product API: it registers GST invoices and answers their invoice reference number.
//!
//! It exists to show how a product stands behind Tokenward. It knows no tokens: [`admission`] hands
//! each request's token header to Tokenward's internal check and believes only its answer. The rest is
//! an ordinary small service: [`gstin`], [`irn`] and [`invoice`] are the business rules, [`api`] the
//! HTTP face, [`errors`] the one shape of a refusal.
//!
//! It must never decide by itself that a token is good, and never serve a request that Tokenward has
//! not admitted.

pub mod admission;
pub mod api;
pub mod errors;
pub mod gstin;
pub mod invoice;
pub mod irn;
pub mod money;

pub use api::{Config, serve};
