//! The command line against a real server: what a person types, what comes back, what the server
//! then does.

mod acts;
mod audit;
mod confirmations;
mod credentials;
mod lists;
mod members;
mod refusals;
mod run;
mod scan;
mod terminal;
mod tls;
