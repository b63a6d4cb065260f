//! The check for gateways: every verdict with its whole answer, and everything that must change nothing.
