//! What a client's newest token is worth, and when it was last used: the same words for the admin API, the console and
//! the command line.

use super::clients::Read;
use tokenward_api::TokenState;
use tokenward_core::time::Timestamp;
use tokenward_store::Use;

impl Read {
    /// What the newest token is worth at `now`.
    #[must_use]
    pub fn token_state(&self, now: Timestamp) -> TokenState {
        let (client, slot) = (&self.state.client, &self.state.slot);
        let disabled = client.disabled_at.is_some() || self.state.workspace.disabled_at.is_some();
        match &slot.token {
            None => TokenState::None,
            Some(_) if slot.ended.is_some() || client.deleted_at.is_some() => TokenState::Revoked,
            Some(_) if slot.live(now).is_none() => TokenState::Expired,
            Some(_) if disabled => TokenState::Disabled,
            Some(_) => TokenState::Live,
        }
    }

    /// When the newest token was revoked, by a deletion of its client too.
    #[must_use]
    pub fn token_ended_at(&self) -> Option<Timestamp> {
        let (client, slot) = (&self.state.client, &self.state.slot);
        let deleted = client.deleted_at.filter(|_| slot.token.is_some());
        slot.ended.as_ref().map(|ended| ended.at).or(deleted)
    }

    /// The last use of the newest token; none when the client's last use was with an earlier one.
    #[must_use]
    pub fn token_use(&self) -> Option<&Use> {
        let slot = &self.state.slot;
        let issued = slot.token.as_ref()?.issued_at;
        self.last_use.as_ref().filter(|used| match used.generation {
            // Attached replicas and older versions do not say which it was.
            0 => used.at >= issued,
            generation => generation == slot.generation,
        })
    }
}
