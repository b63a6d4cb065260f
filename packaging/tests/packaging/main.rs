//! What is installed beside the programs, tried: Debian packages, alert rules and the dashboard on the figures of a running server.

mod containers;
mod debian;
mod gateways;
mod helm;
mod monitoring;

/// Longest time that a program may take: lintian and dpkg-buildpackage work for half a minute on a machine that does nothing
/// else.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(1_200);
