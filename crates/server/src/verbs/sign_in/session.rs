//! A session that goes on: who it is, a fresh proof of that, and its end.

use super::super::prelude::*;
use super::second::{by_code, by_passkey, guess_code, try_passkey, wrong};
use super::{NotSignedIn, Origin, Taking, prove_password};
use crate::auth::authority::goes_on;
use crate::auth::opaque_token::OpaqueToken;
use crate::auth::refused_credentials;
use crate::net::addresses;
use tokenward_store::Credential;
use tokenward_store::people::Session;

/// Seconds for which a proof of who one is opens destructive acts.
pub const PROVED_SECONDS: u64 = 600;
/// A session's last use is kept to this many seconds.
const SEEN_SECONDS: u64 = 60;

/// A member at work in a browser.
#[derive(Clone, Debug)]
pub struct Person {
    /// The member who is signed in.
    pub member: Member,
    /// In which session.
    pub session: Session,
    /// From where; none when that is not known.
    pub source: Option<IpAddr>,
    /// The word every form must carry.
    pub csrf_token: String,
}

impl Person {
    /// The member as an administrator.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin {
            credential: Credential::Session {
                member: self.member.id,
                session: self.session.id,
            },
            role: self.member.role.clone(),
            source: self.source,
        }
    }

    /// Whether the last proof is recent enough for a destructive act.
    #[must_use]
    pub fn is_proved(&self, now: Timestamp) -> bool {
        now.seconds_since(self.session.proved_at) < PROVED_SECONDS
    }
}

/// Whether the session of the member at work goes on, as it is kept now.
pub(super) async fn is_still_on(
    people: &People,
    person: &Person,
) -> Result<bool, tokenward_store::StoreError> {
    let reader = people.data.reader();
    let read = async {
        let session = reader.session(&person.session.digest).await?;
        Ok((session, reader.member(person.member.id).await?))
    };
    let (session, member) = people.data.proving(read).await?;
    let now = people.data.clock().wall();
    let both = session.zip(member);
    Ok(both.is_some_and(|(session, member)| goes_on(&member, &session, now)))
}

/// Who a cookie is, if its session goes on.
pub async fn person(
    people: &People,
    opaque_token: &OpaqueToken,
    origin: &Origin,
) -> Result<Option<Person>, Failure> {
    let read = async {
        let reader = people.data.reader();
        let Some(session) = reader.session(&opaque_token.digest()).await? else {
            return Ok(None);
        };
        let member = reader.member(session.member).await?;
        Ok::<_, tokenward_store::StoreError>(member.map(|member| (session, member)))
    };
    let found = people.data.proving(read).await.map_err(|error| {
        crate::logs::read_failed(&error);
        Failure::Unavailable
    })?;
    let now = people.data.clock().wall();
    let good = found.filter(|(session, member)| goes_on(member, session, now));
    let Some((mut session, member)) = good else {
        return Ok(None);
    };
    let source = addresses::text(origin.source);
    let moved = session.source != source;
    if moved || now.seconds_since(session.seen_at) >= SEEN_SECONDS {
        session.seen_at = now;
        session.source = source;
        let seen = Record::SessionSeen {
            session: session.id,
            at: now,
            source: session.source.clone(),
        };
        note_in_background(people, seen);
    }
    Ok(Some(Person {
        member,
        session,
        source: origin.source,
        csrf_token: opaque_token.csrf_token(),
    }))
}

/// Writes without waiting for it: pages stay readable while the database takes no writes.
fn note_in_background(people: &People, seen: Record) {
    let store = people.data.store.clone();
    tokio::spawn(async move {
        if let Err(failure) = store.note(vec![seen], Vec::new()).await {
            tracing::warn!("the last use of a session was not written: {failure}");
        }
    });
}

/// Proves again who is at work, by password or code, before a destructive act.
pub async fn prove_again(
    people: &People,
    person: &Person,
    proof: Zeroizing<String>,
) -> Result<(), NotSignedIn> {
    let id = person.member.id;
    let has_app = person.member.proofs.totp.is_some();
    let looks_like_code = proof.chars().filter(|c| !c.is_whitespace()).count() == 6;
    if has_app && looks_like_code {
        let taken = guess_code(people, id, take(people, person, by_code(proof))).await;
        return taken.inspect_err(|not| note_wrong(people, "code", person, not));
    }
    let hashed = person.member.proofs.password.clone();
    prove_password(people, person, proof).await?;
    take(people, person, move |member, _| {
        // Another password meanwhile: the one just proved opens nothing any more.
        let same = member.proofs.password == hashed;
        same.then_some(()).ok_or(NotSignedIn::TooLate)
    })
    .await
}

/// Proves again who is at work, by a passkey.
pub async fn prove_again_by_passkey(
    people: &People,
    person: &Person,
    site: &str,
    answer: (&str, &str),
) -> Result<(), NotSignedIn> {
    let id = person.member.id;
    let proving = async { take(people, person, by_passkey(people, id, site, answer).await?).await };
    let taken = try_passkey(people, (person.source, id), proving).await;
    taken.inspect_err(|not| note_wrong(people, "passkey", person, not))
}

/// Notes that a code or passkey of the member at work was wrong.
fn note_wrong(people: &People, kind: &'static str, person: &Person, not: &NotSignedIn) {
    if *not == NotSignedIn::WrongCode {
        let kind = (kind, "member.confirmation_failed");
        refused_credentials::member(people, kind, person.source, &person.member, wrong(kind.0));
    }
}

/// Takes a proof of the member at work inside the writer, and notes it on the session.
async fn take(
    people: &People,
    person: &Person,
    prove: impl FnOnce(&mut Member, &Taking) -> Result<(), NotSignedIn> + Send + 'static,
) -> Result<(), NotSignedIn> {
    let (admin, session) = (person.admin(), person.session.id);
    let keyring = Arc::clone(&people.data.keyring);
    let wants = ReadSet {
        member: Some(person.member.id),
        ..ReadSet::default()
    };
    let decided = acting::decide(&people.data, admin, wants, move |acting, view| {
        let kept = view.members.first();
        let mut member = kept.cloned().ok_or(NotSignedIn::Wrong)?;
        let now = view.now;
        prove(&mut member, &Taking { keyring, now })?;
        let mut records = vec![Record::SessionProved { session, at: now }];
        if Some(&member) != kept {
            records.push(Record::MemberPut(Box::new(member)));
        }
        let entry = acting.entry("member.prove", None, None, &json!({}));
        Ok((Decided::records(records, entry), ()))
    });
    decided.await
}

/// Ends the session at work.
pub async fn sign_out(people: &People, person: &Person) -> Result<(), Failure> {
    people
        .data
        .note(vec![Record::SessionEnded(person.session.id)])
        .await
}

impl From<acting::Lost> for NotSignedIn {
    fn from(_: acting::Lost) -> Self {
        Self::Ended
    }
}
