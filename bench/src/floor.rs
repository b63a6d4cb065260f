//! The floor of a check, written by hand and as short as it can be: parse, keyed digest, one look-up
//! in a flat table of 64 bytes a client. It knows no environments, products, states or reasons, and
//! nobody can change it while it is read.

use crate::population;

/// A client: one cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Entry {
    id: [u64; 2],
    digest: [u64; 4],
    valid_till: i64,
    number_generation: u64,
}

/// An open-addressing table, three quarters full.
pub(crate) struct Floor {
    entries: Vec<Entry>,
}

const HEX: [u8; 256] = {
    let mut table = [0xFF; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// Reads hex; the high half of the answer is set when a character was none.
#[inline]
fn hex(text: &[u8], out: &mut [u8]) -> u8 {
    let mut seen = 0;
    for (byte, pair) in out.iter_mut().zip(text.as_chunks::<2>().0) {
        let (high, low) = (HEX[usize::from(pair[0])], HEX[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    seen
}

/// The id and random part of a token, if the text is one and its checksum is right.
#[inline]
fn parse(text: &[u8]) -> Option<([u8; 16], [u8; 28])> {
    let text: &[u8; 103] = text.try_into().ok()?;
    let marks = [
        (0, b'1'),
        (1, b'.'),
        (10, b'-'),
        (15, b'-'),
        (20, b'-'),
        (25, b'-'),
        (38, b'_'),
    ];
    let (mut id, mut random, mut sum) = ([0; 16], [0; 28], [0; 4]);
    let seen = hex(&text[2..10], &mut id[..4])
        | hex(&text[11..15], &mut id[4..6])
        | hex(&text[16..20], &mut id[6..8])
        | hex(&text[21..25], &mut id[8..10])
        | hex(&text[26..38], &mut id[10..])
        | hex(&text[39..95], &mut random)
        | hex(&text[95..], &mut sum);
    let well = marks.iter().all(|(at, mark)| text[*at] == *mark)
        && seen & 0xF0 == 0
        && crc32fast::hash(&text[..95]) == u32::from_be_bytes(sum);
    well.then_some((id, random))
}

#[inline]
fn digest(id: &[u8; 16], random: &[u8; 28]) -> [u64; 4] {
    let mut block = [0; 46];
    block[0] = 1;
    block[1] = 1;
    block[2..18].copy_from_slice(id);
    block[18..].copy_from_slice(random);
    words(blake3::keyed_hash(&population::KEY, &block).as_bytes())
}

#[inline]
fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u64; WORDS] {
    let mut out = [0; WORDS];
    for (word, part) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*part);
    }
    out
}

impl Floor {
    /// The table of the same clients as [`population::replica`].
    pub(crate) fn new(clients: u32) -> Self {
        let mut floor = Self {
            entries: vec![Entry::default(); clients as usize * 4 / 3 + 1],
        };
        let keyring = population::keyring();
        for no in 0..clients {
            let text = population::token(&keyring, no).expose();
            let Some((id, random)) = parse(text.as_bytes()) else {
                panic!("the floor cannot parse a token")
            };
            let id_words = words(&id);
            let mut at = floor.start(id_words);
            while floor.entries[at].number_generation != 0 {
                at = (at + 1) % floor.entries.len();
            }
            floor.entries[at] = Entry {
                id: id_words,
                digest: digest(&id, &random),
                valid_till: i64::MAX,
                number_generation: u64::from(no) << 32 | 1,
            };
        }
        floor
    }

    #[inline]
    fn start(&self, id: [u64; 2]) -> usize {
        let mixed = u128::from((id[0] ^ id[1]).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        ((mixed * self.entries.len() as u128) >> 64) as usize
    }

    /// The client whose live token this is.
    #[inline]
    pub(crate) fn check(&self, text: &str, now: i64) -> Option<u32> {
        let (id, random) = parse(text.as_bytes())?;
        let presented = digest(&id, &random);
        let id = words(&id);
        let mut at = self.start(id);
        loop {
            let entry = &self.entries[at];
            if entry.number_generation == 0 {
                return None;
            }
            if entry.id == id {
                let differs = entry
                    .digest
                    .iter()
                    .zip(presented)
                    .fold(0, |all, (a, b)| all | (a ^ b));
                return (differs == 0 && now < entry.valid_till)
                    .then_some((entry.number_generation >> 32) as u32);
            }
            at = if at + 1 == self.entries.len() {
                0
            } else {
                at + 1
            };
        }
    }

    /// Parsing alone, for the table of parts.
    pub(crate) fn parse_only(text: &str) -> u8 {
        parse(text.as_bytes()).map_or(0, |(id, random)| id[0] ^ random[0])
    }

    /// Parsing and the digest, for the table of parts.
    pub(crate) fn digest_only(text: &str) -> u64 {
        parse(text.as_bytes()).map_or(0, |(id, random)| digest(&id, &random)[0])
    }
}
