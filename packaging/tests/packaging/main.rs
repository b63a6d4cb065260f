//! What is installed beside the programs, tried: alert rules and the dashboard on the figures of a running server.

mod monitoring;
