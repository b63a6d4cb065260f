//! Passwords of people: argon2id (RFC 9106), a few at a time, so that a crowd at the door takes no more memory
//! than is set aside for it. Never for machines' secrets, which cannot be guessed.

use crate::random;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;
use zxcvbn::Score;

/// KiB of memory, passes and lanes of one hash: OWASP's first choice for argon2id (Password Storage Cheat Sheet).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at once, 19 MiB and a core each; more wait. One leaves every other core to the checks.
const AT_ONCE: usize = 1;
/// Least characters (NIST SP 800-63B-4 asks for 15 where nothing else is asked, 8 beside a second proof; zxcvbn
/// refuses what is guessable at any length).
const CHARACTERS_MIN: usize = 10;
/// Most bytes; a longer one is no better.
const BYTES_MAX: usize = 512;
/// As much of a password as is judged: judging takes time that grows faster than the length.
const JUDGED_MAX: usize = 72;

/// The one place where passwords are hashed.
#[derive(Debug)]
pub struct Passwords {
    places: Semaphore,
    /// Compared with when there is nothing to compare with, so that it takes as long.
    nobodys: String,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            nobodys: hash(b"nobody's password").unwrap_or_default(),
        }
    }
}

fn hasher() -> Argon2<'static> {
    // These constants are within the library's bounds.
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &[u8]) -> Option<String> {
    let salt: [u8; 16] = random::bytes();
    let hashed = hasher().hash_password_with_salt(password, &salt);
    hashed.ok().map(|hash| hash.to_string())
}

impl Passwords {
    /// The hash of a password in PHC form; none when the machine has no memory for it.
    pub async fn hash(&self, password: Zeroizing<String>) -> Option<String> {
        let _place = self.places.acquire().await.ok()?;
        let hashing = tokio::task::spawn_blocking(move || hash(password.as_bytes()));
        hashing.await.ok().flatten()
    }

    /// Whether `password` is the one that was hashed; takes as long when there is none.
    pub async fn verify(&self, hashed: Option<String>, password: Zeroizing<String>) -> bool {
        let Ok(_place) = self.places.acquire().await else {
            return false;
        };
        let real = hashed.is_some();
        let hashed = hashed.unwrap_or_else(|| self.nobodys.clone());
        let verifying = tokio::task::spawn_blocking(move || {
            hasher()
                .verify_password(password.as_bytes(), hashed.as_str())
                .is_ok()
        });
        verifying.await.unwrap_or(false) && real
    }
}

/// Judges a new password; a sentence for its chooser when it will not do. `own` are words about the person, which
/// a guesser tries first.
pub fn judge(password: &str, own: &[&str]) -> Result<(), String> {
    if password.chars().count() < CHARACTERS_MIN {
        return Err(format!("use at least {CHARACTERS_MIN} characters"));
    }
    if password.len() > BYTES_MAX {
        return Err(format!("use at most {BYTES_MAX} bytes"));
    }
    let judged: String = password.chars().take(JUDGED_MAX).collect();
    let apart = ['@', '.', ' ', '-', '_'];
    let mut words: Vec<String> = ["tokenward", "cleartax"].map(str::to_owned).to_vec();
    for word in own {
        words.extend(word.split(apart).map(str::to_owned));
        // A name without its blanks, an address up to its sign, is what people take first.
        let local = word.split('@').next().unwrap_or(word);
        words.push(local.replace(apart, ""));
        words.push((*word).to_owned());
    }
    let parts: Vec<&str> = words.iter().map(String::as_str).collect();
    let parts: Vec<&str> = parts.into_iter().filter(|part| part.len() > 2).collect();
    let estimate = zxcvbn::zxcvbn(&judged, &parts);
    if estimate.score() >= Score::Three {
        return Ok(());
    }
    let why = estimate.feedback().and_then(|feedback| feedback.warning());
    Err(match why {
        Some(why) => format!(
            "this password is easily guessed ({}); use several unrelated words",
            why.to_string().trim_end_matches('.')
        ),
        None => "this password is easily guessed; use several unrelated words".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_only() {
        let passwords = Passwords::default();
        let secret = || Zeroizing::new("correct horse battery".to_owned());
        let hashed = passwords.hash(secret()).await.unwrap();
        assert!(
            hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hashed}"
        );
        assert_ne!(passwords.hash(secret()).await.unwrap(), hashed);
        assert!(passwords.verify(Some(hashed.clone()), secret()).await);
        let wrong = Zeroizing::new("correct horse Battery".to_owned());
        assert!(!passwords.verify(Some(hashed), wrong).await);
        assert!(!passwords.verify(Some("no hash".into()), secret()).await);
        let nobodys = Zeroizing::new("nobody's password".to_owned());
        assert!(!passwords.verify(None, nobodys).await);
    }

    #[test]
    fn weak_passwords_are_refused_with_a_reason() {
        let own = ["asha.rao@example.com", "Asha Rao"];
        let refused = |password: &str| assert!(judge(password, &own).is_err(), "{password}");
        refused("short");
        refused("password12345");
        refused("aaaaaaaaaaaaaaaa");
        refused("qwertyuiop1");
        refused("asharao2026!");
        refused("tokenward123");
        refused(&"x7!pQ".repeat(200));
        assert_eq!(judge("plum-tractor-7-galaxy", &own), Ok(()));
        assert_eq!(judge("ein Löwe kaut Zimtsterne", &own), Ok(()));
    }
}
