//! The wire contract against the real server: every status, header and error body that a caller may
//! build on. One server a test, real connections, nothing mocked.

mod acts;
mod admin;
mod audited;
mod authority;
mod bad_input;
mod check;
mod command;
mod configuration;
mod connections;
mod damaged;
mod database_tls;
mod full_disk;
mod generate;
mod generate_refused;
mod generate_ways;
mod heads;
mod hosts;
mod house;
mod http2;
mod keys;
mod labels;
mod late;
mod lifecycle;
mod limits;
mod logging;
mod members;
mod observe;
mod outage;
mod seen;
mod slow;
mod time;
mod tls;
mod unix;
mod usage;
mod withdrawn;
