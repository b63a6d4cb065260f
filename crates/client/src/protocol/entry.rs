//! A token with all that its holders must know of it, and its JSON form, which every place that can hold text
//! stores. This room never decides anything.

use super::limits::Tally;
use crate::credential::{AccessToken, Malformed};
use serde::{Deserialize, Serialize};
use tokenward_core::time::Timestamp;
use zeroize::Zeroizing;

/// Longest JSON form read, in bytes: a token is 256 characters, the rest numbers.
pub(crate) const MOST_JSON_BYTES: usize = 16 * 1024;

/// What a place holds.
#[derive(Debug)]
pub struct Entry {
    /// The access token.
    pub token: AccessToken,
    /// Counts the client's tokens; none from a server that does not count.
    pub generation: Option<u32>,
    /// When it ends, by the server's clock; none means never.
    pub valid_till: Option<Timestamp>,
    /// When it was generated, by the server's clock.
    pub obtained_at: Timestamp,
    /// How many were generated on that UTC day, as far as this place has seen.
    pub tally: Tally,
    /// How many tokens in a row were ended early by somebody else.
    pub early_ends: u32,
    /// Until when nobody may generate, because somebody else holds the same client secret.
    pub held_until: Option<Timestamp>,
    /// Who it was made for, and where; empty in an entry that was stored before this was noted.
    pub origin: Origin,
}

/// Which server made a token, and for which API client. Every part may be unknown.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The environment that the client secret named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The API client that the client secret named, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

impl Origin {
    /// Whether both may be of one API client at one server. Ids decide where both are known: one server may have several
    /// addresses. Where they are not, as with Clear's own server, the addresses decide.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let same = |own: &Option<String>, others: &Option<String>| match (own, others) {
            (Some(own), Some(others)) => Some(own == others),
            _ => None,
        };
        match same(&self.client, &other.client) {
            Some(client) => client && same(&self.environment, &other.environment) != Some(false),
            None => same(&self.server, &other.server) != Some(false),
        }
    }
}

/// The content is no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an entry: {0}")]
pub struct Unreadable(&'static str);

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self("the access token is malformed")
    }
}

/// For every reader: what an application looks at comes first, under the names of the Generate Access Token API.
#[derive(Serialize, Deserialize)]
struct Document {
    access_token: Zeroizing<String>,
    #[serde(default)]
    generation: Option<u32>,
    #[serde(default)]
    valid_till: Option<String>,
    #[serde(default)]
    tokenward: Option<Notes>,
}

/// For other holders.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Notes {
    valid_till_micros: Option<i64>,
    obtained_at_micros: i64,
    day: u32,
    made: u32,
    #[serde(default)]
    early_ends: u32,
    #[serde(default)]
    held_until_micros: Option<i64>,
    #[serde(flatten)]
    origin: Origin,
}

impl Entry {
    /// Whether this entry is of a newer token than the other: by generation, else by the server's times.
    /// Generations of different API clients count different things.
    #[must_use]
    pub fn newer_than(&self, other: &Self) -> bool {
        match (self.generation, other.generation) {
            _ if !self.origin().agrees_with(&other.origin()) => {
                self.obtained_at > other.obtained_at
            }
            (Some(own), Some(others)) => own > others,
            _ => self.age_key() > other.age_key(),
        }
    }

