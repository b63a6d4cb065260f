//! Members, invitations and sessions: rows that no check asks for, in the same writer and transaction.

use crate::basics::{START, at, draw, entry, name, uuid};
use crate::house::House;
use crate::place::{Place, on_both};
use std::sync::Arc;
use tokenward_core::audit::{Actor, Entry};
use tokenward_core::client::Role;
use tokenward_core::time::Timestamp;
use tokenward_store::people::{Invitation, Member, Proofs, Record, Session, Totp};
use tokenward_store::{Credential, CredentialRow, Decided, Failure, ReadSet, View};
use uuid::Uuid;

fn member(email: &str) -> Member {
    Member {
        id: uuid(),
        email: email.into(),
        name: name("Asha"),
        role: Role::Operator,
        proofs: Proofs {
            password: Some("$argon2id$v=19$…".into()),
            totp: Some(Totp {
                sealed: "00ff".into(),
                last_step: 7,
            }),
            recovery: vec!["ab".into()],
            ..Proofs::default()
        },
        created_at: START,
        disabled_at: None,
    }
}

fn put(member: &Member) -> Record {
    Record::MemberPut(Box::new(member.clone()))
}

fn invitation(email: &str) -> Invitation {
    Invitation {
        id: uuid(),
        digest: draw(),
        email: email.into(),
        role: Role::Auditor { workspace: None },
        created_at: START,
        expires_at: Timestamp(START.0 + 5),
        invited_by: "system".into(),
    }
}

fn session(member: Uuid, seen_at: Timestamp) -> Session {
    Session {
        digest: draw(),
        id: uuid(),
        member,
        created_at: START,
        seen_at,
        proved_at: START,
        source: "10.1.2.3".into(),
        agent: "a browser".into(),
    }
}

async fn what_is_put_is_read_back_and_what_is_removed_is_gone(place: Arc<Place>) {
    let house = House::open(&place).await;
    let reader = house.store.reader().clone();
    let (mut asha, ravi) = (member("asha@example.com"), member("ravi@example.com"));
    let invited = invitation("new@example.com");
    let records = vec![
        put(&ravi),
        put(&asha),
        Record::InvitationPut(invited.clone()),
    ];
    house.record(records).await;
    asha.disabled_at = Some(START);
    asha.proofs.totp = None;
    house.record([put(&asha)]).await;
    let members = reader.members().await.unwrap();
    assert_eq!(members, [asha.clone(), ravi.clone()]);
    let found = reader.member_by_email("asha@example.com").await.unwrap();
    assert_eq!(found.as_ref(), Some(&asha));
    assert_eq!(reader.member(ravi.id).await.unwrap(), Some(ravi.clone()));
    let kept = reader.invitations().await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&invited));
    let people = ReadSet {
        people: true,
        ..ReadSet::default()
    };
    let seen = house.view(people).await;
    assert_eq!((seen.members.len(), seen.invitations.len()), (2, 1));
    let wants = ReadSet {
        member: Some(ravi.id),
        ..ReadSet::default()
    };
    let one = house.view(wants).await.members;
    assert_eq!(one, std::slice::from_ref(&ravi));
    // What has ended is forgotten, and nothing else.
    let forget = |before| vec![Record::InvitationsForgotten { before }];
    let earlier = Timestamp(invited.expires_at.0 - 1);
    house.note(forget(earlier)).await;
    assert_eq!(reader.invitations().await.unwrap().len(), 1);
    let over = invitation("over@example.com");
    let over = Invitation {
        expires_at: earlier,
        ..over
    };
    house.record([Record::InvitationPut(over)]).await;
    house.note(forget(earlier)).await;
    let kept = reader.invitations().await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&invited));
    let gone = vec![
        Record::InvitationRemoved(invited.id),
        Record::MemberRemoved(asha.id),
    ];
    house.record(gone).await;
    assert_eq!(reader.members().await.unwrap(), [ravi]);
    assert_eq!(reader.invitations().await.unwrap(), []);
}

async fn sessions_end_one_by_one_all_together_and_by_age(place: Arc<Place>) {
    let house = House::open(&place).await;
    let reader = house.store.reader().clone();
    let asha = member("asha@example.com");
    house.record([put(&asha)]).await;
    let all: Vec<Session> = (0..5).map(|n| session(asha.id, at(n))).collect();
    let began: Vec<_> = all.iter().cloned().map(Record::SessionBegan).collect();
    house.note(began).await;
    let found = reader.session(&all[2].digest).await.unwrap();
    assert_eq!(found.as_ref(), Some(&all[2]));
    let names = async || -> Vec<Uuid> {
        let sessions = reader.sessions(asha.id).await.unwrap();
        sessions.into_iter().map(|session| session.id).collect()
    };
    let ids: Vec<Uuid> = all.iter().rev().map(|session| session.id).collect();
    assert_eq!(names().await, ids);
    let seen = Record::SessionSeen {
        session: ids[4],
        at: at(0),
        source: "192.0.2.7".into(),
    };
    let proved = Record::SessionProved {
        session: ids[4],
        at: at(9),
    };
    house.note([seen.clone(), proved.clone()]).await;
    let oldest = reader.session(&all[0].digest).await.unwrap().unwrap();
    let told = (oldest.source.as_str(), oldest.proved_at);
    assert_eq!(told, ("192.0.2.7", at(9)));
    let before = at(1);
    house.note([Record::SessionsForgotten { before }]).await;
    // What is noted of a session that is over does not bring it back.
    house.note([seen, proved]).await;
    assert_eq!(names().await, ids[..4]);
    house.note([Record::SessionEnded(ids[3])]).await;
    assert_eq!(names().await, ids[..3]);
    let others = Record::SessionsEnded {
        member: asha.id,
        but: Some(ids[1]),
    };
    house.note([others]).await;
    assert_eq!(names().await, [ids[1]]);
    house.record([Record::MemberRemoved(asha.id)]).await;
    assert!(names().await.is_empty());
}

