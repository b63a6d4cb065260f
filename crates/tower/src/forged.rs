//! Headers by which a caller could pretend to have been checked. They are removed before the service inside sees the
//! request.

use http::{HeaderMap, HeaderName, header};
use tokenward_core::token_header::TOKEN_HEADER;

static TOKEN: HeaderName = HeaderName::from_static(TOKEN_HEADER);

/// Removes every `X-Tokenward-*` header, in any case, with hyphens or with any other character that is no letter or
/// digit, because some servers treat them alike. Marks tokens as sensitive, so that a log of the request does not hold
/// them.
pub(crate) fn strip_identity(headers: &mut HeaderMap) {
    let mut forged = false;
    // One look at each: cheaper than looking names up.
    for (name, value) in headers.iter_mut() {
        if *name == TOKEN || *name == header::AUTHORIZATION {
            value.set_sensitive(true);
        } else {
            forged |= is_forged(name);
        }
    }
    if forged {
        strip(headers);
    }
}

/// Nearly no request has one.
#[cold]
fn strip(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| is_forged(name)).cloned() {
        headers.remove(name);
    }
}

fn is_forged(name: &HeaderName) -> bool {
    const PREFIX: &[u8] = b"x-tokenward-";
    let head = name.as_str().as_bytes().get(..PREFIX.len());
    head.is_some_and(|head| {
        let same = |(a, b): (&u8, &u8)| a == b || (*b == b'-' && !a.is_ascii_alphanumeric());
        head.iter().zip(PREFIX).all(same)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_identities_are_taken_away_in_every_spelling() {
        let mut headers = HeaderMap::new();
        let words = "
            X-Tokenward-Client x_tokenward_client X-TOKENWARD_Workspace x.tokenward.client
            X-Tokenward~Client x-tokenward- x-tokenward-anything x-tokenwarden x-tokenward accept";
        for name in words.split_whitespace() {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name.clone(), "1".parse().unwrap());
            headers.append(name, "2".parse().unwrap());
        }
        strip_identity(&mut headers);
        let mut left: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-tokenward", "x-tokenwarden"]);
    }
}
