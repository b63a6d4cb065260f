//! A member's own account: password, authenticator app, recovery codes, passkeys, sessions. What proves a member is
//! changed by that member alone.

use super::prelude::*;
use super::sign_in::{NotSignedIn, Person, app_context, prove_password};
use crate::auth::passkeys::{self, NoPasskey, PASSKEYS_MAX};
use crate::auth::password::Caller;
use crate::auth::{codes, password};
use tokenward_core::hex;
use tokenward_core::label::Name;
use tokenward_core::seal::NONCE_BYTES;
use tokenward_store::people::{Passkey, Session, Totp};

/// Changes the member as kept, with an audit entry; `altering` may refuse.
pub(crate) async fn alter(
    people: &People,
    person: &Person,
    action: &'static str,
    others_end: bool,
    altering: impl FnOnce(&mut Member, &View) -> Result<(), Refused> + Send + 'static,
) -> Result<(), Refused> {
    let (admin, id, session) = (person.admin(), person.member.id, person.session.id);
    let wants = ReadSet {
        member: Some(id),
        ..ReadSet::default()
    };
    let decided = acting::decide(&people.data, admin, wants, move |acting, view| {
        let mut member = view
            .members
            .first()
            .cloned()
            .ok_or(Refused::NotFound("member"))?;
        altering(&mut member, view)?;
        let entry = acting.entry(action, None, None, &json!({}));
        let mut records = vec![Record::MemberPut(Box::new(member))];
        if others_end {
            records.push(Record::SessionsEnded {
                member: id,
                but: Some(session),
            });
        }
        Ok((Decided::records(records, entry), ()))
    });
    decided.await
}

/// Judges a password that somebody chose; `own` are words about them.
pub(crate) fn judge(field: &'static str, chosen: &str, own: &[&str]) -> Result<(), Refused> {
    password::judge(chosen, own).map_err(|why| Refused::Invalid(field, why))
}

/// Hashes a password that was judged before.
pub(crate) async fn hash_chosen(
    people: &People,
    caller: Caller,
    chosen: Zeroizing<String>,
) -> Result<String, Refused> {
    let hashed = people.passwords.hash(caller, chosen).await;
    let hashed = hashed.map_err(|_| Refused::Throttled(password::RETRY_SECONDS))?;
    hashed.ok_or(Refused::Failed(tokenward_store::Failure::Unavailable))
}

/// Sets another password; every other session ends. The new one is judged before the old one is verified: what is
/// refused for its form costs no hash.
pub async fn set_password(
    people: &People,
    person: &Person,
    old: Zeroizing<String>,
    new: Zeroizing<String>,
) -> Result<(), Refused> {
    let hashed = person.member.proofs.password.clone();
    let own = [person.member.email.as_str(), person.member.name.as_str()];
    judge("new_password", &new, &own)?;
    prove_password(people, person, old)
        .await
        .map_err(|not| match not {
            NotSignedIn::Throttled(retry_after_seconds)
            | NotSignedIn::Busy(retry_after_seconds) => Refused::Throttled(retry_after_seconds),
            NotSignedIn::Failed(failure) => Refused::Failed(failure),
            NotSignedIn::Ended => Refused::NotAdmitted,
            _ => Refused::Invalid("old_password", "this is not your password".into()),
        })?;
    let new = hash_chosen(people, Caller::Member(person.member.id), new).await?;
    alter(people, person, "member.password", true, move |member, _| {
        if member.proofs.password != hashed {
            let why = "the password was changed in another window meanwhile";
            return Err(Refused::Conflict(Conflict::ChangedMeanwhile, why.into()));
        }
        member.proofs.password = Some(new);
        Ok(())
    })
    .await
}

/// A secret offered to an authenticator app: not in force until a code of it is shown.
pub struct Offer {
    /// Sealed, to be carried by the form.
    pub sealed: String,
    /// As typed into an app.
    pub typed: Zeroizing<String>,
    /// As scanned by an app: SVG.
    pub scanned: Zeroizing<String>,
}

/// Offers a new authenticator app's secret, or shows one offered before.
pub fn offer_app(people: &People, person: &Person, before: Option<&str>) -> Offer {
    let context = app_context(person.member.id);
    let opened = before
        .and_then(hex::read_any)
        .and_then(|sealed| people.data.keyring.open_at_rest(&context, &sealed));
    let (sealed, secret) = match (before, opened) {
        (Some(before), Some(secret)) => (before.to_owned(), secret),
        _ => {
            let secret = codes::new_secret();
            let nonce: [u8; NONCE_BYTES] = random::bytes();
            let sealed = people.data.keyring.seal_at_rest(&context, &*secret, nonce);
            (
                hex::encode(&sealed).to_string(),
                Zeroizing::new(secret.to_vec()),
            )
        }
    };
    Offer {
        sealed,
        typed: codes::typed(&secret),
        scanned: codes::scanned(&secret, &person.member.email),
    }
}

