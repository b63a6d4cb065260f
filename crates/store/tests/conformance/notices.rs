//! The outbox: one notice a key, moved with the cursor or not at all, found when it is due.

use crate::basics::{START, at, draw, entry, settings, uuid};
use crate::house::House;
use crate::place::{Place, on_both};
use std::sync::Arc;
use tokenward_core::audit::Entry;
use tokenward_core::ids::WorkspaceId;
use tokenward_store::notices::{
    Listening, NewNotice, NoticeWrite, Preferences, Settled, Target, Webhook, WebhookWrite,
};
use tokenward_store::people::Record;
use tokenward_store::{CredentialNote, CredentialNoteWrite, Decided, Failure, ReadSet, View};
use uuid::Uuid;

pub(crate) fn notice(key: &str, target: Target, workspace: WorkspaceId, second: i64) -> NewNotice {
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

pub(crate) fn made(followed: Option<u64>, notices: &[NewNotice]) -> Vec<Record> {
    let notices = notices.to_vec();
    vec![Record::Notice(NoticeWrite::Made { followed, notices })]
}

fn put(hook: &Webhook) -> Record {
    Record::Webhook(WebhookWrite::Put(hook.clone()))
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
    let elsewhere = reader.notices(WorkspaceId(uuid()), None, 10).await;
    assert_eq!(elsewhere.unwrap(), []);
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
    let next = async |after| reader.next_target(after).await.unwrap();
    assert_eq!(next(None).await, Some(hook.clone()));
    assert_eq!(next(Some(&hook)).await, Some(Target::Mail));
    assert_eq!(next(Some(&Target::Mail)).await, None);
    let keys = async |second: i64| -> Vec<String> {
        let due = reader.due(&Target::Mail, at(second), 10).await.unwrap();
        due.into_iter().map(|one| one.made.key).collect()
    };
    assert_eq!(keys(0).await, [""; 0]);
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
    let write = async |write| house.note([Record::Notice(write)]).await;
    write(NoticeWrite::Settled(outcomes)).await;
    assert_eq!(keys(19).await, [""; 0]);
    let again = reader.due(&Target::Mail, at(20), 10).await.unwrap();
    let told = (again[0].attempts, again[0].last_error.as_str());
    assert_eq!(told, (1, "away"));
    let over = vec![settled(0, None, None, "given up")];
    write(NoticeWrite::Settled(over)).await;
    assert_eq!(next(Some(&hook)).await, None);
    // Only what is over is forgotten, however old.
    let before = at(5);
    write(NoticeWrite::Forgotten { before }).await;
    let left = reader.notices(acme, None, 10).await.unwrap();
    let keys: Vec<_> = left.iter().map(|one| one.made.key.as_str()).collect();
    assert_eq!(keys, ["hook", "late"]);
}

async fn a_webhook_is_kept_whole_and_takes_its_notices_along(place: Arc<Place>) {
    let house = House::open(&place).await;
    let reader = house.store.reader();
    let acme = WorkspaceId(uuid());
    let mut hook = webhook(acme);
    // Who is told what is power: not without an audit entry.
    let refused = house.write(vec![put(&hook)], false).await;
    assert_eq!(refused, Err(Failure::Unavailable));
    house.record([put(&hook)]).await;
    assert!(reader.listening().await.unwrap().webhooks);
    hook.former = Some((draw::<40>().to_vec(), at(7)));
    hook.disabled_at = Some(at(3));
    house.record([put(&hook)]).await;
    assert_eq!(reader.webhook(hook.id).await.unwrap().as_ref(), Some(&hook));
    let of = async |workspace| reader.webhooks(workspace).await.unwrap();
    assert_eq!(of(acme).await, std::slice::from_ref(&hook));
    assert_eq!(of(WorkspaceId(uuid())).await, []);
    let nobody = Listening {
        webhooks: false,
        emails: false,
    };
    assert_eq!(reader.listening().await.unwrap(), nobody);
    let waiting = notice("a", Target::Webhook(hook.id), acme, 0);
    house.note(made(None, &[waiting])).await;
    let removed = Record::Webhook(WebhookWrite::Removed(hook.id));
    house.record([removed]).await;
    assert_eq!(reader.webhook(hook.id).await.unwrap(), None);
    assert_eq!(reader.next_target(None).await.unwrap(), None);
    let given_up = reader.notices(acme, None, 10).await.unwrap();
    assert_eq!(given_up[0].last_error, "the webhook was deleted");
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
    let noted =
        |note: &CredentialNote| Record::CredentialNote(CredentialNoteWrite::Put(note.clone()));
    let own = note(hook.id, 0, "pager", "member:x");
    let secrets = [1, 2].map(|n| note(client, n, "", "system"));
    let records = vec![
        put(&hook),
        noted(&own),
        noted(&secrets[1]),
        noted(&secrets[0]),
    ];
    let refused = house.write(records.clone(), false).await;
    assert_eq!(refused, Err(Failure::Unavailable));
    house.record(records).await;
    assert_eq!(reader.credential_notes(client).await.unwrap(), secrets);
    let of_webhooks = async |workspace| reader.webhook_notes(workspace).await.unwrap();
    assert_eq!(of_webhooks(acme).await, [own]);
    assert_eq!(of_webhooks(WorkspaceId(uuid())).await, []);
    assert_eq!(reader.admin_key_notes().await.unwrap(), []);
    // A note is changed; who made the credential is not.
    let changed = noted(&note(client, 2, "spare", "member:other"));
    let gone = Record::CredentialNote(CredentialNoteWrite::Removed {
        owner: client,
        n: 1,
    });
    let hook_gone = Record::Webhook(WebhookWrite::Removed(hook.id));
    house.record([changed, gone, hook_gone]).await;
    let left = reader.credential_notes(client).await.unwrap();
    assert_eq!(left, [note(client, 2, "spare", "system")]);
    assert_eq!(reader.credential_notes(hook.id).await.unwrap(), []);
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
        let decide = move |view: &View| {
            let entry = Entry {
                workspace: Some(acme),
                client,
                ..entry(action, None, view.now)
            };
            Decided::records(vec![], entry)
        };
        house.decided(ReadSet::default(), decide).await.unwrap();
    }
    let (_, head) = house.store.numbers();
    assert!(reader.told(0, head).await.unwrap().is_empty());
    assert!(reader.clients_told_of(None).await.unwrap().is_empty());
    house.record([put(&webhook(WorkspaceId(uuid())))]).await;
    assert!(reader.told(0, head).await.unwrap().is_empty());
    house.record([put(&webhook(acme))]).await;
    let told = reader.told(0, head).await.unwrap();
    assert_eq!(told.len(), 1);
    let entry = &told[0].entry;
    assert_eq!((&*entry.action, entry.seq), ("token.generate", head - 1));
    assert_eq!(told[0].label, state.client.settings.label.as_str());
    assert!(reader.told(head, head).await.unwrap().is_empty());
    let all = reader.clients_told_of(None).await.unwrap();
    assert_eq!(all.len(), 2);
    let first = Some(all[0].0.client.no);
    assert_eq!(reader.clients_told_of(first).await.unwrap().len(), 1);
}

