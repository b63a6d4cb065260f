//! Reading the replica: the check and the introspection. Order of reads: lease, slot, clock; a stall
//! anywhere makes the clock later, never the answer fresher than it is.
//!
//! What a check waits for is memory. So the slot is asked for as soon as the client's id is read, and
//! arrives while the rest of the token is read and digested.

use super::packed_slot::{self, LabelCell, Words};
use super::{Replica, table};
use crate::check::denial::Refusal;
use crate::check::{Denial, Examined, Facts, Introspection, Permit, Presented, Verdict};
use crate::credential::{AccessToken, ClientSecret};
use crate::digest::{Digest, KeyId};
use crate::ids::{ClientNo, ProductNo, WorkspaceId};
use crate::slot::{EndReason, Previous};
use crate::time::{Clock, Timestamp};
use std::sync::atomic::Ordering;

/// Which of a client's tokens the presented one is.
enum Which {
    Newest,
    Previous(Previous),
    Former(EndReason),
}

/// How much of a slot is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// What permits.
    Hot,
    /// All of it.
    Whole,
}

/// All that was read of a slot and around it in one moment.
struct Moment {
    no: ClientNo,
    words: Words,
    label: LabelCell,
    previous: Option<Previous>,
    workspace: WorkspaceId,
    workspace_disabled: bool,
}

/// A known token and the moment it was found in.
struct Found {
    which: Which,
    at: Moment,
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
    pub fn check(
        &self,
        presented: Presented<'_>,
        facts: &Facts<'_>,
        clock: &impl Clock,
    ) -> Verdict {
        self.examine(presented, facts, clock).verdict
    }

    /// The same, and whose token it was: for counting.
    #[must_use]
    #[inline]
    pub fn examine(
        &self,
        presented: Presented<'_>,
        facts: &Facts<'_>,
        clock: &impl Clock,
    ) -> Examined {
        let lease = self.lease.read();
        let token = match presented {
            Presented::Missing => Err(Denial::TokenMissing),
            Presented::Repeated => Err(Denial::TokenRepeated),
            Presented::One(text) => self.read(text),
        };
        let (product, found) = match &token {
            Ok((token, no)) => self.find(token, *no, facts.product, Depth::Hot),
            Err(_) => (self.consistent(|| self.product(facts.product)), None),
        };
        // The clocks come last: nothing read above can be fresher than they say.
        if !lease.covers(|| clock.boot()) {
            return Examined {
                verdict: Verdict::CannotVouch,
                holder: None,
                product: None,
            };
        }
        let holder = found.as_ref().map(|found| found.at.no);
        let decide = || -> Result<Permit, Denial> {
            let product = product.ok_or(Denial::ProductUnknown)?;
            let (token, _) = token?;
            if token.environment() != facts.environment {
                return Err(Denial::EnvironmentMismatch);
            }
            let now = clock.wall();
            let live = live(found.ok_or(Denial::TokenUnknown)?, now)?;
            self.permit(&token, live, product, facts, now)
        };
        let verdict = match decide() {
            Ok(permit) => Verdict::Permit(permit),
            Err(denial) => Verdict::Deny(denial),
        };
        Examined {
            verdict,
            holder,
            product,
        }
    }

    /// Returns the slugs of all products, sorted.
    #[must_use]
    pub fn product_slugs(&self) -> Vec<String> {
        let mut slugs: Vec<_> = self.products.load().by_slug.keys().cloned().collect();
        slugs.sort_unstable();
        slugs
    }

    /// Returns the number of the product with this slug, if there is one.
    #[must_use]
    pub fn product_no(&self, slug: &str) -> Option<ProductNo> {
        self.products.load().by_slug.get(slug).copied()
    }

