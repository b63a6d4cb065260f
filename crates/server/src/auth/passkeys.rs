//! Passkeys (WebAuthn): what a browser was asked and has not answered yet. It waits in memory, for a challenge must
//! be answered once and soon; what is kept of a passkey is a public key.

use crate::random;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokenward_core::time::BootInstant;
use tokenward_store::people::{Member, Passkey as Kept};
use uuid::Uuid;
use webauthn_rs::prelude::{
    CreationChallengeResponse, Passkey, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, RequestChallengeResponse, Url, Webauthn,
    WebauthnBuilder,
};

/// Nanoseconds a browser has to answer.
const CEREMONY_TTL_NANOS: u64 = 300_000_000_000;
/// Questions not yet answered; beyond it the oldest are forgotten.
const WAITING_MAX: usize = 10_000;
/// The same of one member, so that nobody's questions make others' be forgotten.
const WAITING_OF_ONE_MAX: usize = 8;
/// Passkeys of one member.
pub const PASSKEYS_MAX: usize = 10;

/// A question on its way.
enum Asked {
    Registration(PasskeyRegistration),
    Authentication(PasskeyAuthentication),
}

/// Every question on its way.
#[derive(Default)]
pub struct Passkeys {
    waiting: Mutex<HashMap<Uuid, (BootInstant, Uuid, Asked)>>,
}

/// Why a ceremony did not succeed; a sentence for the person.
pub type NoPasskey = &'static str;

const NO_NAME: NoPasskey =
    "passkeys belong to a host name: open the console by its name, not by an address";
const FAILED: NoPasskey = "the passkey was not accepted; try again";

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

impl Passkeys {
    fn wait(&self, member: Uuid, asked: Asked, now: BootInstant) -> Uuid {
        let handle = random::uuid();
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, (at, ..)| now.0.saturating_sub(at.0) < CEREMONY_TTL_NANOS);
        let own = waiting.iter().filter(|(_, (_, whose, _))| *whose == member);
        let oldest = match (own.clone().count(), waiting.len()) {
            (WAITING_OF_ONE_MAX.., _) => own.min_by_key(|(_, (at, ..))| at.0),
            (_, WAITING_MAX..) => waiting.iter().min_by_key(|(_, (at, ..))| at.0),
            _ => None,
        };
        if let Some(oldest) = oldest.map(|(handle, _)| *handle) {
            waiting.remove(&oldest);
        }
        waiting.insert(handle, (now, member, asked));
        handle
    }

    /// Takes a question back: each is answered once.
    fn take(&self, handle: &str, member: Uuid, now: BootInstant) -> Result<Asked, NoPasskey> {
        let handle = Uuid::try_parse(handle).map_err(|_| FAILED)?;
        let taken = self.waiting.lock().remove(&handle);
        let (at, whose, asked) = taken.ok_or(FAILED)?;
        let in_time = now.0.saturating_sub(at.0) < CEREMONY_TTL_NANOS;
        if whose == member && in_time {
            Ok(asked)
        } else {
            Err(FAILED)
        }
    }

    /// Asks a browser to make a passkey.
    pub fn ask_for_new(
        &self,
        member: &Member,
        origin: &str,
        now: BootInstant,
    ) -> Result<(Uuid, CreationChallengeResponse), NoPasskey> {
        if member.proofs.passkeys.len() >= PASSKEYS_MAX {
            return Err("you have ten passkeys; remove one first");
        }
        let known = keys(member)
            .iter()
            .map(|key| key.cred_id().clone())
            .collect();
        let (email, name) = (&member.email, member.name.as_str());
        let started = site(origin)?.start_passkey_registration(member.id, email, name, Some(known));
        let (question, state) = started.map_err(|_| FAILED)?;
        let handle = self.wait(member.id, Asked::Registration(state), now);
        Ok((handle, question))
    }

    /// The passkey a browser made, to be kept.
    pub fn new_one(
        &self,
        (member, origin): (Uuid, &str),
        (handle, answer): (&str, &str),
        now: BootInstant,
    ) -> Result<serde_json::Value, NoPasskey> {
        let Asked::Registration(state) = self.take(handle, member, now)? else {
            return Err(FAILED);
        };
        let answer: RegisterPublicKeyCredential =
            serde_json::from_str(answer).map_err(|_| FAILED)?;
        let made = site(origin)?.finish_passkey_registration(&answer, &state);
        let key = made.map_err(|_| FAILED)?;
        serde_json::to_value(&key).map_err(|_| FAILED)
    }

    /// Asks a browser to prove that it has one of a member's passkeys.
    pub fn ask(
        &self,
        member: &Member,
        origin: &str,
        now: BootInstant,
    ) -> Result<(Uuid, RequestChallengeResponse), NoPasskey> {
        let started = site(origin)?.start_passkey_authentication(&keys(member));
        let (question, state) = started.map_err(|_| FAILED)?;
        let handle = self.wait(member.id, Asked::Authentication(state), now);
        Ok((handle, question))
    }

    /// What the proof of a passkey says about it, to be noted on the member.
    pub fn proof(
        &self,
        (member, origin): (Uuid, &str),
        (handle, answer): (&str, &str),
        now: BootInstant,
    ) -> Result<Proof, NoPasskey> {
        let Asked::Authentication(state) = self.take(handle, member, now)? else {
            return Err(FAILED);
        };
        let answer: PublicKeyCredential = serde_json::from_str(answer).map_err(|_| FAILED)?;
        let result = site(origin)?.finish_passkey_authentication(&answer, &state);
        result.map(Proof).map_err(|_| FAILED)
    }
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
    fn no_member_makes_the_question_to_another_be_forgotten() {
        let passkeys = Passkeys::default();
        let site = site("https://tokens.example.com").unwrap();
        let ask = |member, at| {
            let (_, state) = site
                .start_passkey_registration(member, "a@b", "A", None)
                .unwrap();
            let state = Asked::Registration(state);
            passkeys.wait(member, state, BootInstant(at)).to_string()
        };
        let [asha, ravi] = [1, 2].map(Uuid::from_u128);
        let other = ask(asha, 0);
        let all: Vec<String> = (1..=20).map(|at| ask(ravi, at)).collect();
        assert_eq!(passkeys.waiting.lock().len(), 1 + WAITING_OF_ONE_MAX);
        let now = BootInstant(21);
        assert!(passkeys.take(&other, asha, now).is_ok());
        assert!(passkeys.take(&all[0], ravi, now).is_err(), "the oldest");
        assert!(passkeys.take(&all[19], ravi, now).is_ok());
    }

    #[test]
    fn a_question_is_answered_once_in_time_and_by_whom_it_was_put_to() {
        let passkeys = Passkeys::default();
        let member = Uuid::from_u128(1);
        let site = site("https://tokens.example.com").unwrap();
        let ask = |at: u64| {
            let (_, state) = site
                .start_passkey_registration(member, "a@b", "A", None)
                .unwrap();
            let handle = passkeys.wait(member, Asked::Registration(state), BootInstant(at));
            handle.to_string()
        };
        let handle = ask(0);
        assert!(passkeys.take(&handle, member, BootInstant(5)).is_ok());
        assert!(passkeys.take(&handle, member, BootInstant(5)).is_err());
        let handle = ask(0);
        assert!(
            passkeys
                .take(&handle, Uuid::from_u128(2), BootInstant(5))
                .is_err()
        );
        let handle = ask(0);
        assert!(
            passkeys
                .take(&handle, member, BootInstant(CEREMONY_TTL_NANOS))
                .is_err()
        );
    }
}
