//! What a credential is made of, taken from a fuzzer's bytes: its checksum is one the fuzzer cannot guess, so
//! the shapes behind it are only reached by making credentials.

use tokenward_core::{ClientId, Environment};
use uuid::Uuid;

/// Parts of a credential, and where and how to spoil it.
pub struct Parts {
    pub environment: Environment,
    pub client: ClientId,
    pub random: [u8; 28],
    place: u8,
    letter: char,
}

impl Parts {
    /// Reads parts from the first bytes; fewer than a credential needs are none.
    pub fn of(data: &[u8]) -> Option<Self> {
        let (client, rest) = data.split_first_chunk::<16>()?;
        let (random, rest) = rest.split_first_chunk::<28>()?;
        let ([sandbox, place], rest) = rest.split_first_chunk::<2>()?;
        let environment = if sandbox & 1 == 1 {
            Environment::Sandbox
        } else {
            Environment::Production
        };
        let letter = std::str::from_utf8(rest).ok()?.chars().next()?;
        Some(Self {
            environment,
            client: ClientId(Uuid::from_bytes(*client)),
            random: *random,
            place: *place,
            letter,
        })
    }

    /// The text with one character replaced; nothing when that would change nothing.
    pub fn change(&self, text: &str) -> Option<String> {
        let place = usize::from(self.place) % text.len();
        let mut letters: Vec<char> = text.chars().collect();
        if letters[place] == self.letter {
            return None;
        }
        letters[place] = self.letter;
        Some(letters.into_iter().collect())
    }
}
