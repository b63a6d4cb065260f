//! The secret in a cookie or a link: 256 random bits as text, kept by its SHA-256 only. A fast hash is right for
//! what cannot be guessed.

use crate::random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use tokenward_store::people::OpaqueTokenDigest;
use zeroize::Zeroizing;

/// Random bytes of an opaque token.
const BYTES: usize = 32;

/// A secret that a cookie or a link carries. Neither printable nor cloneable; wiped on drop.
pub struct OpaqueToken(Zeroizing<[u8; BYTES]>);

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueToken(redacted)")
    }
}

impl OpaqueToken {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// Reads the 43 characters of [`OpaqueToken::expose`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let bytes: [u8; BYTES] = bytes.as_slice().try_into().ok()?;
        Some(Self(Zeroizing::new(bytes)))
    }

    /// The text for the cookie or link: 43 characters of `A-Za-z0-9_-`.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(*self.0))
    }

    /// What is kept.
    #[must_use]
    pub fn digest(&self) -> OpaqueTokenDigest {
        Sha256::digest(*self.0).into()
    }

    /// The word every form of this session carries, so that no other page can send it.
    #[must_use]
    pub fn csrf_token(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"tokenward form word of a session\0");
        hash.update(*self.0);
        URL_SAFE_NO_PAD.encode(&hash.finalize()[..18])
    }

    /// Whether a form carries this session's word.
    #[must_use]
    pub fn is_form_word(&self, text: &str) -> bool {
        self.csrf_token().as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl Default for OpaqueToken {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_reads_back_and_nothing_else_does() {
        let opaque_token = OpaqueToken::new();
        let text = opaque_token.expose();
        assert_eq!(text.len(), 43);
        let again = OpaqueToken::parse(&text).unwrap();
        assert_eq!(again.digest(), opaque_token.digest());
        assert_ne!(OpaqueToken::new().digest(), opaque_token.digest());
        for bad in [
            "",
            "x",
            &text[1..],
            &format!("{}A", *text),
            &format!("{}=", *text),
        ] {
            assert!(OpaqueToken::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_form_word_is_its_sessions_own() {
        let (one, other) = (OpaqueToken::new(), OpaqueToken::new());
        assert!(one.is_form_word(&one.csrf_token()));
        assert!(!one.is_form_word(&other.csrf_token()));
        assert!(!one.is_form_word(""));
        assert!(!one.csrf_token().contains(&one.expose()[..8]));
    }
}
