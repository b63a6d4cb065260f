//! The settings of notices, judged.

use super::ConfigError;

/// A quarter of an hour: what is told by days is not late then, and a look round is cheap.
pub(super) const NOTICE_SCAN_SECONDS: u64 = 900;

/// An address by http or https without user, query or fragment; `key` and `example` are for the refusal.
pub(super) fn url(key: &str, text: &str, example: &str) -> Result<url::Url, ConfigError> {
    let url = url::Url::parse(text.trim()).ok();
    let plain = |url: &url::Url| {
        matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    url.filter(plain).ok_or_else(|| match text.contains('@') {
        // A password may stand in it.
        true => ConfigError(format!(
            "{key}: user names and passwords have no place in this URL. Use one such as {example}"
        )),
        false => ConfigError(format!(
            "{key}: {text:?} isn't a valid URL. Use one such as {example}"
        )),
    })
}

/// The address people reach this server at, without a slash at the end. The console's links and cookies begin at `/`,
/// so it can't be under a path of another server.
pub(super) fn base_url(text: &str) -> Result<String, ConfigError> {
    let url = url("public_url", text, "https://tokens.example.com")?;
    if url.path() != "/" {
        return Err(ConfigError(format!(
            "public_url: {text:?} has a path ({}). The console works at the root of a host only: give it a host name \
             of its own, such as https://tokens.example.com",
            url.path()
        )));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
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
