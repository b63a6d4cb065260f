//! Reading the replica: the check and the introspection. Order of reads: lease, slot, clock; a stall
//! anywhere makes the clock later, never the answer fresher than it is.

use super::words::{self, Words};
use super::{Replica, index};
use crate::check::{Denial, Facts, Introspection, Permit, Presented, Verdict};
use crate::credential::{AccessToken, ClientSecret};
use crate::digest::{Digest, KeyId};
use crate::ids::{ClientNo, ProductNo, WorkspaceId};
use crate::slot::{EndReason, Previous};
use crate::time::{Clock, Timestamp};

/// Which of a client's tokens the presented one is.
enum Which {
    Newest,
    Previous(Previous),
    Former(EndReason),
}

/// A known token and all that was read with it in one moment.
struct Found {
    no: ClientNo,
    words: Words,
    which: Which,
    workspace: WorkspaceId,
    workspace_disabled: bool,
}

/// A token that lives at the moment of the clock.
struct Live {
    found: Found,
    generation: u32,
    issued_at: Option<Timestamp>,
    valid_till: Option<Timestamp>,
}

impl Replica {
    /// Decides one request. It cannot wait, and so cannot ask anybody.
    #[must_use]
    pub fn check(&self, presented: Presented<'_>, facts: &Facts<'_>, clock: &impl Clock) -> Verdict {
        let lease = self.lease.read();
        let token = match presented {
            Presented::Missing => Err(Denial::TokenMissing),
            Presented::Repeated => Err(Denial::TokenRepeated),
            Presented::One(text) => parse(text),
        };
        let (product, found) = self.consistent(|| {
            let product = self.products.load().by_slug.get(facts.product).copied();
            let found = token.as_ref().ok().and_then(|token| self.find(token));
            (product, found)
        });
        // The clocks come last: nothing read above can be fresher than they say.
        if !lease.covers(|| clock.boot()) {
            return Verdict::CannotVouch;
        }
        let decide = || -> Result<Permit, Denial> {
            let product = product.ok_or(Denial::ProductUnknown)?;
            let token = token?;
            if token.environment() != facts.environment {
                return Err(Denial::EnvironmentMismatch);
            }
            let now = clock.wall();
            let live = live(found.ok_or(Denial::TokenUnknown)?, now)?;
            self.permit(&token, live, product, facts, now)
        };
        match decide() {
            Ok(permit) => Verdict::Permit(permit),
            Err(denial) => Verdict::Deny(denial),
        }
    }

    /// Tells about a live token (RFC 7662). Err(None) when the node cannot vouch.
    pub fn introspect(&self, text: &str, clock: &impl Clock) -> Result<Introspection, Option<Denial>> {
        let lease = self.lease.read();
        let token = parse(text).map_err(Some);
        let found = self.consistent(|| token.as_ref().ok().and_then(|token| self.find(token)));
        if !lease.covers(|| clock.boot()) {
            return Err(None);
        }
        let token = token?;
        let live = live(found.ok_or(Some(Denial::TokenUnknown))?, clock.wall()).map_err(Some)?;
        let words = &live.found.words;
        let products = self.products.load();
        let slugs = |list: &[ProductNo]| {
            let mut slugs: Vec<_> = list.iter().filter_map(|no| products.by_no.get(no).cloned()).collect();
            slugs.sort_unstable();
            slugs
        };
        let restrictions = self.restrictions.get(words.restrictions()).ok_or(Some(Denial::TokenUnknown))?;
        Ok(Introspection {
            workspace: live.found.workspace,
            client: token.client(),
            label: self.labels.text(words.label()).as_str().to_owned(),
            environment: token.environment(),
            products: restrictions.products.as_ref().map(|list| slugs(list)),
            generation: live.generation,
            issued_at: live.issued_at,
            valid_till: live.valid_till,
        })
    }

