//! The two credentials of a client's side, as opaque text: whatever a token server of Clear's kind hands out
//! must fit. They cannot be cloned, printed or serialised; `Debug` redacts; the text is wiped on drop.

use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Longest access token, in characters (Clear's reference).
const MOST_TOKEN_CHARS: usize = 256;
/// Longest client secret, in characters: four times the longest known.
const MOST_SECRET_CHARS: usize = 512;

/// The text is no credential: empty, too long, or with characters that no header can carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a credential: it is empty, too long, or has characters other than visible ASCII")]
pub struct Malformed;

/// An access token of any shape, up to 256 characters: opens business APIs.
pub type AccessToken = OpaqueCredential<MOST_TOKEN_CHARS>;

/// A client secret of any shape, up to 512 characters: buys access tokens.
pub type ClientSecret = OpaqueCredential<MOST_SECRET_CHARS>;

/// A credential of at most so many characters.
pub struct OpaqueCredential<const MOST_CHARS: usize>(Zeroizing<String>);

impl<const MOST_CHARS: usize> OpaqueCredential<MOST_CHARS> {
    /// Takes visible ASCII characters; white space around them is dropped.
    ///
    /// # Errors
    /// When the text is empty, too long, or has other characters.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        let fits = (1..=MOST_CHARS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(Zeroizing::new(text.to_owned())))
            .ok_or(Malformed)
    }

    /// The credential as it travels.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both are the same, in constant time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl<const MOST_CHARS: usize> fmt::Debug for OpaqueCredential<MOST_CHARS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueCredential(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_any_shape_that_a_header_can_carry() {
        let check = |text: &str, fits: bool| {
            assert_eq!(AccessToken::parse(text).is_ok(), fits, "{text:?}");
        };
        check("x", true);
        check(" sandbox.1.abc_def\n", true);
        check(&"x".repeat(256), true);
        check(&"x".repeat(257), false);
        check("", false);
        check("a b", false);
        check("a\nb", false);
        check("zażółć", false);
    }

    #[test]
    fn is_never_printed() {
        let token = AccessToken::parse("hunter2").unwrap();
        let secret = ClientSecret::parse("hunter2").unwrap();
        assert!(!format!("{token:?}{secret:?}").contains("hunter2"));
    }
}
