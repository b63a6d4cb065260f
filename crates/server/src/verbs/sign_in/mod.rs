//! Signing in: from an e-mail address and proofs to a session, and what keeps a session. Every decision about a
//! one-time thing is taken inside the writer, so that no code is taken twice.

mod second;
mod session;

pub use second::{second, second_by_passkey};
pub use session::{PROVED_SECONDS, Person, person, prove_again, prove_again_by_passkey, sign_out};
pub(crate) use tokenward_store::people::app_context;

use super::prelude::*;
use crate::auth::authority::{LONGEST_SECONDS, goes_on};
use crate::auth::opaque_token::OpaqueToken;
use crate::auth::password::{Busy, Caller, RETRY_SECONDS};
use crate::auth::refused_credentials;
use crate::auth::throttle::Throttle;
use crate::net::addresses;
use crate::net::addresses::network;
use serde::{Deserialize, Serialize};
use tokenward_core::audit::Actor;
use tokenward_core::hex;
use tokenward_core::seal::NONCE_BYTES;
use tokenward_core::time::MICROS_PER_SECOND;
use tokenward_store::people::Session;

/// Seconds between the password and the second proof.
const BETWEEN_SECONDS: u64 = 300;
/// Most characters kept of what a browser calls itself.
const AGENT_MAX: usize = 200;
/// Context of what is sealed between two steps.
const BETWEEN: &str = "sign-in between two proofs";

/// The kind and the audit action of a refused password at a sign-in.
const SIGN_IN: (&str, &str) = ("password", "member.sign_in_failed");
/// The same where a member who is signed in is asked for it again.
const CONFIRM: (&str, &str) = ("password", "member.confirmation_failed");

/// Why nobody was signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotSignedIn {
    /// The address or the password is wrong; which of the two is not told.
    Wrong,
    /// The code is wrong, or was used already.
    WrongCode,
    /// Too much time passed between the two proofs, or the member changed meanwhile.
    TooLate,
    /// This source, or somebody who knows the password, tried too often: seconds to wait.
    Throttled(u64),
    /// The session ended, or the member was disabled or removed, or has another role, since the request began.
    Ended,
    /// Too many sign-ins at once; nothing was judged: seconds to wait.
    Busy(u64),
    /// The server could not do it.
    Failed(Failure),
}

impl From<Busy> for NotSignedIn {
    fn from(_: Busy) -> Self {
        Self::Busy(RETRY_SECONDS)
    }
}

impl From<Failure> for NotSignedIn {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<tokenward_store::StoreError> for NotSignedIn {
    fn from(error: tokenward_store::StoreError) -> Self {
        crate::logs::read_failed(&error);
        Self::Failed(Failure::Unavailable)
    }
}

/// Where a sign-in comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The address; none when it is not known.
    pub source: Option<IpAddr>,
    /// What the browser calls itself.
    pub agent: String,
}

/// What the first proof led to.
#[derive(Debug)]
pub enum Step {
    /// A session: the cookie's secret.
    Done(OpaqueToken),
    /// The password is right and a second proof is wanted.
    Second(Between),
}

/// The state between two proofs, to be carried by the browser.
#[derive(Debug)]
pub struct Between {
    /// Sealed text, good for five minutes.
    pub sealed: String,
    /// Whether there is an authenticator app.
    pub has_app: bool,
    /// Whether there are passkeys.
    pub has_passkeys: bool,
    /// Whether there are recovery codes left.
    pub has_recovery: bool,
}

#[derive(Serialize, Deserialize)]
struct Carried {
    member: Uuid,
    at: Timestamp,
    /// The password's hash at that moment: another password meanwhile, and this is worth nothing.
    password: String,
}

fn target(email: &str) -> Uuid {
    use sha2::{Digest as _, Sha256};
    let digest: [u8; 32] = Sha256::digest(email.as_bytes()).into();
    Uuid::from_slice(&digest[..16]).unwrap_or_default()
}

/// An address as people type it, as it is compared: without blanks around it, and A to Z in lower case. Other letters
/// stay as they are: folding them makes two addresses one, such as the KELVIN SIGN a `k`.
#[must_use]
pub fn folded(email: &str) -> String {
    email.trim().to_ascii_lowercase()
}

/// Charges a failure in advance, or says how long to wait.
pub(crate) fn charge(
    people: &People,
    throttle: &Throttle,
    source: Option<IpAddr>,
    target: Uuid,
) -> Result<(), NotSignedIn> {
    let charged = throttle.charge(source, target, &people.data.clock());
    charged.map_err(NotSignedIn::Throttled)
}

