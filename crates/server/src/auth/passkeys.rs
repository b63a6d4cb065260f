//! Passkeys (WebAuthn): what a browser is asked, and how its answer is judged. What was asked waits as a row of the
//! database, so that any node can take the answer; taking it deletes the row, so that each challenge is answered once,
//! rightly or wrongly. What is kept of a passkey is a public key.

use crate::data::Data;
use crate::random;
use serde::{Deserialize, Serialize};
use tokenward_core::time::{Clock, MICROS_PER_SECOND, Timestamp};
use tokenward_store::people::{Member, Passkey as Kept, PasskeyChallenge, Record};
use tokenward_store::{Decided, Failure, ReadSet, View};
use uuid::Uuid;
use webauthn_rs::prelude::{
    CreationChallengeResponse, Passkey, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, RequestChallengeResponse, Url, Webauthn,
    WebauthnBuilder,
};

/// Microseconds a browser has to answer.
pub const CEREMONY_MICROS: i64 = 300 * MICROS_PER_SECOND;
/// Passkeys of one member.
pub const PASSKEYS_MAX: usize = 10;

/// What an answer is judged by. It never leaves the servers: anyone who could write it could answer for a member.
#[derive(Serialize, Deserialize)]
enum Asked {
    Registration(PasskeyRegistration),
    Authentication(PasskeyAuthentication),
}

/// Why a ceremony did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoPasskey {
    /// The browser's answer or address does not allow it; a sentence for the person.
    Because(&'static str),
    /// The server could not do it.
    Failed(Failure),
}

