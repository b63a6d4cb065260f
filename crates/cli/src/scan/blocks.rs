//! One file, however large, in blocks: every credential in it, once, with its place. Neighbouring
//! windows overlap by the longest credential, so none hides across a border. Text in UTF-16, as
//! Windows and SAP write it, is looked at too.

use std::io::{ErrorKind, Read, Result};
use tokenward_core::Environment;
use tokenward_core::scan::{Find, Kind, LONGEST, scan};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes read at once: large enough that reading costs little, small enough for any machine.
const BLOCK_BYTES: usize = 1 << 20;
/// What two windows share: the longest credential, twice for UTF-16.
const OVERLAP_BYTES: usize = 2 * LONGEST;
/// Bytes from the dot before a UUID to behind its last hyphen.
const UUID_END: usize = 25;
/// No credential character; stands where UTF-16 holds anything but ASCII.
const GAP: u8 = 0xFF;

/// A credential in a file; never its text, except to ask the server about it.
#[derive(Debug)]
pub(crate) struct Sighting {
    /// Its kind.
    pub(crate) kind: Kind,
    /// The client's id, or the admin key's.
    pub(crate) owner: Uuid,
    /// Its environment; none for an admin key.
    pub(crate) environment: Option<Environment>,
    /// Line, counted from 1.
    pub(crate) line: u64,
    /// Column in bytes, counted from 1.
    pub(crate) column: u64,
    /// Bytes before it in the file.
    pub(crate) offset: u64,
    /// The credential itself, only if it was asked for.
    pub(crate) text: Option<Zeroizing<String>>,
}

/// A step of reading.
#[derive(Debug)]
pub(crate) enum Step {
    /// So many more bytes were read.
    Bytes(u64),
    /// A credential.
    Found(Sighting),
}

/// Reads to the end, or until `each` says false. `keep_text` hands credentials over too.
pub(crate) fn search(
    mut reader: impl Read,
    keep_text: bool,
    mut each: impl FnMut(Step) -> bool,
) -> Result<()> {
    let mut window = Window::default();
    loop {
        let carried = window.bytes.len();
        let end = fill(&mut reader, &mut window.bytes)?;
        let fresh = window.bytes.len() - carried;
        if !each(Step::Bytes(fresh as u64)) {
            return Ok(());
        }
        for found in finds(&window.bytes, keep_text) {
            // One that ends in the carried part was seen in the window before.
            if found.find.end > carried && !each(Step::Found(window.place(found))) {
                return Ok(());
            }
        }
        if end {
            return Ok(());
        }
        window.advance();
    }
}