    /// Looks a token up; only within [`Replica::consistent`].
    #[inline]
    fn find(&self, token: &AccessToken) -> Option<Found> {
        let mut digest: Option<(KeyId, Digest)> = None;
        for no in self.index.load().candidates(index::fingerprint(token.client())) {
            let Some(words) = self.copy_words(no).filter(Words::has_token) else { continue };
            let key = words.key();
            let of_key = match digest {
                Some((known, of_key)) if known == key => of_key,
                _ => match self.keyring.token(key, token) {
                    Some(of_key) => digest.insert((key, of_key)).1,
                    None => continue,
                },
            };
            let which = if of_key.matches(&words.digest()) {
                Which::Newest
            } else {
                match self.find_earlier(no, &words, token) {
                    Some(which) => which,
                    None => continue,
                }
            };
            let workspace = self.workspaces.get(words.workspace())?;
            return Some(Found {
                no,
                words,
                which,
                workspace: workspace.id,
                workspace_disabled: workspace.disabled.load(std::sync::atomic::Ordering::Relaxed),
            });
        }
        None
    }

    /// Whether the token is one from before the newest. Such a token may have been digested under
    /// any key of the ring.
    #[cold]
    fn find_earlier(&self, no: ClientNo, words: &Words, token: &AccessToken) -> Option<Which> {
        let previous = words.has(words::HAS_PREVIOUS).then(|| self.previous.read().get(&no.0).copied()).flatten();
        for key in self.keyring.ids() {
            let digest = self.keyring.token(key, token)?;
            if let Some(previous) = previous
                && previous.key == key
                && previous.digest.matches(&digest)
            {
                return Some(Which::Previous(previous));
            }
            if let Some(reason) = words.former(digest.prefix()) {
                return Some(Which::Former(reason));
            }
        }
        None
    }

    fn permit(
        &self,
        token: &AccessToken,
        live: Live,
        product: ProductNo,
        facts: &Facts<'_>,
        checked_at: Timestamp,
    ) -> Result<Permit, Denial> {
        let words = &live.found.words;
        // Restrictions are never changed once set, so reading them after the slot is safe.
        let restrictions = self.restrictions.get(words.restrictions()).ok_or(Denial::TokenUnknown)?;
        if !restrictions.is_open() {
            if !restrictions.allow_product(product) {
                return Err(Denial::ProductNotAllowed);
            }
            if !restrictions.token_networks.hold(facts.address) {
                return Err(Denial::AddressNotAllowed);
            }
        }
        Ok(Permit {
            workspace: live.found.workspace,
            client: token.client(),
            client_no: live.found.no.0,
            label: self.labels.text(words.label()),
            environment: token.environment(),
            product,
            generation: live.generation,
            valid_till: live.valid_till,
            checked_at,
        })
    }
}

fn parse(text: &str) -> Result<AccessToken, Denial> {
    AccessToken::parse(text).map_err(|_| {
        if ClientSecret::parse(text).is_ok() { Denial::SecretUsedAsToken } else { Denial::TokenMalformed }
    })
}

/// Whether a known token lives now; its holder, who proved to hold it, is told why not.
fn live(found: Found, now: Timestamp) -> Result<Live, Denial> {
    let words = &found.words;
    if words.has(words::DELETED) {
        return Err(Denial::ClientDeleted);
    }
    let superseded = Denial::TokenSuperseded { generation: words.generation(), at: words.issued_at() };
    let (generation, issued_at, valid_till) = match found.which {
        Which::Newest => {
            if let Some((_, at)) = words.ended() {
                return Err(Denial::TokenRevoked { at: Some(at) });
            }
            (words.generation(), Some(words.issued_at()), words.valid_till())
        }
        Which::Previous(previous) if now < previous.valid_till => {
            (words.generation().saturating_sub(1), None, Some(previous.valid_till))
        }
        Which::Previous(_) | Which::Former(EndReason::Superseded) => return Err(superseded),
        Which::Former(EndReason::Revoked | EndReason::Restored) => {
            return Err(Denial::TokenRevoked { at: None });
        }
    };
    if let Some(at) = valid_till
        && now >= at
    {
        return Err(Denial::TokenExpired { at });
    }
    if words.has(words::DISABLED) || found.workspace_disabled {
        return Err(Denial::ClientDisabled);
    }
    Ok(Live { generation, issued_at, valid_till, found })
}
