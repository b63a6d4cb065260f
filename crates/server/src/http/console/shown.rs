//! How times, durations and states read on a page: words for people, the exact value beside them for programs.

use askama::Template;
use askama::filters::HtmlSafe;
use tokenward_core::ids::Environment;
use tokenward_core::time::Timestamp;

/// A moment: the date in UTC, and how far from now.
#[derive(Template)]
#[template(
    source = r#"<time datetime="{{ iso }}" title="{{ iso }}">{{ text }}</time>"#,
    ext = "html"
)]
pub(super) struct Moment {
    iso: String,
    text: String,
}
impl HtmlSafe for Moment {}

impl Moment {
    /// A moment as seen from `now`: "2 minutes ago", "in 3 days".
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let text = match at <= now {
            true if now.seconds_since(at) < 5 => "just now".to_owned(),
            true => format!("{} ago", span(now.seconds_since(at))),
            false => format!("in {}", span(at.seconds_since(now))),
        };
        Self {
            iso: at.iso(),
            text,
        }
    }

    /// The day and minute themselves.
    pub(super) fn plain(at: Timestamp) -> Self {
        let iso = at.iso();
        let text = format!("{} {} UTC", &iso[..10], &iso[11..16]);
        Self { iso, text }
    }
}

/// Seconds rounded to the nearest of the largest unit that says enough: "59 seconds", "2 minutes", "1 hour", "12 days".
pub(super) fn span(seconds: u64) -> String {
    let nearest = |unit: u64| (seconds + unit / 2) / unit;
    match seconds {
        0..60 => of(seconds, "second"),
        _ if nearest(60) == 60 => of(1, "hour"),
        _ if nearest(60) < 120 => of(nearest(60), "minute"),
        _ if nearest(3_600) < 48 => of(nearest(3_600), "hour"),
        _ => of(nearest(86_400), "day"),
    }
}

/// Seconds to wait, rounded up, so that a retry does not come too early.
pub(super) fn wait(seconds: u64) -> String {
    match seconds {
        0..120 => of(seconds, "second"),
        _ => of(seconds.div_ceil(60), "minute"),
    }
}

fn of(count: u64, unit: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// A lifetime in words, exact: "1 hour", "90 minutes", "30 days".
pub(super) fn lifetime(seconds: Option<u32>) -> String {
    let Some(seconds) = seconds else {
        return "Never expires".to_owned();
    };
    let (count, unit) = match seconds {
        s if s % 86_400 == 0 => (s / 86_400, "day"),
        s if s % 3_600 == 0 => (s / 3_600, "hour"),
        s if s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    of(count.into(), unit)
}

/// A number with thin gaps between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An environment's name as its badge shows it.
pub(super) fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Sandbox => "Sandbox",
        Environment::Production => "Production",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let now = Timestamp(1_795_428_930_000_000);
        let check = |seconds: i64, expect: &str| {
            let moment = Moment::new(Timestamp(now.0 + seconds * 1_000_000), now);
            assert_eq!(moment.text, expect);
        };
        check(0, "just now");
        check(-1, "just now");
        check(-59, "59 seconds ago");
        check(-120, "2 minutes ago");
        check(-3_599, "1 hour ago");
        check(5_340, "in 89 minutes");
        check(-7_300, "2 hours ago");
        check(259_199, "in 3 days");
        check(604_700, "in 7 days");
        assert_eq!(
            Moment::plain(now).to_string(),
            r#"<time datetime="2026-11-23T10:15:30+00:00" title="2026-11-23T10:15:30+00:00">2026-11-23 10:15 UTC</time>"#
        );
        assert_eq!(lifetime(Some(3_600)), "1 hour");
        assert_eq!(lifetime(Some(5_400)), "90 minutes");
        assert_eq!(lifetime(None), "Never expires");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123), "123");
    }
}
