//! An `.env` file as home: the token under a variable's name, beside whatever else the file holds, which is left
//! as it stands, byte for byte: line ends, a byte order mark, `export`, values in quotes over several lines. Read by
//! applications that load such files, by `docker --env-file` and by systemd's `EnvironmentFile=`. What cannot be left as
//! it stands (another encoding; an assignment that is part of another line) is refused.

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
///
/// # Errors
/// When it is empty, begins with a digit, or has other characters than letters, digits and underscores.
pub fn check_name(name: &str) -> Result<(), NotAName> {
    let fits = |(at, letter): (usize, char)| {
        letter == '_' || letter.is_ascii_alphabetic() || at > 0 && letter.is_ascii_digit()
    };
    let good = !name.is_empty() && name.chars().enumerate().all(fits);
    good.then_some(()).ok_or(NotAName)
}

impl DotenvHome {
    /// The token under this variable in this file; its folder must exist.
    ///
    /// # Errors
    /// When `variable` is not the name of an environment variable.
    pub fn in_file(path: PathBuf, variable: &str) -> Result<Self, NotAName> {
        check_name(variable)?;
        let variable = variable.to_owned();
        Ok(Self::of(path, Assignments { variable }))
    }
}

/// A statement of such a file: a line, with those that its quotes or a backslash at its end continue.
struct Statement<'a> {
    /// With its line ends.
    text: &'a str,
    own: Option<Own<'a>>,
    /// Whether something written after it would become a part of it.
    is_open: bool,
}

/// A statement that is written here.
#[derive(Clone, Copy)]
enum Own<'a> {
    Notes(&'a str),
    Assignment {
        /// Which of the names.
        nth: usize,
        is_exported: bool,
        value: &'a str,
    },
}

/// A mark that some editors put before the first line.
const BYTE_ORDER_MARK: char = '\u{feff}';

impl Assignments {
    fn names(&self) -> [String; 3] {
        let name = &self.variable;
        [
            name.clone(),
            format!("{name}_GENERATION"),
            format!("{name}_VALID_TILL"),
        ]
    }

    /// Whether a line is one of those written here, in any dialect: with `export`, with blanks around the `=`.
    fn own<'a>(&self, line: &'a str) -> Option<Own<'a>> {
        let line = line.trim_matches([' ', '\t', '\r', '\n']);
        if let Some(rest) = line.strip_prefix(NOTES) {
            let notes = rest.strip_prefix(&self.variable)?.strip_prefix(' ')?;
            return Some(Own::Notes(notes));
        }
        let exported = line
            .strip_prefix("export")
            .filter(|rest| rest.starts_with([' ', '\t']));
        let assignment = exported.unwrap_or(line).trim_start();
        let (name, value) = assignment.split_once('=')?;
        let nth = self.names().iter().position(|own| own == name.trim_end())?;
        Some(Own::Assignment {
            nth,
            is_exported: exported.is_some(),
            value: value.trim_start(),
        })
    }

    /// Takes a file apart.
    ///
    /// # Errors
    /// When a line of ours is a part of something else, or something else a part of a line of ours: the dialects of
    /// such files differ in whether quotes and backslashes continue a line, so whatever is written, some reader would
    /// lose something.
    fn statements<'a>(&self, content: &'a str) -> Result<Vec<Statement<'a>>, String> {
        let mut statements = Vec::new();
        let mut rest = content;
        let mut number = 1;
        while !rest.is_empty() {
            let (length, is_open) = statement_length(rest).ok_or_else(|| {
                format!(
                    "line {number} opens a quote that is never closed, so some readers would take what is written \
                     after it for a part of it: close it. Nothing was changed"
                )
            })?;
            let (text, after) = rest.split_at(length);
            let mut lines = text.split_inclusive('\n');
            let own = lines.next().and_then(|first| self.own(first));
            let count = text.matches('\n').count();
            let mixed = lines.any(|line| self.own(line).is_some()) || own.is_some() && count > 1;
            if mixed {
                return Err(format!(
                    "line {number} is continued by its quotes or a backslash, and an assignment of {} is part of that: \
                     take them apart. Nothing was changed",
                    self.variable
                ));
            }
            statements.push(Statement { text, own, is_open });
            number += count;
            rest = after;
        }
        Ok(statements)
    }
}

