//! The client side seen from outside: real processes of the agent and of programs that use the library, against a real
//! `tokenward` and, where Clear's own behaviour matters, a stand-in.

mod changed;
mod clear_stand_in;
mod conformance;
mod cpi;
mod cpi_fake;
mod daemon;
mod exec;
mod get;
mod helper;
mod library;
mod odd_files;
mod services;
mod stampede;
mod vault;
mod verbs;
mod world;
