//! Names of things: the UUIDs the outside world sees, the dense numbers the inside counts by, and
//! the environment. Plain values; they hold no secret and may be logged.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

macro_rules! number_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The number as an index into a dense table.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

uuid_name!(
    /// The public name of a workspace.
    WorkspaceId
);
uuid_name!(
    /// The public name of an API client; it is part of the client's secret and tokens.
    ClientId
);
number_name!(
    /// The dense number of a workspace within one store, counted from 0.
    WorkspaceNo
);
number_name!(
    /// The dense number of an API client within one store, counted from 0: its slot's place.
    ClientNo
);
number_name!(
    /// The dense number of a product within one store, counted from 0, never used twice.
    ProductNo
);

/// Where a secret or token belongs; the two never open each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// For trying things out.
    Sandbox,
    /// For real business.
    Production,
}

impl Environment {
    /// The word used in URLs, headers and secrets.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }

    /// Its number in tables, in memory and in digests. It never changes.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Sandbox => 0,
            Self::Production => 1,
        }
    }

    /// The environment with this [`Environment::number`]; none for other numbers.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Sandbox),
            1 => Some(Self::Production),
            _ => None,
        }
    }

    /// Reads the word back; anything else is none.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "sandbox" => Some(Self::Sandbox),
            "production" => Some(Self::Production),
            _ => None,
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
