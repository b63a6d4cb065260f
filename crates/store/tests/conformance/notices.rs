//! The outbox: one notice a key, moved with the cursor or not at all, found when it is due.

use crate::basics::{START, draw, entry, settings, uuid};
use crate::house::House;
use crate::place::{Place, on_both};
use std::sync::Arc;
use tokenward_core::audit::Entry;
use tokenward_core::ids::WorkspaceId;
use tokenward_core::time::Timestamp;
use tokenward_store::notices::{
    Listening, NewNotice, NoticeWrite, Preferences, Settled, Target, Webhook, WebhookWrite,
};
use tokenward_store::people::Record;
use tokenward_store::{CredentialNote, CredentialNoteWrite, Decided, Failure, ReadSet};
use uuid::Uuid;

fn at(second: i64) -> Timestamp {
    Timestamp(START.0 + second * 1_000_000)
}

fn notice(key: &str, target: Target, workspace: WorkspaceId, second: i64) -> NewNotice {
    NewNotice {
        id: uuid(),
        key: key.into(),
        target,
        recipient: String::new(),
        workspace,
        client: None,
        kind: "token.generated".into(),
        body: "{}".into(),
        at: at(second),
        digest_at: None,
    }
}

fn made(followed: Option<u64>, notices: &[NewNotice]) -> Vec<Record> {
    let notices = notices.to_vec();
    vec![Record::Notice(NoticeWrite::Made { followed, notices })]
}

fn webhook(workspace: WorkspaceId) -> Webhook {
    Webhook {
        id: uuid(),
        workspace,
        url: "https://example.com/".into(),
        secret: draw::<40>().to_vec(),
        former: None,
        created_at: START,
        disabled_at: None,
        preferences: Preferences::default(),
    }
}

