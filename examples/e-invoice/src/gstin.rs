//! GSTINs, the numbers of registered taxpayers: parsed once, correct ever after.
//!
//! Shape, as the GST portal publishes it: two digits of state, ten characters of PAN (five letters, four
//! digits, a letter), the number of this registration of that PAN in that state, one character that is `Z`
//! by default, and a check character. The check character is Luhn's scheme over the 36 characters `0-9A-Z`:
//! each of the first fourteen is weighted 1, 2, 1, 2, ... from the left, quotient and remainder of the
//! product by 36 are added up, and the check character brings the sum to a multiple of 36.
//!
//! This room never asks whether a GSTIN is registered; only the GST network knows that.

use std::fmt;

/// Characters in a GSTIN.
pub const LENGTH: usize = 15;

const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// State codes and names as used in GSTINs (census of 2011, and the later additions).
const STATES: &[(&str, &str)] = &[
    ("01", "Jammu and Kashmir"),
    ("02", "Himachal Pradesh"),
    ("03", "Punjab"),
    ("04", "Chandigarh"),
    ("05", "Uttarakhand"),
    ("06", "Haryana"),
    ("07", "Delhi"),
    ("08", "Rajasthan"),
    ("09", "Uttar Pradesh"),
    ("10", "Bihar"),
    ("11", "Sikkim"),
    ("12", "Arunachal Pradesh"),
    ("13", "Nagaland"),
    ("14", "Manipur"),
    ("15", "Mizoram"),
    ("16", "Tripura"),
    ("17", "Meghalaya"),
    ("18", "Assam"),
    ("19", "West Bengal"),
    ("20", "Jharkhand"),
    ("21", "Odisha"),
    ("22", "Chhattisgarh"),
    ("23", "Madhya Pradesh"),
    ("24", "Gujarat"),
    ("25", "Daman and Diu"),
    ("26", "Dadra and Nagar Haveli and Daman and Diu"),
    ("27", "Maharashtra"),
    ("28", "Andhra Pradesh (before division)"),
    ("29", "Karnataka"),
    ("30", "Goa"),
    ("31", "Lakshadweep"),
    ("32", "Kerala"),
    ("33", "Tamil Nadu"),
    ("34", "Puducherry"),
    ("35", "Andaman and Nicobar Islands"),
    ("36", "Telangana"),
    ("37", "Andhra Pradesh"),
    ("38", "Ladakh"),
    ("97", "Other Territory"),
    ("99", "Centre Jurisdiction"),
];

/// A well-formed GSTIN with a correct check character, in capitals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gstin {
    text: String,
    state_name: &'static str,
}

/// Why a text is not a GSTIN; each sentence is fit for the caller's eyes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadGstin {
    /// Not fifteen characters.
    #[error("a GSTIN has exactly 15 characters")]
    Length,
    /// A character that the position does not allow; the position counts from 1.
    #[error("character {position} does not fit a GSTIN: {expected} belongs there")]
    Character {
        /// Where, counted from 1.
        position: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// The first two digits name no state.
    #[error("the first two digits are not a state code of the GST system")]
    State,
    /// The last character does not agree with the others. It is not told which one would: a mistyped
    /// number must be looked up, not repaired until it passes.
    #[error("the check character (the last one) does not agree with the other fourteen")]
    CheckCharacter,
}

impl Gstin {
    /// Parses a GSTIN; small letters are refused, as the e-invoice portal refuses them.
    pub fn parse(text: &str) -> Result<Self, BadGstin> {
        if text.chars().count() != LENGTH {
            return Err(BadGstin::Length);
        }
        for (index, character) in text.chars().enumerate() {
            let (fits, expected) = position_rule(index, character);
            if !fits {
                return Err(BadGstin::Character {
                    position: index + 1,
                    expected,
                });
            }
        }
        let state_name = STATES
            .iter()
            .find(|(code, _)| text.starts_with(code))
            .map(|(_, name)| *name)
            .ok_or(BadGstin::State)?;
        let (first_fourteen, last) = text.split_at(LENGTH - 1);
        if last.chars().next() != check_character(first_fourteen) {
            return Err(BadGstin::CheckCharacter);
        }
        Ok(Self {
            text: text.to_owned(),
            state_name,
        })
    }

    /// The fifteen characters.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The two digits of the state of registration.
    pub fn state_code(&self) -> &str {
        &self.text[..2]
    }

