//! The kinds of values in bodies, and the macros that declare bodies.

use serde::{Deserialize, Serialize};

/// Declares bodies of answers: a missing member has its default.
macro_rules! answers {
    ($($item:item)*) => {$(
        #[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "openapi", schemars(!default))]
        #[serde(default)]
        $item
    )*};
}

/// Declares bodies of requests: an unknown member is refused.
macro_rules! requests {
    ($($item:item)*) => {$(
        #[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        $item
    )*};
}

/// Declares an enumeration of words.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// A word of another version.
            #[default]
            Unknown,
        }

        impl $name {
            /// The value of a word; `Unknown` for one of another version.
            #[must_use]
            pub fn of(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown => "unknown",
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<str>::deserialize(from)?;
                Ok(Self::of(&word))
            }
        }

        schema!($name, schemars::json_schema!({ "type": "string", "enum": [$($word),*] }));
    };
}

/// Gives a type its schema, which stands where the type is used.
macro_rules! schema {
    ($name:ty, $schema:expr) => {
        #[cfg(feature = "openapi")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}

/// Declares a text with its schema.
macro_rules! texts {
    ($($(#[$about:meta])* $name:ident: $schema:expr;)*) => {$(
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text of a value.
            #[must_use]
            pub fn of(value: impl std::fmt::Display) -> Self {
                Self(value.to_string())
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        schema!($name, $schema);
    )*};
}

/// Declares a credential that one answer shows once: wiped when dropped, and not in its debug text.
macro_rules! shown {
    ($($(#[$about:meta])* $name:ident: $schema:expr;)*) => {$(
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub zeroize::Zeroizing<String>);

        impl $name {
            /// A copy of the text.
            #[must_use]
            pub fn of(text: &str) -> Self {
                Self(zeroize::Zeroizing::new(text.to_owned()))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        schema!($name, $schema);
    )*};
}

words! {
    /// The environment of an API client.
    Environment {
        /// For trying things; its credentials open nothing in production.
        Sandbox = "sandbox",
        /// For real business.
        Production = "production",
    }
}

impl From<tokenward_core::Environment> for Environment {
    fn from(environment: tokenward_core::Environment) -> Self {
        match environment {
            tokenward_core::Environment::Sandbox => Self::Sandbox,
            tokenward_core::Environment::Production => Self::Production,
        }
    }
}

texts! {
    /// A time in ISO 8601, in UTC, to the second.
    Time: schemars::json_schema!({
        "type": "string", "format": "date-time",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+00:00$",
        "examples": ["2026-11-23T10:15:30+00:00"],
    });
    /// A day in UTC.
    Day: schemars::json_schema!({ "type": "string", "format": "date" });
    /// The slug of a product.
    Slug: schemars::json_schema!({
        "type": "string", "minLength": 1, "maxLength": tokenward_core::label::SLUG_BYTES_MAX,
        "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "examples": ["e-invoice"],
    });
    /// A name.
    Name: schema::text(tokenward_core::label::NAME_BYTES_MAX, "a name");
    /// The label of an API client.
    Label: schema::text(tokenward_core::label::LABEL_BYTES_MAX, "unique in its workspace and environment");
    /// A SHA-256 hash in hex.
    Hash: schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    /// An IP address or a network.
    Network: schemars::json_schema!({
        "type": "string", "maxLength": 43, "pattern": "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$",
        "description": "an address, or a network without host bits", "examples": ["10.0.0.0/8"],
    });
    /// The outcome of a request: `PERMIT`, `GENERATED`, or the code of its refusal.
    Outcome: schemars::json_schema!({
        "type": "string", "pattern": "^[A-Z_]+$", "examples": ["PERMIT", "GENERATED", "TOKEN_SUPERSEDED"],
    });
    /// The place of a page in a list.
    Cursor: schemars::json_schema!({
        "type": "string", "pattern": "^c[0-9]{1,10}$", "description": "the cursor of the next page; null on the last",
    });
    /// The place of a page among notices.
    NoticeCursor: schemars::json_schema!({ "type": "string", "pattern": "^n[0-9]{1,18}$" });
}

shown! {
    /// A client secret.
    ShownClientSecret: schema::client_secret();
    /// An access token.
    ShownAccessToken: schema::access_token();
    /// An admin key.
    ShownAdminKey: schemars::json_schema!({ "type": "string", "maxLength": 128 });
    /// The signing secret of a webhook.
    ShownWebhookSecret: schemars::json_schema!({ "type": "string", "pattern": "^whsec_[A-Za-z0-9+/]+=*$" });
    /// The path of an invitation's link.
    JoinPath: schemars::json_schema!({ "type": "string", "pattern": "^/console/join/[A-Za-z0-9_-]{43}$" });
}

answers! {
    /// A page of a list.
    #[cfg_attr(feature = "openapi", schemars(rename = "{T}Page"))]
    pub struct Page<T: Default> {
        /// The items, in the order of the list.
        pub items: Vec<T>,
        /// The cursor of the next page; null on the last.
        pub next_cursor: Option<Cursor>,
    }
}

/// Schemas that the document uses outside of these bodies too.
#[cfg(feature = "openapi")]
pub mod schema {
    use schemars::{Schema, json_schema};

    /// Characters that no label or name has: control, invisible and private-use ones. Not all of them, and not the
    /// mixed alphabets: the rule is in `tokenward_core::label`.
    const NEVER: &str = r"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ue000-\uf8ff\ufeff\uffa0\ufff0-\ufffb";
    /// Blanks, which none begins or ends with.
    const BLANK: &str = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000";

    /// A text for people.
    pub(crate) fn text(bytes_max: usize, what: &str) -> Schema {
        let description = format!(
            "{what}: at most {bytes_max} bytes of UTF-8, stored in Unicode normalization form C; invisible characters and mixed look-alike alphabets are refused"
        );
        let end = format!("[^{NEVER}{BLANK}]");
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": bytes_max,
            "pattern": format!("^{end}([^{NEVER}]*{end})?$"), "description": description,
        })
    }

    /// An access token.
    #[must_use]
    pub fn access_token() -> Schema {
        json_schema!({ "type": "string", "maxLength": 128, "pattern": r"^(sandbox\.)?1\.[0-9a-f-]{36}_[0-9a-f]{64}$" })
    }

    /// A client secret.
    #[must_use]
    pub fn client_secret() -> Schema {
        json_schema!({
            "type": "string", "maxLength": 128,
            "pattern": r"^tw-secret\.(sandbox|production)\.[0-9a-f-]{36}\.[0-9a-f]{64}$",
        })
    }
}