/// The length of a text's first statement in bytes, and whether what follows the text would become a part of it; none
/// when it opens a quote that is never closed.
fn statement_length(text: &str) -> Option<(usize, bool)> {
    let line_length = |from: usize| text[from..].find('\n').map(|at| from + at + 1);
    let end_of_line = line_length(0).unwrap_or(text.len());
    let first = &text[..end_of_line];
    // A value in quotes goes on to the closing one.
    let mut end = end_of_line;
    let is_comment = first.trim_start().starts_with('#');
    if let Some(at) = first.find('=').filter(|_| !is_comment) {
        let value = first[at + 1..].trim_start_matches([' ', '\t']);
        let from = first.len() - value.len();
        if let Some(quote) = value.chars().next().filter(|one| "\"'`".contains(*one)) {
            let closed = from + 1 + quoted_length(&text[from + 1..], quote)?;
            end = line_length(closed).unwrap_or(text.len());
        }
    }
    while ends_in_backslash(&text[..end]) {
        match line_length(end) {
            Some(next) => end = next,
            None if end < text.len() => end = text.len(),
            None => return Some((end, true)),
        }
    }
    Some((end, !text[..end].ends_with('\n')))
}

/// Up to and with the closing quote.
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices() {
        if letter == quote && !is_escaped {
            return Some(at + 1);
        }
        is_escaped = letter == '\\' && !is_escaped && quote == '"';
    }
    None
}

