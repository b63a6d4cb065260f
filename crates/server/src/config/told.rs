//! The settings of notices, judged.

use super::ConfigError;

/// A quarter of an hour: what is told by days is not late then, and a look round is cheap.
pub(super) const NOTICE_SCAN_SECONDS: u64 = 900;

/// The address people reach this server at, without a slash at the end.
pub(super) fn base_url(text: &str) -> Result<String, ConfigError> {
    let url = url::Url::parse(text).ok();
    let plain = |url: &url::Url| {
        matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match url.filter(plain) {
        // The console's links and cookies begin at the root.
        Some(url) if url.path() != "/" => Err(ConfigError(format!(
            "public_url: {text:?} has a path, and this server works at the root of a host only. Give it a host of its own, \
             such as https://tokens.example.com."
        ))),
        Some(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        None => Err(ConfigError(format!(
            "public_url: {text:?} is no address such as https://tokens.example.com"
        ))),
    }
}

/// Whether a name may stand in EHLO: a domain name or an address literal (RFC 5321, section 4.1.1.1).
pub(super) fn check_hello_name(name: Option<&str>) -> Result<(), ConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':');
    match name {
        Some(name) if name.is_empty() || name.len() > 255 || !name.chars().all(plain) => {
            Err(ConfigError(format!(
                "mail_hello_name: {name:?} isn't a host name such as tokens.example.com"
            )))
        }
        _ => Ok(()),
    }
}

/// Whether letters can be sent by these settings, if they are to be sent at all.
pub(super) fn check_mail(
    mail_url: Option<&String>,
    mail_from: Option<&str>,
) -> Result<(), ConfigError> {
    let Some(mail_url) = mail_url else {
        return Ok(());
    };
    crate::notices::check_mail(mail_url, mail_from).map_err(|why| ConfigError(why.to_string()))
}
