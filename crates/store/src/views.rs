//! What the decisions of a group see: read on the writer's connection, after everything decided
//! before.

use crate::driver::Driver;
use crate::error::StoreError;
use crate::job::{Credential, CredentialRow, Job, ReadSet, View};
use crate::load::read_next;
use crate::notices;
use crate::people;
use crate::queue::Queue;
use crate::rows::{self, select_client};
use crate::value::{Row, Value};
use tokenward_core::Replica;
use tokenward_core::time::Timestamp;

const CLIENT_BY_NO: &str = select_client!("WHERE c.no = $1");
const CLIENT_BY_ID: &str = select_client!("WHERE c.id = $1");
const WORKSPACE_BY_ID: &str =
    "SELECT no, id, name, created_at, disabled_at FROM workspace WHERE id = $1";
const LABEL_TAKEN: &str = "SELECT 1 FROM client c JOIN workspace w ON w.no = c.workspace
    WHERE w.id = $1 AND c.environment = $2 AND c.label_key = $3 AND c.id <> $4";
const PRODUCT_USERS: &str =
    "SELECT count(*) FROM client WHERE deleted_at IS NULL AND products LIKE $1";

/// Reads what each decision of a group wants to see. A row that can't be read spoils only the
/// views of those decisions that want it. With a queue, what comes while the head lock is waited for joins the group.
pub(crate) async fn views(
    driver: &mut Driver,
    replica: &Replica,
    group: &mut Vec<Box<dyn Job>>,
    queue: Option<&mut Queue>,
    now: Timestamp,
) -> Result<Vec<Result<View, StoreError>>, StoreError> {
    // Most ids tell their row's number, which spares the index; the row itself tells whether it was
    // right.
    let (mut numbered, mut named) = (Lists::default(), Lists::default());
    let sort_in = |at: usize, job: &dyn Job, numbered: &mut Lists, named: &mut Lists| {
        if let Some(id) = job.wants().client {
            match replica.direct(id) {
                Some(no) => numbered.add(at, no.0.into()),
                None => named.add(at, id.0.into()),
            }
        }
    };
    for (at, job) in group.iter().enumerate() {
        sort_in(at, job.as_ref(), &mut numbered, &mut named);
    }
    if let Some(queue) = queue
        && !numbered.params.is_empty()
    {
        let mut late = Lists::default();
        let mut more = || {
            let from = late.params.len();
            for job in queue.more_for(group) {
                sort_in(group.len(), job.as_ref(), &mut late, &mut named);
                group.push(job);
            }
            late.params[from..].to_vec()
        };
        driver
            .ask_ahead(CLIENT_BY_NO, &numbered.params, &mut more)
            .await?;
        numbered.params.append(&mut late.params);
        numbered.whose.append(&mut late.whose);
    }
    let blank = || View {
        now,
        ..View::default()
    };
    let mut views: Vec<Result<View, StoreError>> = group.iter().map(|_| Ok(blank())).collect();
    for (sql, lists) in [(CLIENT_BY_NO, numbered), (CLIENT_BY_ID, named)] {
        let mut each = |list: usize, row: &Row<'_>| {
            let at = lists.whose[list];
            let view = &mut views[at];
            match (rows::client_state(row), view) {
                (Ok(state), Ok(view)) if group[at].wants().client == Some(state.client.id) => {
                    view.client = Some(state);
                }
                (Ok(_), _) => {}
                (Err(error), view) => *view = Err(error),
            }
            Ok(())
        };
        if !lists.params.is_empty() {
            driver.query(sql, &lists.params, &mut each).await?;
        }
    }
    if let ([Ok(view)], [job]) = (views.as_mut_slice(), group.as_slice()) {
        look_around(driver, job.wants(), view).await?;
    }
    Ok(views)
}

/// Parameter lists of one query, and which of the group each is for.
#[derive(Default)]
struct Lists {
    params: Vec<Vec<Value>>,
    whose: Vec<usize>,
}

