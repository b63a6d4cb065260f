//! The access token that a request presents. It is read strictly: two tokens where one belongs are refused, and none of
//! them is chosen.

use crate::check::Presented;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Clear's header of an access token.
pub const TOKEN_HEADER: &str = "x-cleartax-auth-token";

/// [`TOKEN_HEADER`] as the map of headers wants it.
static TOKEN: HeaderName = HeaderName::from_static(TOKEN_HEADER);

/// Which header an access token is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TokenHeader {
    /// [`TOKEN_HEADER`] or a bearer in `Authorization`; two that differ are refused.
    #[default]
    Both,
    /// [`TOKEN_HEADER`] only: `Authorization` is the product's own, or a proxy's.
    Own,
    /// A bearer in `Authorization` only.
    Authorization,
}

/// Returns the access token in Clear's header or as a bearer.
#[must_use]
pub fn access_token(headers: &HeaderMap) -> Presented<'_> {
    access_token_in(headers, TokenHeader::Both)
}

/// Returns the access token in the header that the product uses.
#[must_use]
pub fn access_token_in(headers: &HeaderMap, which: TokenHeader) -> Presented<'_> {
    let (mut own, mut authorization) = (Lines::None, Lines::None);
    // One look at each: cheaper than looking two names up.
    for (name, value) in headers {
        if *name == TOKEN && which != TokenHeader::Authorization {
            own.add(value);
        } else if *name == header::AUTHORIZATION && which != TokenHeader::Own {
            authorization.add(value);
        }
    }
    // Bytes that are no visible ASCII become an empty token, which is malformed.
    let own = match own {
        Lines::None => None,
        Lines::More => return Presented::Repeated,
        Lines::One(value) => match value.to_str() {
            // Empty counts as missing.
            Ok("") => None,
            Ok(text) => Some(text),
            Err(_) => return Presented::One(""),
        },
    };
    let bearer = match authorization {
        Lines::None => None,
        Lines::More => return Presented::Repeated,
        // Another scheme is the product's own affair.
        Lines::One(value) => match value.to_str() {
            Ok(text) => scheme(text, "bearer"),
            Err(_) => return Presented::One(""),
        },
    };
    match (own, bearer) {
        (Some(own), Some(bearer)) if own != bearer => Presented::Repeated,
        (Some(text), _) | (None, Some(text)) => Presented::One(text),
        (None, None) => Presented::Missing,
    }
}

/// How often a header came.
enum Lines<'a> {
    None,
    One(&'a HeaderValue),
    More,
}

impl<'a> Lines<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = match self {
            Self::None => Self::One(value),
            Self::One(_) | Self::More => Self::More,
        };
    }
}

/// What follows an authorization scheme's name, whose case does not matter.
#[must_use]
pub fn scheme<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (scheme, rest) = text.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case(name)
        .then(|| rest.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_that_a_product_does_not_use_is_not_looked_at() {
        let mut headers = HeaderMap::new();
        headers.insert(TOKEN_HEADER, "a".parse().unwrap());
        headers.append("authorization", "Bearer b".parse().unwrap());
        headers.append("authorization", "Bearer c".parse().unwrap());
        let seen = |which| format!("{:?}", access_token_in(&headers, which));
        assert_eq!(seen(TokenHeader::Own), "One(\"a\")");
        assert_eq!(seen(TokenHeader::Both), "Repeated");
        assert_eq!(seen(TokenHeader::Authorization), "Repeated");
        let headers = HeaderMap::from_iter([(TOKEN.clone(), "a".parse().unwrap())]);
        let none = access_token_in(&headers, TokenHeader::Authorization);
        assert!(matches!(none, Presented::Missing));
    }

    #[test]
    fn one_token_or_none_at_all() {
        let check = |lines: &[(&str, &str)], expect: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.append(
                    name,
                    http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                );
            }
            let seen = format!("{:?}", access_token(&headers));
            assert_eq!(seen, expect, "{lines:?}");
        };
        let own = TOKEN_HEADER;
        check(&[], "Missing");
        check(&[(own, "")], "Missing");
        check(&[(own, "a")], "One(\"a\")");
        check(&[("authorization", "bearer  a ")], "One(\"a\")");
        check(&[("authorization", "Basic a")], "Missing");
        check(&[(own, "a"), ("authorization", "Bearer a")], "One(\"a\")");
        check(&[(own, "a"), ("authorization", "Bearer b")], "Repeated");
        check(&[(own, "a"), (own, "a")], "Repeated");
        check(&[(own, "a, a")], "One(\"a, a\")");
        check(
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
            "Repeated",
        );
        check(&[(own, "\u{e9}")], "One(\"\")");
    }
}
