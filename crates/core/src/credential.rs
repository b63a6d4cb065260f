//! The three credentials as they travel: access token, client secret, admin key. The only types that
//! hold plain secret bytes. They cannot be cloned, printed or serialised; `Debug` redacts; the bytes
//! are wiped on drop. Parsing is exact: one spelling, lowercase, checksum right, or nothing.

use crate::hex;
use crate::ids::{ClientId, Environment};
use std::fmt;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Random bytes in every credential: 224 bits.
pub const RANDOM_BYTES: usize = 28;
/// Hex characters of the random part and its CRC-32.
const TAIL: usize = 2 * RANDOM_BYTES + 8;
/// Characters of a hyphenated UUID.
const UUID_CHARS: usize = 36;
/// Length of a production access token; a sandbox one is [`SANDBOX_PREFIX`] longer.
pub const TOKEN_CHARS: usize = 2 + UUID_CHARS + 1 + TAIL;

/// Before a sandbox token; a production token has none (Clear's shape).
pub const SANDBOX_PREFIX: &str = "sandbox.";
/// The version mark of the token format.
pub const TOKEN_MARK: &str = "1.";
/// Before every client secret, so that scanners and people recognise one.
pub const SECRET_PREFIX: &str = "tw-secret.";
/// Before every admin key.
pub const ADMIN_PREFIX: &str = "tw-admin.";
/// Domain of the derivation for admin keys an operator chose.
const CHOSEN_CONTEXT: &str =
    "tokenward 2026-11 id and digest input of an admin key chosen by an operator";

/// For secret scanners: every access token matches this regular expression.
pub const TOKEN_PATTERN: &str =
    r"(sandbox\.)?1\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}_[0-9a-f]{64}";
/// For secret scanners: every client secret matches this regular expression.
pub const SECRET_PATTERN: &str = r"tw-secret\.(sandbox|production)\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.[0-9a-f]{64}";
/// For secret scanners: every admin key matches this regular expression.
pub const ADMIN_PATTERN: &str =
    r"tw-admin\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.[0-9a-f]{64}";

/// The text is not a credential of the kind asked for: wrong shape, case or checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a well-formed credential of this kind")]
pub struct Malformed;

/// The random part of a credential; in words, so that reading and wiping it take few steps.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Random([u32; RANDOM_BYTES / 4]);

impl Random {
    fn new(bytes: [u8; RANDOM_BYTES]) -> Self {
        Self(bytemuck::cast(bytes))
    }

    #[inline]
    fn bytes(&self) -> &[u8; RANDOM_BYTES] {
        bytemuck::cast_ref(&self.0)
    }
}

/// An access token: opens business APIs, nothing else. `[sandbox.]1.<client uuid>_<64 hex>`.
pub struct AccessToken {
    environment: Environment,
    client: ClientId,
    random: Random,
}

/// A client secret: buys access tokens, nothing else. `tw-secret.<environment>.<client uuid>.<64 hex>`.
pub struct ClientSecret {
    environment: Environment,
    client: ClientId,
    random: Random,
}

/// An admin key: opens the admin API, nothing else. `tw-admin.<key uuid>.<64 hex>`.
pub struct AdminKey {
    id: Uuid,
    random: Random,
}

impl AccessToken {
    /// A token of `client` made from fresh random bytes.
    #[must_use]
    pub fn from_random(
        environment: Environment,
        client: ClientId,
        random: [u8; RANDOM_BYTES],
    ) -> Self {
        Self {
            environment,
            client,
            random: Random::new(random),
        }
    }

    /// Reads a presented token.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        Self::parse_noting(text, |_| ())
    }

    /// The same, telling the client's id as soon as it is read, before anything is proved: so early that
    /// memory can be asked for what comes next.
    #[inline]
    pub(crate) fn parse_noting(
        text: &str,
        known: impl FnOnce(ClientId),
    ) -> Result<Self, Malformed> {
        let (environment, body) = match text.len() {
            TOKEN_CHARS => (Environment::Production, text),
            _ => (
                Environment::Sandbox,
                text.strip_prefix(SANDBOX_PREFIX).ok_or(Malformed)?,
            ),
        };
        let body = body.strip_prefix(TOKEN_MARK).ok_or(Malformed)?.as_bytes();
        let (client, random) = parse_body(text, body, b'_', |id| known(ClientId(id)))?;
        Ok(Self {
            environment,
            client: ClientId(client),
            random,
        })
    }

    /// The token as it travels: the one place its text is made. Wiped when dropped.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let prefix = match self.environment {
            Environment::Sandbox => SANDBOX_PREFIX,
            Environment::Production => "",
        };
        expose(
            &[prefix, TOKEN_MARK],
            self.client.0,
            '_',
            self.random.bytes(),
        )
    }

    /// The environment it says it belongs to.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// The API client it says it belongs to.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.client
    }

    pub(crate) fn random(&self) -> &[u8; RANDOM_BYTES] {
        self.random.bytes()
    }
}

impl ClientSecret {
    /// A secret of `client` made from fresh random bytes.
    #[must_use]
    pub fn from_random(
        environment: Environment,
        client: ClientId,
        random: [u8; RANDOM_BYTES],
    ) -> Self {
        Self {
            environment,
            client,
            random: Random::new(random),
        }
    }

