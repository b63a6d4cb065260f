//! Finds tokens and secrets in bytes, whole or in large part, in each form a careless program might
//! write them.

use std::fs;
use std::io;
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use clap::ValueEnum;

/// The random part of a token or secret as hexadecimal digits; the checksum after it is no secret.
const RANDOM_DIGITS: usize = 56;

/// A piece of this many digits (96 bits) is looked for: a log that cuts a secret short still tells
/// too much, and no chance ever makes one.
const PIECE_DIGITS: usize = 24;

/// How a plaintext may have been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Form {
    /// As issued.
    Text,
    /// In capital letters.
    UpperCase,
    /// The bytes that the hexadecimal digits stand for.
    RawBytes,
    /// Base64 of those bytes.
    Base64OfBytes,
    /// Base64 of the text, or of a longer text around it.
    Base64OfText,
}

impl Form {
    /// The whole of a plaintext's random part as this form writes it.
    #[must_use]
    pub fn write(self, plaintext: &str) -> Vec<u8> {
        let digits = random_digits(plaintext);
        match self {
            Form::Text => plaintext.as_bytes().to_vec(),
            Form::UpperCase => plaintext.to_uppercase().into_bytes(),
            Form::RawBytes => bytes_of(digits),
            Form::Base64OfBytes => STANDARD_NO_PAD.encode(bytes_of(digits)).into_bytes(),
            Form::Base64OfText => STANDARD_NO_PAD.encode(plaintext).into_bytes(),
        }
    }
}

/// A plaintext found where none may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The name of what was scanned.
    pub place: String,
    /// At which byte.
    pub offset: usize,
    /// In which form.
    pub form: Form,
    /// Which of the plaintexts, by its position in the list given to [`Scanner::new`].
    pub plaintext: usize,
}

/// Looks for many plaintexts at once.
#[derive(Debug)]
pub struct Scanner {
    needles: AhoCorasick,
    /// The form and the plaintext of each needle.
    meanings: Vec<(Form, usize)>,
}

impl Scanner {
    /// A scanner for tokens and secrets of our shapes.
    ///
    /// # Panics
    /// When one does not end in 64 hexadecimal digits, or there are too many to search for.
    #[must_use]
    pub fn new<S: AsRef<str>>(plaintexts: &[S]) -> Scanner {
        let mut needles = Vec::new();
        let mut meanings = Vec::new();
        for (index, plaintext) in plaintexts.iter().enumerate() {
            for (form, needle) in pieces(plaintext.as_ref()) {
                needles.push(needle);
                meanings.push((form, index));
            }
        }
        let needles = AhoCorasick::new(needles).expect("a few thousand needles");
        Scanner { needles, meanings }
    }

    /// Every place in `bytes` where a piece of a plaintext stands.
    #[must_use]
    pub fn scan(&self, place: &str, bytes: &[u8]) -> Vec<Hit> {
        self.needles
            .find_overlapping_iter(bytes)
            .map(|found| {
                let (form, plaintext) = self.meanings[found.pattern().as_usize()];
                Hit {
                    place: place.to_owned(),
                    offset: found.start(),
                    form,
                    plaintext,
                }
            })
            .collect()
    }

    /// The same in a file, or in all files below a folder but those for which `skip` says so.
    ///
    /// # Errors
    /// When one cannot be read, unless it has gone away meanwhile.
    pub fn scan_path(&self, path: &Path, skip: &impl Fn(&Path) -> bool) -> io::Result<Vec<Hit>> {
        let mut hits = Vec::new();
        if skip(path) {
            return Ok(hits);
        }
        let kind = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(hits),
            metadata => metadata?.file_type(),
        };
        if kind.is_dir() {
            for entry in fs::read_dir(path)? {
                hits.extend(self.scan_path(&entry?.path(), skip)?);
            }
        } else if kind.is_file() {
            match fs::read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                bytes => hits.extend(self.scan(&path.to_string_lossy(), &bytes?)),
            }
        }
        Ok(hits)
    }
}

