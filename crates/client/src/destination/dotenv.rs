//! An `.env` file as home: the token under a variable's name, beside whatever else the file holds, which is left
//! as it stands. Read by applications that load such files, by `docker --env-file` and by systemd's
//! `EnvironmentFile=`.

use super::file::{FileHome, Form};
use crate::credential::AccessToken;
use crate::protocol::Entry;
use std::path::PathBuf;
use tokenward_core::time::Timestamp;
use zeroize::Zeroizing;

/// The variable when none is named.
pub const DEFAULT_VARIABLE: &str = "CLEARTAX_AUTH_TOKEN";

/// Before the notes for other holders, in a comment that every reader of such files skips.
const NOTES: &str = "# tokenward ";

/// Assignments of one variable among others.
#[derive(Clone, Debug)]
pub struct Assignments {
    variable: String,
}

/// An `.env` file as home.
pub type DotenvHome = FileHome<Assignments>;

/// The name is none that a shell would take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a variable's name has letters, digits and underscores, and does not begin with a digit")]
pub struct NotAName;

/// Whether a shell would take this as a variable's name.
pub fn check_name(name: &str) -> Result<(), NotAName> {
    let fits = |(at, letter): (usize, char)| {
        letter == '_' || letter.is_ascii_alphabetic() || at > 0 && letter.is_ascii_digit()
    };
    let good = !name.is_empty() && name.chars().enumerate().all(fits);
    good.then_some(()).ok_or(NotAName)
}

impl DotenvHome {
    /// The token under this variable in this file; its folder must exist.
    pub fn in_file(path: PathBuf, variable: &str) -> Result<Self, NotAName> {
        check_name(variable)?;
        let variable = variable.to_owned();
        Ok(Self::of(path, Assignments { variable }))
    }
}

impl Assignments {
    fn names(&self) -> [String; 3] {
        let name = &self.variable;
        [
            name.clone(),
            format!("{name}_GENERATION"),
            format!("{name}_VALID_TILL"),
        ]
    }

    /// Whether a line is one of those written here.
    fn owns(&self, line: &str) -> bool {
        let own_notes = line
            .strip_prefix(NOTES)
            .is_some_and(|rest| rest.split(' ').next() == Some(&self.variable));
        let assigned = self.names().iter().any(|name| {
            line.strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with('='))
        });
        own_notes || assigned
    }
}

impl Form for Assignments {
    const WORD: &'static str = ".env file";

    fn read(&self, content: &str) -> Option<Entry> {
        let [token, generation, _] = self.names();
        let value = |name: &str| {
            content
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        };
        let notes = content.lines().find_map(|line| {
            let rest = line.strip_prefix(NOTES)?.strip_prefix(&self.variable)?;
            serde_json::from_str(rest.strip_prefix(' ')?).ok()
        });
        let token = AccessToken::parse(&unquote(value(&token)?)).ok()?;
        let generation = value(&generation).and_then(|text| text.parse().ok());
        // Without notes the end is unknown: such an entry would be trusted for ever.
        Some(Entry::from_parts(token, generation, None, Some(notes?)))
    }

    fn write(&self, content: &str, entry: Option<&Entry>) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(content.len() + 2048));
        for line in content.lines().filter(|line| !self.owns(line)) {
            out.push_str(line);
            out.push('\n');
        }
        let Some(entry) = entry else { return out };
        let [token, generation, till] = self.names();
        let notes = serde_json::to_string(&entry.notes()).unwrap_or_default();
        out.push_str(&format!("{NOTES}{} {notes}\n", self.variable));
        out.push_str(&token);
        out.push('=');
        quote_into(&mut out, entry.token.expose());
        out.push('\n');
        if let Some(number) = entry.generation {
            out.push_str(&format!("{generation}={number}\n"));
        }
        let iso = entry.valid_till.map(Timestamp::iso);
        out.push_str(&format!("{till}={}\n", iso.unwrap_or_default()));
        out
    }
}

/// As it is when every reader takes it so (tokens of Tokenward are); else in double quotes.
fn quote_into(out: &mut String, value: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte);
    if value.bytes().all(plain) {
        out.push_str(value);
        return;
    }
    out.push('"');
    for letter in value.chars() {
        if matches!(letter, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
}

fn unquote(value: &str) -> Zeroizing<String> {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let mut out = Zeroizing::new(String::with_capacity(value.len()));
    match inner {
        None => out.push_str(value),
        Some(inner) => {
            let mut letters = inner.chars();
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => out.extend(letters.next()),
                    letter => out.push(letter),
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Tally;

    fn entry(token: &str) -> Entry {
        Entry {
            token: AccessToken::parse(token).unwrap(),
            generation: Some(4),
            valid_till: Some(Timestamp(1_795_428_930_500_000)),
            obtained_at: Timestamp(1_795_425_330_500_000),
            tally: Tally {
                day: 20_780,
                made: 4,
            },
            early_ends: 0,
            held_until: None,
        }
    }

    #[test]
    fn leaves_what_it_does_not_own_as_it_stands() {
        let form = Assignments {
            variable: "TOKEN".to_owned(),
        };
        let before = "# mine\nTOKENS=3\nTOKEN=old\nTOKEN_GENERATION=1\nA=\"b c\"\n";
        let content = form.write(before, Some(&entry("sandbox.1.ab_cd")));
        let expect = "# mine\nTOKENS=3\nA=\"b c\"\n\
            # tokenward TOKEN {\"valid_till_micros\":1795428930500000,\"obtained_at_micros\":1795425330500000,\
            \"day\":20780,\"made\":4,\"early_ends\":0,\"held_until_micros\":null}\n\
            TOKEN=sandbox.1.ab_cd\nTOKEN_GENERATION=4\nTOKEN_VALID_TILL=2026-11-23T10:15:30+00:00\n";
        assert_eq!(*content, expect);
        let again = form.write(&content, Some(&entry("sandbox.1.ab_cd")));
        assert_eq!(*again, expect);
        assert_eq!(*form.write(&again, None), "# mine\nTOKENS=3\nA=\"b c\"\n");
    }

    #[test]
    fn brings_tokens_of_any_shape_back() {
        let form = Assignments {
            variable: "T".to_owned(),
        };
        for token in [
            "plain.1-2_3",
            "a\"b",
            "$HOME",
            "back\\slash",
            "#hash",
            "'q'",
            "`x`",
        ] {
            let written = form.write("", Some(&entry(token)));
            let read = form.read(&written).unwrap();
            assert_eq!(read.token.expose(), token);
            assert_eq!(read.generation, Some(4));
        }
        // Written by a person, of unknown end: not trusted.
        assert!(form.read("T=abc\n").is_none());
    }

    #[test]
    fn takes_names_that_a_shell_takes() {
        for (name, good) in [
            ("A", true),
            ("_a1", true),
            ("1A", false),
            ("", false),
            ("A-B", false),
        ] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
    }
}
