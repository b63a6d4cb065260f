//! OAuth as the standards say it and as off-the-shelf clients use it, over the real server: one named
//! test a rule, and three client libraries that know nothing of Tokenward.

mod credentials;
mod internal;
mod introspection;
mod libraries;
mod metadata;
mod revocation;
mod token;
mod world;
