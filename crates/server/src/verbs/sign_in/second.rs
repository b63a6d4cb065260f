//! The second proof: a code, of the authenticator app or a recovery code, or a passkey. Each is taken inside the writer,
//! so that none is taken twice.

use super::super::prelude::*;
use super::{NotSignedIn, Origin, Taking, begin, carried, charge};
use crate::auth::codes;
use crate::auth::opaque_token::OpaqueToken;
use crate::auth::passkeys::{self, NoPasskey};
use crate::auth::refused_credentials;
use crate::clock::SystemClock;
use tokenward_core::hex;
use tokenward_store::people::app_context;

/// Proves the second thing by a code: of the authenticator app, or a recovery code.
pub async fn second(
    people: &People,
    sealed: &str,
    code: Zeroizing<String>,
    origin: &Origin,
) -> Result<OpaqueToken, NotSignedIn> {
    let (id, password) = carried(people, sealed)?;
    let prove = after_password(password, by_code(code));
    let begun = guess_code(
        people,
        id,
        begin(people, id, origin, "password and code", prove),
    )
    .await;
    note_second(people, "code", id, origin, &begun).await;
    begun
}

/// Proves the second thing by a passkey.
pub async fn second_by_passkey(
    people: &People,
    sealed: &str,
    site: &str,
    answer: (&str, &str),
    origin: &Origin,
) -> Result<OpaqueToken, NotSignedIn> {
    let (id, password) = carried(people, sealed)?;
    let proving = async {
        let prove = after_password(password, by_passkey(people, id, site, answer).await?);
        begin(people, id, origin, "password and passkey", prove).await
    };
    let begun = try_passkey(people, (origin.source, id), proving).await;
    note_second(people, "passkey", id, origin, &begun).await;
    begun
}

/// Notes that the second proof of a sign-in was wrong.
async fn note_second(
    people: &People,
    kind: &'static str,
    id: Uuid,
    origin: &Origin,
    begun: &Result<OpaqueToken, NotSignedIn>,
) {
    if !matches!(begun, Err(NotSignedIn::WrongCode)) {
        return;
    }
    // Without the member there is nothing to name; the failed read is an answer of its own elsewhere.
    if let Ok(Some(member)) = people.data.reader().member(id).await {
        let kind = (kind, "member.sign_in_failed");
        refused_credentials::member(people, kind, origin.source, &member, wrong(kind.0));
    }
}

/// The code and the reason of a second proof that was wrong.
pub(super) fn wrong(kind: &'static str) -> (&'static str, &'static str) {
    match kind {
        "passkey" => ("invalid_passkey", "wrong passkey"),
        _ => ("invalid_code", "wrong code"),
    }
}

/// A proof that is worth something only with the password that was proved before it.
fn after_password(
    password: String,
    prove: impl FnOnce(&mut Member, &Taking) -> Result<(), NotSignedIn>,
) -> impl FnOnce(&mut Member, &Taking) -> Result<(), NotSignedIn> {
    move |member, taking| match member.proofs.password.as_ref() == Some(&password) {
        true => prove(member, taking),
        false => Err(NotSignedIn::TooLate),
    }
}

/// A code of either kind.
pub(super) fn by_code(
    code: Zeroizing<String>,
) -> impl FnOnce(&mut Member, &Taking) -> Result<(), NotSignedIn> {
    move |member, taking| take_code(member, &code, taking)
}

/// A passkey, by what the browser answered.
pub(super) async fn by_passkey(
    people: &People,
    member: Uuid,
    site: &str,
    answer: (&str, &str),
) -> Result<impl FnOnce(&mut Member, &Taking) -> Result<(), NotSignedIn> + use<>, NotSignedIn> {
    let proof = passkeys::proof(&people.data, (member, site), answer).await;
    let proof = proof.map_err(|why| match why {
        NoPasskey::Because(_) => NotSignedIn::WrongCode,
        NoPasskey::Failed(failure) => NotSignedIn::from(failure),
    })?;
    Ok(move |member: &mut Member, taking: &Taking| {
        match proof.note(&mut member.proofs.passkeys, taking.now) {
            true => Ok(()),
            false => Err(NotSignedIn::WrongCode),
        }
    })
}

/// Counts wrong codes by the member alone: six digits bear few guesses, and only who knows the password, or sits at the
/// member's session, gets here. Passkeys stay open to the owner.
pub(super) async fn guess_code<T>(
    people: &People,
    member: Uuid,
    trying: impl Future<Output = Result<T, NotSignedIn>>,
) -> Result<T, NotSignedIn> {
    charge(people, &people.codes_throttle, None, member)?;
    let outcome = trying.await;
    if !matches!(outcome, Err(NotSignedIn::WrongCode)) {
        people
            .codes_throttle
            .forgive(None, member, &people.data.clock());
    }
    outcome
}

/// Counts wrong passkeys with the member's wrong passwords, by source network: a signature costs little to make up, and
/// some work to refuse.
pub(super) async fn try_passkey<T>(
    people: &People,
    (source, member): (Option<IpAddr>, Uuid),
    trying: impl Future<Output = Result<T, NotSignedIn>>,
) -> Result<T, NotSignedIn> {
    charge(people, &people.throttle, source, member)?;
    let outcome = trying.await;
    if !matches!(outcome, Err(NotSignedIn::WrongCode)) {
        people
            .throttle
            .forgive(source, member, &people.data.clock());
    }
    outcome
}

/// Takes a code of either kind, once.
fn take_code(member: &mut Member, code: &str, taking: &Taking) -> Result<(), NotSignedIn> {
    // The phone's clock goes with the machine's, not with a time that never goes back.
    let seconds = u64::try_from(SystemClock.system().unix_seconds()).unwrap_or(0);
    if let Some(app) = &mut member.proofs.totp {
        let context = app_context(member.id);
        let secret = hex::read_any(&app.sealed)
            .and_then(|sealed| taking.keyring.open_at_rest(&context, &sealed));
        let step = secret.and_then(|secret| codes::step(&secret, code, seconds));
        if let Some(step) = step.filter(|step| *step > app.last_step) {
            app.last_step = step;
            return Ok(());
        }
    }
    let digest = codes::recovery_digest(code);
    let known = digest.and_then(|digest| {
        let kept = &member.proofs.recovery;
        kept.iter().position(|one| *one == digest)
    });
    match known {
        Some(at) => {
            member.proofs.recovery.remove(at);
            Ok(())
        }
        None => Err(NotSignedIn::WrongCode),
    }
}