/// Adds a block; true at the end of the file.
fn fill(reader: &mut impl Read, bytes: &mut Vec<u8>) -> Result<bool> {
    let mut at = bytes.len();
    let goal = at + BLOCK_BYTES;
    bytes.resize(goal, 0);
    while at < goal {
        match reader.read(&mut bytes[at..]) {
            Ok(0) => {
                bytes.truncate(at);
                return Ok(true);
            }
            Ok(count) => at += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// A find in a window, and its text if that was asked for.
struct Found {
    find: Find,
    text: Option<Zeroizing<String>>,
}

/// Every credential in a window, in order.
fn finds(bytes: &[u8], keep_text: bool) -> Vec<Found> {
    let text = |bytes: &[u8]| {
        keep_text.then(|| Zeroizing::new(String::from_utf8_lossy(bytes).into_owned()))
    };
    let mut found = Vec::new();
    for find in likely(bytes) {
        let text = text(&bytes[find.start..find.end]);
        found.push(Found { find, text });
    }
    if bytes.contains(&0) {
        for parity in 0..2 {
            let narrow = narrow(bytes, parity);
            for find in likely(&narrow) {
                let text = text(&narrow[find.start..find.end]);
                let find = Find {
                    start: parity + 2 * find.start,
                    end: parity + 2 * find.end - 1,
                    ..find
                };
                found.push(Found { find, text });
            }
        }
        found.sort_by_key(|found| found.find.start);
    }
    found
}

/// What the core's scanner finds, asked only where a dot stands before something with the hyphens
/// of a UUID, as in every credential: in most files that is nowhere.
fn likely(bytes: &[u8]) -> Vec<Find> {
    let mut finds = Vec::new();
    let mut done = 0;
    for (at, shape) in bytes.windows(UUID_END).enumerate() {
        let uuid = shape[9] == b'-' && shape[14] == b'-' && shape[19] == b'-' && shape[24] == b'-';
        if !uuid || shape[0] != b'.' || at < done {
            continue;
        }
        let from = at.saturating_sub(LONGEST).max(done);
        let to = bytes.len().min(at + LONGEST);
        for mut find in scan(&bytes[from..to]) {
            find.start += from;
            find.end += from;
            done = find.end;
            finds.push(find);
        }
    }
    finds
}

/// Every second byte, where a zero follows: the ASCII of UTF-16 in either byte order, for in the big
/// one the zero is the next character's.
fn narrow(bytes: &[u8], parity: usize) -> Zeroizing<Vec<u8>> {
    let pairs = bytes.get(parity..).unwrap_or_default().chunks(2);
    let narrow = pairs.map(|pair| match pair {
        [first] | [first, 0] => *first,
        _ => GAP,
    });
    Zeroizing::new(narrow.collect())
}

/// The part of the file in memory and where it lies.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    /// Bytes of the file before it.
    offset: u64,
    /// Lines counted so far, and up to which byte of the window.
    lines: u64,
    counted: usize,
    /// Where in the file the line at `counted` begins.
    line_start: u64,
}

impl Window {
    /// Counts lines up to a byte of the window.
    fn count_to(&mut self, to: usize) {
        let Some(between) = self.bytes.get(self.counted..to) else {
            return;
        };
        self.lines += between.iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(last) = between.iter().rposition(|byte| *byte == b'\n') {
            self.line_start = self.offset + (self.counted + last) as u64 + 1;
        }
        self.counted = to;
    }

    fn place(&mut self, Found { find, text }: Found) -> Sighting {
        self.count_to(find.start);
        let offset = self.offset + find.start as u64;
        Sighting {
            kind: find.kind,
            owner: find.owner,
            environment: find.environment,
            line: self.lines + 1,
            column: offset - self.line_start + 1,
            offset,
            text,
        }
    }

    /// Lets go of all but the overlap.
    fn advance(&mut self) {
        let gone = self.bytes.len().saturating_sub(OVERLAP_BYTES);
        self.count_to(gone.max(self.counted));
        self.bytes.drain(..gone);
        self.offset += gone as u64;
        self.counted -= gone;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tokenward_core::{AccessToken, ClientId, ClientSecret};

    pub(crate) fn token() -> Zeroizing<String> {
        AccessToken::from_random(Environment::Sandbox, ClientId(Uuid::from_u128(7)), [7; 28])
            .expose()
    }

    pub(crate) fn secret() -> Zeroizing<String> {
        ClientSecret::from_random(
            Environment::Production,
            ClientId(Uuid::from_u128(8)),
            [8; 28],
        )
        .expose()
    }

    /// A reader that gives few bytes at a time, as a pipe does.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            let count = self.0.len().min(into.len()).min(8_191);
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn places(bytes: &[u8]) -> Vec<(u64, u64, u64)> {
        let (mut places, mut count) = (Vec::new(), 0);
        let each = |step| {
            match step {
                Step::Bytes(more) => count += more,
                Step::Found(found) => {
                    let text = found.text.unwrap();
                    assert!(
                        [token(), secret()].contains(&text),
                        "the text is the credential's"
                    );
                    places.push((found.line, found.column, found.offset));
                }
            }
            true
        };
        search(Trickle(bytes), true, each).unwrap();
        assert_eq!(count, bytes.len() as u64, "every byte is counted once");
        places
    }

    #[test]
    fn a_token_across_a_border_is_found_once_wherever_the_border_falls() {
        let token = token();
        for before in (BLOCK_BYTES - token.len() - 2..BLOCK_BYTES + 2).step_by(3) {
            let mut bytes = vec![b'\n'; before];
            bytes.extend_from_slice(token.as_bytes());
            bytes.extend_from_slice(b" and the rest\n");
            assert_eq!(
                places(&bytes),
                [(before as u64 + 1, 1, before as u64)],
                "{before}"
            );
        }
    }

    #[test]
    fn many_across_many_blocks_each_once_in_order() {
        let mut bytes = Vec::new();
        let mut expect = Vec::new();
        for line in 0..40_u64 {
            expect.push((line + 1, 3, bytes.len() as u64 + 2));
            bytes.extend_from_slice(b"k=");
            let text = if line % 2 == 0 { token() } else { secret() };
            bytes.extend_from_slice(text.as_bytes());
            bytes.resize(bytes.len() + 99_991, b' ');
            bytes.push(b'\n');
        }
        assert!(bytes.len() > 3 * BLOCK_BYTES);
        assert_eq!(places(&bytes), expect);
    }

    #[test]
    fn looking_only_where_it_is_likely_misses_nothing() {
        // Pieces of credentials, whole ones and what may stand between, in every order of three.
        let (token, secret) = (token(), secret());
        let bare = &token["sandbox.".len()..];
        let pieces = [
            &token[..],
            &secret[..],
            &token[..60],
            &secret[30..],
            bare,
            "1.",
            "sandbox.",
            "-",
            "\n",
            ".",
        ];
        for one in pieces {
            for two in pieces {
                for three in pieces {
                    let text = [one, two, three].concat();
                    assert_eq!(likely(text.as_bytes()), scan(text.as_bytes()), "{text}");
                }
            }
        }
    }

    #[test]
    fn binary_does_not_hide_one() {
        let mut bytes: Vec<u8> = (0..=255).collect();
        bytes.extend_from_slice(secret().as_bytes());
        bytes.extend_from_slice(&[0, 0xFF, 0xFE]);
        // The line break among the 256 bytes is number 10.
        assert_eq!(places(&bytes), [(2, 246, 256)]);
    }

    #[test]
    fn utf_16_does_not_hide_one_in_either_byte_order() {
        let text = format!("key\n{} end", *token());
        for before in [0, 1, BLOCK_BYTES - 100, BLOCK_BYTES - 101] {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            for (bytes, first) in [(little, 8), (big, 9)] {
                let mut all = vec![b'.'; before];
                all.extend_from_slice(&bytes);
                let offset = (before + first) as u64;
                let seen = places(&all);
                let seen: Vec<_> = seen.iter().map(|place| (place.0, place.2)).collect();
                assert_eq!(seen, [(2, offset)], "{before}");
            }
        }
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        assert!(places(b"").is_empty());
        assert!(places(&vec![b'a'; 3 * BLOCK_BYTES]).is_empty());
    }
}
