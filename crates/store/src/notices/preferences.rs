//! Which notices an address or a webhook gets, and when. Kept with its row as the choices that people made; what they did not
//! choose has the default of its target.

use super::Target;
use crate::error::StoreError;
use std::collections::BTreeMap;

/// Every event, in the order in which they are listed.
pub const EVENTS: [&str; 13] = [
    "token.generated",
    "token.revoked",
    "token.expiring",
    "token.superseded_in_use",
    "quota.reached",
    "secret.created",
    "secret.deleted",
    "client.created",
    "client.changed",
    "client.disabled",
    "client.enabled",
    "client.deleted",
    "client.unused",
];

/// When a notice of an event is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Delivery {
    /// When it happens.
    Immediate,
    /// Once a day, with everything else that waits for it.
    Daily,
    /// Never.
    Off,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Immediate, Self::Daily, Self::Off];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Daily => "daily",
            Self::Off => "off",
        }
    }

    /// The delivery of a word, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// The choices that were made for an address or a webhook.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Preferences(BTreeMap<&'static str, Delivery>);

impl Preferences {
    /// The delivery of an event to a target. Renewals are routine, so people get them once a day unless they chose otherwise;
    /// programs get everything when it happens.
    #[must_use]
    pub fn delivery(&self, event: &str, target: &Target) -> Delivery {
        let chosen = self.0.get(event).copied();
        chosen.unwrap_or(match (target, event) {
            (Target::Mail, "token.generated") => Delivery::Daily,
            _ => Delivery::Immediate,
        })
    }

    /// Chooses for an event; answers whether there is such an event.
    pub fn choose(&mut self, event: &str, delivery: Delivery) -> bool {
        let known = EVENTS.into_iter().find(|known| *known == event);
        known.map(|known| self.0.insert(known, delivery)).is_some()
    }

    pub(crate) fn text(&self) -> String {
        let one = |(event, delivery): (&&str, &Delivery)| format!("{event}={}", delivery.as_str());
        self.0.iter().map(one).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let mut read = Self::default();
        for one in text.split(',').filter(|one| !one.is_empty()) {
            let chosen = one.split_once('=').and_then(|(event, word)| {
                let delivery = Delivery::parse(word)?;
                read.choose(event, delivery).then_some(())
            });
            chosen.ok_or_else(|| StoreError::Damaged(format!("notice preference {one}")))?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_as_they_were_written() {
        let mut chosen = Preferences::default();
        assert_eq!(Preferences::parse(&chosen.text()).unwrap(), chosen);
        assert!(chosen.choose("token.generated", Delivery::Immediate));
        assert!(chosen.choose("client.unused", Delivery::Off));
        assert!(!chosen.choose("token.unheard_of", Delivery::Off));
        assert_eq!(chosen.text(), "client.unused=off,token.generated=immediate");
        assert_eq!(Preferences::parse(&chosen.text()).unwrap(), chosen);
        for damaged in ["token.generated", "token.generated=often", "x=off"] {
            assert!(Preferences::parse(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn only_mail_about_renewals_waits_for_the_end_of_the_day() {
        let webhook = Target::Webhook(uuid::Uuid::nil());
        for event in EVENTS {
            let none = Preferences::default();
            assert_eq!(none.delivery(event, &webhook), Delivery::Immediate);
            let mail = match event {
                "token.generated" => Delivery::Daily,
                _ => Delivery::Immediate,
            };
            assert_eq!(none.delivery(event, &Target::Mail), mail, "{event}");
        }
    }
}
