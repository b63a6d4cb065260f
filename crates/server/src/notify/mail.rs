//! Letters: plain text, one an address. The subject names the client and what happened, never a secret.

use crate::config::Config;
use crate::verbs::addresses::LINK_SECONDS;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A mail server that says nothing for this long has failed.
const SILENCE: Duration = Duration::from_secs(10);
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");
const LIST_UNSUBSCRIBE: HeaderName = HeaderName::new_from_ascii_str("List-Unsubscribe");
const LIST_UNSUBSCRIBE_POST: HeaderName = HeaderName::new_from_ascii_str("List-Unsubscribe-Post");
/// Lines in one mail about several notices; more are counted.
const LISTED_MAX: usize = 100;
/// The longest a letter may take in all: a server that answers a byte at a time holds a place no longer.
const LETTER_WITHIN: Duration = Duration::from_secs(30);

/// Why no letter can be sent by this configuration; never with the address of the mail server, which holds a
/// password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MailUnusable(&'static str);

/// Whether letters can be sent by these settings, if they are to be sent at all.
pub(crate) fn check(config: &Config) -> Result<(), MailUnusable> {
    let url = config.mail_url.as_deref();
    url.map_or(Ok(()), |url| {
        settings(url, config.mail_from.as_deref()).map(drop)
    })
}

fn settings(
    mail_url: &str,
    mail_from: Option<&str>,
) -> Result<(AsyncSmtpTransportBuilder, Mailbox), MailUnusable> {
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(mail_url).map_err(|_| {
        MailUnusable("mail_url isn't a URL such as smtp://user:password@host:587?tls=required")
    })?;
    let from = mail_from.ok_or(MailUnusable("mail_url needs mail_from beside it"))?;
    let from = from.parse().map_err(|_| {
        MailUnusable("mail_from isn't an address such as Tokenward <tokens@example.com>")
    })?;
    Ok((transport.timeout(Some(SILENCE)), from))
}

/// This machine's name, if it can stand in EHLO: relays refuse address literals.
fn greeting_name() -> Option<String> {
    let name = crate::net::host_name()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    name.chars().all(plain).then_some(name)
}

/// The way to the mail server.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// As configured; none without a mail server.
    pub(super) fn open(config: &Config) -> Result<Option<Self>, MailUnusable> {
        let Some(url) = &config.mail_url else {
            return Ok(None);
        };
        let (mut transport, from) = settings(url, config.mail_from.as_deref())?;
        // A path in the URL is a name too, by the mail library's own rule.
        let named = url::Url::parse(url).is_ok_and(|url| url.path().len() > 1);
        if let Some(name) = &config.mail_hello_name {
            transport = transport.hello_name(ClientId::Domain(name.clone()));
        } else if !named {
            let name = greeting_name().unwrap_or_else(|| from.email.domain().to_owned());
            transport = transport.hello_name(ClientId::Domain(name));
        }
        Ok(Some(Self {
            transport: transport.build(),
            from,
        }))
    }

    /// Sends one notice or confirmation mail; the sentence says why that failed.
    pub(super) async fn send(
        &self,
        to: &str,
        id: Uuid,
        body: &str,
        links: &Links,
    ) -> Result<(), String> {
        let told: Value = serde_json::from_str(body).unwrap_or_default();
        let (subject, text) = match &links.confirm {
            Some(link) => confirmation(to, &told, link, links.stop.as_deref()),
            None => (subject(&told), text(&told, links.stop.as_deref())),
        };
        self.deliver(to, id, (subject, text), links).await
    }

    /// Sends several notices in one mail.
    pub(super) async fn send_all(
        &self,
        to: &str,
        id: Uuid,
        bodies: &[&str],
        links: &Links,
    ) -> Result<(), String> {
        let told = bodies.iter().map(|body| serde_json::from_str(body));
        let told: Vec<Value> = told.map(Result::unwrap_or_default).collect();
        let subject = format!("[Tokenward] {} notifications", told.len());
        let text = summary(&told, links.stop.as_deref());
        self.deliver(to, id, (subject, text), links).await
    }

    async fn deliver(
        &self,
        to: &str,
        id: Uuid,
        (subject, text): (String, String),
        links: &Links,
    ) -> Result<(), String> {
        let to: Mailbox = to.parse().map_err(|_| "the address can't be written to")?;
        let mut letter = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            // The same at each attempt: a mail program shows what comes twice once.
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            // No automatic answers, please (RFC 3834, section 5).
            .raw_header(HeaderValue::new(
                AUTO_SUBMITTED,
                "auto-generated".to_owned(),
            ));
        // Mail programs show a button of their own for it (RFC 2369, RFC 8058).
        if let Some(stop) = &links.stop {
            letter = letter
                .raw_header(HeaderValue::new(LIST_UNSUBSCRIBE, format!("<{stop}>")))
                .raw_header(HeaderValue::new(
                    LIST_UNSUBSCRIBE_POST,
                    "List-Unsubscribe=One-Click".to_owned(),
                ));
        }
        let letter = letter
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|_| "the letter could not be written")?;
        match tokio::time::timeout(LETTER_WITHIN, self.transport.send(letter)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err("the mail server took too long".into()),
        }
    }
}

