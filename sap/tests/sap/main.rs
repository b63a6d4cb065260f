//! The SAP kits, run: the ABAP package is linted for every release it names, translated to JavaScript, and put to work in
//! Node processes on a real PostgreSQL against the real `tokenward`; the CPI scripts run in Groovy. What these tests
//! cannot show is in `docs/guide/sap/tried.md`. Nothing in here replaces a part of the kits.

mod clear_like;
mod failures;
mod groovy;
mod house;
mod lint;
mod luw;
mod objects;
mod package;
mod session;
mod unit;
mod work_processes;
