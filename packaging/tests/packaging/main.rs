//! What is installed beside the programs, tried: Debian packages, alert rules and the dashboard on the figures of a running server.

mod containers;
mod debian;
mod monitoring;