/// What may be told of an error. The server's own words go to the log: they are somebody else's.
fn failed(error: &lettre::transport::smtp::Error) -> String {
    tracing::warn!(
        "a letter was not sent: {}",
        without_links(&error.to_string())
    );
    match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None if error.is_timeout() => "the mail server did not answer in time".into(),
        None => "the mail server could not be reached".into(),
    }
}

/// A mail server's words as they may be logged: a spam filter repeats the links of the letter that it refuses.
fn without_links(text: &str) -> String {
    let words: Vec<String> = text.split(' ').map(crate::logs::safe).collect();
    words.join(" ")
}

/// What happened, in words.
fn words(kind: &str) -> &'static str {
    match kind {
        "token.generated" => "access token generated",
        "token.revoked" => "access token revoked",
        "token.expiring" => "access token expires soon",
        "token.superseded_in_use" => "a replaced access token is still in use",
        "client.created" => "API client created",
        "client.changed" => "API client changed",
        "client.disabled" => "API client disabled",
        "client.enabled" => "API client enabled",
        "client.deleted" => "API client deleted",
        "client.unused" => "API client is not used",
        "secret.created" => "client secret created",
        "secret.deleted" => "client secret deleted",
        "quota.reached" => "daily quota",
        _ => "notification",
    }
}

fn subject(told: &Value) -> String {
    let text = |name: &str| told["data"][name].as_str().unwrap_or("");
    let kind = told["type"].as_str().unwrap_or("");
    let figure = match kind {
        "quota.reached" => format!(", {} % used", told["data"]["percent"]),
        "token.expiring" => format!(", {} days left", told["data"]["days"]),
        _ => String::new(),
    };
    format!(
        "[Tokenward {}] {}: {}{figure}",
        text("environment"),
        undecodable(text("label")),
        words(kind)
    )
}

/// A label that mail programs show as it is written: `=?` begins a word that they would decode (RFC 2047).
fn undecodable(label: &str) -> String {
    // An invisible joiner would do, but a blank is seen and harmless.
    label.replace("=?", "= ?")
}

/// The links in a mail.
#[derive(Default)]
pub(super) struct Links {
    /// Confirms the address, in a confirmation mail.
    pub(super) confirm: Option<Zeroizing<String>>,
    /// Stops notices to the address.
    pub(super) stop: Option<String>,
}

/// The mail that asks an address whether it wants notices. It says the workspace's name, which an operator chose, and
/// nothing that an administrator of a workspace can write to strangers.
fn confirmation(to: &str, told: &Value, link: &str, stop: Option<&str>) -> (String, String) {
    let workspace = told["data"]["workspace"].as_str().unwrap_or("");
    let days = LINK_SECONDS / 86_400;
    let subject = format!(
        "[Tokenward] Confirm notifications from {}",
        undecodable(workspace)
    );
    let mut text = format!(
        "Workspace \"{workspace}\" asks to send notifications about its API clients to {to}.\r\n\r\n\
         To receive them, open this page and confirm. The link works once and expires in {days} days:\r\n{link}\r\n\r\n\
         If you did not expect this email, ignore it. You get no notifications unless you confirm.\r\n"
    );
    if let Some(stop) = stop {
        text.push_str(&format!("To refuse them: {stop}\r\n"));
    }
    (subject, text)
}

