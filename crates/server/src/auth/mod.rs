//! Who acts, and whether they may: rights, what people prove themselves with, and limits on guessing.

pub mod acting;
pub(crate) mod attempts;
pub mod authority;
pub mod codes;
pub mod familiar;
pub mod opaque_token;
pub mod passkeys;
pub mod password;
pub mod provider;
pub mod refused;
pub(crate) mod refused_credentials;
pub mod throttle;

use crate::data::Data;
use attempts::Attempts;
use familiar::Familiar;
use password::Passwords;
use provider::Provider;
use std::sync::Arc;
use throttle::Throttle;

/// What serves members and holders of admin keys.
pub struct People {
    /// What every act may touch.
    pub data: Arc<Data>,
    /// Wrong passwords and admin keys, by source network and what they were aimed at.
    pub(crate) throttle: Throttle,
    /// Whose codes were guessed too often.
    pub(crate) codes_throttle: Throttle,
    /// Failed sign-ins by network.
    pub(crate) networks_throttle: Throttle,
    /// Refused attempts that the audit log is to hold.
    pub(crate) attempts: Attempts,
    /// Where members signed in lately.
    pub(crate) familiar: Familiar,
    /// What the single sign-on provider says about itself.
    pub(crate) provider: Provider,
    /// Where people's passwords are hashed.
    pub(crate) passwords: Passwords,
}

impl People {
    pub(crate) fn new(data: Arc<Data>) -> Self {
        Self {
            data,
            throttle: Throttle::default(),
            codes_throttle: Throttle::for_codes(),
            networks_throttle: Throttle::for_networks(),
            attempts: Attempts::default(),
            familiar: Familiar::default(),
            provider: Provider::default(),
            passwords: Passwords::default(),
        }
    }

    /// From now on so many nodes share the limits on guessing.
    pub(crate) fn share_limits(&self, nodes: u32) {
        let clock = self.data.clock();
        for throttle in [
            &self.throttle,
            &self.codes_throttle,
            &self.networks_throttle,
        ] {
            throttle.share(nodes, &clock);
        }
    }
}