/// Takes an offered app into use, proved by a code of it; answers new recovery codes, told here and never again.
pub async fn set_app(
    people: &People,
    person: &Person,
    sealed: &str,
    code: &str,
) -> Result<Vec<Zeroizing<String>>, Refused> {
    let wrong = || {
        let why = "this is not the code the app shows now; check that the phone's clock is right";
        Refused::Invalid("code", why.into())
    };
    let context = app_context(person.member.id);
    let secret = hex::read_any(sealed)
        .and_then(|sealed| people.data.keyring.open_at_rest(&context, &sealed))
        .ok_or_else(wrong)?;
    let now = u64::try_from(people.data.clock().system().unix_seconds()).unwrap_or(0);
    let last_step = codes::step(&secret, code, now).ok_or_else(wrong)?;
    let sealed = sealed.to_owned();
    let (shown, digests) = codes::recovery();
    alter(people, person, "member.app", true, move |member, _| {
        member.proofs.totp = Some(Totp { sealed, last_step });
        member.proofs.recovery = digests;
        Ok(())
    })
    .await?;
    Ok(shown)
}

/// Takes the authenticator app out of use.
pub async fn remove_app(people: &People, person: &Person) -> Result<(), Refused> {
    alter(people, person, "member.app_removed", true, |member, _| {
        member.proofs.totp = None;
        if !member.proofs.has_second() {
            member.proofs.recovery.clear();
        }
        Ok(())
    })
    .await
}

/// New recovery codes in the place of the old, told here and never again.
pub async fn renew_recovery(
    people: &People,
    person: &Person,
) -> Result<Vec<Zeroizing<String>>, Refused> {
    let (shown, digests) = codes::recovery();
    alter(
        people,
        person,
        "member.recovery",
        false,
        move |member, _| {
            if !member.proofs.has_second() {
                let why =
                    "recovery codes stand in for an authenticator app or a passkey; add one first";
                return Err(Refused::Conflict(Conflict::NoSecondProof, why.into()));
            }
            member.proofs.recovery = digests;
            Ok(())
        },
    )
    .await?;
    Ok(shown)
}

/// Most characters of what a member calls a passkey.
const PASSKEY_NAME_MAX: usize = 64;

/// Adds the passkey that the member's browser made; with the first second proof come recovery codes, told here and
/// never again.
pub async fn add_passkey(
    people: &People,
    person: &Person,
    origin: &str,
    (handle, answer): (&str, &str),
    name: &str,
) -> Result<Vec<Zeroizing<String>>, Refused> {
    let name: String = name.trim().chars().take(PASSKEY_NAME_MAX).collect();
    let name = match name.trim_end() {
        "" => "Passkey".to_owned(),
        text => {
            let name = Name::parse(text).map_err(|why| Refused::Invalid("name", why.0))?;
            name.as_str().to_owned()
        }
    };
    let whose = (person.member.id, origin);
    let made = passkeys::new_one(&people.data, whose, (handle, answer)).await;
    let credential = made.map_err(|why| match why {
        NoPasskey::Because(why) => Refused::Invalid("passkey", why.into()),
        NoPasskey::Failed(failure) => Refused::Failed(failure),
    })?;
    let first = !person.member.proofs.has_second();
    let (shown, digests) = match first {
        true => codes::recovery(),
        false => Default::default(),
    };
    let id = random::uuid();
    alter(
        people,
        person,
        "member.passkey",
        first,
        move |member, view| {
            if member.proofs.passkeys.len() >= PASSKEYS_MAX {
                let why = "you have ten passkeys; remove one first";
                return Err(Refused::Conflict(Conflict::TooManyPasskeys, why.into()));
            }
            member.proofs.passkeys.push(Passkey {
                id,
                name,
                created_at: view.now,
                last_used_at: None,
                credential,
            });
            if first {
                member.proofs.recovery = digests;
            }
            Ok(())
        },
    )
    .await?;
    Ok(shown)
}

/// Removes a passkey.
pub async fn remove_passkey(people: &People, person: &Person, id: Uuid) -> Result<(), Refused> {
    alter(
        people,
        person,
        "member.passkey_removed",
        true,
        move |member, _| {
            let passkeys = &mut member.proofs.passkeys;
            let before = passkeys.len();
            passkeys.retain(|passkey| passkey.id != id);
            if passkeys.len() == before {
                return Err(Refused::NotFound("passkey"));
            }
            if !member.proofs.has_second() {
                member.proofs.recovery.clear();
            }
            Ok(())
        },
    )
    .await
}

/// The member's sessions, the last used first.
pub async fn sessions(people: &People, person: &Person) -> Result<Vec<Session>, Refused> {
    Ok(people.data.reader().sessions(person.member.id).await?)
}

/// Ends one session of the member's, or all but the one at work.
pub async fn end_sessions(
    people: &People,
    person: &Person,
    one: Option<Uuid>,
) -> Result<(), Refused> {
    let (admin, member, session) = (person.admin(), person.member.id, person.session.id);
    if let Some(one) = one {
        let own = sessions(people, person).await?;
        if !own.iter().any(|known| known.id == one) {
            return Err(Refused::NotFound("session"));
        }
    }
    let decided = acting::decide(&people.data, admin, ReadSet::default(), move |acting, _| {
        let record = match one {
            Some(one) => Record::SessionEnded(one),
            None => Record::SessionsEnded {
                member,
                but: Some(session),
            },
        };
        let detail = json!({ "session": one });
        let entry = acting.entry("member.end_sessions", None, None, &detail);
        Ok((Decided::records(vec![record], entry), ()))
    });
    decided.await
}