async fn there_is_one_notice_of_a_key_and_the_cursor_moves_with_it(place: Arc<Place>) {
    let house = House::open(&place).await;
    let reader = house.store.reader();
    let acme = WorkspaceId(uuid());
    assert_eq!(reader.followed().await.unwrap(), 0);
    let first = notice("a", Target::Mail, acme, 0);
    house
        .note(made(Some(5), std::slice::from_ref(&first)))
        .await;
    let again = notice("a", Target::Mail, acme, 1);
    let other = notice("b", Target::Mail, acme, 2);
    house.note(made(Some(9), &[again, other.clone()])).await;
    house.note(made(None, &[])).await;
    assert_eq!(reader.followed().await.unwrap(), 9);
    let all = reader.notices(acme, None, 10).await.unwrap();
    let made: Vec<_> = all.iter().map(|one| one.made.clone()).collect();
    assert_eq!(made, [other, first.clone()]);
    let page = reader.notices(acme, Some(all[0].no), 10).await.unwrap();
    assert_eq!(page[0].made, first);
    assert!(
        reader
            .notices(WorkspaceId(uuid()), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    house.close().await;
}

async fn what_is_due_is_found_by_target_until_it_is_over(place: Arc<Place>) {
    let house = House::open(&place).await;
    let reader = house.store.reader();
    let acme = WorkspaceId(uuid());
    let hook = Target::Webhook(Uuid::nil());
    let notices = [
        notice("late", Target::Mail, acme, 9),
        notice("early", Target::Mail, acme, 1),
        notice("hook", hook.clone(), acme, 1),
    ];
    house.note(made(None, &notices)).await;
    let first = reader.next_target(None).await.unwrap();
    assert_eq!(first, Some(hook.clone()));
    assert_eq!(
        reader.next_target(Some(&hook)).await.unwrap(),
        Some(Target::Mail)
    );
    assert_eq!(reader.next_target(Some(&Target::Mail)).await.unwrap(), None);
    let keys = async |second: i64| -> Vec<String> {
        let due = reader.due(&Target::Mail, at(second), 10).await.unwrap();
        due.into_iter().map(|one| one.made.key).collect()
    };
    assert_eq!(keys(0).await, Vec::<String>::new());
    assert_eq!(keys(1).await, ["early"]);
    assert_eq!(keys(9).await, ["early", "late"]);
    let due = reader.due(&Target::Mail, at(9), 10).await.unwrap();
    let settled = |at_no: usize, done_at, due_at, error: &str| Settled {
        no: due[at_no].no,
        done_at,
        due_at,
        error: error.into(),
    };
    let outcomes = vec![
        settled(0, None, Some(at(20)), "away"),
        settled(1, Some(at(10)), None, ""),
    ];
    house
        .note([Record::Notice(NoticeWrite::Settled(outcomes))])
        .await;
    assert_eq!(keys(19).await, Vec::<String>::new());
    let again = reader.due(&Target::Mail, at(20), 10).await.unwrap();
    assert_eq!(
        (again[0].attempts, again[0].last_error.as_str()),
        (1, "away")
    );
    let over = vec![settled(0, None, None, "given up")];
    house
        .note([Record::Notice(NoticeWrite::Settled(over))])
        .await;
    assert_eq!(reader.next_target(Some(&hook)).await.unwrap(), None);
    // Only what is over is forgotten, however old.
    let before = at(5);
    house
        .note([Record::Notice(NoticeWrite::Forgotten { before })])
        .await;
    let left = reader.notices(acme, None, 10).await.unwrap();
    let keys: Vec<_> = left.iter().map(|one| one.made.key.as_str()).collect();
    assert_eq!(keys, ["hook", "late"]);
    house.close().await;
}

async fn a_webhook_is_kept_whole_and_takes_its_notices_along(place: Arc<Place>) {
    let house = House::open(&place).await;
    let reader = house.store.reader();
    let acme = WorkspaceId(uuid());
    let mut hook = webhook(acme);
    let put = |hook: &Webhook| vec![Record::Webhook(WebhookWrite::Put(hook.clone()))];
    // Who is told what is power: not without an audit entry.
    assert_eq!(
        house.write(put(&hook), false).await,
        Err(Failure::Unavailable)
    );
    house.record(put(&hook)).await;
    assert!(reader.listening().await.unwrap().webhooks);
    hook.former = Some((draw::<40>().to_vec(), at(7)));
    hook.disabled_at = Some(at(3));
    house.record(put(&hook)).await;
    assert_eq!(reader.webhook(hook.id).await.unwrap().as_ref(), Some(&hook));
    assert_eq!(
        reader.webhooks(acme).await.unwrap(),
        std::slice::from_ref(&hook)
    );
    assert!(
        reader
            .webhooks(WorkspaceId(uuid()))
            .await
            .unwrap()
            .is_empty()
    );
    let nobody = Listening {
        webhooks: false,
        emails: false,
    };
    assert_eq!(reader.listening().await.unwrap(), nobody);
    let waiting = notice("a", Target::Webhook(hook.id), acme, 0);
    house.note(made(None, &[waiting])).await;
    let removed = vec![Record::Webhook(WebhookWrite::Removed(hook.id))];
    house.record(removed).await;
    assert_eq!(reader.webhook(hook.id).await.unwrap(), None);
    assert_eq!(reader.next_target(None).await.unwrap(), None);
    let given_up = reader.notices(acme, None, 10).await.unwrap();
    assert_eq!(given_up[0].last_error, "the webhook was deleted");
    house.close().await;
}

async fn notes_of_credentials_are_found_by_what_they_belong_to(place: Arc<Place>) {
    let house = House::open(&place).await;
    let reader = house.store.reader();
    let (acme, client) = (WorkspaceId(uuid()), uuid());
    let hook = webhook(acme);
    let note = |owner, n, note: &str, made_by: &str| CredentialNote {
        owner,
        n,
        note: note.into(),
        made_by: made_by.into(),
    };
    let put =
        |note: &CredentialNote| Record::CredentialNote(CredentialNoteWrite::Put(note.clone()));
    let own = note(hook.id, 0, "pager", "member:x");
    let secrets = [1, 2].map(|n| note(client, n, "", "system"));
    let records = vec![
        Record::Webhook(WebhookWrite::Put(hook.clone())),
        put(&own),
        put(&secrets[1]),
        put(&secrets[0]),
    ];
    assert_eq!(
        house.write(records.clone(), false).await,
        Err(Failure::Unavailable)
    );
    house.record(records).await;
    assert_eq!(reader.credential_notes(client).await.unwrap(), secrets);
    assert_eq!(
        reader.webhook_notes(acme).await.unwrap(),
        std::slice::from_ref(&own)
    );
    let far = WorkspaceId(uuid());
    assert_eq!(reader.webhook_notes(far).await.unwrap(), []);
    assert_eq!(reader.admin_key_notes().await.unwrap(), []);
    // A note is changed; who made the credential is not.
    let changed = put(&note(client, 2, "spare", "member:other"));
    let gone = Record::CredentialNote(CredentialNoteWrite::Removed {
        owner: client,
        n: 1,
    });
    let hook_gone = Record::Webhook(WebhookWrite::Removed(hook.id));
    house.record([changed, gone, hook_gone]).await;
    assert_eq!(
        reader.credential_notes(client).await.unwrap(),
        [note(client, 2, "spare", "system")]
    );
    assert_eq!(reader.credential_notes(hook.id).await.unwrap(), []);
    house.close().await;
}

async fn only_what_somebody_wants_to_hear_of_is_read_of_the_log(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 2).await;
    let reader = house.store.reader();
    let (state, _) = reader.client(clients[0].0).await.unwrap().unwrap();
    let acme = state.workspace.id;
    // One about a client, and one about the workspace alone.
    let acts = [
        ("token.generate", Some(state.client.id)),
        ("workspace.change", None),
    ];
    for (action, client) in acts {
        let decide = move |view: &tokenward_store::View| {
            let entry = Entry {
                workspace: Some(acme),
                client,
                ..entry(action, None, view.now)
            };
            let decided = Decided {
                audit: vec![entry],
                ..Decided::default()
            };
            Ok::<_, ()>((decided, ()))
        };
        house
            .store
            .decide(ReadSet::default(), decide)
            .await
            .unwrap()
            .unwrap();
    }
    let (_, head) = house.store.numbers();
    assert!(reader.told(0, head).await.unwrap().is_empty());
    assert!(reader.clients_told_of(None).await.unwrap().is_empty());
    let far = webhook(WorkspaceId(uuid()));
    house
        .record([Record::Webhook(WebhookWrite::Put(far))])
        .await;
    assert!(reader.told(0, head).await.unwrap().is_empty());
    let hook = webhook(acme);
    house
        .record([Record::Webhook(WebhookWrite::Put(hook))])
        .await;
    let told = reader.told(0, head).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].entry.action.as_str(), told[0].entry.seq),
        ("token.generate", head - 1)
    );
    assert_eq!(told[0].label, state.client.settings.label.as_str());
    assert!(reader.told(head, head).await.unwrap().is_empty());
    let all = reader.clients_told_of(None).await.unwrap();
    assert_eq!(all.len(), 2);
    let behind = reader
        .clients_told_of(Some(all[0].0.client.no))
        .await
        .unwrap();
    assert_eq!(behind.len(), 1);
    house.close().await;
}