    /// Tells about a live token (RFC 7662).
    ///
    /// # Errors
    /// Why it is no live token, or [`Refusal::CannotVouch`].
    pub fn introspect(&self, text: &str, clock: &impl Clock) -> Result<Introspection, Refusal> {
        let lease = self.lease.read();
        let token = self.read(text).map_err(Refusal::Denied);
        let found = token
            .as_ref()
            .ok()
            .and_then(|(token, no)| self.find(token, *no, "", Depth::Whole).1);
        if !lease.covers(|| clock.boot()) {
            return Err(Refusal::CannotVouch);
        }
        let (token, _) = token?;
        let live = live(
            found.ok_or(Refusal::Denied(Denial::TokenUnknown))?,
            clock.wall(),
        )
        .map_err(Refusal::Denied)?;
        let at = &live.found.at;
        let products = self.products.load();
        let slugs = |list: &[ProductNo]| {
            let mut slugs: Vec<_> = list
                .iter()
                .filter_map(|no| products.by_no.get(no).cloned())
                .collect();
            slugs.sort_unstable();
            slugs
        };
        let restrictions = self
            .restrictions
            .get(at.words.restrictions())
            .ok_or(Refusal::Denied(Denial::TokenUnknown))?;
        Ok(Introspection {
            workspace: at.workspace,
            client: token.client(),
            label: self.label(at.label).as_str().to_owned(),
            environment: token.environment(),
            products: restrictions.products.as_ref().map(|list| slugs(list)),
            token_networks: restrictions.token_networks.clone(),
            generation: live.generation,
            issued_at: live.issued_at,
            valid_till: live.valid_till,
        })
    }

    /// Reads a token and the number its client's id tells. As soon as that is known, the memory is asked
    /// for all that a check will read.
    #[inline]
    fn read(&self, text: &str) -> Result<(AccessToken, ClientNo), Denial> {
        let mut no = ClientNo(u32::MAX);
        let token = AccessToken::parse_noting(text, |id| {
            no = self.keyring.client_no(id);
            self.hot.expect(no.index());
            self.labels.expect(no.index());
        });
        match token {
            Ok(token) => Ok((token, no)),
            Err(_) if ClientSecret::parse(text).is_ok() => Err(Denial::SecretUsedAsToken),
            Err(_) => Err(Denial::TokenMalformed),
        }
    }

    /// The product of this slug; only within [`Replica::consistent`].
    #[inline]
    fn product(&self, slug: &str) -> Option<ProductNo> {
        self.products.load().by_slug.get(slug).copied()
    }

    /// Looks a token up, and the product in the same moment.
    #[inline]
    fn find(
        &self,
        token: &AccessToken,
        no: ClientNo,
        slug: &str,
        depth: Depth,
    ) -> (Option<ProductNo>, Option<Found>) {
        // Nearly every token is digested under the current key; known before the slot arrives.
        let key = self.keyring.current();
        let digest = self.keyring.token(key, token).map(|digest| (key, digest));
        let mut product = None;
        if self.is_direct(no) {
            let (seen, found) = self.find_in(no, token, digest, slug, depth);
            if found.is_some() {
                return (seen, found);
            }
            product = Some(seen);
        }
        for no in self.others(token.client()) {
            let (seen, found) = self.find_in(no, token, digest, slug, depth);
            if found.is_some() {
                return (seen, found);
            }
            product = Some(seen);
        }
        (
            product.unwrap_or_else(|| self.consistent(|| self.product(slug))),
            None,
        )
    }

    /// Looks for the token in one slot.
    #[inline]
    fn find_in(
        &self,
        no: ClientNo,
        token: &AccessToken,
        digest: Option<(KeyId, Digest)>,
        slug: &str,
        depth: Depth,
    ) -> (Option<ProductNo>, Option<Found>) {
        let (product, at) = self.consistent(|| (self.product(slug), self.moment(no, depth)));
        let Some(at) = at.filter(|at| at.words.has_token()) else {
            return (product, None);
        };
        let key = at.words.key();
        let of_key = match digest {
            Some((known, digest)) if known == key => Some(digest),
            _ => self.keyring.token(key, token),
        };
        if of_key.is_some_and(|digest| digest.matches(&at.words.digest())) {
            return (
                product,
                Some(Found {
                    which: Which::Newest,
                    at,
                }),
            );
        }
        match depth {
            Depth::Hot => self.find_in(no, token, digest, slug, Depth::Whole),
            Depth::Whole => (
                product,
                self.earlier(&at, token).map(|which| Found { which, at }),
            ),
        }
    }

