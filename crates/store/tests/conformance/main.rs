//! The contract of a store, kept by both engines: every test here runs on a SQLite file and on a
//! PostgreSQL database.

mod house;
mod law;
mod model;
mod place;
