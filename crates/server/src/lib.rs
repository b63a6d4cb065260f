//! The Tokenward server: what can be done, the interfaces that offer it, and everything that makes it a process.
//!
//! From the bottom up: `config` (settings and files), `net` (sockets, limits, addresses), `audit`, `auth`, `metering` and `traces`
//! (state that requests share), `data`, `verbs` (what can be done, each once), `app` (all of it together), `replicas` and `notify`
//! (what goes out by itself), `http` and `grpc` (the interfaces), `listeners` (which request goes to which interface) and
//! `process` (start and stop). A module uses those before it, never those after it.

pub mod app;
pub mod audit;
pub mod auth;
pub mod clock;
pub mod commands;
pub mod config;
pub mod data;
mod grpc;
pub mod http;
pub mod listeners;
pub mod logs;
pub mod metering;
pub mod net;
pub mod notify;
pub mod process;
pub mod random;
mod replicas;
mod request_id;
mod trace_context;
pub mod traces;
pub mod verbs;
