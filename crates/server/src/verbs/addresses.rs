//! Who confirmed that they want notices by mail. An address gets notices once its owner has used the link of a mail
//! that was sent to it, and none any more once its owner has used the link that every notice holds. Nothing here may
//! count an address as confirmed for what an administrator says, but for a member's address that a provider verified.

use super::one_client::{self, Outcome, Read, entry, wants};
use super::prelude::*;
use crate::auth::opaque_token::OpaqueToken;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use tokenward_api::NotificationState as State;
use tokenward_core::audit::Actor;
use tokenward_core::client::{ClientState, Workspace};
use tokenward_core::time::SECONDS_PER_DAY;
use tokenward_core::{Environment, Keyring};
use tokenward_store::notices::{
    AddressView, AddressWants, AddressWrite, NewNotice, NoticeAddress, NoticeWrite, Preferences,
    Target, folded_address, mailbox,
};

/// Seconds a confirmation link works: a week, like an invitation's.
pub const LINK_SECONDS: u64 = 7 * 86_400;
/// Confirmation mails to one mailbox within a day, from all workspaces together: nobody is flooded by being named.
pub const ASKED_A_DAY_MAILBOX: usize = 3;
/// Confirmation mails of one workspace within a day: room for a large team, none for a mailing list.
pub const ASKED_A_DAY_WORKSPACE: u64 = 100;
/// Days for which an owner who stopped notices is not asked again.
pub const STOPPED_DAYS: u64 = 30;
/// What a confirmation mail is called in the outbox.
pub const CONFIRM: &str = "address.confirm";

/// Whether an address with this row gets notices; one without a row was never asked.
#[must_use]
pub fn state(row: Option<&NoticeAddress>) -> State {
    match row {
        Some(row) if row.confirmed_at.is_some() => State::Confirmed,
        Some(row) if row.stopped_at.is_some() => State::Stopped,
        _ => State::Pending,
    }
}

/// A notification address of a client, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// The address as the administrator wrote it.
    pub email: String,
    /// Whether it gets notices.
    pub state: State,
    /// When its owner confirmed it.
    pub confirmed_at: Option<Timestamp>,
    /// When its owner stopped notices.
    pub stopped_at: Option<Timestamp>,
    /// Until when the link of the last confirmation mail works; none when no mail was sent yet.
    pub link_till: Option<Timestamp>,
}

/// A client's addresses with what is known of each.
pub(super) fn shown(emails: &[String], rows: &[NoticeAddress]) -> Vec<Address> {
    let one = |email: &String| {
        let folded = folded_address(email);
        let row = rows.iter().find(|row| row.address == folded);
        Address {
            email: email.clone(),
            state: state(row),
            confirmed_at: row.and_then(|row| row.confirmed_at),
            stopped_at: row.and_then(|row| row.stopped_at),
            link_till: row.and_then(|row| row.link_till),
        }
    };
    emails.iter().map(one).collect()
}

/// The addresses of a client.
pub(super) async fn of(data: &Data, state: &ClientState) -> Result<Vec<Address>, StoreError> {
    let emails = &state.client.settings.notification_emails;
    if emails.is_empty() {
        return Ok(Vec::new());
    }
    let rows = data.reader().notice_addresses(state.workspace.id);
    Ok(shown(emails, &rows.await?))
}

/// Why this server sends no confirmation mail, if it sends none.
#[must_use]
pub fn unavailable(data: &Data) -> Option<&'static str> {
    match (&data.config.mail_url, &data.config.public_url) {
        (None, _) => Some(
            "this server sends no mail, so addresses stay pending; an operator has to set mail_url and mail_from",
        ),
        (_, None) => Some(
            "this server can't make confirmation links, so addresses stay pending; an operator has to set public_url",
        ),
        _ => None,
    }
}

/// A client as confirmation mails name it.
pub(super) struct Named<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) client: ClientId,
    pub(super) label: &'a str,
    pub(super) environment: Environment,
}

impl<'a> Named<'a> {
    pub(super) fn of(state: &'a ClientState) -> Self {
        Self {
            workspace: &state.workspace,
            client: state.client.id,
            label: state.client.settings.label.as_str(),
            environment: state.client.environment,
        }
    }
}

/// What a decision about a client's addresses wants to see.
pub(super) fn address_wants(workspace: WorkspaceId, emails: &[String]) -> AddressWants {
    AddressWants {
        workspace,
        emails: emails.to_vec(),
    }
}

