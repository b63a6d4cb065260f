//! Pages that show a secret once: it is in the answer to the form that made it, and nowhere else.

use super::clients::Sample;
use super::frame::Frame;
use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

/// Not encoded are the characters that a URL never gives a meaning (RFC 3986, section 2.3).
const EVERYTHING_ELSE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Something to take away: a name for the button, a file's name, and what is in it.
pub(super) struct Download {
    pub(super) label: &'static str,
    pub(super) file: String,
    pub(super) text: Zeroizing<String>,
}

impl Download {
    /// The file as an address that needs no script and no second request.
    fn address(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::from("data:text/plain;charset=utf-8,"));
        out.extend(utf8_percent_encode(&self.text, EVERYTHING_ELSE));
        out
    }
}

/// Lines to copy, with what they are for.
pub(super) struct Snippet {
    pub(super) label: &'static str,
    pub(super) text: Zeroizing<String>,
}

/// The page.
#[derive(Template, Default)]
#[template(path = "console/once.html")]
pub(super) struct OncePage {
    pub(super) frame: Frame,
    pub(super) heading: String,
    pub(super) explanation: &'static str,
    /// What the secret is called.
    pub(super) what: &'static str,
    pub(super) secrets: Vec<Zeroizing<String>>,
    /// What the secret is recognised by from now on; empty when it is not listed anywhere.
    pub(super) fingerprint: String,
    pub(super) downloads: Vec<Download>,
    pub(super) snippets: Vec<Snippet>,
    /// Programs that use the secret.
    pub(super) samples: Vec<Sample>,
    /// Products that the secret, an access token, can be tested for: slug and name.
    pub(super) tests: Vec<(String, String)>,
    pub(super) next: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_holds_its_text_whole() {
        let download = Download {
            label: "x",
            file: "x".into(),
            text: Zeroizing::new("A=b\n# ü\"".into()),
        };
        assert_eq!(
            *download.address(),
            "data:text/plain;charset=utf-8,A%3Db%0A%23%20%C3%BC%22"
        );
    }
}
