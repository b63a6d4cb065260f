//! Texts people give to things: labels, names, slugs, e-mail addresses. Parsed once, clean ever after. The rule for
//! every label and name is in one place, `unicode_text`: NFC, visible characters only, no look-alike alphabets mixed.

mod unicode_text;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest label in bytes of UTF-8; it travels in a header and lies in every replica.
pub const LABEL_BYTES_MAX: usize = 64;
/// Longest name of a workspace, product or admin key, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest product slug; it travels in URLs.
pub const SLUG_BYTES_MAX: usize = 64;
/// Longest e-mail address (RFC 5321, section 4.5.3.1.3, less the brackets).
pub const EMAIL_BYTES_MAX: usize = 254;

/// Why a text was refused; a sentence for the caller.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct TextRefused(pub String);

macro_rules! text_kind {
    ($(#[$doc:meta])* $name:ident, by $read:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextRefused;
            fn try_from(text: String) -> Result<Self, TextRefused> {
                Self::$read(&text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $max:expr, $what:literal) => {
        text_kind!($(#[$doc])* $name, by stored);

        impl $name {
            /// Reads a text that a person writes, by the rule for names (see [`crate::label`]), and normalises it to NFC.
            ///
            /// # Errors
            /// A sentence that names the first code point that is refused, or what else is wrong.
            pub fn parse(text: &str) -> Result<Self, TextRefused> {
                unicode_text::checked(text, $max, $what).map(Self)
            }

            /// Takes a text from where it is stored, as it is: an older version may have accepted what
            /// [`Self::parse`] refuses.
            ///
            /// # Errors
            /// The text is empty, too long, or has control characters, which no version accepted.
            pub fn stored(text: &str) -> Result<Self, TextRefused> {
                if text.is_empty() || text.len() > $max || text.chars().any(char::is_control) {
                    return Err(TextRefused(concat!($what, " that was never valid").to_owned()));
                }
                Ok(Self(text.to_owned()))
            }
        }
    };
}

text_kind!(
    /// An API client's label, unique in its workspace and environment by its [`Label::key`].
    Label, LABEL_BYTES_MAX, "a label"
);
text_kind!(
    /// The name of a workspace, a product, a member, a passkey or an admin key.
    Name, NAME_BYTES_MAX, "a name"
);

impl Name {
    /// Stands for a name that its reader has no need of.
    #[must_use]
    pub(crate) fn withheld() -> Self {
        Self("-".to_owned())
    }
}

impl Label {
    /// Returns the text by which labels are compared: two labels with one key look alike, or differ in case, in
    /// compatibility forms or in white space only.
    #[must_use]
    pub fn key(&self) -> String {
        unicode_text::key(&self.0)
    }

    /// The label as a header value: printable ASCII as it is, `%` and everything else percent-encoded.
    #[must_use]
    pub fn header_value(&self) -> String {
        const ENCODED: &AsciiSet = &CONTROLS.add(b'%');
        utf8_percent_encode(&self.0, ENCODED).to_string()
    }
}

text_kind!(
    /// A product's slug, such as `e-invoice`: lowercase letters and digits in groups joined by hyphens.
    Slug, by parse
);

impl Slug {
    /// Reads a slug.
    pub fn parse(text: &str) -> Result<Self, TextRefused> {
        let group = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if text.len() > SLUG_BYTES_MAX || !text.split('-').all(group) {
            return Err(TextRefused(format!(
                "a product slug is 1 to {SLUG_BYTES_MAX} lowercase letters and digits, in groups joined by single hyphens"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Characters of an unquoted local part besides letters, digits and dots (RFC 5322, section 3.2.3).
const LOCAL_PART_SIGNS: &str = "!#$%&'*+-/=?^_`{|}~";
/// Longest local part (RFC 5321, section 4.5.3.1.1).
const LOCAL_PART_BYTES_MAX: usize = 64;

/// Reads an e-mail address: `name@domain` in ASCII, without quotes, comments or address literals. An internationalised
/// domain name is written in its ASCII form (`xn--...`), so that two addresses that look alike are not taken for one.
/// Whether the address exists, only a mail can show.
///
/// # Errors
/// A sentence that says what an address looks like.
pub fn email(text: &str) -> Result<String, TextRefused> {
    let refused = || {
        TextRefused(format!(
            "{:?} is not an e-mail address such as name@example.com: at most {EMAIL_BYTES_MAX} ASCII characters, an international domain name in its xn-- form",
            text.chars().take(EMAIL_BYTES_MAX).collect::<String>()
        ))
    };
    let (local, domain) = text.split_once('@').ok_or_else(refused)?;
    let atom = |part: &str| {
        let sign = |c: char| c.is_ascii_alphanumeric() || LOCAL_PART_SIGNS.contains(c);
        !part.is_empty() && part.chars().all(sign)
    };
    let label = |part: &str| {
        let sign = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=63).contains(&part.len())
            && part.chars().all(sign)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    // A leading hyphen is an option to many mail programs.
    let fits = text.len() <= EMAIL_BYTES_MAX
        && local.len() <= LOCAL_PART_BYTES_MAX
        && !local.starts_with('-')
        && local.split('.').all(atom)
        && domain.split('.').all(label);
    fits.then(|| text.to_owned()).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_a_length() {
        assert!(Label::parse(&"x".repeat(64)).is_ok());
        for bad in [String::new(), "x".repeat(65), "ü".repeat(33)] {
            assert!(Label::parse(&bad).is_err(), "{bad:?}");
        }
        // The length is that of the normalised text: `u` and a diaeresis are three bytes, `ü` is two.
        assert!(Label::parse(&"u\u{308}".repeat(32)).is_ok());
    }

    #[test]
    fn stored_labels_are_taken_as_they_are() {
        let old = "billing\u{ad}\u{2800}";
        assert!(Label::parse(old).is_err());
        assert_eq!(Label::stored(old).unwrap().as_str(), old);
        let json = serde_json::to_string(&Label::stored(old).unwrap()).unwrap();
        assert_eq!(
            serde_json::from_str::<Label>(&json).unwrap().as_str(),
            old,
            "a change in the log keeps it"
        );
        assert!(Label::stored("a\nb").is_err() && Label::stored("").is_err());
    }

    #[test]
    fn a_label_survives_a_header() {
        let check = |text: &str, expect: &str| {
            assert_eq!(Label::parse(text).unwrap().header_value(), expect)
        };
        check("SAP ERP", "SAP ERP");
        check("100%", "100%25");
        check("Süd", "S%C3%BCd");
    }

    #[test]
    fn slugs_and_addresses_have_an_outline() {
        for good in ["gst", "max-itc", "e-invoice", "a1-2b"] {
            assert!(Slug::parse(good).is_ok());
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "A",
            "a_b",
            "a/b",
            "ä",
            &"a".repeat(65),
        ] {
            assert!(Slug::parse(bad).is_err(), "{bad}");
        }
        for good in [
            "a@b",
            "o'neil+tokens@example.com",
            "first.last@xn--bcher-kva.example",
        ] {
            assert!(email(good).is_ok(), "{good}");
        }
        for bad in [
            "x<a@b>",
            "-oQ/tmp@b",
            "a\u{202e}b@c",
            "a\u{200b}b@c",
            "\u{212a}ate@b",
            "a@b\u{fc}cher.example",
            "\"a b\"@c",
            "a@[127.0.0.1]",
            ".a@b",
            "a..b@c",
            "a@-b",
            "a@b..c",
            "a(b)@c",
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a,b@c",
            "a@b\r\nX: y",
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }
}
