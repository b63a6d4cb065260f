//! Notices as their receivers see them: a real mail server, a real webhook receiver with the official library
//! for signatures, on loopback.

mod confirm;
mod mail;
mod preferences;
mod scan;
mod webhooks;
mod world;