async fn an_older_store_is_followed_from_where_it_stands(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    house.generate(clients[0].0, &clients[0].1).await.unwrap();
    let (who, (_, head)) = (house.who.clone(), house.store.numbers());
    assert!(head > 0);
    house.close().await;
    place.back_to_version(3);
    let house = House::open_as(&place, who).await.unwrap();
    assert_eq!(house.store.reader().followed().await.unwrap(), head);
    house.close().await;
}

async fn addresses_of_an_older_store_count_as_confirmed(place: Arc<Place>) {
    let house = House::open(&place).await;
    let workspace = house.workspace("Acme").await;
    let told = |emails: &[&str], label: &str| {
        let mut told = settings(label);
        told.notification_emails = emails.iter().map(|text| (*text).to_owned()).collect();
        told
    };
    let (erp, _) = house
        .client(
            workspace,
            told(&["Ops@Example.com", "a@example.com"], "erp"),
        )
        .await;
    house
        .client(workspace, told(&["ops@example.com"], "crm"))
        .await;
    let (gone, _) = house
        .client(workspace, told(&["gone@example.com"], "gone"))
        .await;
    house.delete(gone).await;
    let who = house.who.clone();
    house.close().await;
    place.back_to_version_6();
    let house = House::open_as(&place, who).await.unwrap();
    let confirmed = "SELECT address FROM notice_address WHERE confirmed_at > 0 ORDER BY address";
    assert_eq!(place.sql(confirmed), ["a@example.com", "ops@example.com"]);
    assert_eq!(place.number("SELECT count(*) FROM notice_address"), 2);
    // The addresses themselves stay as written.
    let emails = house.state(erp).await.client.settings.notification_emails;
    assert_eq!(emails, ["Ops@Example.com", "a@example.com"]);
    house.close().await;
}

on_both!(
    addresses_of_an_older_store_count_as_confirmed,
    there_is_one_notice_of_a_key_and_the_cursor_moves_with_it,
    what_is_due_is_found_by_target_until_it_is_over,
    a_webhook_is_kept_whole_and_takes_its_notices_along,
    notes_of_credentials_are_found_by_what_they_belong_to,
    only_what_somebody_wants_to_hear_of_is_read_of_the_log,
    an_older_store_is_followed_from_where_it_stands,
);
