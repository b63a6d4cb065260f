//! The Tokenward server: verbs, their wire dialects, and everything that makes them a process.
//!
//! Rooms: `verbs` does things, `http` speaks, `serve` lives; `clock` and `random` are the only homes
//! of time and chance, `data_dir` of files, `config` of settings.

pub mod addresses;
mod admin_uses;
pub mod app;
mod attempts;
mod bootstrap;
pub mod clock;
pub mod commands;
pub mod config;
mod connection_limits;
mod connection_timeouts;
pub mod counts;
pub mod data_dir;
mod forwarded;
mod grpc;
pub mod host;
mod housekeeping;
pub mod http;
pub mod logs;
pub mod metrics;
mod net;
pub mod notices;
pub mod people;
mod preflight;
mod process;
pub mod random;
mod refusals;
mod replicas;
mod request_id;
pub mod reveals;
pub mod serve;
pub mod throttle;
mod unix;
mod usage;
pub mod verbs;
