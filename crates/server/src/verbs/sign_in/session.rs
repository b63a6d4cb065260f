//! A session that goes on: who it is, a fresh proof of that, and its end.

use super::{LONGEST_SECONDS, NotSignedIn, Origin, Taking, guess_code, network, take_code};
use crate::app::App;
use crate::people::ticket::Ticket;
use crate::verbs::authority::Admin;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use tokenward_core::audit::Actor;
use tokenward_core::time::{Clock, Timestamp};
use tokenward_store::people::{Member, Record, Session};
use tokenward_store::{Decided, Failure, View, Wants};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Seconds without use after which a session is over.
pub const IDLE_SECONDS: u64 = 2 * 3_600;
/// Seconds for which a proof of who one is opens destructive acts.
pub const PROVED_SECONDS: u64 = 600;
/// A session's last use is kept to this many seconds.
const SEEN_SECONDS: u64 = 60;

/// A member at work in a browser.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who.
    pub member: Member,
    /// In which session.
    pub session: Session,
    /// From where.
    pub source: IpAddr,
    /// The word every form must carry.
    pub form_word: String,
}

impl Person {
    /// The member as an administrator.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin {
            who: Actor::Member(self.member.id),
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

/// Who a cookie is, if its session goes on.
pub async fn person(
    app: &App,
    ticket: &Ticket,
    origin: &Origin,
) -> Result<Option<Person>, Failure> {
    let read = async {
        let reader = app.store.reader();
        let Some(session) = reader.session(&ticket.digest()).await? else {
            return Ok(None);
        };
        let member = reader.member(session.member).await?;
        Ok::<_, tokenward_store::StoreError>(member.map(|member| (session, member)))
    };
    let found = read.await.map_err(|error| {
        tracing::error!("a read failed: {error}");
        Failure::Unavailable
    })?;
    let now = app.clock().wall();
    let good = found.filter(|(session, member)| {
        member.disabled_at.is_none()
            && now.seconds_since(session.seen_at) < IDLE_SECONDS
            && now.seconds_since(session.created_at) < LONGEST_SECONDS
    });
    let Some((mut session, member)) = good else {
        return Ok(None);
    };
    let source = origin.source.to_canonical();
    let moved = session.source != source.to_string();
    if moved || now.seconds_since(session.seen_at) >= SEEN_SECONDS {
        session.seen_at = now;
        session.source = source.to_string();
        let seen = Record::SessionSeen {
            session: session.id,
            at: now,
            source: session.source.clone(),
        };
        note(app, seen).await?;
    }
    Ok(Some(Person {
        member,
        session,
        source,
        form_word: ticket.form_word(),
    }))
}

async fn note(app: &App, record: Record) -> Result<(), Failure> {
    let decided = Decided {
        records: vec![record],
        ..Decided::default()
    };
    let noted = app.store.decide(Wants::default(), move |_: &View| {
        Ok::<_, std::convert::Infallible>((decided, ()))
    });
    noted.await.map(|_| ())
}

/// Proves again who is at work, by password or code, before a destructive act.
pub async fn prove_again(
    app: &App,
    person: &Person,
    proof: Zeroizing<String>,
) -> Result<(), NotSignedIn> {
    let id = person.member.id;
    let (network, clock) = (network(person.source), app.clock());
    let retry_after_seconds = app.throttle.wait_seconds(network, id, &clock);
    if retry_after_seconds > 0 {
        return Err(NotSignedIn::Throttled {
            retry_after_seconds,
        });
    }
    let (session, source) = (person.session.id, person.source);
    let has_app = person.member.proofs.totp.is_some();
    let looks_like_code = proof.chars().filter(|c| !c.is_whitespace()).count() == 6;
    if has_app && looks_like_code {
        let keyring = Arc::clone(&app.keyring);
        return guess_code(app, id, async {
            let wants = Wants {
                people: true,
                ..Wants::default()
            };
            let decided = app.store.decide(wants, move |view: &View| {
                let kept = view.members.iter().find(|member| member.id == id);
                let mut member = kept.cloned().ok_or(NotSignedIn::Wrong)?;
                let taking = Taking {
                    keyring,
                    now: view.now,
                };
                take_code(&mut member, &proof, &taking)?;
                Ok((proved_by_code(session, member, source, view.now), ()))
            });
            decided.await?
        })
        .await;
    }
    let hashed = person.member.proofs.password.clone();
    if !app.passwords.verify(hashed, proof).await {
        app.throttle.failed(network, id, &clock);
        return Err(NotSignedIn::Wrong);
    }
    mark_proved(app, session).await.map_err(NotSignedIn::Failed)
}

/// Notes that the member at this session has just proved who they are.
pub(crate) async fn mark_proved(app: &App, session: Uuid) -> Result<(), Failure> {
    let at = app.clock().wall();
    note(app, Record::SessionProved { session, at }).await
}

/// What is written when a code was taken as the proof.
fn proved_by_code(session: Uuid, member: Member, source: IpAddr, now: Timestamp) -> Decided {
    let admin = Admin {
        who: Actor::Member(member.id),
        role: member.role.clone(),
        source,
    };
    let entry = admin.entry("member.prove", None, None, &json!({}), now);
    Decided {
        records: vec![
            Record::SessionProved { session, at: now },
            Record::MemberPut(Box::new(member)),
        ],
        audit: vec![entry],
        ..Decided::default()
    }
}

/// Ends the session at work.
pub async fn sign_out(app: &App, person: &Person) -> Result<(), Failure> {
    note(app, Record::SessionEnded(person.session.id)).await
}

/// Proves again who is at work, by a passkey.
pub async fn prove_again_by_passkey(
    app: &App,
    person: &Person,
    site: &str,
    answer: (&str, &str),
) -> Result<(), NotSignedIn> {
    let (id, session, source) = (person.member.id, person.session.id, person.source);
    let proof = app.passkeys.proof((id, site), answer, app.clock().boot());
    let proof = proof.map_err(|_| NotSignedIn::WrongCode)?;
    let wants = Wants {
        people: true,
        ..Wants::default()
    };
    let decided = app.store.decide(wants, move |view: &View| {
        let kept = view.members.iter().find(|member| member.id == id);
        let mut member = kept.cloned().ok_or(NotSignedIn::Wrong)?;
        if !proof.note(&mut member.proofs.passkeys, view.now) {
            return Err(NotSignedIn::WrongCode);
        }
        Ok((proved_by_code(session, member, source, view.now), ()))
    });
    decided.await?
}