/// One mail about several notices: a line for each API client and event, with how often it happened and when at last.
fn summary(told: &[Value], stop: Option<&str>) -> String {
    let mut out = format!(
        "{} notifications in one email: the daily summary, or what was beyond the hourly email limit of this address.\r\n\r\n",
        told.len()
    );
    let mut lines: Vec<(String, usize, &str)> = Vec::new();
    for one in told {
        let text = |name: &str| one["data"][name].as_str().unwrap_or("");
        let kind = one["type"].as_str().unwrap_or("");
        let line = format!(
            "[{}] {}: {}",
            text("environment"),
            text("label"),
            words(kind)
        );
        let at = one["timestamp"].as_str().unwrap_or("");
        match lines.iter_mut().find(|(known, ..)| *known == line) {
            Some((_, n, last)) => (*n, *last) = (*n + 1, at),
            None => lines.push((line, 1, at)),
        }
    }
    for (line, n, last) in lines.iter().take(LISTED_MAX) {
        out.push_str(&match n {
            1 => format!("{line}, {last}\r\n"),
            n => format!("{line}, {n} times, last {last}\r\n"),
        });
    }
    if let Some(more) = lines.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
        out.push_str(&format!("and {more} more\r\n"));
    }
    out.push_str(&ending(stop));
    out
}

/// Why somebody gets a mail, and how to stop that.
fn ending(stop: Option<&str>) -> String {
    let why = "\r\nYou get this email because your address is a notification email of this API client.\r\n";
    match stop {
        Some(link) => format!("{why}Stop these emails: {link}\r\n"),
        None => why.to_owned(),
    }
}

/// The letter: a sentence, then every fact on a line of its own.
fn text(told: &Value, stop: Option<&str>) -> String {
    let kind = told["type"].as_str().unwrap_or("");
    let at = told["timestamp"].as_str().unwrap_or("");
    let mut out = format!("{}, {at}\r\n\r\n", words(kind));
    if kind == "token.superseded_in_use" {
        out.push_str("A system still sends an access token that a newer one replaced, and its requests are denied. If this continues,\r\n");
        out.push_str(
            "multiple systems use the same client secret and revoke each other's tokens.\r\n\r\n",
        );
    }
    let facts = told["data"].as_object().into_iter().flatten();
    for (name, value) in facts {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        out.push_str(&format!("{}: {value}\r\n", name.replace('_', " ")));
    }
    out.push_str(&ending(stop));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_subject_says_what_happened_to_whom() {
        let told = |kind: &str, data: Value| {
            let mut data = data;
            data["label"] = "erp".into();
            data["environment"] = "sandbox".into();
            subject(&json!({ "type": kind, "data": data }))
        };
        assert_eq!(
            told("token.generated", json!({})),
            "[Tokenward sandbox] erp: access token generated"
        );
        assert_eq!(
            told("quota.reached", json!({ "percent": 80 })),
            "[Tokenward sandbox] erp: daily quota, 80 % used"
        );
    }

    #[test]
    fn a_summary_has_a_line_for_each_client_and_event() {
        let told = |label: &str, kind: &str, at: &str| {
            let data = json!({ "label": label, "environment": "production" });
            json!({ "type": kind, "timestamp": at, "data": data })
        };
        let all = [
            told("erp", "token.generated", "2026-11-29T01:00:00+00:00"),
            told("pos", "token.generated", "2026-11-29T01:30:00+00:00"),
            told("erp", "token.generated", "2026-11-29T02:00:00+00:00"),
        ];
        let text = summary(&all, None);
        let lines: Vec<_> = text.split("\r\n").collect();
        assert!(
            lines[0].starts_with("3 notifications in one email"),
            "{text}"
        );
        let erp =
            "[production] erp: access token generated, 2 times, last 2026-11-29T02:00:00+00:00";
        let pos = "[production] pos: access token generated, 2026-11-29T01:30:00+00:00";
        assert_eq!(lines[2..4], [erp, pos]);
    }

    #[test]
    fn a_refusal_that_repeats_a_link_is_logged_without_it() {
        let secret = "wv_XYyO1zjiRVGCZkOmQWhXfrzordzpLK3Y_uX4lSws";
        let said = format!("554 5.7.1 URL https://a.example/console/email/stop/{secret} is listed");
        let shown = without_links(&said);
        assert_eq!(shown, "554 5.7.1 URL /console/email/stop/(link) is listed");
    }

    #[test]
    fn settings_that_send_no_letter_are_refused_without_telling_the_password() {
        for (url, from) in [
            ("smtp://user:hidden@", Some("a@example.com")),
            ("http://user:hidden@example.com", Some("a@example.com")),
            ("hidden", Some("a@example.com")),
            ("smtp://user:hidden@example.com", None),
            ("smtp://user:hidden@example.com", Some("nobody")),
        ] {
            let refused = settings(url, from).unwrap_err().to_string();
            assert!(!refused.contains("hidden"), "{refused}");
        }
        let good = settings(
            "smtp://user:hidden@example.com:587?tls=required",
            Some("Tokens <a@example.com>"),
        );
        assert!(good.is_ok());
    }
}