    /// Its origin; API client and environment are the token's own where it names them.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match tokenward_core::AccessToken::parse(self.token.expose()) {
            Ok(token) => Origin {
                server: self.origin.server.clone(),
                environment: Some(token.environment().as_str().to_owned()),
                client: Some(token.client().to_string()),
            },
            Err(_) => self.origin.clone(),
        }
    }

    /// Of two tokens of one client, the later ends later; where none ends, the later was obtained later.
    fn age_key(&self) -> (i64, i64) {
        let till = self.valid_till.map_or(i64::MAX, |till| till.0);
        (till, self.obtained_at.0)
    }

    /// Whether it ends no later than `now`.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.valid_till.is_some_and(|till| till <= now)
    }

    /// Its public name, safe to log.
    #[must_use]
    pub fn name(&self) -> String {
        match (self.generation, self.valid_till) {
            (Some(generation), Some(till)) => {
                format!("generation {generation}, valid till {}", till.iso())
            }
            (Some(generation), None) => format!("generation {generation}, which never expires"),
            (None, Some(till)) => format!("token valid till {}", till.iso()),
            (None, None) => "token that never expires".to_owned(),
        }
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let document = Document {
            access_token: Zeroizing::new(self.token.expose().to_owned()),
            generation: self.generation,
            valid_till: self.valid_till.map(Timestamp::iso),
            tokenward: Some(self.notes()),
        };
        // Reserved once, so that no reallocation leaves a copy behind.
        let room = 1024 + self.origin.server.as_ref().map_or(0, String::len);
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        let written = serde_json::to_writer_pretty(&mut *bytes, &document);
        debug_assert!(written.is_ok() && bytes.len() < room);
        Zeroizing::new(String::from_utf8(std::mem::take(&mut *bytes)).unwrap_or_default())
    }

    /// Reads the JSON form. A document without notes (written by hand) is taken as of unknown age and good until
    /// its `valid_till`.
    ///
    /// # Errors
    /// When the text is no JSON of an entry.
    pub fn from_json(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MOST_JSON_BYTES {
            return Err(Unreadable("it is too long"));
        }
        let document: Document =
            serde_json::from_str(text).map_err(|_| Unreadable("it is not the JSON of an entry"))?;
        let token = AccessToken::parse(&document.access_token)?;
        let till = document.valid_till.as_deref().map(parse_iso).transpose()?;
        Ok(Self::from_parts(
            token,
            document.generation,
            till,
            document.tokenward,
        ))
    }

    /// A token of which nothing else is known, such as one that a product refused.
    #[must_use]
    pub fn bare(token: AccessToken) -> Self {
        Self::from_parts(token, None, None, None)
    }

    /// The notes for other holders, without the token.
    pub(crate) fn notes(&self) -> Notes {
        Notes {
            valid_till_micros: self.valid_till.map(|till| till.0),
            obtained_at_micros: self.obtained_at.0,
            day: self.tally.day,
            made: self.tally.made,
            early_ends: self.early_ends,
            held_until_micros: self.held_until.map(|until| until.0),
            origin: self.origin.clone(),
        }
    }

    /// Puts an entry together again from what a place keeps apart.
    pub(crate) fn from_parts(
        token: AccessToken,
        generation: Option<u32>,
        valid_till: Option<Timestamp>,
        notes: Option<Notes>,
    ) -> Self {
        let notes = notes.unwrap_or(Notes {
            valid_till_micros: valid_till.map(|till| till.0),
            obtained_at_micros: 0,
            day: 0,
            made: 0,
            early_ends: 0,
            held_until_micros: None,
            origin: Origin::default(),
        });
        Self {
            token,
            generation,
            valid_till: notes.valid_till_micros.map(Timestamp),
            obtained_at: Timestamp(notes.obtained_at_micros),
            tally: Tally {
                day: notes.day,
                made: notes.made,
            },
            early_ends: notes.early_ends,
            held_until: notes.held_until_micros.map(Timestamp),
            origin: notes.origin,
        }
    }

    /// The same token with a hold on generating.
    pub(crate) fn held(&self, until: Timestamp, early_ends: u32) -> Result<Self, Unreadable> {
        Ok(Self {
            token: AccessToken::parse(self.token.expose())?,
            held_until: Some(until),
            early_ends,
            origin: self.origin.clone(),
            ..*self
        })
    }
}

