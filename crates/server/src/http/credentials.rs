//! The client secret in headers: read strictly. Two where one belongs are refused, never chosen between.

use base64::Engine;
use http::{HeaderMap, header};
use tokenward_core::ClientSecret;
use tokenward_core::token_header::scheme;
use zeroize::Zeroizing;

/// Clear's header of a client secret.
pub const SECRET_HEADER: &str = "x-clear-client-secret";

/// A client secret as presented.
#[derive(Debug)]
pub enum SecretPresented {
    /// Nothing.
    Missing,
    /// More than one, or two that differ.
    Repeated,
    /// Something unreadable.
    Unreadable,
    /// One text, and the client id named with it in HTTP Basic.
    One {
        /// The secret's text.
        secret: Zeroizing<String>,
        /// The user name of HTTP Basic.
        client_id: Option<String>,
    },
}

/// The client secret a request presents, in Clear's header or as HTTP Basic.
#[must_use]
pub fn client_secret(headers: &HeaderMap) -> SecretPresented {
    let mut values = headers.get_all(SECRET_HEADER).iter();
    let own = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(_), Some(_)) => return SecretPresented::Repeated,
        (Some(value), None) => match value.to_str() {
            Ok("") => None,
            Ok(text) => Some(text),
            Err(_) => return SecretPresented::Unreadable,
        },
    };
    let basic = match (own, basic(headers)) {
        (_, Ok(basic)) => basic,
        // What a proxy in front takes for itself is its own affair, if it is one header.
        (Some(_), Err(Unreadable))
            if headers.get_all(header::AUTHORIZATION).iter().count() == 1 =>
        {
            None
        }
        (_, Err(Unreadable)) => return SecretPresented::Unreadable,
    };
    match (own, basic) {
        (None, None) => SecretPresented::Missing,
        (Some(own), None) => SecretPresented::One {
            secret: Zeroizing::new(own.to_owned()),
            client_id: None,
        },
        (Some(own), Some((user, secret))) if own != secret.as_str() => {
            match uuid::Uuid::try_parse(&user).is_ok() || ClientSecret::parse(&secret).is_ok() {
                true => SecretPresented::Repeated,
                // Neither a client nor a secret of ours: a proxy's own user.
                false => SecretPresented::One {
                    secret: Zeroizing::new(own.to_owned()),
                    client_id: None,
                },
            }
        }
        (_, Some((client_id, secret))) => SecretPresented::One {
            secret,
            client_id: Some(client_id),
        },
    }
}

/// An `Authorization` header that is there twice, or can't be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable;

/// User name and password of HTTP Basic (RFC 7617), if the request has it.
pub fn basic(headers: &HeaderMap) -> Result<Option<(String, Zeroizing<String>)>, Unreadable> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(_), Some(_)) => return Err(Unreadable),
        (Some(value), None) => value.to_str().map_err(|_| Unreadable)?,
    };
    let Some(encoded) = scheme(value, "basic") else {
        return Ok(None);
    };
    let decoded = Zeroizing::new(
        base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .map_err(|_| Unreadable)?,
    );
    let text = std::str::from_utf8(&decoded).map_err(|_| Unreadable)?;
    let (user, password) = text.split_once(':').ok_or(Unreadable)?;
    Ok(Some((user.to_owned(), Zeroizing::new(password.to_owned()))))
}