    /// Reads a presented client secret.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let rest = text.strip_prefix(SECRET_PREFIX).ok_or(Malformed)?;
        let (word, body) = rest.split_once('.').ok_or(Malformed)?;
        let environment = Environment::parse(word).ok_or(Malformed)?;
        let (client, random) = parse_body(text, body.as_bytes(), b'.', |_| ())?;
        Ok(Self {
            environment,
            client: ClientId(client),
            random,
        })
    }

    /// The secret as it travels: the one place its text is made. Wiped when dropped.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        expose(
            &[SECRET_PREFIX, self.environment.as_str(), "."],
            self.client.0,
            '.',
            self.random.bytes(),
        )
    }

    /// The environment it says it belongs to.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// The API client it says it belongs to.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.client
    }

    pub(crate) fn random(&self) -> &[u8; RANDOM_BYTES] {
        self.random.bytes()
    }
}

impl AdminKey {
    /// An admin key made from fresh random bytes.
    #[must_use]
    pub fn from_random(id: Uuid, random: [u8; RANDOM_BYTES]) -> Self {
        Self {
            id,
            random: Random::new(random),
        }
    }

    /// Reads a presented admin key.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let body = text.strip_prefix(ADMIN_PREFIX).ok_or(Malformed)?;
        let (id, random) = parse_body(text, body.as_bytes(), b'.', |_| ())?;
        Ok(Self { id, random })
    }

    /// Reads a key of any shape that an operator chose, 16 to 256 visible ASCII characters: its id and
    /// random part are derived from the text. One in the usual shape is read as usual; one that only
    /// looks like it is refused.
    pub fn from_chosen(text: &str) -> Result<Self, Malformed> {
        if text.starts_with(ADMIN_PREFIX) {
            return Self::parse(text);
        }
        if !(16..=256).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Malformed);
        }
        let mut derived = [0_u8; 16 + RANDOM_BYTES];
        let mut hasher = blake3::Hasher::new_derive_key(CHOSEN_CONTEXT);
        hasher.update(text.as_bytes());
        hasher.finalize_xof().fill(&mut derived);
        let (mut id, mut random) = ([0; 16], [0; RANDOM_BYTES]);
        id.copy_from_slice(&derived[..16]);
        random.copy_from_slice(&derived[16..]);
        derived.zeroize();
        Ok(Self {
            id: uuid::Builder::from_custom_bytes(id).into_uuid(),
            random: Random::new(random),
        })
    }

    /// The key as it travels: the one place its text is made. Wiped when dropped.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        expose(&[ADMIN_PREFIX], self.id, '.', self.random.bytes())
    }

    /// The public name of the key, safe to log.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn random(&self) -> &[u8; RANDOM_BYTES] {
        self.random.bytes()
    }
}

macro_rules! redacted {
    ($($kind:ident),*) => {$(
        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($kind), "(redacted)"))
            }
        }
    )*};
}
redacted!(AccessToken, ClientSecret, AdminKey);

/// Reads `<uuid><separator><64 hex>` at the end of `text` and proves the checksum over all before it.
/// Tells the id to `known` as soon as it is read.
#[inline]
fn parse_body(
    text: &str,
    body: &[u8],
    separator: u8,
    known: impl FnOnce(Uuid),
) -> Result<(Uuid, Random), Malformed> {
    let body: &[u8; UUID_CHARS + 1 + TAIL] = body.try_into().map_err(|_| Malformed)?;
    if body[8] != b'-'
        || body[13] != b'-'
        || body[18] != b'-'
        || body[23] != b'-'
        || body[36] != separator
    {
        return Err(Malformed);
    }
    let four = |at: usize| {
        u64::from(u32::from_le_bytes([
            body[at],
            body[at + 1],
            body[at + 2],
            body[at + 3],
        ]))
    };
    let eight = |low: usize, high: usize| four(low) | four(high) << 32;
    let mut wrong = 0;
    let mut read = |chars: u64| {
        let (bytes, oddities) = hex::decode(chars);
        wrong |= oddities;
        bytes
    };
    // Around the hyphens of the UUID, then straight on.
    let id = [
        read(eight(0, 4)),
        read(eight(9, 14)),
        read(eight(19, 24)),
        read(eight(28, 32)),
    ];
    let id = Uuid::from_bytes(bytemuck::cast(id));
    known(id);
    let random = Random(std::array::from_fn(|nth| {
        read(eight(37 + 8 * nth, 41 + 8 * nth))
    }));
    let sum = read(eight(93, 97)).to_le_bytes();
    let before = &text.as_bytes()[..text.len() - 8];
    if wrong != 0 || crc32fast::hash(before) != u32::from_be_bytes(sum) {
        return Err(Malformed);
    }
    Ok((id, random))
}

fn expose(
    prefix: &[&str],
    id: Uuid,
    separator: char,
    random: &[u8; RANDOM_BYTES],
) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Reserved once, so that no reallocation leaves a copy behind.
    let mut out = Zeroizing::new(String::with_capacity(128));
    for part in prefix {
        out.push_str(part);
    }
    out.push_str(id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    out.push(separator);
    let push_hex = |out: &mut String, bytes: &[u8]| {
        for byte in bytes {
            out.push(DIGITS[usize::from(byte >> 4)] as char);
            out.push(DIGITS[usize::from(byte & 15)] as char);
        }
    };
    push_hex(&mut out, random);
    let sum = crc32fast::hash(out.as_bytes());
    push_hex(&mut out, &sum.to_be_bytes());
    out
}

#[cfg(test)]
mod tests;