/// Reads a time of the wire, such as `2026-11-23T10:15:30+00:00`.
pub(crate) fn parse_iso(text: &str) -> Result<Timestamp, Unreadable> {
    text.parse::<jiff::Timestamp>()
        .map(|time| Timestamp(time.as_microsecond()))
        .map_err(|_| Unreadable("valid_till is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(generation: Option<u32>, till: Option<i64>, obtained: i64) -> Entry {
        let token = format!("t-{generation:?}-{till:?}-{obtained}");
        Entry {
            generation,
            valid_till: till.map(Timestamp),
            obtained_at: Timestamp(obtained),
            ..Entry::bare(AccessToken::parse(&token).unwrap())
        }
    }

    #[test]
    fn json_brings_everything_back() {
        let mut before = entry(Some(7), Some(1_795_428_930_123_456), 1_795_428_900_000_000);
        before.tally = Tally {
            day: 20_780,
            made: 3,
        };
        before.early_ends = 1;
        before.held_until = Some(Timestamp(5));
        before.origin = Origin {
            server: Some("https://tokens.example.com".to_owned()),
            environment: Some("sandbox".to_owned()),
            client: Some("7f9d9c52-8a35-4c4e-9f5b-1d1d0b6d3f11".to_owned()),
        };
        let json = before.to_json();
        assert!(json.contains("\"valid_till\": \"2026-11-23T10:15:30+00:00\""));
        let after = Entry::from_json(&json).unwrap();
        assert!(before.token.is(&after.token));
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }

    #[test]
    fn reads_what_a_person_wrote_and_nothing_else() {
        let check = |json: &str, expect: Result<Option<i64>, &'static str>| {
            let got = Entry::from_json(json).map(|entry| entry.valid_till.map(|till| till.0));
            assert_eq!(got, expect.map_err(Unreadable), "{json}");
        };
        check(r#"{"access_token":"abc"}"#, Ok(None));
        let two = r#"{"access_token":"abc","valid_till":"1970-01-01T00:00:02+00:00"}"#;
        check(two, Ok(Some(2_000_000)));
        let malformed = r#"{"access_token":"a b"}"#;
        check(malformed, Err("the access token is malformed"));
        let soon = r#"{"access_token":"abc","valid_till":"soon"}"#;
        check(soon, Err("valid_till is no time"));
        check("{}", Err("it is not the JSON of an entry"));
        check("", Err("it is not the JSON of an entry"));
        let long = " ".repeat(MOST_JSON_BYTES + 1);
        check(&long, Err("it is too long"));
    }

    #[test]
    fn entries_stored_before_origins_were_noted_are_read() {
        let json = r#"{"access_token":"abc","tokenward":{"valid_till_micros":null,"obtained_at_micros":1,"day":0,"made":1}}"#;
        assert_eq!(Entry::from_json(json).unwrap().origin, Origin::default());
    }

    #[test]
    fn ids_decide_before_addresses() {
        let origin = |server: &str, environment: &str, client: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Origin {
                server: some(server),
                environment: some(environment),
                client: some(client),
            }
        };
        let check = |own: &Origin, other: &Origin, agree| {
            assert_eq!(own.agrees_with(other), agree, "{own:?} {other:?}");
            assert_eq!(other.agrees_with(own), agree, "{other:?} {own:?}");
        };
        let one = origin("https://a", "sandbox", "1");
        check(&one, &one, true);
        check(&one, &origin("https://b", "sandbox", "1"), true);
        check(&one, &origin("https://a", "sandbox", "2"), false);
        check(&one, &origin("https://a", "production", "1"), false);
        check(&one, &origin("", "", "1"), true);
        check(&one, &origin("https://b", "", ""), false);
        check(&one, &Origin::default(), true);
        let (a, b) = (origin("https://a", "", ""), origin("https://b", "", ""));
        check(&a, &b, false);
    }

    #[test]
    fn knows_the_newer_of_two() {
        let check = |newer: &Entry, older: &Entry| {
            assert!(newer.newer_than(older) && !older.newer_than(newer));
        };
        check(&entry(Some(8), Some(1), 1), &entry(Some(7), Some(900), 900));
        check(&entry(None, Some(9), 1), &entry(None, Some(8), 2));
        check(&entry(None, None, 2), &entry(None, None, 1));
        assert!(!entry(Some(7), Some(1), 1).newer_than(&entry(Some(7), Some(1), 1)));
        // Of two servers the later one, whatever ends when.
        let from = |server: &str, till, obtained| Entry {
            origin: Origin {
                server: Some(server.to_owned()),
                ..Origin::default()
            },
            ..entry(None, Some(till), obtained)
        };
        check(&from("https://a", 5, 2), &from("https://b", 900, 1));
    }
}
