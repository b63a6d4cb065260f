//! The settings of an API client as flags, and the body they make. What is not given is not sent,
//! so the server's defaults, or the client's present settings, hold.

use super::session::slug;
use clap::ValueEnum;
use tokenward_api::{ClientSettings, Setting};

/// A span of time given by a person, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Span {
    /// So many seconds.
    Seconds(u64),
    /// Without an end.
    Never,
}

impl Span {
    /// Its length; none without an end.
    pub(crate) fn seconds(self) -> Option<u64> {
        match self {
            Self::Seconds(seconds) => Some(seconds),
            Self::Never => None,
        }
    }
}

/// Reads `90s`, `15m`, `12h`, `30d`, `2w`, plain seconds or `never`.
pub(crate) fn span(text: &str) -> Result<Span, String> {
    if text == "never" {
        return Ok(Span::Never);
    }
    seconds(text).map(Span::Seconds)
}

/// Reads the same without `never`.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let unit = match &text[number.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        "w" => Some(7 * 86_400),
        _ => None,
    };
    // A sign is no digit.
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = || number.parse::<u64>().ok()?.checked_mul(unit?);
    digits
        .then(seconds)
        .flatten()
        .ok_or_else(|| "a span of time is a number with s, m, h, d or w, such as 12h".to_owned())
}

/// What a generate answers while a token is live.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OnRepeat {
    /// A new token; the live one is revoked.
    Replace,
    /// The live token again, while it has long enough left.
    Return,
}

/// Settings of an API client.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// Restrict it to this product; may be repeated.
    #[arg(long = "product", value_name = "SLUG", value_parser = slug)]
    products: Vec<String>,
    /// How long its tokens live: such as 12h, or never.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    token_lifetime: Option<Span>,
    /// Accept its secrets from this network only; may be repeated.
    #[arg(long = "secret-network", value_name = "CIDR")]
    secret_networks: Vec<String>,
    /// Accept its tokens from this network only; may be repeated.
    #[arg(long = "token-network", value_name = "CIDR")]
    token_networks: Vec<String>,
    /// Write to this address about it; may be repeated.
    #[arg(long = "notify", value_name = "EMAIL")]
    notification_emails: Vec<String>,
    /// What generating answers while a token is live.
    #[arg(long, value_enum)]
    on_repeat: Option<OnRepeat>,
    /// With --on-repeat return: replace a token that has less than this left.
    #[arg(long, value_name = "SPAN", value_parser = seconds)]
    renew_before: Option<u64>,
    /// The longest hand-over a generate may ask for; 0 for none.
    #[arg(long, value_name = "SPAN", value_parser = seconds)]
    handover_max: Option<u64>,
}

/// Flags that take a restriction away from a client that is there.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Lifted {
    /// Lift the restriction to products.
    #[arg(long, conflicts_with = "products")]
    all_products: bool,
    /// Accept its secrets from anywhere.
    #[arg(long, conflicts_with = "secret_networks")]
    any_secret_network: bool,
    /// Accept its tokens from anywhere.
    #[arg(long, conflicts_with = "token_networks")]
    any_token_network: bool,
    /// Write to nobody about it.
    #[arg(long, conflicts_with = "notification_emails")]
    notify_nobody: bool,
}

impl Settings {
    /// The settings to send.
    pub(crate) fn body(self) -> ClientSettings {
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let given = |value| Setting::Given(Some(value));
        ClientSettings {
            products: some(self.products).map_or(Setting::Absent, given),
            token_lifetime_seconds: self
                .token_lifetime
                .map_or(Setting::Absent, |span| Setting::Given(span.seconds())),
            secret_networks: some(self.secret_networks),
            token_networks: some(self.token_networks),
            notification_emails: some(self.notification_emails),
            on_repeat: self.on_repeat.map(|on| {
                match on {
                    OnRepeat::Replace => "replace",
                    OnRepeat::Return => "return",
                }
                .to_owned()
            }),
            renew_before_seconds: self.renew_before,
            handover_max_seconds: self.handover_max,
            ..ClientSettings::default()
        }
    }
}

impl Lifted {
    /// Adds what lifts.
    pub(crate) fn add_to(self, body: &mut ClientSettings) {
        if self.all_products {
            body.products = Setting::Given(None);
        }
        let lists = [
            (self.any_secret_network, &mut body.secret_networks),
            (self.any_token_network, &mut body.token_networks),
            (self.notify_nobody, &mut body.notification_emails),
        ];
        for (lifted, list) in lists {
            if lifted {
                *list = Some(Vec::new());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::{Value, json};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        lifted: Lifted,
    }

    fn members(words: &[&str]) -> Result<Value, clap::Error> {
        let line = Line::try_parse_from([&["x"], words].concat())?;
        let mut body = line.settings.body();
        line.lifted.add_to(&mut body);
        let mut members = serde_json::to_value(body).unwrap();
        let all = members.as_object_mut().unwrap();
        all.retain(|_, member| !member.is_null());
        Ok(members)
    }

    #[test]
    fn spans_are_read_exactly() {
        let check =
            |text: &str, expect: Option<u64>| assert_eq!(seconds(text).ok(), expect, "{text:?}");
        check("90", Some(90));
        check("90s", Some(90));
        check("15m", Some(900));
        check("12h", Some(43_200));
        check("30d", Some(2_592_000));
        check("2w", Some(1_209_600));
        let bad = "|s|-1|+1|1.5h|1 h|h1|never|99999999999999999999|9999999999999999999w|1é";
        bad.split('|').for_each(|bad| check(bad, None));
        assert_eq!(span("never"), Ok(Span::Never));
    }

    #[test]
    fn only_what_is_given_is_sent() {
        assert_eq!(members(&[]).unwrap(), json!({}));
        let all = "--product gst --product e-invoice --token-lifetime never --secret-network 10.0.0.0/8 \
                   --token-network 10.1.0.0/16 --notify ops@example.com --on-repeat return --renew-before 10m --handover-max 0";
        let words: Vec<&str> = all.split_whitespace().collect();
        insta::assert_snapshot!(format!("{:#}", members(&words).unwrap()));
    }

    #[test]
    fn a_restriction_is_lifted_by_name() {
        let lifted = members(&[
            "--all-products",
            "--any-secret-network",
            "--any-token-network",
            "--notify-nobody",
        ]);
        let expect = json!({"products": "all", "secret_networks": [], "token_networks": [], "notification_emails": []});
        assert_eq!(lifted.unwrap(), expect);
        assert!(members(&["--all-products", "--product", "gst"]).is_err());
        assert!(members(&["--product", "Not A Slug"]).is_err());
    }
}
