//! What can go wrong with a place, told in sentences of our own: nothing that a place sent stands in one.

use std::io;

/// Whether waiting can help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Not now: it is down, sealed, full or slow. Trying again may help.
    Unreachable,
    /// Not ever as it is set up: permission, configuration, a missing part.
    Misconfigured,
}

/// A place failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {what}")]
#[non_exhaustive]
pub struct DestinationError {
    /// Whether waiting can help.
    pub kind: Kind,
    /// The place's own name for people.
    pub place: String,
    /// What happened, and where it can be said, how to mend it.
    pub what: String,
}

impl DestinationError {
    /// Trying again may help.
    pub fn unreachable(place: &str, what: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, place, what)
    }

    /// Somebody must mend something.
    pub fn misconfigured(place: &str, what: impl Into<String>) -> Self {
        Self::new(Kind::Misconfigured, place, what)
    }

    /// An error of the system; `doing` says what was tried, such as `writing`.
    pub fn io(place: &str, doing: &str, error: &io::Error) -> Self {
        let (kind, hint) = match error.kind() {
            io::ErrorKind::PermissionDenied => (
                Kind::Misconfigured,
                ": let the user who runs this own it, or run as its owner",
            ),
            io::ErrorKind::NotFound => (Kind::Misconfigured, ": create the folder first"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (Kind::Unreachable, ": make room on the disk")
            }
            io::ErrorKind::ReadOnlyFilesystem => (Kind::Misconfigured, ""),
            _ => (Kind::Unreachable, ""),
        };
        Self::new(kind, place, format!("{doing} failed ({error}){hint}"))
    }

    fn new(kind: Kind, place: &str, what: impl Into<String>) -> Self {
        Self {
            kind,
            place: place.to_owned(),
            what: what.into(),
        }
    }
}
