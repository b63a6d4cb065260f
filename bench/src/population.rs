//! A replica full of clients, each with a live token, and the tokens' texts in random order. The same
//! numbers give the same population.

use std::sync::Arc;
use tokenward_core::client::{Product, Workspace};
use tokenward_core::credential::{AccessToken, ClientSecret, TOKEN_CHARS};
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_core::ids::{ClientId, ClientNo, Environment, ProductNo, WorkspaceId, WorkspaceNo};
use tokenward_core::label::{Label, Name, Slug};
use tokenward_core::replica::{LoadedClient, Replica};
use tokenward_core::restrictions::Restrictions;
use tokenward_core::slot::{Slot, TokenRecord};
use tokenward_core::time::Timestamp;
use uuid::Uuid;

/// When every token was issued, in microseconds since 1970.
pub(crate) const ISSUED: Timestamp = Timestamp(1_795_428_930_000_000);
/// The digest key: any will do.
pub(crate) const KEY: [u8; 32] = [42; 32];
/// The product every check asks for; each second client is restricted to it and one more.
pub(crate) const PRODUCT: &str = "e-invoice";
/// All products, by number.
pub(crate) const PRODUCTS: [&str; 3] = ["gst", "max-itc", PRODUCT];

/// Clients in one workspace.
const CLIENTS_A_WORKSPACE: u32 = 10;

/// A small generator of well-spread numbers (the finaliser of MurmurHash3 over a counter).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        word = (word ^ (word >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        word ^ (word >> 33)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        (((self.next() >> 32) * u64::from(end)) >> 32) as u32
    }
}

/// The id of client `no`, as the server makes them.
pub(crate) fn id(keyring: &Keyring, no: u32) -> ClientId {
    keyring.client_id(ClientNo(no), bytes(u64::from(no) << 20))
}

/// Bytes that look random.
pub(crate) fn bytes<const COUNT: usize>(seed: u64) -> [u8; COUNT] {
    let mut numbers = Numbers(seed);
    let mut out = [0; COUNT];
    for part in out.chunks_mut(8) {
        part.copy_from_slice(&numbers.next().to_le_bytes()[..part.len()]);
    }
    out
}

/// The secret of client `no`.
pub(crate) fn secret(keyring: &Keyring, no: u32) -> ClientSecret {
    let random = bytes(u64::from(no) << 20 | 0xC_0000);
    ClientSecret::from_random(Environment::Production, id(keyring, no), random)
}

/// The number of the workspace of client `no`.
pub(crate) fn workspace(no: u32) -> u32 {
    no / CLIENTS_A_WORKSPACE
}

/// The id of a workspace.
pub(crate) fn workspace_id(no: u32) -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(no.into()))
}

/// The label of client `no`.
pub(crate) fn label(no: u32) -> String {
    format!("erp-{no:07}")
}

/// Whether client `no` is restricted to two products.
pub(crate) fn restricted(no: ClientNo) -> bool {
    no.0 % 2 == 1
}

/// The live token of client `no`.
pub(crate) fn token(keyring: &Keyring, no: u32) -> AccessToken {
    let random = bytes(u64::from(no) << 20 | 0x8_0000);
    AccessToken::from_random(Environment::Production, id(keyring, no), random)
}

pub(crate) fn keyring() -> Arc<Keyring> {
    let keys = vec![DigestKey::new(KeyId(1), KEY)];
    Arc::new(Keyring::new(keys).unwrap_or_else(|why| unreachable!("one good key: {why}")))
}

/// The slot of client `no` with its token live for ten years.
pub(crate) fn slot(keyring: &Keyring, no: u32) -> Slot {
    let key = keyring.current();
    let digest = keyring
        .token(key, &token(keyring, no))
        .unwrap_or_else(|| unreachable!("the current key is in the ring"));
    let valid_till = Some(ISSUED.plus_seconds(315_360_000));
    Slot::default().issue(
        TokenRecord {
            digest,
            key,
            issued_at: ISSUED,
            valid_till,
        },
        None,
    )
}

/// A replica of `clients`, vouching for ever.
pub(crate) fn replica(clients: u32) -> Replica {
    let keyring = keyring();
    let replica = Replica::new(Arc::clone(&keyring), clients as usize);
    let name = |text: &str| Name::parse(text).unwrap_or_else(|why| unreachable!("{why}"));
    let full = |why| -> () { panic!("the population does not fit: {why}") };
    let mut loading = replica.loading();
    for (no, text) in (0..).zip(PRODUCTS) {
        let slug = Slug::parse(text).unwrap_or_else(|why| unreachable!("{why}"));
        loading.product(&Product {
            no: ProductNo(no),
            slug,
            name: name(text),
            created_at: ISSUED,
        });
    }
    for no in 0..=workspace(clients) {
        let id = workspace_id(no);
        let no = WorkspaceNo(no);
        let workspace = Workspace {
            no,
            id,
            name: name("Acme"),
            created_at: ISSUED,
            disabled_at: None,
        };
        loading.workspace(&workspace).unwrap_or_else(full);
    }
    let some = Restrictions {
        products: Some(Box::new([ProductNo(0), ProductNo(2)])),
        ..Restrictions::default()
    };
    for no in 0..clients {
        let client = LoadedClient {
            no: ClientNo(no),
            id: id(&keyring, no),
            workspace: WorkspaceNo(workspace(no)),
            environment: Environment::Production,
            label: Label::parse(&label(no)).unwrap_or_else(|why| unreachable!("{why}")),
            restrictions: if restricted(ClientNo(no)) {
                some.clone()
            } else {
                Restrictions::default()
            },
            disabled: false,
            deleted: false,
        };
        loading.client(&client).unwrap_or_else(full);
        let slot = slot(&keyring, no);
        loading.slot(client.no, &slot).unwrap_or_else(full);
    }
    loading.finish(1);
    replica.lease().grant_for_ever();
    replica
}

/// Texts of the tokens of clients drawn at random, one after the other: reading them costs what
/// reading a request that just arrived costs.
pub(crate) struct Texts(String);

impl Texts {
    /// Draws `count` of the tokens of `clients`.
    pub(crate) fn draw(clients: u32, count: usize, seed: u64) -> Self {
        let keyring = keyring();
        let mut numbers = Numbers(seed);
        let mut out = String::with_capacity(count * TOKEN_CHARS);
        (0..count).for_each(|_| out.push_str(&token(&keyring, numbers.below(clients)).expose()));
        Self(out)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len() / TOKEN_CHARS
    }

    /// `count` texts from number `start` on, from the beginning again after the last.
    pub(crate) fn from(&self, start: usize, count: usize) -> impl Iterator<Item = &str> {
        let all = self.count();
        (start..start + count).map(move |at| {
            let at = at % all * TOKEN_CHARS;
            &self.0[at..at + TOKEN_CHARS]
        })
    }
}
