//! What is installed beside the programs, tried: Debian packages, alert rules and the dashboard on the figures of a running server.

mod debian;
mod monitoring;
