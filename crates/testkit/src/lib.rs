//! Real processes for black-box tests: a PostgreSQL cluster of one's own ([`PgCluster`]), the real
//! `tokenward` binary ([`Server`]) and a caller of its HTTP interfaces ([`Api`]).
//!
//! Nothing in here is a mock, and nothing in here knows how the server works inside: this crate
//! must never depend on `tokenward-core`, `tokenward-store` or the server's own library, so that a
//! test written with it sees what a customer sees.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tokenward_testkit::{NewClient, Server};
//!
//! let server = Server::start();
//! let api = server.api();
//! let workspace = api.workspace("acme").await?;
//! api.product("e-invoice", "E-Invoice").await?;
//! let erp = api.client(&workspace, NewClient::sandbox("erp")).await?;
//! let token = api.generate(&erp.secret).await?.token();
//! api.check("sandbox", "e-invoice", &token.access_token).await?.expect(200);
//! # Ok(()) }
//! ```
//!
//! A missing real part (no PostgreSQL, a binary that does not build) is a panic that says what to
//! install, never a skipped test.

mod answer;
mod api;
mod authority;
mod binary;
mod child_processes;
mod clients;
mod command;
mod expect;
pub mod faketime;
mod files;
mod pebble;
mod pooler;
mod port;
mod postgres;
mod process;
mod python;
mod raw;
mod relay;
mod server;
mod wait;

pub use answer::{Answer, Broken, Token};
pub use api::{Api, http, text};
pub use authority::{Authority, SelfSigned};
pub use binary::{binary_with_traces, example_binary, fresh_binary, target_folder};
pub use clients::{ApiClient, NewClient};
pub use command::{Ran, set_up, words};
pub use expect::{
    Answered, assert_contains, assert_contains_all, assert_lacks, expect_error, expect_json,
    expect_status,
};
pub use files::{change_mode, mode_of, write_with_mode};
pub use pebble::Pebble;
pub use pooler::PgBouncer;
pub use port::free_port;
pub use postgres::{PgBuilder, PgCluster};
pub use process::{PROGRAM_LIMIT, Process, ended, finish, finish_child, first_line};
pub use python::PythonServer;
pub use raw::{address_of, connect, exchange, status_of};
pub use relay::{Network, Relay};
pub use rustix::process::Signal;
pub use server::{Refused, Server, ServerBuilder};
pub use wait::{Look, accept, wait_until};