async fn who_may_do_what_is_not_changed_without_an_audit_entry(place: Arc<Place>) {
    let house = House::open(&place).await;
    let asha = member("asha@example.com");
    for record in [
        put(&asha),
        Record::MemberRemoved(asha.id),
        Record::InvitationPut(invitation("x@example.com")),
        Record::InvitationRemoved(uuid()),
    ] {
        let refused = house.write(vec![record], false).await;
        assert_eq!(refused, Err(Failure::Unavailable));
    }
    assert_eq!(house.store.reader().members().await.unwrap(), []);
}

/// Makes a member, with an audit entry by `actor`.
async fn act(house: &House, wants: ReadSet, actor: Actor) -> Result<(), Failure> {
    let decide = move |view: &View| {
        let entry = Entry {
            actor,
            ..entry("member.change", None, view.now)
        };
        Decided::records(vec![put(&member(&uuid().to_string()))], entry)
    };
    house.decided(wants, decide).await
}

async fn administrator_does_nothing_without_a_look_at_the_credential(place: Arc<Place>) {
    let house = House::open(&place).await;
    let (asha, ravi) = (member("asha@example.com"), member("ravi@example.com"));
    let own = session(asha.id, START);
    let records = [put(&asha), put(&ravi), Record::SessionBegan(own.clone())];
    house.record(records).await;
    let by = |member: Uuid, session: Uuid| ReadSet {
        actor: Some(Credential::Session { member, session }),
        ..ReadSet::default()
    };
    let mine = by(asha.id, own.id);
    let Some(CredentialRow::Session(both)) = house.view(mine.clone()).await.actor else {
        panic!("the session is not seen");
    };
    assert_eq!(*both, (asha.clone(), own.clone()));
    let (who, other) = (Actor::Member(asha.id), Actor::Member(ravi.id));
    assert_eq!(act(&house, mine.clone(), who.clone()).await, Ok(()));
    let proves = ReadSet {
        proves: true,
        ..ReadSet::default()
    };
    assert_eq!(act(&house, proves, who.clone()).await, Ok(()));
    let key = ReadSet {
        actor: Some(Credential::AdminKey(uuid())),
        ..ReadSet::default()
    };
    let refused = [
        (ReadSet::default(), who.clone()),
        (ReadSet::default(), Actor::AdminKey(uuid())),
        (mine.clone(), other.clone()),
        (by(ravi.id, own.id), other),
        (by(asha.id, uuid()), who.clone()),
        (key.clone(), who.clone()),
    ];
    for (wants, actor) in refused {
        let outcome = act(&house, wants.clone(), actor.clone()).await;
        assert_eq!(outcome, Err(Failure::Unavailable), "{wants:?} {actor:?}");
    }
    house.note([Record::SessionEnded(own.id)]).await;
    assert_eq!(act(&house, mine, who).await, Err(Failure::Unavailable));
}

async fn a_restore_ends_sessions_and_invitations_and_keeps_members(place: Arc<Place>) {
    let house = House::open(&place).await;
    let asha = member("asha@example.com");
    let records = vec![
        put(&asha),
        Record::InvitationPut(invitation("new@example.com")),
        Record::SessionBegan(session(asha.id, START)),
    ];
    house.record(records).await;
    house.close();
    place.restore(None).await.unwrap();
    let house = House::open(&place).await;
    let reader = house.store.reader();
    assert!(reader.sessions(asha.id).await.unwrap().is_empty());
    assert!(reader.invitations().await.unwrap().is_empty());
    assert_eq!(reader.members().await.unwrap(), [asha]);
}

async fn a_database_of_the_first_version_is_brought_up(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    house.close();
    place.back_to_version(1);
    let house = House::open(&place).await;
    house.record([put(&member("asha@example.com"))]).await;
    house.generate(&clients[0]).await.unwrap();
    assert!(place.number("SELECT schema FROM head") > 1);
}

on_both!(
    what_is_put_is_read_back_and_what_is_removed_is_gone,
    sessions_end_one_by_one_all_together_and_by_age,
    who_may_do_what_is_not_changed_without_an_audit_entry,
    administrator_does_nothing_without_a_look_at_the_credential,
    a_restore_ends_sessions_and_invitations_and_keeps_members,
    a_database_of_the_first_version_is_brought_up,
);