/// Remembers that somebody proved this address from this source, by an invitation or a password.
pub fn note_familiar(people: &People, source: Option<IpAddr>, email: &str) {
    let target = target(&folded(email));
    people
        .familiar
        .note(network(source), target, &people.data.clock());
}

/// Whether the address is that of an enabled member and was proved from this network lately, or has a session that goes
/// on there.
async fn is_familiar(
    people: &People,
    (network, target): (Option<IpAddr>, Uuid),
    known: Option<&Member>,
) -> Result<bool, NotSignedIn> {
    let Some(member) = known else {
        return Ok(false);
    };
    if people.familiar.knows(network, target, &people.data.clock()) {
        return Ok(true);
    }
    let now = people.data.clock().wall();
    let sessions = people.data.reader().sessions(member.id).await?;
    Ok(sessions.iter().any(|session| {
        let source = self::network(session.source.parse().ok());
        network.is_some() && source == network && goes_on(member, session, now)
    }))
}

/// Proves the password.
pub async fn first(
    people: &People,
    email: &str,
    password: Zeroizing<String>,
    origin: &Origin,
) -> Result<Step, NotSignedIn> {
    let email = folded(email);
    let (network, target) = (network(origin.source), target(&email));
    charge(people, &people.throttle, network, target)?;
    let give_back = || {
        people
            .throttle
            .forgive(network, target, &people.data.clock())
    };
    let known = people.data.reader().member_by_email(&email).await;
    let known = known.inspect_err(|_| give_back())?;
    let (known, disabled) = match known {
        Some(member) if member.disabled_at.is_some() => (None, Some(member)),
        known => (known, None),
    };
    // A flood from the same network must not keep out somebody who signed in from there lately.
    let familiar = is_familiar(people, (network, target), known.as_ref()).await;
    let familiar = familiar.inspect_err(|_| give_back())?;
    let caller = match familiar {
        true => Caller::Familiar(target),
        false => Caller::Stranger(network),
    };
    if !familiar {
        let charged = charge(people, &people.networks_throttle, network, Uuid::nil());
        charged.inspect_err(|_| give_back())?;
    }
    let give_back = || {
        give_back();
        if !familiar {
            let clock = people.data.clock();
            people
                .networks_throttle
                .forgive(network, Uuid::nil(), &clock);
        }
    };
    let hashed = known
        .as_ref()
        .and_then(|member| member.proofs.password.clone());
    let judged = people
        .passwords
        .verify(caller, hashed.clone(), password)
        .await;
    let right = judged.inspect_err(|_| give_back())?;
    let account = known.clone().or(disabled);
    let (true, Some(member), Some(hashed)) = (right, known, hashed) else {
        let source = origin.source;
        let code = "invalid_credentials";
        match account {
            Some(member) if member.disabled_at.is_some() => {
                refused_credentials::member(
                    people,
                    SIGN_IN,
                    source,
                    &member,
                    (code, "member disabled"),
                );
            }
            Some(member) => refused_credentials::member(
                people,
                SIGN_IN,
                source,
                &member,
                (code, "wrong password"),
            ),
            // What was typed is not logged where it is no member's address: it may be a password.
            None => refused_credentials::note(people, SIGN_IN.0, source, Some("unknown"), code),
        }
        return Err(NotSignedIn::Wrong);
    };
    give_back();
    people.familiar.note(network, target, &people.data.clock());
    if member.proofs.has_second() {
        return Ok(Step::Second(between(people, &member, hashed)));
    }
    let begun = begin(people, member.id, origin, "password", move |member, _| {
        let same = member.proofs.password.as_deref() == Some(hashed.as_str());
        (same && !member.proofs.has_second())
            .then_some(())
            .ok_or(NotSignedIn::TooLate)
    });
    begun.await.map(Step::Done)
}

/// Proves the password of the member at work; counted against the member, however it is asked for. Nothing is verified
/// for a session that has ended since the request began, or for a member who has no password.
pub(crate) async fn prove_password(
    people: &People,
    person: &Person,
    password: Zeroizing<String>,
) -> Result<(), NotSignedIn> {
    let (network, id) = (network(person.source), person.member.id);
    if !session::is_still_on(people, person).await? {
        return Err(NotSignedIn::Ended);
    }
    charge(people, &people.throttle, network, id)?;
    let give_back = || people.throttle.forgive(network, id, &people.data.clock());
    let hashed = person.member.proofs.password.clone();
    let judged = match hashed {
        None => Ok(false),
        hashed => {
            let caller = Caller::Member(id);
            people.passwords.verify(caller, hashed, password).await
        }
    };
    match judged.inspect_err(|_| give_back())? {
        true => {
            give_back();
            Ok(())
        }
        false => {
            let why = ("invalid_credentials", "wrong password");
            refused_credentials::member(people, CONFIRM, person.source, &person.member, why);
            Err(NotSignedIn::Wrong)
        }
    }
}

