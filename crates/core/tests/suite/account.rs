//! A naive account of what the tokens of a client are worth, kept beside the real thing in the state
//! machine test. It remembers every token as a line in a list and knows nothing of slots.

use crate::world::Seen;
use std::collections::BTreeSet;
use tokenward_core::check::Denial;
use tokenward_core::generate::IssueOptions;
use tokenward_core::ids::Environment;
use tokenward_core::time::Timestamp;

/// How many tokens before the newest are remembered.
const REMEMBERED: usize = 3;

/// Why a token is no longer good, besides its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Revoked(Timestamp),
    Restored(Timestamp),
}

/// One token ever issued.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) text: String,
    pub(crate) generation: u32,
    pub(crate) at: Timestamp,
    pub(crate) till: Option<Timestamp>,
    pub(crate) end: Option<End>,
    /// Superseded, yet handed over until then.
    pub(crate) lives_on_until: Option<Timestamp>,
}

/// One client.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) environment: Environment,
    pub(crate) workspace: usize,
    pub(crate) generation: u32,
    pub(crate) tokens: Vec<Issued>,
    pub(crate) disabled: bool,
    pub(crate) deleted: bool,
    pub(crate) products: Option<BTreeSet<usize>>,
    /// Whether tokens are good only from home.
    pub(crate) from_home_only: bool,
    pub(crate) lifetime: Option<u32>,
    pub(crate) returns: bool,
    pub(crate) renew_before: u32,
    pub(crate) handover_max: u32,
    /// The number of the secret that can have the newest token back.
    pub(crate) returnable_to: Option<u32>,
    /// Numbers and texts of the secrets.
    pub(crate) secrets: [Option<(u32, String)>; 2],
    pub(crate) next_secret: u32,
    /// By position: a day and the tokens made on it.
    pub(crate) used: [(u32, u32); 2],
}

/// What a call of a secret should give.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Expected {
    Refused(&'static str),
    Returned(String),
    Made { previous_till: Option<Timestamp> },
}

impl Account {
    fn newest_is_live(&self, now: Timestamp) -> bool {
        self.tokens
            .last()
            .is_some_and(|token| token.end.is_none() && token.till.is_none_or(|till| now < till))
    }

    /// What a check of token `nth` should answer.
    pub(crate) fn verdict(
        &self,
        nth: usize,
        now: Timestamp,
        workspace_disabled: bool,
        (environment, product, from_home): (Environment, usize, bool),
    ) -> Seen {
        let deny = Seen::Deny;
        if environment != self.environment {
            return deny(Denial::EnvironmentMismatch);
        }
        let token = &self.tokens[nth];
        let newest = self.tokens.last().unwrap();
        let younger = self.tokens.len() - 1 - nth;
        if younger > REMEMBERED {
            return deny(Denial::TokenUnknown);
        }
        if self.deleted {
            return deny(Denial::ClientDeleted);
        }
        let handed_over = token.lives_on_until.is_some_and(|until| now < until);
        match token.end {
            Some(End::Revoked(at) | End::Restored(at)) => {
                return deny(Denial::TokenRevoked {
                    at: (younger == 0).then_some(at),
                });
            }
            None if younger > 0 && !handed_over => {
                return deny(Denial::TokenSuperseded {
                    generation: self.generation,
                    at: newest.at,
                });
            }
            None => {}
        }
        if let Some(at) = token.till.filter(|till| younger == 0 && now >= *till) {
            return deny(Denial::TokenExpired { at });
        }
        if self.disabled || workspace_disabled {
            return deny(Denial::ClientDisabled);
        }
        if self
            .products
            .as_ref()
            .is_some_and(|list| !list.contains(&product))
        {
            return deny(Denial::ProductNotAllowed);
        }
        if self.from_home_only && !from_home {
            return deny(Denial::AddressNotAllowed);
        }
        Seen::Permit {
            generation: token.generation,
        }
    }

    /// What a call with the secret in `position` should give.
    pub(crate) fn expect(
        &self,
        position: usize,
        workspace_disabled: bool,
        options: IssueOptions,
        quota: u32,
        now: Timestamp,
    ) -> Expected {
        let Some((number, _)) = &self.secrets[position] else {
            return Expected::Refused("secret");
        };
        if self.deleted {
            return Expected::Refused("deleted");
        }
        if self.disabled || workspace_disabled {
            return Expected::Refused("disabled");
        }
        if options
            .if_match
            .is_some_and(|wanted| wanted != self.generation)
        {
            return Expected::Refused("generation");
        }
        let handover = options.handover_seconds.unwrap_or(0);
        if handover > self.handover_max {
            return Expected::Refused("handover");
        }
        let live = self.newest_is_live(now);
        if self.returns && !options.force && live && self.returnable_to == Some(*number) {
            let newest = self.tokens.last().unwrap();
            let renew = now.plus_seconds(self.renew_before.into());
            if newest.till.is_none_or(|till| till > renew) {
                return Expected::Returned(newest.text.clone());
            }
        }
        if self.used_today(position, now) >= quota {
            return Expected::Refused("quota");
        }
        let newest = self.tokens.last().filter(|_| live && handover > 0);
        let end = now.plus_seconds(handover.into());
        Expected::Made {
            previous_till: newest.map(|newest| newest.till.map_or(end, |till| till.min(end))),
        }
    }

    pub(crate) fn used_today(&self, position: usize, now: Timestamp) -> u32 {
        let (day, used) = self.used[position];
        if day == now.utc_day() { used } else { 0 }
    }

    /// Writes down a token made.
    pub(crate) fn made(
        &mut self,
        text: String,
        previous_till: Option<Timestamp>,
        by: Option<usize>,
        now: Timestamp,
    ) {
        self.end_hand_over();
        if let Some(newest) = self.tokens.last_mut() {
            newest.lives_on_until = previous_till;
        }
        self.generation += 1;
        let till = self
            .lifetime
            .map(|seconds| now.plus_seconds(seconds.into()));
        let generation = self.generation;
        self.tokens.push(Issued {
            text,
            generation,
            at: now,
            till,
            end: None,
            lives_on_until: None,
        });
        self.returnable_to = by
            .filter(|_| self.returns)
            .and_then(|by| Some(self.secrets[by].as_ref()?.0));
        if let Some(position) = by {
            self.used[position] = (now.utc_day(), self.used_today(position, now) + 1);
        }
    }

    pub(crate) fn end_hand_over(&mut self) {
        self.tokens
            .iter_mut()
            .for_each(|token| token.lives_on_until = None);
    }

    /// Ends the newest token, and a hand-over with it.
    pub(crate) fn end(&mut self, end: End) {
        self.end_hand_over();
        self.returnable_to = None;
        if let Some(newest) = self.tokens.last_mut() {
            newest.end = newest.end.or(Some(end));
        }
    }

    /// Whether anything lives, the previous token of a hand-over included.
    pub(crate) fn anything_lives(&self, now: Timestamp) -> bool {
        self.newest_is_live(now)
            || self
                .tokens
                .iter()
                .any(|token| token.lives_on_until.is_some_and(|until| now < until))
    }
}