async fn an_older_store_is_followed_from_where_it_stands(place: Arc<Place>) {
    let (house, clients) = House::populated(&place, 1).await;
    house.generate(&clients[0]).await.unwrap();
    let (_, head) = house.store.numbers();
    assert!(head > 0);
    house.close();
    place.back_to_version(3);
    let house = House::open(&place).await;
    assert_eq!(house.store.reader().followed().await.unwrap(), head);
}

async fn addresses_of_an_older_store_count_as_confirmed(place: Arc<Place>) {
    let house = House::open(&place).await;
    let workspace = house.workspace("Acme").await;
    let client = async |label: &str, emails: &[&str]| {
        let mut told = settings(label);
        told.notification_emails = emails.iter().map(|text| (*text).to_owned()).collect();
        house.client(workspace, told).await.0
    };
    let erp = client("erp", &["Ops@Example.com", "a@example.com"]).await;
    client("crm", &["ops@example.com"]).await;
    house
        .delete(client("gone", &["gone@example.com"]).await)
        .await;
    house.close();
    place.back_to_version_6();
    let house = House::open(&place).await;
    let confirmed = "SELECT address FROM notice_address WHERE confirmed_at > 0 ORDER BY address";
    assert_eq!(place.sql(confirmed), ["a@example.com", "ops@example.com"]);
    assert_eq!(place.number("SELECT count(*) FROM notice_address"), 2);
    // The addresses themselves stay as written.
    let emails = house.state(erp).await.client.settings.notification_emails;
    assert_eq!(emails, ["Ops@Example.com", "a@example.com"]);
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
