//! Certificates of the public listener by ACME, as configured.

use super::{ConfigError, is_blank, notifications};
use std::path::PathBuf;

/// The directory of Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// What a contact is to an ACME server.
const MAIL: &str = "mailto:";

/// How the server orders the certificate of its public listener.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Acme {
    /// The names in the certificate, in lowercase.
    pub domains: Vec<String>,
    /// Whom the ACME server may write to, each a `mailto:` URL.
    pub contact: Vec<String>,
    /// The URL of the ACME server's directory.
    pub directory: String,
    /// PEM: the authorities that the ACME server's own certificate may come from; none: those that this system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
}

/// The five keys as written.
pub(super) struct Written {
    pub(super) domains: Vec<String>,
    pub(super) contact: Vec<String>,
    pub(super) directory: Option<String>,
    pub(super) authority: Option<PathBuf>,
    pub(super) accept_terms: Option<bool>,
}

/// Resolves the five keys. `files` says whether the public listener has a certificate in files.
///
/// # Errors
/// When a value can't be used, the terms are not accepted, or the listener has a certificate in files, too.
pub(super) fn resolve(written: Written, files: bool) -> Result<Option<Acme>, ConfigError> {
    let given = |texts: Vec<String>| texts.into_iter().filter(|text| !is_blank(text));
    let domains: Vec<String> = given(written.domains)
        .map(|text| domain(text.trim()))
        .collect::<Result<_, _>>()?;
    let contact: Vec<String> = given(written.contact)
        .map(|text| mail(text.trim()))
        .collect::<Result<_, _>>()?;
    if domains.is_empty() {
        let others = !contact.is_empty()
            || written.directory.is_some()
            || written.authority.is_some()
            || written.accept_terms.is_some();
        return match others {
            false => Ok(None),
            true => Err(ConfigError(
                "acme_contact, acme_directory, acme_authority and acme_accept_terms are about the certificate of acme_domains, \
                 which is not set. Set acme_domains, or remove them"
                    .into(),
            )),
        };
    }
    if files {
        return Err(ConfigError(
            "acme_domains and public_tls_certificate can't be used together: the public listener has one certificate. Remove \
             one of them"
                .into(),
        ));
    }
    let directory = written.directory.unwrap_or_else(|| DIRECTORY.to_owned());
    let url = notifications::url("acme_directory", &directory, DIRECTORY)?;
    if url.scheme() != "https" {
        return Err(ConfigError(format!(
            "acme_directory: {directory:?} isn't a valid URL such as {DIRECTORY}"
        )));
    }
    if written.accept_terms != Some(true) {
        return Err(ConfigError(format!(
            "acme_domains: the ACME server {directory} issues certificates to those who accept its terms of service. Read them, \
             and set acme_accept_terms = true if you accept them"
        )));
    }
    Ok(Some(Acme {
        domains,
        contact,
        directory,
        authority: written.authority,
    }))
}

fn domain(text: &str) -> Result<String, ConfigError> {
    let name = text.to_ascii_lowercase();
    let label = |label: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let ends = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && label.chars().all(known) && !ends
    };
    // No top-level domain has digits only, and the last part of an IPv4 address has.
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.chars().all(|c| c.is_ascii_digit());
    if name.len() <= 253 && name.split('.').all(label) && !number {
        return Ok(name);
    }
    let why = match name.starts_with("*.") {
        true => "the challenge TLS-ALPN-01 proves no wildcard. Name each host",
        false => "it isn't a domain name such as auth.example.com",
    };
    Err(ConfigError(format!("acme_domains: {text:?}: {why}")))
}

fn mail(text: &str) -> Result<String, ConfigError> {
    let address = text.strip_prefix(MAIL).unwrap_or(text);
    let odd = |c: char| !c.is_ascii_graphic() || matches!(c, '?' | ',' | '<' | '>' | '"');
    let parts = address.split_once('@');
    if address.contains(odd) || !parts.is_some_and(|(who, at)| !who.is_empty() && !at.is_empty()) {
        return Err(ConfigError(format!(
            "acme_contact: {text:?} isn't an email address such as ops@example.com"
        )));
    }
    Ok(format!("{MAIL}{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(domains: &[&str]) -> Written {
        Written {
            domains: domains.iter().map(|&name| name.to_owned()).collect(),
            contact: vec!["ops@example.com".to_owned()],
            directory: None,
            authority: None,
            accept_terms: Some(true),
        }
    }

    #[test]
    fn domains_are_lowercase_and_contacts_are_urls() {
        let acme = resolve(written(&["Auth.Example.com", " b.example "]), false);
        let acme = acme.unwrap().unwrap();
        assert_eq!(acme.domains, ["auth.example.com", "b.example"]);
        assert_eq!(acme.contact, ["mailto:ops@example.com"]);
        assert_eq!(acme.directory, DIRECTORY);
    }

    #[test]
    fn what_cannot_be_ordered_is_refused() {
        let refused = |written, files| resolve(written, files).unwrap_err().to_string();
        for (name, words) in [
            ("*.example.com", "no wildcard"),
            ("192.0.2.1", "isn't a domain name"),
            ("a.example:443", "isn't a domain name"),
            ("a.example.", "isn't a domain name"),
            ("a b", "isn't a domain name"),
            ("-a.example", "isn't a domain name"),
            ("2001:db8::1", "isn't a domain name"),
        ] {
            let why = refused(written(&[name]), false);
            assert!(why.contains(words) && why.contains(name), "{why}");
        }
        assert!(refused(written(&[]), false).contains("which is not set"));
        assert!(refused(written(&["a.example"]), true).contains("public_tls_certificate"));
        for accept_terms in [None, Some(false)] {
            let one = Written {
                accept_terms,
                ..written(&["a.example"])
            };
            assert!(refused(one, false).contains("acme_accept_terms"));
        }
        for directory in ["http://acme.example/directory", "acme.example", "https://"] {
            let one = Written {
                directory: Some(directory.to_owned()),
                ..written(&["a.example"])
            };
            assert!(refused(one, false).contains("acme_directory"));
        }
        for contact in ["ops", "@example.com", "a@b,c@d", "a b@c"] {
            let one = Written {
                contact: vec![contact.to_owned()],
                ..written(&["a.example"])
            };
            assert!(refused(one, false).contains("acme_contact"));
        }
    }
}
