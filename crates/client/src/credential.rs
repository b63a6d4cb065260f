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

/// An access token of any shape: opens business APIs.
pub struct AccessToken(Zeroizing<String>);

/// A client secret of any shape: buys access tokens.
pub struct ClientSecret(Zeroizing<String>);

impl AccessToken {
    /// Takes a token of 1 to 256 visible ASCII characters; white space around it is dropped.
    ///
    /// # Errors
    /// When the text is empty, longer, or has other characters.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        opaque(text, MOST_TOKEN_CHARS).map(Self)
    }

    /// The token as it travels.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both are the same token, in constant time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl ClientSecret {
    /// Takes a secret of 1 to 512 visible ASCII characters; white space around it is dropped.
    ///
    /// # Errors
    /// When the text is empty, longer, or has other characters.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        opaque(text, MOST_SECRET_CHARS).map(Self)
    }

    /// The secret as it travels.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(redacted)")
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(redacted)")
    }
}

fn opaque(text: &str, most: usize) -> Result<Zeroizing<String>, Malformed> {
    let text = text.trim();
    let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| Zeroizing::new(text.to_owned()))
        .ok_or(Malformed)
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