fn random_digits(plaintext: &str) -> &str {
    let start = plaintext
        .len()
        .checked_sub(64)
        .expect("64 digits at the end");
    let digits = &plaintext[start..][..RANDOM_DIGITS];
    assert!(
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "a plaintext ends in 64 hexadecimal digits"
    );
    digits
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// What to look for: pieces from both ends of the random part, in each form.
fn pieces(plaintext: &str) -> Vec<(Form, Vec<u8>)> {
    let digits = random_digits(plaintext);
    let mut pieces = Vec::new();
    for piece in [
        &digits[..PIECE_DIGITS],
        &digits[RANDOM_DIGITS - PIECE_DIGITS..],
    ] {
        pieces.push((Form::Text, piece.as_bytes().to_vec()));
        // A piece of nothing but decimal digits looks the same in both cases; found twice is found.
        pieces.push((Form::UpperCase, piece.to_uppercase().into_bytes()));
        pieces.push((Form::RawBytes, bytes_of(piece)));
        pieces.extend(in_base64(Form::Base64OfText, piece.as_bytes()));
        pieces.extend(in_base64(Form::Base64OfBytes, &bytes_of(piece)));
    }
    pieces
}

/// Base64 groups three bytes, so bytes inside a longer text look one of three ways; the characters
/// that also depend on the neighbours are left off.
fn in_base64(form: Form, bytes: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let mut ways = Vec::new();
    for before in 0..3_usize {
        let mut text = vec![0_u8; before];
        text.extend_from_slice(bytes);
        let first = (before * 8).div_ceil(6);
        let last = text.len() * 8 / 6;
        for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = alphabet.encode(&text);
            ways.push((form, encoded.as_bytes()[first..last].to_vec()));
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "sandbox.1.0f8fad5b-d9cb-469f-a165-70867728950e_\
        a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5cdeadbeef";
    const OTHER: &str = "tw-secret.sandbox.0f8fad5b-d9cb-469f-a165-70867728950e.\
        ffeeddccbbaa99887766554433221100ffeeddccbbaa998877665544cafebabe";

    #[test]
    fn finds_each_form_wherever_it_begins() {
        let scanner = Scanner::new(&[OTHER, TOKEN]);
        for form in Form::value_variants() {
            for before in 0..4 {
                let mut bytes = vec![b'.'; before];
                bytes.extend(form.write(TOKEN));
                let hits = scanner.scan("canary", &bytes);
                assert!(
                    hits.iter()
                        .any(|hit| hit.form == *form && hit.plaintext == 1),
                    "{form:?} after {before}: {hits:?}"
                );
                assert!(hits.iter().all(|hit| hit.plaintext == 1), "{hits:?}");
            }
        }
    }

    #[test]
    fn finds_base64_of_a_longer_text() {
        let scanner = Scanner::new(&[TOKEN]);
        for before in ["", "a", "ab", "abc"] {
            let text = URL_SAFE_NO_PAD.encode(format!("{before}{TOKEN} and more"));
            assert!(
                !scanner.scan("header", text.as_bytes()).is_empty(),
                "{before}"
            );
        }
    }

    #[test]
    fn finds_a_secret_cut_short() {
        let scanner = Scanner::new(&[TOKEN]);
        assert!(
            !scanner
                .scan("log", &TOKEN.as_bytes()[..TOKEN.len() - 30])
                .is_empty()
        );
        assert!(
            !scanner
                .scan("log", &TOKEN.as_bytes()[TOKEN.len() - 36..])
                .is_empty()
        );
    }

    #[test]
    fn the_public_name_of_a_token_is_no_hit() {
        let scanner = Scanner::new(&[TOKEN, OTHER]);
        let name = b"sandbox.1.0f8fad5b-d9cb-469f-a165-70867728950e_ generation 7";
        assert_eq!(scanner.scan("log", name), []);
    }

    #[test]
    fn reads_folders_but_not_what_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/leak"), TOKEN).unwrap();
        fs::write(folder.path().join("known"), TOKEN).unwrap();
        let hits = Scanner::new(&[TOKEN])
            .scan_path(folder.path(), &|path| path.ends_with("known"))
            .unwrap();
        assert!(!hits.is_empty());
        assert!(
            hits.iter().all(|hit| hit.place.ends_with("leak")),
            "{hits:?}"
        );
    }
}
