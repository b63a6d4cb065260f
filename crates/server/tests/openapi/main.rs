//! The OpenAPI document: what is committed is what is served, what is served is what answers, and a
//! stranger who believes every word of it never meets a surprise.

mod document;
mod generator;
mod schemathesis;