    /// All that a verdict needs of slot `no`; only within [`Replica::consistent`].
    #[inline]
    fn moment(&self, no: ClientNo, depth: Depth) -> Option<Moment> {
        let hot = table::copy(self.hot.get(no.index())?);
        let mut words = Words {
            hot,
            cold: [0; table::COLD_WORDS],
        };
        let mut previous = None;
        if depth == Depth::Whole {
            words.cold = table::copy(self.cold.get(no.index())?);
            previous = words
                .has(packed_slot::HAS_PREVIOUS)
                .then(|| self.previous.read().get(&no.0).copied())
                .flatten();
        }
        let label = LabelCell(table::copy(self.labels.get(no.index())?));
        let workspace = self.workspaces.get(words.workspace())?;
        let workspace_disabled = workspace.disabled.load(Ordering::Relaxed);
        Some(Moment {
            no,
            words,
            label,
            previous,
            workspace: workspace.id,
            workspace_disabled,
        })
    }

    /// Whether the token is one from before the newest. Such a token may have been digested under
    /// any key of the ring.
    #[cold]
    fn earlier(&self, at: &Moment, token: &AccessToken) -> Option<Which> {
        for key in self.keyring.ids() {
            let digest = self.keyring.token(key, token)?;
            if let Some(previous) = at.previous
                && previous.key == key
                && previous.digest.matches(&digest)
            {
                return Some(Which::Previous(previous));
            }
            if let Some(reason) = at.words.former(digest.prefix()) {
                return Some(Which::Former(reason));
            }
        }
        None
    }

    #[inline]
    fn permit(
        &self,
        token: &AccessToken,
        live: Live,
        product: ProductNo,
        facts: &Facts<'_>,
        checked_at: Timestamp,
    ) -> Result<Permit, Denial> {
        let at = &live.found.at;
        // Restrictions are never changed once set, so reading them after the slot is safe.
        let restrictions = self
            .restrictions
            .get(at.words.restrictions())
            .ok_or(Denial::TokenUnknown)?;
        if !restrictions.is_open() {
            if !restrictions.allow_product(product) {
                return Err(Denial::ProductNotAllowed);
            }
            if !restrictions.token_networks.hold(facts.address) {
                return Err(Denial::AddressNotAllowed);
            }
        }
        Ok(Permit {
            workspace: at.workspace,
            client: token.client(),
            client_no: at.no.0,
            label: self.label(at.label),
            environment: token.environment(),
            product,
            generation: live.generation,
            valid_till: live.valid_till,
            checked_at,
        })
    }
}

/// Whether a known token lives now; its holder, who proved to hold it, is told why not.
fn live(found: Found, now: Timestamp) -> Result<Live, Denial> {
    let words = &found.at.words;
    if words.has(packed_slot::DELETED) {
        return Err(Denial::ClientDeleted);
    }
    let superseded = || Denial::TokenSuperseded {
        generation: words.generation(),
        at: words.issued_at(),
    };
    let (generation, issued_at, valid_till) = match found.which {
        Which::Newest => {
            if let Some((_, at)) = words.ended() {
                return Err(Denial::TokenRevoked { at: Some(at) });
            }
            (
                words.generation(),
                Some(words.issued_at()),
                words.valid_till(),
            )
        }
        Which::Previous(previous) if now < previous.valid_till => (
            words.generation().saturating_sub(1),
            None,
            Some(previous.valid_till),
        ),
        Which::Previous(_) | Which::Former(EndReason::Superseded) => return Err(superseded()),
        Which::Former(EndReason::Revoked | EndReason::Restored) => {
            return Err(Denial::TokenRevoked { at: None });
        }
    };
    if let Some(at) = valid_till
        && now >= at
    {
        return Err(Denial::TokenExpired { at });
    }
    if words.has(packed_slot::DISABLED) || found.at.workspace_disabled {
        return Err(Denial::ClientDisabled);
    }
    Ok(Live {
        generation,
        issued_at,
        valid_till,
        found,
    })
}