impl Lists {
    fn add(&mut self, whose: usize, param: Value) {
        self.params.push(vec![param]);
        self.whose.push(whose);
    }
}

/// The further wants of a decision that runs alone.
async fn look_around(
    driver: &mut Driver,
    want: &ReadSet,
    view: &mut View,
) -> Result<(), StoreError> {
    if want.alone() && !want.aside {
        view.next = read_next(driver).await?;
    }
    if let Some(id) = want.workspace {
        let found = driver.rows(WORKSPACE_BY_ID, vec![id.0.into()], |row| {
            rows::workspace(row, 0)
        });
        view.workspace = found.await?.pop();
    }
    if let Some((workspace, environment, label)) = &want.label {
        let params = vec![
            workspace.0.into(),
            u32::from(environment.number()).into(),
            label.key().into(),
            // A client's own label, written another way, is not taken. No client has the nil id.
            want.client.map_or(uuid::Uuid::nil(), |id| id.0).into(),
        ];
        let taken = driver.rows(LABEL_TAKEN, params, |_| Ok(())).await?;
        view.label_taken = !taken.is_empty();
    }
    if want.products {
        let products = driver.rows(rows::SELECT_PRODUCTS, vec![], rows::product);
        view.products = products.await?;
    }
    if let Some(no) = want.product_use {
        let params = vec![format!("%,{},%", no.0).into()];
        let counts = driver.rows(PRODUCT_USERS, params, |row| row.int(0));
        view.product_users = counts.await?.pop().map_or(0, i64::cast_unsigned);
    }
    if want.admin_keys {
        let keys = driver.rows(rows::SELECT_ADMIN_KEYS, vec![], rows::admin_key);
        view.admin_keys = keys.await?;
    }
    if let Some(credential) = want.actor {
        view.actor = actor(driver, credential).await?;
    }
    if let Some(workspace) = want.webhooks {
        let params = vec![workspace.0.into()];
        let webhooks = driver.rows(notices::SELECT_WEBHOOKS, params, notices::webhook);
        view.webhooks = webhooks.await?;
    }
    if let Some(wanted) = &want.addresses {
        view.addresses = notices::address_view(driver, wanted, view.now).await?;
    }
    if let Some(digest) = &want.link {
        view.addresses.rows = notices::by_link(driver, digest).await?;
    }
    if let Some(id) = want.challenge {
        let found = driver.rows(people::CHALLENGE_BY_ID, vec![id.into()], people::challenge);
        view.challenge = found.await?.pop();
    }
    if let Some(id) = want.member {
        view.members = driver
            .rows(people::MEMBER_BY_ID, vec![id.into()], people::member)
            .await?;
    }
    if want.people {
        let members = driver.rows(people::SELECT_MEMBERS, vec![], people::member);
        view.members.extend(members.await?);
        let invitations = driver.rows(people::SELECT_INVITATIONS, vec![], people::invitation);
        view.invitations = invitations.await?;
    }
    Ok(())
}

/// The row of a credential; none when it is not there any more.
async fn actor(
    driver: &mut Driver,
    credential: Credential,
) -> Result<Option<CredentialRow>, StoreError> {
    match credential {
        Credential::AdminKey(id) => {
            let found = driver.rows(rows::ADMIN_KEY_BY_ID, vec![id.into()], rows::admin_key);
            Ok(found.await?.pop().map(CredentialRow::AdminKey))
        }
        Credential::Session { member, session } => {
            let who = driver.rows(people::MEMBER_BY_ID, vec![member.into()], people::member);
            let who = who.await?.pop();
            let at = driver.rows(people::SESSION_BY_ID, vec![session.into()], people::session);
            let at = at.await?.pop();
            let both = who.zip(at.filter(|session| session.member == member));
            Ok(both.map(|both| CredentialRow::Session(Box::new(both))))
        }
    }
}
