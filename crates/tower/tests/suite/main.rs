//! The layer beside a real node: the same answers, in force at once, and silence when it can't know.

mod alike;
mod cut;
mod grpc;
mod house;
mod layer;
mod reports;
mod tls;