/// What follows from a client's addresses having been `before` and being `after`: addresses that no client names any
/// more are forgotten, new ones are asked to confirm, as far as `asks` and the limits allow it.
pub(super) fn changes(
    asks: bool,
    view: &AddressView,
    named: &Named<'_>,
    (before, after): (&[String], &[String]),
    now: Timestamp,
) -> Vec<Record> {
    let is_in = |emails: &[String], folded: &str| {
        let mut emails = emails.iter();
        emails.any(|email| folded_address(email) == folded)
    };
    let workspace = named.workspace.id;
    let mut records = Vec::new();
    for address in before.iter().map(|email| folded_address(email)) {
        let mut others = view.named.iter().filter(|(id, _)| *id != named.client);
        if !is_in(after, &address) && !others.any(|(_, emails)| is_in(emails, &address)) {
            let removed = AddressWrite::Removed { workspace, address };
            records.push(Record::NoticeAddress(removed));
        }
    }
    let mut budget = Budget::of(view);
    for email in after {
        let address = folded_address(email);
        if is_in(before, &address) || view.rows.iter().any(|row| row.address == address) {
            continue;
        }
        let proved = |member: &Member| owns(member, &address, workspace);
        let proved = view.members.iter().any(proved);
        let confirmed_at = proved.then_some(now);
        records.push(first_named(named, address, confirmed_at, now));
        if asks && !proved && budget.take(email, now).is_ok() {
            records.extend(ask(named, email, now));
        }
    }
    records
}

/// The row of an address that a client names for the first time.
fn first_named(
    named: &Named<'_>,
    address: String,
    confirmed_at: Option<Timestamp>,
    now: Timestamp,
) -> Record {
    Record::NoticeAddress(AddressWrite::Put(NoticeAddress {
        workspace: named.workspace.id,
        address,
        client: Some(named.client),
        digest: None,
        link_till: None,
        created_at: now,
        confirmed_at,
        stopped_at: None,
        preferences: Preferences::default(),
    }))
}

/// Whether the address is this member's by a provider that verified it, and the workspace one of the member's. An
/// invitation proves nothing: its link is handed over by an administrator, not sent to the address.
fn owns(member: &Member, address: &str, workspace: WorkspaceId) -> bool {
    let of_workspace = member.role.workspace().is_none_or(|own| own == workspace);
    member.email == address
        && member.disabled_at.is_none()
        && member.proofs.sso.is_some()
        && of_workspace
}

/// How many confirmation mails may still be asked for.
struct Budget {
    by_workspace: u64,
    by_mailbox: Vec<(String, Timestamp)>,
}

impl Budget {
    fn of(view: &AddressView) -> Self {
        Self {
            by_workspace: view.asked_by_workspace,
            by_mailbox: view.asked.clone(),
        }
    }

    /// Takes one mail to this address; or answers the seconds to wait.
    fn take(&mut self, email: &str, now: Timestamp) -> Result<(), u64> {
        let mailbox = mailbox(email);
        let own = self
            .by_mailbox
            .iter()
            .filter(|(known, _)| *known == mailbox);
        let mut asked: Vec<Timestamp> = own.map(|(_, at)| *at).collect();
        asked.sort_unstable();
        let day = SECONDS_PER_DAY.cast_unsigned();
        if let Some(first) = asked.len().checked_sub(ASKED_A_DAY_MAILBOX) {
            let since = now.seconds_since(asked[first]);
            return Err(day.saturating_sub(since).max(1));
        }
        if self.by_workspace >= ASKED_A_DAY_WORKSPACE {
            return Err(day / 24);
        }
        self.by_workspace += 1;
        self.by_mailbox.push((mailbox, now));
        Ok(())
    }
}

/// A confirmation mail, to be sent and counted. Its link is made when it is sent: here is no secret yet.
fn ask(named: &Named<'_>, email: &str, now: Timestamp) -> [Record; 2] {
    let id = random::uuid();
    let data = json!({
        "workspace_id": named.workspace.id, "workspace": named.workspace.name, "client_id": named.client,
        "label": named.label, "environment": named.environment,
    });
    let notice = NewNotice {
        id,
        key: format!("{CONFIRM} {id}"),
        target: Target::Mail,
        recipient: email.to_owned(),
        workspace: named.workspace.id,
        client: Some(named.client),
        kind: CONFIRM.to_owned(),
        body: json!({ "type": CONFIRM, "timestamp": now.iso(), "data": data }).to_string(),
        at: now,
        digest_at: None,
    };
    [
        Record::Notice(NoticeWrite::Made {
            followed: None,
            notices: vec![notice],
        }),
        Record::NoticeAddress(AddressWrite::Asked {
            workspace: named.workspace.id,
            mailbox: mailbox(email),
            at: now,
        }),
    ]
}