/// Whether the last line ends in a backslash that is not itself escaped.
fn ends_in_backslash(text: &str) -> bool {
    let line = text.trim_end_matches(['\n', '\r']);
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

/// The content as text.
fn decode(content: &[u8]) -> Result<&str, String> {
    let refused = |what: &str| {
        format!(
            "it is {what}, which cannot be kept as it is: convert it to UTF-8 (such as with iconv), or name another file. \
             Nothing was changed"
        )
    };
    let utf16 = content.starts_with(&[0xff, 0xfe]) || content.starts_with(&[0xfe, 0xff]);
    if utf16 || content.contains(&0) {
        return Err(refused("UTF-16 or binary"));
    }
    std::str::from_utf8(content).map_err(|error| {
        let before = &content[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        refused(&format!("not UTF-8 in line {line}"))
    })
}

impl Form for Assignments {
    const WORD: &'static str = ".env file";

    fn read(&self, content: &[u8]) -> Result<Option<Entry>, String> {
        let content = decode(content)?.trim_start_matches(BYTE_ORDER_MARK);
        let mut notes = None;
        let mut values = [const { Vec::new() }; 3];
        for statement in self.statements(content)? {
            match statement.own {
                Some(Own::Notes(text)) => notes = serde_json::from_str(text).ok(),
                Some(Own::Assignment { nth, value, .. }) => values[nth].push(value),
                None => {}
            }
        }
        let [tokens, generations, _] = values;
        let Some(token) = tokens.last() else {
            return Ok(None);
        };
        // Somebody added an assignment: which of them a reader takes, nobody knows.
        if tokens.iter().any(|other| other != token) {
            return Ok(None);
        }
        // Without notes the end is unknown: such an entry would be trusted for ever.
        let (Ok(token), Some(notes)) = (AccessToken::parse(&unquote(token)), notes) else {
            return Ok(None);
        };
        let generation = generations.last().and_then(|text| text.parse().ok());
        Ok(Some(Entry::from_parts(
            token,
            generation,
            None,
            Some(notes),
        )))
    }

    fn write(&self, content: &[u8], entry: Option<&Entry>) -> Result<Zeroizing<Vec<u8>>, String> {
        let content = decode(content)?;
        let bare = content.trim_start_matches(BYTE_ORDER_MARK);
        let (mark, _) = content.split_at(content.len() - bare.len());
        let statements = self.statements(bare)?;
        let owned = statements.iter().position(|one| one.own.is_some());
        // Where ours stand already, or else at the end; but before a last line that would swallow them.
        let last_is_open = statements.last().is_some_and(|last| last.is_open);
        let at = owned.unwrap_or(statements.len() - usize::from(last_is_open));
        let owns = statements.iter().filter_map(|one| one.own);
        let exported = |own| matches!(own, Own::Assignment { is_exported, .. } if is_exported);
        let is_exported = owns.into_iter().any(exported);
        let line_end = match bare.split_inclusive('\n').next() {
            Some(first) if first.ends_with("\r\n") => "\r\n",
            _ => "\n",
        };
        let block = entry.map(|entry| self.block(entry, is_exported, line_end));
        let mut out = Zeroizing::new(Vec::with_capacity(content.len() + 4096));
        out.extend_from_slice(mark.as_bytes());
        for (nth, statement) in statements.iter().enumerate() {
            if nth == at {
                out.extend_from_slice(block.as_ref().map_or(b"", |block| block.as_bytes()));
            }
            if statement.own.is_none() {
                out.extend_from_slice(statement.text.as_bytes());
            }
        }
        if at == statements.len() {
            out.extend_from_slice(block.as_ref().map_or(b"", |block| block.as_bytes()));
        }
        Ok(out)
    }
}

impl Assignments {
    /// Our lines.
    fn block(&self, entry: &Entry, is_exported: bool, line_end: &str) -> Zeroizing<String> {
        let [token, generation, till] = self.names();
        let export = if is_exported { "export " } else { "" };
        let notes = serde_json::to_string(&entry.notes()).unwrap_or_default();
        let mut out = Zeroizing::new(String::with_capacity(4096));
        out.push_str(&format!("{NOTES}{} {notes}{line_end}", self.variable));
        out.push_str(&format!("{export}{token}="));
        quote_into(&mut out, entry.token.expose());
        out.push_str(line_end);
        if let Some(number) = entry.generation {
            out.push_str(&format!("{export}{generation}={number}{line_end}"));
        }
        let iso = entry.valid_till.map(Timestamp::iso);
        out.push_str(&format!(
            "{export}{till}={}{line_end}",
            iso.unwrap_or_default()
        ));
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
            generation: Some(4),
            valid_till: Some(Timestamp(1_795_428_930_500_000)),
            obtained_at: Timestamp(1_795_425_330_500_000),
            tally: Tally {
                day: 20_780,
                made: 4,
            },
            ..Entry::bare(AccessToken::parse(token).unwrap())
        }
    }

    fn form() -> Assignments {
        Assignments {
            variable: "TOKEN".to_owned(),
        }
    }

    fn written(before: &[u8], token: Option<&str>) -> Result<String, String> {
        let entry = token.map(entry);
        let bytes = form().write(before, entry.as_ref())?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    const BLOCK: &str = "# tokenward TOKEN {\"valid_till_micros\":1795428930500000,\
        \"obtained_at_micros\":1795425330500000,\"day\":20780,\"made\":4,\"early_ends\":0,\"held_until_micros\":null}\n\
        TOKEN=sandbox.1.ab_cd\nTOKEN_GENERATION=4\nTOKEN_VALID_TILL=2026-11-23T10:15:30+00:00\n";

    #[test]
    fn everything_else_stays_byte_for_byte() {
        // What stands before, what is to stand there with BLOCK for our lines, and without them.
        let check = |before: &str, with: &str, without: &str| {
            let crlf = before.contains("\r\n");
            let export = before.contains("export ");
            let mut block = BLOCK.to_owned();
            if export {
                block = block.replace("\nTOKEN", "\nexport TOKEN");
            }
            if crlf {
                block = block.replace('\n', "\r\n");
            }
            let expect = with.replace("BLOCK", &block);
            let got = written(before.as_bytes(), Some("sandbox.1.ab_cd")).unwrap();
            assert_eq!(got, expect, "{before:?}");
            let read = form().read(got.as_bytes()).unwrap().unwrap();
            assert_eq!(read.token.expose(), "sandbox.1.ab_cd");
            assert_eq!(read.generation, Some(4));
            let again = written(got.as_bytes(), Some("sandbox.1.ab_cd")).unwrap();
            assert_eq!(again, expect, "{before:?}");
            assert_eq!(
                written(got.as_bytes(), None).unwrap(),
                without,
                "{before:?}"
            );
        };
        check("", "BLOCK", "");
        check("A=1\n", "A=1\nBLOCK", "A=1\n");
        check(
            "# mine\nTOKENS=3\nTOKEN=old\nTOKEN_GENERATION=1\nA=\"b c\"\n",
            "# mine\nTOKENS=3\nBLOCKA=\"b c\"\n",
            "# mine\nTOKENS=3\nA=\"b c\"\n",
        );
        // A last line without an end is not touched.
        check("A=1\nB=2", "A=1\nBLOCKB=2", "A=1\nB=2");
        check("A=1\nTOKEN=old", "A=1\nBLOCK", "A=1\n");
        check("A=C:\\x\\\n", "BLOCKA=C:\\x\\\n", "A=C:\\x\\\n");
        // A mark before our variable, line ends of Windows, an export of an old token that would win.
        check(
            "\u{feff}TOKEN=old\r\nA=1\r\nexport TOKEN=older\r\n",
            "\u{feff}BLOCKA=1\r\n",
            "\u{feff}A=1\r\n",
        );
        check(
            "  export\tTOKEN = 'old' \nA=1\n",
            "BLOCKA=1\n"
                .replace("BLOCK", &BLOCK.replace("\nTOKEN", "\nexport TOKEN"))
                .as_str(),
            "A=1\n",
        );
        // Values over several lines, of others, that look like anything.
        let key = "KEY=\"-----BEGIN\nTOKENS=x\\\"\n-----END\" # mine\nB='x\ny'\nC=a\\\n b\n";
        check(key, &format!("{key}BLOCK"), key);
        // Quotes that are letters.
        check(
            "A=it's\nB=5\"\nTOKEN=old\n",
            "A=it's\nB=5\"\nBLOCK",
            "A=it's\nB=5\"\n",
        );
        check(
            "# don't\n\n\nA = 1\n",
            "# don't\n\n\nA = 1\nBLOCK",
            "# don't\n\n\nA = 1\n",
        );
    }

    #[test]
    fn refuses_what_cannot_stay_as_it_is() {
        let check = |before: &[u8], expect: &str| {
            let said = [
                form().read(before).map(drop).unwrap_err(),
                written(before, Some("new")).unwrap_err(),
                written(before, None).unwrap_err(),
            ];
            assert!(said.iter().all(|said| said.contains(expect)), "{said:?}");
        };
        check(b"OK=1\nDB_PASSWORD=Gr\xf6\xdfe\n", "not UTF-8 in line 2");
        check(b"\xff\xfeA\0=\0", "UTF-16");
        check(b"A\0=\x001\0", "UTF-16");
        // Inside another value, for some readers.
        check(b"A=1\nKEY=\"x\nTOKEN=old\n\"\n", "line 2");
        check(b"A=C:\\x\\\nTOKEN=old\n", "line 1");
        check(b"# why \\\nexport TOKEN=old\n", "line 1");
        check(b"A=1\nB=\"\nC=1\n", "line 2 opens a quote");
        // With another line inside, for some readers.
        check(b"TOKEN=old\\\nDB=1\n", "line 1");
        check(b"TOKEN=\"old\nDB=1\"\n", "line 1");
    }

    #[test]
    fn an_assignment_that_somebody_added_is_not_believed() {
        let both = written(b"A=1\n", Some("ours")).unwrap();
        for (added, believed) in [
            ("", true),
            ("export TOKEN=old\n", false),
            ("TOKEN=ours\n", true),
        ] {
            let read = form().read(format!("{both}{added}").as_bytes()).unwrap();
            assert_eq!(read.is_some(), believed, "{added:?}");
        }
    }

    #[test]
    fn brings_tokens_of_any_shape_back() {
        for token in r#"plain.1-2_3 a"b $HOME back\slash ends\ #hash 'q' `x`"#.split(' ') {
            let text = written(b"", Some(token)).unwrap();
            let read = form().read(text.as_bytes()).unwrap().unwrap();
            assert_eq!(read.token.expose(), token);
            assert_eq!(read.generation, Some(4));
        }
        // Written by a person, of unknown end: not trusted.
        assert!(form().read(b"TOKEN=abc\n").unwrap().is_none());
    }

    #[test]
    fn takes_names_that_a_shell_takes() {
        for good in ["A", "_a1"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["1A", "", "A-B"] {
            assert_eq!(check_name(bad), Err(NotAName), "{bad}");
        }
    }
}