    /// The name of the state of registration.
    pub fn state_name(&self) -> &'static str {
        self.state_name
    }

    /// The holder's PAN (income tax number), ten characters.
    pub fn pan(&self) -> &str {
        &self.text[2..12]
    }
}

impl fmt::Display for Gstin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn position_rule(index: usize, character: char) -> (bool, &'static str) {
    match index {
        0 | 1 | 7..=10 => (character.is_ascii_digit(), "a digit"),
        2..=6 | 11 => (character.is_ascii_uppercase(), "a capital letter"),
        12 | 13 => (
            matches!(character, '1'..='9' | 'A'..='Z'),
            "a capital letter or a digit from 1",
        ),
        _ => (
            matches!(character, '0'..='9' | 'A'..='Z'),
            "a capital letter or a digit",
        ),
    }
}

/// The check character over the first fourteen; `None` if one of them is outside `0-9A-Z`.
fn check_character(first_fourteen: &str) -> Option<char> {
    let mut sum = 0;
    for (index, byte) in first_fourteen.bytes().enumerate() {
        let value = ALPHABET.iter().position(|&a| a == byte)?;
        let weighted = value * (1 + index % 2);
        sum += weighted / ALPHABET.len() + weighted % ALPHABET.len();
    }
    let check = (ALPHABET.len() - sum % ALPHABET.len()) % ALPHABET.len();
    Some(char::from(ALPHABET[check]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GSTINs in public use as examples: two are test data of number-validation libraries, the third is
    /// the supplier in GSTZen's published example of an invoice reference number.
    const GOOD: [&str; 3] = ["27AAPFU0939F1ZV", "29AAGCB7383J1Z4", "29AAFCC9980M1ZR"];

    #[track_caller]
    fn check(text: &str, expect: BadGstin) {
        assert_eq!(Gstin::parse(text), Err(expect), "{text:?}");
    }

    #[test]
    fn published_numbers_are_accepted_and_taken_apart() {
        for text in GOOD {
            assert_eq!(Gstin::parse(text).unwrap().as_str(), text);
        }
        let gstin = Gstin::parse(GOOD[0]).unwrap();
        assert_eq!(gstin.state_code(), "27");
        assert_eq!(gstin.state_name(), "Maharashtra");
        assert_eq!(gstin.pan(), "AAPFU0939F");
    }

    #[test]
    fn bad_shapes_are_named() {
        check("", BadGstin::Length);
        check("27AAPFU0939F1Z", BadGstin::Length);
        check("27AAPFU0939F1ZVV", BadGstin::Length);
        let at = |position, expected| BadGstin::Character { position, expected };
        check("2AAAPFU0939F1ZV", at(2, "a digit"));
        check("27aAPFU0939F1ZV", at(3, "a capital letter"));
        check("27AAPFU09X9F1ZV", at(10, "a digit"));
        check(
            "27AAPFU0939F0ZV",
            at(13, "a capital letter or a digit from 1"),
        );
        check("27AAPFU0939F1Zv", at(15, "a capital letter or a digit"));
        // Fifteen characters, more bytes: must not be cut inside a character.
        check("27ААРFU0939F1ZV", at(3, "a capital letter"));
        check("\u{0662}7AAPFU0939F1ZV", at(1, "a digit"));
    }

    #[test]
    fn an_unknown_state_is_refused() {
        let unknown = "00AAPFU0939F1Z";
        let whole = format!("{unknown}{}", check_character(unknown).unwrap());
        check(&whole, BadGstin::State);
    }

    #[test]
    fn every_single_wrong_check_character_is_refused() {
        for wrong in ALPHABET.iter().filter(|&&c| c != b'V') {
            check(
                &format!("27AAPFU0939F1Z{}", char::from(*wrong)),
                BadGstin::CheckCharacter,
            );
        }
    }

    #[test]
    fn every_single_mistyped_digit_is_caught() {
        for position in [0, 1, 7, 8, 9, 10] {
            for digit in b'0'..=b'9' {
                let mut bytes = GOOD[0].as_bytes().to_vec();
                if bytes[position] == digit {
                    continue;
                }
                bytes[position] = digit;
                let text = String::from_utf8(bytes).unwrap();
                assert!(Gstin::parse(&text).is_err(), "{text}");
            }
        }
    }
}