/// Sends the confirmation mail again: to one address of a client, or to all that have not confirmed.
///
/// # Errors
/// [`Refused::NotFound`] for an address that the client has not; [`Refused::Conflict`] when it is confirmed, when its
/// owner stopped notices within [`STOPPED_DAYS`], and when the server can't send the mail; [`Refused::Throttled`] beyond
/// the limits.
pub async fn ask_again(
    data: &Data,
    admin: Admin,
    id: ClientId,
    email: Option<String>,
) -> Result<Read, Refused> {
    let seen = super::clients::show(data, &admin, id).await?;
    let unavailable = unavailable(data);
    let emails = &seen.state.client.settings.notification_emails;
    let wants = ReadSet {
        addresses: Some(address_wants(seen.state.workspace.id, emails)),
        ..wants(id)
    };
    let decided = one_client::decide(data, admin, wants, move |acting, view, state| {
        let own = &state.client.settings.notification_emails;
        let chosen: Vec<&String> = match &email {
            Some(email) => {
                let folded = folded_address(email);
                let mut own = own.iter();
                let found = own.find(|one| folded_address(one) == folded);
                vec![found.ok_or(Refused::NotFound("notification address"))?]
            }
            None => own.iter().collect(),
        };
        let rows = &view.addresses.rows;
        let is_open = |email: &&String| -> bool {
            let folded = folded_address(email);
            let row = rows.iter().find(|row| row.address == folded);
            self::state(row) == State::Pending
        };
        let asks = email.is_some() || chosen.iter().any(is_open);
        if let Some(why) = unavailable.filter(|_| asks) {
            return Err(Refused::Conflict(
                Conflict::ConfirmationUnavailable,
                why.into(),
            ));
        }
        asked_again(
            acting,
            &view.addresses,
            state,
            (&chosen, email.is_some()),
            view.now,
        )
    });
    decided.await.map(|(read, ())| read)
}

fn asked_again(
    acting: &Acting,
    view: &AddressView,
    state: &ClientState,
    (chosen, named_one): (&[&String], bool),
    now: Timestamp,
) -> Result<Outcome<()>, Refused> {
    let named = Named::of(state);
    let mut budget = Budget::of(view);
    let (mut records, mut asked, mut refused) = (Vec::new(), Vec::new(), None);
    for email in chosen {
        let folded = folded_address(email);
        let row = view.rows.iter().find(|row| row.address == folded);
        if !named_one && self::state(row) != State::Pending {
            continue;
        }
        match may_ask(row, now).and_then(|()| {
            let taken = budget.take(email, now);
            taken.map_err(Refused::Throttled)
        }) {
            Ok(()) => {
                if row.is_none() {
                    // Named before this server kept rows of addresses.
                    records.push(first_named(&named, folded, None, now));
                }
                records.extend(ask(&named, email, now));
                asked.push((*email).clone());
            }
            Err(why) => refused = Some(why),
        }
    }
    match refused {
        Some(why) if asked.is_empty() => return Err(why),
        _ if asked.is_empty() => return Ok((Decided::nothing(), state.clone(), ())),
        _ => {}
    }
    let detail = json!({ "emails": asked });
    let entry = entry(acting, "notice_address.ask", state, &detail);
    Ok((Decided::records(records, entry), state.clone(), ()))
}

