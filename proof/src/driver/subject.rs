//! One API client under load, with every token it has been handed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokenward_testkit::{Api, ApiClient, Broken, NewClient};

use super::lock;
use crate::history::{ProductSet, TokenId};

/// The products of the load; their index is the history's number.
pub(crate) const PRODUCTS: [(&str, &str); 3] = [
    ("gst", "GST"),
    ("max-itc", "Max ITC"),
    ("e-invoice", "E-Invoice"),
];

/// Clients of one process have numbers and labels of their own.
static NEXT: AtomicU32 = AtomicU32::new(1);

pub(crate) struct Subject {
    pub(crate) number: u32,
    pub(crate) client: ApiClient,
    /// It has been deleted, or has used up its quota.
    is_finished: AtomicBool,
    /// In the order in which they were handed out.
    tokens: Mutex<Vec<String>>,
}

impl Subject {
    pub(crate) async fn create(api: &Api, workspace: &str) -> Result<Subject, Broken> {
        let (number, new) = Self::wanted();
        let client = api.client(workspace, new).await?;
        Ok(Self::of(number, client))
    }

    /// The same while servers fail; none when no client was made.
    pub(crate) async fn try_create(api: &Api, workspace: &str) -> Option<Subject> {
        let (number, new) = Self::wanted();
        let client = api.try_client(workspace, new).await?;
        Some(Self::of(number, client))
    }

    /// The next one's number, and what is asked for.
    fn wanted() -> (u32, NewClient) {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        (number, NewClient::sandbox(&format!("erp-{number}")))
    }

    fn of(number: u32, client: ApiClient) -> Subject {
        Subject {
            number,
            client,
            is_finished: AtomicBool::new(false),
            tokens: Mutex::default(),
        }
    }

    /// Nothing more is to be had from this client but refusals.
    pub(crate) fn finish(&self) {
        self.is_finished.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Relaxed)
    }

    /// Keeps a token handed out and returns its number; the same text has the same number.
    pub(crate) fn keep(&self, token: String) -> TokenId {
        let mut tokens = lock(&self.tokens);
        let known = tokens.iter().position(|known| *known == token);
        let index = known.unwrap_or_else(|| {
            tokens.push(token);
            tokens.len() - 1
        });
        TokenId::try_from(index).expect("a client is handed a few hundred tokens")
    }

    /// The token handed out `back` tokens before the latest.
    pub(crate) fn token(&self, back: usize) -> Option<(TokenId, String)> {
        let tokens = lock(&self.tokens);
        let index = tokens.len().checked_sub(back + 1)?;
        Some((TokenId::try_from(index).ok()?, tokens[index].clone()))
    }

    pub(crate) fn token_count(&self) -> usize {
        lock(&self.tokens).len()
    }
}

/// The slugs in a set, for the admin API; `None` for no restriction.
pub(super) fn slugs(set: ProductSet) -> Option<Vec<&'static str>> {
    (set != ProductSet::ALL).then(|| {
        (0_u8..)
            .zip(PRODUCTS)
            .filter(|&(product, _)| set.contains(product))
            .map(|(_, (slug, _))| slug)
            .collect()
    })
}