impl From<Failure> for NoPasskey {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

const NO_NAME: NoPasskey = NoPasskey::Because(
    "passkeys belong to a host name: open the console by its name, not by an address",
);
const FAILED: NoPasskey = NoPasskey::Because("the passkey was not accepted; try again");

/// The site a passkey is for, by the address the browser reached: a scheme, a host and perhaps a port.
fn site(origin: &str) -> Result<Webauthn, NoPasskey> {
    let url = Url::parse(origin).map_err(|_| NO_NAME)?;
    let name = url.domain().ok_or(NO_NAME)?.to_owned();
    let builder = WebauthnBuilder::new(&name, &url).map_err(|_| NO_NAME)?;
    builder.rp_name("Tokenward").build().map_err(|_| NO_NAME)
}

fn keys(member: &Member) -> Vec<Passkey> {
    let kept = member.proofs.passkeys.iter();
    kept.filter_map(|kept| serde_json::from_value(kept.credential.clone()).ok())
        .collect()
}

/// Keeps a challenge until it is answered.
async fn keep(data: &Data, member: Uuid, asked: &Asked) -> Result<Uuid, NoPasskey> {
    let challenge = PasskeyChallenge {
        id: random::uuid(),
        member,
        at: data.clock().wall(),
        state: serde_json::to_string(asked).map_err(|_| FAILED)?,
    };
    let id = challenge.id;
    let kept = Record::ChallengePut(challenge);
    data.note(vec![kept]).await?;
    Ok(id)
}

/// Whether a challenge was put to this member, and not too long ago.
fn is_open(challenge: &PasskeyChallenge, member: Uuid, now: Timestamp) -> bool {
    challenge.member == member && now.0.saturating_sub(challenge.at.0) < CEREMONY_MICROS
}

/// Takes a challenge back: each is answered once, on whichever node.
async fn take(data: &Data, handle: &str, member: Uuid) -> Result<Asked, NoPasskey> {
    let handle = Uuid::try_parse(handle).map_err(|_| FAILED)?;
    let wants = ReadSet {
        challenge: Some(handle),
        ..ReadSet::default()
    };
    let taken = data.decide(wants, move |view: &View| {
        let challenge = view.challenge.clone().ok_or(FAILED)?;
        let decided = Decided {
            records: vec![Record::ChallengeTaken(challenge.id)],
            ..Decided::default()
        };
        let open = is_open(&challenge, member, view.now).then_some(challenge);
        Ok::<_, NoPasskey>((decided, open))
    });
    let challenge = taken.await??.ok_or(FAILED)?;
    serde_json::from_str(&challenge.state).map_err(|_| FAILED)
}

/// Asks a browser to make a passkey.
pub async fn ask_for_new(
    data: &Data,
    member: &Member,
    origin: &str,
) -> Result<(Uuid, CreationChallengeResponse), NoPasskey> {
    if member.proofs.passkeys.len() >= PASSKEYS_MAX {
        let why = "you have ten passkeys; remove one first";
        return Err(NoPasskey::Because(why));
    }
    let known = keys(member)
        .iter()
        .map(|key| key.cred_id().clone())
        .collect();
    let (email, name) = (&member.email, member.name.as_str());
    let started = site(origin)?.start_passkey_registration(member.id, email, name, Some(known));
    let (question, state) = started.map_err(|_| FAILED)?;
    let handle = keep(data, member.id, &Asked::Registration(state)).await?;
    Ok((handle, question))
}

/// The passkey a browser made, to be kept.
pub async fn new_one(
    data: &Data,
    (member, origin): (Uuid, &str),
    (handle, answer): (&str, &str),
) -> Result<serde_json::Value, NoPasskey> {
    let Asked::Registration(state) = take(data, handle, member).await? else {
        return Err(FAILED);
    };
    let answer: RegisterPublicKeyCredential = serde_json::from_str(answer).map_err(|_| FAILED)?;
    let made = site(origin)?.finish_passkey_registration(&answer, &state);
    let key = made.map_err(|_| FAILED)?;
    serde_json::to_value(&key).map_err(|_| FAILED)
}

/// Asks a browser to prove that it has one of a member's passkeys.
pub async fn ask(
    data: &Data,
    member: &Member,
    origin: &str,
) -> Result<(Uuid, RequestChallengeResponse), NoPasskey> {
    let started = site(origin)?.start_passkey_authentication(&keys(member));
    let (question, state) = started.map_err(|_| FAILED)?;
    let handle = keep(data, member.id, &Asked::Authentication(state)).await?;
    Ok((handle, question))
}

/// What the proof of a passkey says about it, to be noted on the member.
pub async fn proof(
    data: &Data,
    (member, origin): (Uuid, &str),
    (handle, answer): (&str, &str),
) -> Result<Proof, NoPasskey> {
    let Asked::Authentication(state) = take(data, handle, member).await? else {
        return Err(FAILED);
    };
    let answer: PublicKeyCredential = serde_json::from_str(answer).map_err(|_| FAILED)?;
    let result = site(origin)?.finish_passkey_authentication(&answer, &state);
    result.map(Proof).map_err(|_| FAILED)
}

/// A passkey proved to be there.
pub struct Proof(webauthn_rs::prelude::AuthenticationResult);

impl Proof {
    /// Notes the use on the member's passkey; false when it was removed meanwhile.
    #[must_use]
    pub fn note(&self, passkeys: &mut [Kept], now: tokenward_core::Timestamp) -> bool {
        for kept in passkeys {
            let key: Result<Passkey, _> = serde_json::from_value(kept.credential.clone());
            let Ok(mut key) = key else { continue };
            if key.update_credential(&self.0).is_none() {
                continue;
            }
            if let Ok(credential) = serde_json::to_value(&key) {
                kept.credential = credential;
            }
            kept.last_used_at = Some(now);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passkey_belongs_to_a_name() {
        for good in ["https://tokens.example.com", "http://localhost:8080"] {
            assert!(site(good).is_ok(), "{good}");
        }
        for bad in ["http://127.0.0.1:8080", "https://[::1]", "tokens", ""] {
            assert_eq!(site(bad).err(), Some(NO_NAME), "{bad}");
        }
    }

    #[test]
    fn a_challenge_is_for_one_member_and_for_a_time() {
        let member = Uuid::from_u128(1);
        let challenge = PasskeyChallenge {
            id: Uuid::from_u128(9),
            member,
            at: Timestamp(0),
            state: String::new(),
        };
        let last = Timestamp(CEREMONY_MICROS - 1);
        assert!(is_open(&challenge, member, last));
        assert!(!is_open(&challenge, Uuid::from_u128(2), last));
        assert!(!is_open(&challenge, member, Timestamp(CEREMONY_MICROS)));
        // Another node's clock may be a little behind.
        assert!(is_open(&challenge, member, Timestamp(-5)));
    }

    #[test]
    fn what_an_answer_is_judged_by_is_read_as_it_was_kept() {
        let site = site("https://tokens.example.com").unwrap();
        let member = Uuid::from_u128(1);
        let started = site.start_passkey_registration(member, "a@b", "A", None);
        let kept = serde_json::to_string(&Asked::Registration(started.unwrap().1)).unwrap();
        let read: Asked = serde_json::from_str(&kept).unwrap();
        assert!(matches!(read, Asked::Registration(_)));
        assert_eq!(serde_json::to_string(&read).unwrap(), kept);
    }
}
