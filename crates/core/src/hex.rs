//! Hex. For credentials eight characters at a time: the one inner loop of reading one. It is exact: lowercase only, and every
//! wrong character is noticed. For everything else a byte at a time, in lowercase or uppercase.

use zeroize::Zeroizing;

/// Returns lowercase hex, wiped on drop.
#[must_use]
pub fn encode(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(::hex::encode(bytes))
}

/// Reads exactly `N` bytes.
#[must_use]
pub fn read<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut out = Zeroizing::new([0; N]);
    ::hex::decode_to_slice(text, &mut *out).ok()?;
    Some(out)
}

/// Reads bytes of any number.
#[must_use]
pub fn read_any(text: &str) -> Option<Vec<u8>> {
    ::hex::decode(text).ok()
}

/// The same byte in every place of a word.
const fn all(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Reads eight characters, the first in the lowest byte, into four bytes in the same order. The second
/// part of the answer is 0 exactly when all eight were lowercase hex digits.
#[inline]
pub(crate) fn decode(chars: u64) -> (u32, u64) {
    // Letters have bit 6 set, and `a` ends in 1: its value is that and nine.
    let values = (chars & all(0x0F)) + ((chars >> 6) & all(1)) * 9;
    // What these values should look like: `0` and up, and 39 characters further from ten on.
    let letters = ((values + all(6)) >> 4) & all(1);
    let proper = values + all(b'0') + letters * 39;
    let wrong = (proper ^ chars) | (values & all(0xF0));
    // Two values to a byte, then the bytes moved together.
    let pairs = ((values << 4) | (values >> 8)) & 0x00FF_00FF_00FF_00FF;
    let pairs = (pairs | (pairs >> 8)) & 0x0000_FFFF_0000_FFFF;
    ((pairs | (pairs >> 16)) as u32, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<[u8; 4]>) {
        let (word, wrong) = decode(u64::from_le_bytes(text.as_bytes().try_into().unwrap()));
        assert_eq!(
            (wrong == 0).then_some(word.to_le_bytes()),
            expect,
            "{text:?}"
        );
    }

    #[test]
    fn words_are_read_in_order() {
        check("01234567", Some([0x01, 0x23, 0x45, 0x67]));
        check("89abcdef", Some([0x89, 0xab, 0xcd, 0xef]));
        check("ffffffff", Some([0xff; 4]));
    }

    #[test]
    fn every_byte_in_every_place_is_judged_alone() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut chars = *b"0f9a5c3d";
                chars[place] = byte;
                let (_, wrong) = decode(u64::from_le_bytes(chars));
                let good = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                assert_eq!(wrong == 0, good, "{byte:#x} at {place}");
            }
        }
    }
}
