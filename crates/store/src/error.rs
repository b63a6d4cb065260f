//! What can go wrong with a store. The texts are for the operator's log, never for a caller.

use crate::keys::KeyFault;
use crate::postgres::TlsFault;

/// A fault of the database or its contents.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached or refuses to work.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// What was asked for, or how the database is set up, does not allow it; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// The digest keys are not those that the database was written with.
    #[error("{0}")]
    DigestKeys(Box<KeyFault>),
    /// The database holds what can't be.
    #[error("the database is damaged or not Tokenward's: {0}")]
    Damaged(String),
    /// The schema is newer than this program.
    #[error(
        "the database has schema version {found}, this program knows {known}: start the newer program, or restore a backup made by this one"
    )]
    TooNew {
        /// The database's version.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// The database is in use in a way that this process cannot share.
    #[error(
        "the database is in use by another Tokenward process ({0}), and one of the two needs it alone: a restore, a move, a start \
         with --new-digest-keys, or a version that runs as a single node. Stop the other process first"
    )]
    InUse(String),
    /// The database lacks changes that this data directory has seen.
    #[error(
        "the database is older than this data directory: it ends at change {found}, but change {seen} was seen here. If it was restored from a copy, revoked tokens could live again; use `tokenward restore`"
    )]
    Older {
        /// The database's last change.
        found: u64,
        /// The last change seen here.
        seen: u64,
    },
    /// The database is not the one this process worked with.
    #[error(
        "the database is not where this node left it: {0}. Another program wrote to it, or it was replaced by a copy; restart this node to read it anew"
    )]
    Diverged(String),
    /// A change cannot be applied to the replica, or was written by a newer version.
    #[error("{0}")]
    CannotApply(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;
        if let Some(fault) = tls_fault(&error) {
            return Self::Refused(fault.why.clone());
        }
        let text = cause(&error);
        let Some(code) = error.code() else {
            return match text.as_str() {
                // The driver's own words.
                text if text.ends_with("server does not support TLS") => Self::Refused(
                    "the server offers no TLS (ssl is off). Turn it on there, or set sslmode=disable if you trust the network"
                        .to_owned(),
                ),
                text if text.ends_with("password missing") => Self::Refused(
                    "PostgreSQL asks for a password, and the database URL holds none".to_owned(),
                ),
                text if text.ends_with("server did not use channel binding") => Self::Refused(
                    "channel_binding=require needs TLS and a password that PostgreSQL keeps as scram-sha-256; the server or \
                     sslmode allows no channel binding"
                        .to_owned(),
                ),
                _ => Self::Unavailable(text),
            };
        };
        match *code {
            SqlState::INSUFFICIENT_PRIVILEGE => Self::Refused(format!(
                "PostgreSQL denies a privilege that Tokenward needs: {text}. Make its role the owner of the database \
                 (ALTER DATABASE name OWNER TO role), or grant it USAGE and CREATE on the schema and SELECT, INSERT, UPDATE \
                 and DELETE on Tokenward's tables"
            )),
            SqlState::INVALID_PASSWORD => {
                Self::Refused(format!("{text}. Correct the password in the database URL"))
            }
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                let advice = if text.contains("no encryption") {
                    ". The server accepts this role with TLS only: set sslmode=verify-full"
                } else if text.contains("client certificate") {
                    ". Name a certificate and its key by sslcert and sslkey"
                } else {
                    ". Correct the user in the database URL, or pg_hba.conf on the server"
                };
                Self::Refused(format!("{text}{advice}"))
            }
            SqlState::INVALID_CATALOG_NAME => Self::Refused(format!(
                "{text}. Create it, or correct the name in the database URL"
            )),
            _ => Self::Unavailable(text),
        }
    }
}

/// What is wrong with TLS, when that is the cause of an error.
fn tls_fault<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a TlsFault> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An error of a socket does not name what it wraps as its source.
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(|error| error.get_ref())
            .and_then(|inner| inner.downcast_ref());
        if let Some(fault) = inner.or_else(|| error.downcast_ref()) {
            return Some(fault);
        }
        next = error.source();
    }
    None
}

/// What the server said, or the whole chain of causes on this side; neither holds the password.
pub(crate) fn cause(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    chain(error)
}

/// An error with its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

impl From<KeyFault> for StoreError {
    fn from(fault: KeyFault) -> Self {
        Self::DigestKeys(Box::new(fault))
    }
}

impl StoreError {
    /// The same with the place where it happened, unless the text names it.
    pub(crate) fn at(self, place: &str) -> Self {
        match self {
            Self::Unavailable(text) if !text.contains(place) => {
                Self::Unavailable(format!("{place}: {text}"))
            }
            other => other,
        }
    }

    /// Whether this process can never use the database again: it must stop vouching and end.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Refused(_) | Self::Damaged(_) => false,
            Self::TooNew { .. }
            | Self::DigestKeys(_)
            | Self::InUse(_)
            | Self::Older { .. }
            | Self::Diverged(_)
            | Self::CannotApply(_) => true,
        }
    }
}

impl From<tokenward_core::replica::CannotApply> for StoreError {
    fn from(error: tokenward_core::replica::CannotApply) -> Self {
        Self::CannotApply(error.to_string())
    }
}

/// Why a write was not answered with success.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing was written.
    #[error("the store is not available; nothing was changed")]
    Unavailable,
    /// It may or may not have been written; the answer must promise neither.
    #[error("the store did not say whether the change was written")]
    OutcomeUnknown,
    /// It waited longer than its deadline; nothing was written.
    #[error("the change waited too long and was given up")]
    TooLate,
    /// Too many changes wait; nothing was written.
    #[error("too many changes are waiting")]
    Overloaded,
}
