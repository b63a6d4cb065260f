//! Texts people give to things: labels, names, slugs, e-mail addresses. Parsed once, clean ever after.

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
    ($(#[$doc:meta])* $name:ident, $max:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads a text: 1 to the maximum bytes, no control characters, no blanks at its ends.
            pub fn parse(text: &str) -> Result<Self, TextRefused> {
                clean(text, $max, $what).map(|()| Self(text.to_owned()))
            }

            /// The text as given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextRefused;
            fn try_from(text: String) -> Result<Self, TextRefused> {
                Self::parse(&text)
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
}

text_kind!(
    /// An API client's label, unique in its workspace and environment.
    Label, LABEL_BYTES_MAX, "a label"
);
text_kind!(
    /// The name of a workspace, a product or an admin key.
    Name, NAME_BYTES_MAX, "a name"
);

impl Name {
    /// Stands for a name that its reader has no need of.
    #[must_use]
    pub(crate) fn withheld() -> Self {
        Self("-".to_owned())
    }
}

fn clean(text: &str, max: usize, what: &str) -> Result<(), TextRefused> {
    let refuse = |why: String| Err(TextRefused(why));
    if text.is_empty() {
        return refuse(format!("{what} must not be empty"));
    }
    if text.len() > max {
        return refuse(format!("{what} may have at most {max} bytes"));
    }
    if text.trim() != text {
        return refuse(format!("{what} must not begin or end with a blank"));
    }
    // Besides control characters: line and paragraph separators and the marks that turn the reading
    // direction, which make one label look like another.
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if text.chars().any(odd) {
        return refuse(format!(
            "{what} must not hold control or invisible characters"
        ));
    }
    Ok(())
}

impl Label {
    /// The label as a header value: printable ASCII as it is, `%` and everything else percent-encoded.
    #[must_use]
    pub fn header_value(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if (0x20..0x7f).contains(&byte) && byte != b'%' {
                out.push(byte as char);
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }
}

/// A product's slug, such as `e-invoice`: lowercase letters and digits in groups joined by hyphens.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

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

    /// The slug as used in URLs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = TextRefused;
    fn try_from(text: String) -> Result<Self, TextRefused> {
        Self::parse(&text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the outline of an e-mail address: one `@`, something on both sides, no blanks. Whether it
/// exists, only a mail can tell.
pub fn email(text: &str) -> Result<String, TextRefused> {
    let outline = text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    });
    let plain = text.len() <= EMAIL_BYTES_MAX
        && text
            .chars()
            .all(|c| !c.is_control() && !c.is_whitespace() && c != ',');
    if outline && plain {
        Ok(text.to_owned())
    } else {
        Err(TextRefused(format!(
            "an e-mail address looks like name@domain, at most {EMAIL_BYTES_MAX} bytes"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_clean_or_refused() {
        let good = |text: &str| assert_eq!(Label::parse(text).unwrap().as_str(), text);
        good("SAP ERP 1");
        good("Abrechnung Süd");
        good(&"x".repeat(64));
        let bad = |text: &str| assert!(Label::parse(text).is_err(), "{text:?}");
        bad("");
        bad(" a");
        bad("a\n");
        bad("a\u{0}b");
        bad("a\u{202e}b");
        bad(&"x".repeat(65));
        bad(&"ü".repeat(33));
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
        assert!(email("a@b").is_ok());
        for bad in [
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
