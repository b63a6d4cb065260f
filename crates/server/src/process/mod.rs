//! The server as a process: what a start opens and makes, the work of each second, and the stop.

pub(crate) mod bootstrap;
mod certificates;
pub(crate) mod hold;
pub(crate) mod housekeeping;
mod limits;
mod nodes;
pub(crate) mod preflight;
pub mod serve;