fn may_ask(row: Option<&NoticeAddress>, now: Timestamp) -> Result<(), Refused> {
    match row {
        Some(row) if row.confirmed_at.is_some() => {
            let why = "this address is confirmed already";
            Err(Refused::Conflict(Conflict::AddressConfirmed, why.into()))
        }
        Some(row) => match row
            .stopped_at
            .map(|at| at.plus_seconds(STOPPED_DAYS * 86_400))
        {
            Some(till) if now < till => {
                let why = format!(
                    "the owner of this address stopped these notices; a new confirmation mail can be sent from {}",
                    till.iso()
                );
                Err(Refused::Conflict(Conflict::AddressStopped, why))
            }
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

/// What the owner of an address is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The workspace's name.
    pub workspace: String,
    /// The label of the client that named the address, while there is one.
    pub label: Option<String>,
}

async fn question(
    data: &Data,
    workspace: WorkspaceId,
    client: Option<ClientId>,
) -> Result<Question, Refused> {
    let reader = data.reader();
    let found = reader.workspace(workspace).await?.ok_or(NO_LINK)?;
    let label = match client {
        Some(id) => reader.client(id).await?,
        None => None,
    };
    Ok(Question {
        workspace: found.name.to_string(),
        label: label.map(|(state, _)| state.client.settings.label.to_string()),
    })
}

/// A link that does not work, whatever the reason.
const NO_LINK: Refused = Refused::NotFound("link: it was used, it expired, or it is incomplete");

/// What a confirmation link asks.
///
/// # Errors
/// [`Refused::NotFound`] for a link that does not work.
pub async fn to_confirm(data: &Data, opaque_token: &OpaqueToken) -> Result<Question, Refused> {
    use tokenward_core::time::Clock;
    let (digest, now) = (opaque_token.digest(), data.clock().wall());
    let found = data.reader().notice_address_by_link(&digest).await?;
    let row = found.filter(|row| works(row, now)).ok_or(NO_LINK)?;
    question(data, row.workspace, row.client).await
}

fn works(row: &NoticeAddress, now: Timestamp) -> bool {
    row.link_till.is_some_and(|till| now < till)
}

/// Confirms the address a link was sent to; the link works once.
///
/// # Errors
/// [`Refused::NotFound`] for a link that does not work.
pub async fn confirm(
    data: &Data,
    opaque_token: &OpaqueToken,
    source: Option<IpAddr>,
) -> Result<(), Refused> {
    let wants = ReadSet {
        link: Some(opaque_token.digest()),
        ..ReadSet::default()
    };
    let decided = data.decide(wants, move |view| {
        let found = view.addresses.rows.first();
        let row = found.filter(|row| works(row, view.now)).ok_or(NO_LINK)?;
        let confirmed = NoticeAddress {
            digest: None,
            link_till: None,
            confirmed_at: Some(view.now),
            stopped_at: None,
            ..row.clone()
        };
        let entry = by_owner("notice_address.confirm", &confirmed, source, view.now);
        Ok((written(confirmed, entry), ()))
    });
    decided.await?
}

fn written(address: NoticeAddress, entry: Entry) -> Decided {
    let put = Record::NoticeAddress(AddressWrite::Put(address));
    Decided::records(vec![put], entry)
}

fn by_owner(
    action: &'static str,
    address: &NoticeAddress,
    source: Option<IpAddr>,
    at: Timestamp,
) -> Entry {
    Entry {
        at,
        actor: Actor::System,
        source,
        action,
        workspace: Some(address.workspace),
        client: None,
        detail: json!({ "email": address.address }).to_string(),
    }
}

/// What a link to stop notices is sealed for.
const STOP_CONTEXT: &str = "link to stop notices by mail";

/// The text of the link that stops a workspace's notices to an address: sealed under the server's keys, so that nothing
/// of it is kept and nobody can make one. It works as often as it is used, while its key is in the ring.
#[must_use]
pub fn stop_link(keyring: &Keyring, workspace: WorkspaceId, email: &str) -> String {
    let mut plain = workspace.0.as_bytes().to_vec();
    plain.extend_from_slice(folded_address(email).as_bytes());
    URL_SAFE_NO_PAD.encode(keyring.seal_at_rest(STOP_CONTEXT, &plain, random::bytes()))
}

fn read_stop_link(keyring: &Keyring, text: &str) -> Option<(WorkspaceId, String)> {
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let plain = keyring.open_at_rest(STOP_CONTEXT, &sealed)?;
    let (workspace, address) = plain.split_first_chunk::<16>()?;
    let address = String::from_utf8(address.to_vec()).ok()?;
    Some((WorkspaceId(Uuid::from_bytes(*workspace)), address))
}

/// What a link to stop notices asks.
///
/// # Errors
/// [`Refused::NotFound`] for a text that is no such link.
pub async fn to_stop(data: &Data, text: &str) -> Result<Question, Refused> {
    let (workspace, address) = read_stop_link(&data.keyring, text).ok_or(NO_LINK)?;
    let row = data.reader().notice_address(workspace, &address);
    question(data, workspace, row.await?.and_then(|row| row.client)).await
}

/// Stops a workspace's notices to the address a link was sent to, also for clients that name it later.
///
/// # Errors
/// [`Refused::NotFound`] for a text that is no such link.
pub async fn stop(data: &Data, text: &str, source: Option<IpAddr>) -> Result<(), Refused> {
    let (workspace, address) = read_stop_link(&data.keyring, text).ok_or(NO_LINK)?;
    let wants = ReadSet {
        workspace: Some(workspace),
        addresses: Some(address_wants(workspace, &[])),
        ..ReadSet::default()
    };
    let decided = data.decide(wants, move |view| {
        if view.workspace.is_none() {
            return Err(NO_LINK);
        }
        let row = view
            .addresses
            .rows
            .iter()
            .find(|row| row.address == address);
        if row.is_some_and(|row| row.stopped_at.is_some()) {
            return Ok((Decided::nothing(), ()));
        }
        let stopped = NoticeAddress {
            workspace,
            address,
            client: row.and_then(|row| row.client),
            digest: None,
            link_till: None,
            created_at: row.map_or(view.now, |row| row.created_at),
            confirmed_at: None,
            stopped_at: Some(view.now),
            preferences: row.map(|row| row.preferences.clone()).unwrap_or_default(),
        };
        let entry = by_owner("notice_address.stop", &stopped, source, view.now);
        Ok((written(stopped, entry), ()))
    });
    decided.await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenward_core::digest::{DigestKey, KeyId};
    use tokenward_core::label::Name;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn workspace() -> Workspace {
        Workspace {
            no: tokenward_core::ids::WorkspaceNo(0),
            id: WorkspaceId(Uuid::from_u128(7)),
            name: Name::parse("Acme").unwrap(),
            created_at: NOW,
            disabled_at: None,
        }
    }

    fn texts(emails: &[&str]) -> Vec<String> {
        emails.iter().map(|text| (*text).to_owned()).collect()
    }

    fn follow(view: &AddressView, before: &[&str], after: &[&str]) -> (usize, usize, usize, usize) {
        let workspace = workspace();
        let named = Named {
            workspace: &workspace,
            client: ClientId(Uuid::from_u128(1)),
            label: "erp",
            environment: Environment::Sandbox,
        };
        let both = (texts(before), texts(after));
        let records = changes(true, view, &named, (&both.0, &both.1), NOW);
        let count = |wanted: &dyn Fn(&Record) -> bool| {
            records.iter().filter(|record| wanted(record)).count()
        };
        (
            count(
                &|one| matches!(one, Record::NoticeAddress(AddressWrite::Put(row)) if row.confirmed_at.is_none()),
            ),
            count(
                &|one| matches!(one, Record::NoticeAddress(AddressWrite::Put(row)) if row.confirmed_at.is_some()),
            ),
            count(&|one| matches!(one, Record::Notice(_))),
            count(&|one| matches!(one, Record::NoticeAddress(AddressWrite::Removed { .. }))),
        )
    }

    fn row(address: &str) -> NoticeAddress {
        NoticeAddress {
            workspace: workspace().id,
            address: address.into(),
            client: None,
            digest: None,
            link_till: None,
            created_at: NOW,
            confirmed_at: None,
            stopped_at: None,
            preferences: Preferences::default(),
        }
    }

    #[test]
    fn new_addresses_are_asked_once_and_those_nobody_names_are_forgotten() {
        let empty = AddressView::default();
        assert_eq!(follow(&empty, &[], &["a@b", "c@d"]), (2, 0, 2, 0));
        assert_eq!(follow(&empty, &["A@b"], &["a@B"]), (0, 0, 0, 0), "the case");
        assert_eq!(follow(&empty, &["a@b"], &[]), (0, 0, 0, 1));
        let known = AddressView {
            rows: vec![row("a@b")],
            named: vec![(ClientId(Uuid::from_u128(2)), texts(&["A@B"]))],
            ..AddressView::default()
        };
        assert_eq!(follow(&known, &[], &["a@b"]), (0, 0, 0, 0), "asked before");
        assert_eq!(
            follow(&known, &["a@b"], &[]),
            (0, 0, 0, 0),
            "another client's"
        );
    }

    #[test]
    fn limits_leave_addresses_pending_without_a_mail() {
        let asked = |n: usize| AddressView {
            asked: vec![("a@b".into(), NOW); n],
            ..AddressView::default()
        };
        assert_eq!(follow(&asked(2), &[], &["a@b"]), (1, 0, 1, 0));
        assert_eq!(follow(&asked(3), &[], &["a@b"]), (1, 0, 0, 0));
        let tags = ["a+1@b", "a+2@b", "A+3@b", "a+4@b", "c@d"];
        assert_eq!(follow(&asked(0), &[], &tags), (5, 0, 4, 0), "one mailbox");
        let full = AddressView {
            asked_by_workspace: ASKED_A_DAY_WORKSPACE - 1,
            ..AddressView::default()
        };
        assert_eq!(follow(&full, &[], &["a@b", "c@d"]), (2, 0, 1, 0));
    }

    #[test]
    fn only_a_verified_address_of_a_member_of_the_workspace_needs_no_mail() {
        use tokenward_core::client::Role;
        use tokenward_store::people::Proofs;
        let member = |sso: bool, workspace: u128| Member {
            id: Uuid::nil(),
            email: "a@b".into(),
            name: Name::parse("Asha").unwrap(),
            role: Role::WorkspaceAdmin {
                workspace: WorkspaceId(Uuid::from_u128(workspace)),
            },
            proofs: Proofs {
                password: Some("hash".into()),
                sso: sso.then(|| "https://idp.example subject".into()),
                ..Proofs::default()
            },
            created_at: NOW,
            disabled_at: None,
        };
        for (sso, workspace, expected) in [
            (true, 7, (0, 1, 0, 0)),
            (false, 7, (1, 0, 1, 0)),
            (true, 8, (1, 0, 1, 0)),
        ] {
            let view = AddressView {
                members: vec![member(sso, workspace)],
                ..AddressView::default()
            };
            assert_eq!(follow(&view, &[], &["A@b"]), expected, "{sso} {workspace}");
        }
    }

    #[test]
    fn a_stop_link_names_one_address_of_one_workspace_and_cannot_be_made_up() {
        let ring = |byte| Keyring::new(vec![DigestKey::new(KeyId(1), [byte; 32])]).unwrap();
        let (own, other) = (ring(1), ring(2));
        let workspace = workspace().id;
        let link = stop_link(&own, workspace, "Ops@Example.com");
        let read = read_stop_link(&own, &link);
        assert_eq!(read, Some((workspace, "ops@example.com".to_owned())));
        assert!(!link.contains("ops"));
        assert_eq!(read_stop_link(&other, &link), None);
        let webhook = own.seal_at_rest("webhook x", &[0; 20], [9; 24]);
        for bad in [
            String::new(),
            "x".into(),
            link[..link.len() - 1].into(),
            format!("{link}A"),
            format!("{link}="),
            link.replacen(&link[9..10], if &link[9..10] == "A" { "B" } else { "A" }, 1),
            URL_SAFE_NO_PAD.encode(webhook),
        ] {
            assert_eq!(read_stop_link(&own, &bad), None, "{bad}");
        }
    }

    #[test]
    fn a_link_works_until_its_time_is_over() {
        let linked = NoticeAddress {
            link_till: Some(NOW.plus_seconds(LINK_SECONDS)),
            ..row("a@b")
        };
        assert!(works(&linked, NOW.plus_seconds(LINK_SECONDS - 1)));
        assert!(!works(&linked, NOW.plus_seconds(LINK_SECONDS)));
        assert!(!works(&row("a@b"), NOW));
    }

    #[test]
    fn who_stopped_is_not_asked_again_for_a_month() {
        let stopped = NoticeAddress {
            stopped_at: Some(NOW),
            ..row("a@b")
        };
        let later = |days: u64| NOW.plus_seconds(days * 86_400);
        assert!(may_ask(Some(&stopped), later(29)).is_err());
        assert!(may_ask(Some(&stopped), later(30)).is_ok());
        assert!(may_ask(Some(&row("a@b")), NOW).is_ok());
        let confirmed = NoticeAddress {
            confirmed_at: Some(NOW),
            ..row("a@b")
        };
        assert!(may_ask(Some(&confirmed), later(400)).is_err());
    }
}
