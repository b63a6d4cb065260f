//! The contract of a store, kept by both engines: what can be asked of both runs on a SQLite file and
//! on a PostgreSQL database.

mod attached;
mod audit;
mod backup;
mod basics;
mod counts;
mod faults;
mod groups;
mod house;
mod keys;
mod law;
mod lease;
mod lists;
mod model;
mod moved;
mod notices;
mod peers;
mod people;
mod place;
mod pooler;
mod postgres;
mod shared;
mod sharer;
mod sqlite;
mod start;
mod steps;
mod tls;