fn between(people: &People, member: &Member, password: String) -> Between {
    let carried = Carried {
        member: member.id,
        at: people.data.clock().wall(),
        password,
    };
    let plain = Zeroizing::new(serde_json::to_vec(&carried).unwrap_or_default());
    let nonce: [u8; NONCE_BYTES] = random::bytes();
    let sealed = people.data.keyring.seal_at_rest(BETWEEN, &plain, nonce);
    Between {
        sealed: hex::encode(&sealed).to_string(),
        has_app: member.proofs.totp.is_some(),
        has_passkeys: !member.proofs.passkeys.is_empty(),
        has_recovery: !member.proofs.recovery.is_empty(),
    }
}

/// The member whose password was proved a moment ago, and the hash it was proved against.
fn carried(people: &People, sealed: &str) -> Result<(Uuid, String), NotSignedIn> {
    let opened =
        hex::read_any(sealed).and_then(|sealed| people.data.keyring.open_at_rest(BETWEEN, &sealed));
    let carried: Carried = opened
        .and_then(|plain| serde_json::from_slice(&plain).ok())
        .ok_or(NotSignedIn::TooLate)?;
    if people.data.clock().wall().seconds_since(carried.at) >= BETWEEN_SECONDS {
        return Err(NotSignedIn::TooLate);
    }
    Ok((carried.member, carried.password))
}

/// The member who has proved the password and is to prove a second thing.
pub async fn between_member(people: &People, sealed: &str) -> Result<Member, NotSignedIn> {
    let (id, password) = carried(people, sealed)?;
    let member = people.data.reader().member(id).await?;
    let member = member.filter(|member| {
        member.disabled_at.is_none() && member.proofs.password.as_ref() == Some(&password)
    });
    member.ok_or(NotSignedIn::TooLate)
}

/// The state between two proofs read again, for a page that asks once more.
pub async fn again(people: &People, sealed: &str) -> Result<Between, NotSignedIn> {
    let member = between_member(people, sealed).await?;
    Ok(Between {
        sealed: sealed.to_owned(),
        ..between(people, &member, String::new())
    })
}

/// What a proof that is taken inside the writer needs.
pub(crate) struct Taking {
    keyring: Arc<tokenward_core::Keyring>,
    now: Timestamp,
}

/// Begins a session if `prove` agrees, on the member as kept; what it alters is kept with the session.
pub(crate) async fn begin(
    people: &People,
    id: Uuid,
    origin: &Origin,
    by: &'static str,
    prove: impl FnOnce(&mut Member, &Taking) -> Result<(), NotSignedIn> + Send + 'static,
) -> Result<OpaqueToken, NotSignedIn> {
    let opaque_token = OpaqueToken::new();
    let (digest, source) = (opaque_token.digest(), origin.source);
    let agent: String = origin
        .agent
        .chars()
        .filter(|c| !c.is_control())
        .take(AGENT_MAX)
        .collect();
    let keyring = Arc::clone(&people.data.keyring);
    let wants = ReadSet {
        member: Some(id),
        proves: true,
        ..ReadSet::default()
    };
    let decided = people.data.decide(wants, move |view: &View| {
        let kept = view.members.first();
        let kept = kept.filter(|member| member.disabled_at.is_none());
        let kept = kept.ok_or(NotSignedIn::Wrong)?;
        let mut member = kept.clone();
        let taking = Taking {
            keyring,
            now: view.now,
        };
        prove(&mut member, &taking)?;
        let session = Session {
            digest,
            id: random::uuid(),
            member: id,
            created_at: view.now,
            seen_at: view.now,
            proved_at: view.now,
            source: addresses::text(source),
            agent,
        };
        let entry = Entry {
            at: view.now,
            actor: Actor::Member(id),
            source,
            action: "member.sign_in",
            workspace: None,
            client: None,
            detail: json!({ "by": by, "session": session.id }).to_string(),
        };
        let mut records = vec![Record::SessionBegan(session)];
        if member != *kept {
            records.push(Record::MemberPut(Box::new(member)));
        }
        let longest = i64::try_from(LONGEST_SECONDS).unwrap_or(i64::MAX) * MICROS_PER_SECOND;
        records.push(Record::SessionsForgotten {
            before: Timestamp(view.now.0 - longest),
        });
        let decided = Decided::records(records, entry);
        Ok::<_, NotSignedIn>((decided, ()))
    });
    decided.await??;
    people.data.metrics.signed_in(by);
    Ok(opaque_token)
}
