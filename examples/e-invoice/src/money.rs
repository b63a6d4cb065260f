//! Exact amounts: decimal text in, whole paise (or thousandths, or hundredths of a per cent) inside.
//!
//! Amounts travel as JSON strings, because a JSON number passes through binary fractions in most
//! callers' languages and 0.1 + 0.2 would then not be 0.3. No floating point here, ever.

use std::fmt;

/// Most digits before the point; keeps every product and sum below far inside `i128`.
const WHOLE_DIGITS_MAX: usize = 12;

/// Reads a decimal such as `12`, `12.5` or `12.50` as a whole number of its smallest unit
/// (`places` digits after the point). No sign, no exponent, no spaces.
pub fn parse_decimal(text: &str, places: usize) -> Option<i128> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > WHOLE_DIGITS_MAX
        || fraction.len() > places
        || !digits(whole)
        || !digits(fraction)
    {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}

/// An amount of Indian rupees, held in paise; written with two decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Paise(pub i128);

impl fmt::Display for Paise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// `amount * numerator / denominator`, halves rounded up; amounts here are never negative.
pub fn share_of(amount: Paise, numerator: i128, denominator: i128) -> Paise {
    Paise((amount.0 * numerator * 2 + denominator) / (denominator * 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        let check =
            |text, places, expect| assert_eq!(parse_decimal(text, places), expect, "{text:?}");
        check("0", 2, Some(0));
        check("12", 2, Some(1200));
        check("12.5", 2, Some(1250));
        check("12.05", 2, Some(1205));
        check("0.001", 3, Some(1));
        check("999999999999.99", 2, Some(99_999_999_999_999));
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "1.005",
            "-1",
            "+1",
            "1e3",
            "1,000",
            " 1",
            "1 ",
            "1.0.0",
            "NaN",
            "१२",
            "1000000000000",
        ] {
            check(bad, 2, None);
        }
    }

    #[test]
    fn paise_are_written_as_rupees() {
        assert_eq!(Paise(0).to_string(), "0.00");
        assert_eq!(Paise(5).to_string(), "0.05");
        assert_eq!(Paise(1_062_000).to_string(), "10620.00");
    }

    #[test]
    fn halves_round_up() {
        assert_eq!(share_of(Paise(1), 1, 2), Paise(1));
        assert_eq!(share_of(Paise(3), 1, 4), Paise(1));
        assert_eq!(share_of(Paise(1), 1, 4), Paise(0));
    }
}
