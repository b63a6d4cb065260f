//! Finding our credentials in other people's files, by shape and checksum, offline. The checksum
//! makes a chance hit one in four thousand million, so every find is worth looking at.

use crate::credential::{
    ADMIN_PREFIX, AccessToken, AdminKey, ClientSecret, SANDBOX_PREFIX, SECRET_PREFIX, TOKEN_MARK,
};
use crate::ids::Environment;
use uuid::Uuid;

/// The kind of a find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An access token.
    AccessToken,
    /// A client secret.
    ClientSecret,
    /// An admin key.
    AdminKey,
}

impl Kind {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access token",
            Self::ClientSecret => "client secret",
            Self::AdminKey => "admin key",
        }
    }
}

/// A credential found; where it is and whose, never what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Find {
    /// Its kind.
    pub kind: Kind,
    /// The offset of its first byte.
    pub start: usize,
    /// The offset behind its last byte.
    pub end: usize,
    /// The client's id, or the admin key's.
    pub owner: Uuid,
    /// Its environment; none for an admin key.
    pub environment: Option<Environment>,
}

/// The longest credential: what two neighbouring blocks of a large file must overlap by.
pub const LONGEST: usize = 128;

/// Every credential in `bytes`, in order. Works on any bytes, text or not.
#[must_use]
pub fn scan(bytes: &[u8]) -> Vec<Find> {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let mut finds = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !part(bytes[at]) {
            at += 1;
            continue;
        }
        let end = bytes[at..]
            .iter()
            .position(|byte| !part(*byte))
            .map_or(bytes.len(), |len| at + len);
        scan_word(bytes, at, end, &mut finds);
        at = end;
    }
    finds
}

/// Looks in one run of credential characters; a credential may stand anywhere in it, for a scanner
/// must not be fooled by a letter glued to one.
fn scan_word(bytes: &[u8], start: usize, end: usize, finds: &mut Vec<Find>) {
    let Ok(word) = std::str::from_utf8(&bytes[start..end]) else {
        return;
    };
    let mut at = 0;
    while at + 100 <= word.len() {
        match credential_at(&word[at..]) {
            Some((len, kind, owner, environment)) => {
                finds.push(Find {
                    kind,
                    start: start + at,
                    end: start + at + len,
                    owner,
                    environment,
                });
                at += len;
            }
            None => at += 1,
        }
    }
}

/// The length of a production token, a production secret and so on, is fixed by its prefix.
fn credential_at(text: &str) -> Option<(usize, Kind, Uuid, Option<Environment>)> {
    const BODY: usize = 36 + 1 + 64;
    if text.starts_with(TOKEN_MARK) || text.starts_with(SANDBOX_PREFIX) {
        let prefix = if text.starts_with(TOKEN_MARK) {
            0
        } else {
            SANDBOX_PREFIX.len()
        };
        let len = prefix + TOKEN_MARK.len() + BODY;
        let token = AccessToken::parse(text.get(..len)?).ok()?;
        return Some((
            len,
            Kind::AccessToken,
            token.client().0,
            Some(token.environment()),
        ));
    }
    if let Some(rest) = text.strip_prefix(SECRET_PREFIX) {
        let len = SECRET_PREFIX.len() + rest.find('.')? + 1 + BODY;
        let secret = ClientSecret::parse(text.get(..len)?).ok()?;
        return Some((
            len,
            Kind::ClientSecret,
            secret.client().0,
            Some(secret.environment()),
        ));
    }
    if text.starts_with(ADMIN_PREFIX) {
        let len = ADMIN_PREFIX.len() + BODY;
        let key = AdminKey::parse(text.get(..len)?).ok()?;
        return Some((len, Kind::AdminKey, key.id(), None));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClientId;
    use proptest::prelude::*;

    fn client() -> ClientId {
        ClientId(Uuid::from_u128(77))
    }

    #[test]
    fn finds_each_kind_wherever_it_stands() {
        let token = AccessToken::from_random(Environment::Sandbox, client(), [1; 28]).expose();
        let plain = AccessToken::from_random(Environment::Production, client(), [2; 28]).expose();
        let secret = ClientSecret::from_random(Environment::Production, client(), [3; 28]).expose();
        let admin = AdminKey::from_random(client().0, [4; 28]).expose();
        let text = format!(
            "TOKEN={}\n\"{}\" x{} {}.\u{ff}é{}",
            *token, *plain, *secret, *admin, *token
        );
        let kinds: Vec<_> = scan(text.as_bytes())
            .iter()
            .map(|f| (f.kind, &text[f.start..f.end] == token.as_str()))
            .collect();
        assert_eq!(
            kinds,
            [
                (Kind::AccessToken, true),
                (Kind::AccessToken, false),
                (Kind::ClientSecret, false),
                (Kind::AdminKey, false),
                (Kind::AccessToken, true)
            ]
        );
    }

    #[test]
    fn a_wrong_checksum_is_no_find() {
        let mut token = AccessToken::from_random(Environment::Production, client(), [1; 28])
            .expose()
            .to_string();
        let last = if token.pop() == Some('0') { '1' } else { '0' };
        token.push(last);
        assert!(scan(token.as_bytes()).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_scanned(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = scan(&bytes);
        }
    }
}
