//! How many mails an address gets in an hour. What is beyond it is held back until the next hour and then goes out in
//! one mail, so that a client that generates in a loop floods no mailbox. Counts; sends nothing.

use std::collections::HashMap;
use tokenward_core::time::{MICROS_PER_SECOND, Timestamp};
use tokenward_store::notices::folded_address;

/// Mails to one address in an hour of the clock: one every three minutes.
pub(super) const MAILS_AN_HOUR: u64 = 20;
const HOUR_MICROS: i64 = 3_600 * MICROS_PER_SECOND;

/// The mails of the current hour, by address.
#[derive(Default)]
pub(super) struct MailLimit {
    hour: i64,
    sent: HashMap<String, u64>,
}

/// When the hour of `now` began.
pub(super) fn hour_began(now: Timestamp) -> Timestamp {
    Timestamp(now.0.div_euclid(HOUR_MICROS) * HOUR_MICROS)
}

/// The hour of the day, in UTC, at which the mail of the day goes out.
const DIGEST_HOUR: i64 = 6;

/// When the mail of the day goes out that tells what happened at `at`.
pub(super) fn digest_after(at: Timestamp) -> Timestamp {
    let day = 24 * HOUR_MICROS;
    let shift = DIGEST_HOUR * HOUR_MICROS;
    Timestamp(((at.0 - shift).div_euclid(day) + 1) * day + shift)
}

impl MailLimit {
    fn roll(&mut self, now: Timestamp) {
        let hour = now.0.div_euclid(HOUR_MICROS);
        if hour != self.hour {
            self.hour = hour;
            self.sent.clear();
        }
    }

    /// Whether it is known how many mails this address got in this hour.
    pub(super) fn knows(&mut self, recipient: &str, now: Timestamp) -> bool {
        self.roll(now);
        self.sent.contains_key(&folded_address(recipient))
    }

    /// Takes over what was sent before this process counted.
    pub(super) fn remember(&mut self, recipient: &str, sent: u64) {
        self.sent.insert(folded_address(recipient), sent);
    }

    /// Takes one mail; or answers when the next hour begins.
    pub(super) fn take(&mut self, recipient: &str, now: Timestamp) -> Result<(), Timestamp> {
        self.roll(now);
        let sent = self.sent.entry(folded_address(recipient)).or_default();
        if *sent >= MAILS_AN_HOUR {
            return Err(Timestamp(hour_began(now).0 + HOUR_MICROS));
        }
        *sent += 1;
        Ok(())
    }

    /// Gives a mail back that was not sent.
    pub(super) fn give_back(&mut self, recipient: &str) {
        if let Some(sent) = self.sent.get_mut(&folded_address(recipient)) {
            *sent = sent.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_of_the_day_goes_out_at_the_next_six_o_clock() {
        let hour = |n: i64| Timestamp(n * HOUR_MICROS);
        for (at, goes) in [(hour(0), 6), (hour(5), 6), (hour(6), 30), (hour(29), 30)] {
            assert_eq!(digest_after(at), hour(goes), "{at:?}");
        }
    }

    #[test]
    fn an_address_gets_so_many_mails_an_hour_however_it_is_written() {
        let mut limit = MailLimit::default();
        let now = Timestamp(100 * HOUR_MICROS + 5);
        assert!(!limit.knows("a@b", now));
        for _ in 0..MAILS_AN_HOUR / 2 {
            assert_eq!(limit.take("a@b", now), Ok(()));
            assert_eq!(limit.take("A@B", now), Ok(()));
        }
        let next = Timestamp(101 * HOUR_MICROS);
        assert_eq!(limit.take("a@b", now), Err(next));
        assert_eq!(limit.take("c@d", now), Ok(()));
        limit.give_back("a@b");
        assert_eq!(limit.take("a@b", now), Ok(()));
        assert_eq!(limit.take("a@b", now), Err(next));
        assert_eq!(limit.take("a@b", next), Ok(()));
        limit.remember("e@f", MAILS_AN_HOUR);
        assert!(limit.take("e@f", next).is_err());
    }
}
