//! One-time codes: those of an authenticator app (RFC 6238) and recovery codes for the day it is lost.

use crate::random;
use qrcode::QrCode;
use qrcode::render::svg;
use sha2::{Digest as _, Sha256};
use tokenward_core::hex;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

/// Bytes of an app's secret: as many as SHA-1's output (RFC 4226, section 4).
pub const SECRET_BYTES: usize = 20;
/// Steps of half a minute by which a clock may be wrong either way (RFC 6238, section 5.2).
const SKEW: u16 = 1;
/// Recovery codes made at once.
pub const RECOVERY_CODES: usize = 10;
/// Letters of a recovery code: 5 bits each, none that looks like another.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
/// Letters of one code: 80 bits.
const RECOVERY_LETTERS: usize = 16;

/// A new app's secret.
#[must_use]
pub fn new_secret() -> Zeroizing<[u8; SECRET_BYTES]> {
    Zeroizing::new(random::bytes())
}

fn totp(secret: &[u8]) -> Totp {
    // SHA-1, six digits, half a minute: what every app understands.
    let builder = Builder::new()
        .with_algorithm(totp_rs::Algorithm::SHA1)
        .with_digits(6)
        .with_skew(SKEW)
        .with_step_duration(30)
        .with_secret(secret.to_vec());
    builder.build_noncompliant()
}

/// The secret as an app takes it typed: base32 in groups of four.
#[must_use]
pub fn typed(secret: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(totp(secret).secret().to_base32());
    let groups: Vec<&str> = text
        .as_bytes()
        .chunks(4)
        .filter_map(|chunk| std::str::from_utf8(chunk).ok())
        .collect();
    Zeroizing::new(groups.join(" "))
}

/// The secret as an app scans it: a QR code as SVG.
#[must_use]
pub fn scanned(secret: &[u8], account: &str) -> Zeroizing<String> {
    let plain = typed(secret).replace(' ', "");
    let label: String = form_urlencoded::byte_serialize(account.as_bytes()).collect();
    let uri = Zeroizing::new(format!(
        "otpauth://totp/Tokenward:{}?secret={plain}&issuer=Tokenward",
        label.replace('+', "%20")
    ));
    let code = QrCode::new(uri.as_bytes());
    let drawn = code.map(|code| {
        code.render::<svg::Color<'_>>()
            .min_dimensions(220, 220)
            .quiet_zone(true)
            .build()
    });
    let drawn = drawn.unwrap_or_default();
    // What stands before the element is for files, not for pages.
    let start = drawn.find("<svg").unwrap_or(0);
    Zeroizing::new(drawn[start..].to_owned())
}

/// The time step a code is for, if it is one of this secret's about now. Whoever takes it keeps the step, and takes
/// none at or before it again.
#[must_use]
pub fn step(secret: &[u8], code: &str, unix_seconds: u64) -> Option<u64> {
    // People type blanks as apps show them; a replay with other blanks is the same code (CVE-2025-55000).
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    totp(secret).check(&code, unix_seconds)
}

/// New recovery codes, as shown, and their digests.
#[must_use]
pub fn recovery() -> (Vec<Zeroizing<String>>, Vec<String>) {
    let one = || {
        let random: Zeroizing<[u8; RECOVERY_LETTERS]> = Zeroizing::new(random::bytes());
        let mut text = Zeroizing::new(String::with_capacity(RECOVERY_LETTERS + 3));
        for (at, byte) in random.iter().enumerate() {
            if at > 0 && at % 4 == 0 {
                text.push('-');
            }
            text.push(char::from(LETTERS[usize::from(byte % 32)]));
        }
        text
    };
    let codes: Vec<Zeroizing<String>> = std::iter::repeat_with(one).take(RECOVERY_CODES).collect();
    let digests = codes
        .iter()
        .filter_map(|code| recovery_digest(code))
        .collect();
    (codes, digests)
}

/// What is kept of a recovery code, however it is spaced and cased; none for what is none.
#[must_use]
pub fn recovery_digest(code: &str) -> Option<String> {
    let plain: Zeroizing<String> = Zeroizing::new(
        code.chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| c.to_ascii_lowercase())
            .collect(),
    );
    let known = plain.bytes().all(|byte| LETTERS.contains(&byte));
    if plain.len() != RECOVERY_LETTERS || !known {
        return None;
    }
    Some(hex::encode(&Sha256::digest(plain.as_bytes())).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, SHA-1, shortened to six digits.
    #[test]
    fn the_codes_are_those_of_the_standard() {
        let secret = b"12345678901234567890";
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step(secret, code, time), Some(time / 30));
            assert_eq!(
                step(secret, code, time + 30),
                Some(time / 30),
                "a slow clock"
            );
            assert_eq!(step(secret, code, time + 90), None, "too late");
            assert_eq!(
                step(secret, &format!(" {} {}", &code[..3], &code[3..]), time),
                Some(time / 30)
            );
        }
        for bad in ["", "28708", "2870822", "28708a", "２８７０８２"] {
            assert_eq!(step(secret, bad, 59), None, "{bad}");
        }
    }

    #[test]
    fn the_secret_can_be_typed_and_scanned() {
        assert_eq!(
            *typed(b"12345678901234567890"),
            "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
        );
        let drawn = scanned(b"12345678901234567890", "asha@example.com");
        assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>"));
        assert!(
            !drawn.contains("style="),
            "the pages' policy forbids inline style"
        );
    }

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed() {
        let (codes, digests) = recovery();
        assert_eq!((codes.len(), digests.len()), (10, 10));
        let typed = codes[3].to_uppercase().replace('-', " ");
        assert_eq!(recovery_digest(&typed).as_ref(), Some(&digests[3]));
        assert_eq!(recovery_digest(&codes[3][1..]), None);
        assert_eq!(recovery_digest("iiii-llll-oooo-1111"), None);
        let mut all = digests.clone();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 10);
    }
}
