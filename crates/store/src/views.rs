//! What the decisions of a group see: read on the writer's connection, after everything decided
//! before.

use crate::driver::Driver;
use crate::error::StoreError;
use crate::job::{Credential, CredentialRow, Job, Next, ReadSet, View};
use crate::load::read_next;
use crate::notices;
use crate::people;
use crate::queue::Queue;
use crate::rows::{self, select_client};
use crate::value::{Row, Value};
use tokenward_core::Replica;
use tokenward_core::ids::{ClientNo, ProductNo, WorkspaceNo};
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
        client: None,
        workspace: None,
        label_taken: false,
        products: Vec::new(),
        product_users: 0,
        admin_keys: Vec::new(),
        members: Vec::new(),
        invitations: Vec::new(),
        webhooks: Vec::new(),
        addresses: notices::AddressView::default(),
        challenge: None,
        actor: None,
        next: Next {
            client: ClientNo(0),
            workspace: WorkspaceNo(0),
            product: ProductNo(0),
        },
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
        let mut each = |_: usize, row: &Row<'_>| {
            view.workspace = Some(rows::workspace(row, 0)?);
            Ok(())
        };
        driver
            .query(WORKSPACE_BY_ID, &[vec![id.0.into()]], &mut each)
            .await?;
    }
    if let Some((workspace, environment, label)) = &want.label {
        let params = vec![
            workspace.0.into(),
            u32::from(environment.number()).into(),
            label.key().into(),
            // A client's own label, written another way, is not taken. No client has the nil id.
            want.client.map_or(uuid::Uuid::nil(), |id| id.0).into(),
        ];
        let mut each = |_: usize, _: &Row<'_>| {
            view.label_taken = true;
            Ok(())
        };
        driver.query(LABEL_TAKEN, &[params], &mut each).await?;
    }
    if want.products {
        let mut each = |_: usize, row: &Row<'_>| {
            view.products.push(rows::product(row)?);
            Ok(())
        };
        driver
            .query(rows::SELECT_PRODUCTS, &[vec![]], &mut each)
            .await?;
    }
    if let Some(no) = want.product_use {
        let mut each = |_: usize, row: &Row<'_>| {
            view.product_users = row.int(0)?.cast_unsigned();
            Ok(())
        };
        driver
            .query(
                PRODUCT_USERS,
                &[vec![format!("%,{},%", no.0).into()]],
                &mut each,
            )
            .await?;
    }
    if want.admin_keys {
        let mut each = |_: usize, row: &Row<'_>| {
            view.admin_keys.push(rows::admin_key(row)?);
            Ok(())
        };
        driver
            .query(rows::SELECT_ADMIN_KEYS, &[vec![]], &mut each)
            .await?;
    }
    if let Some(credential) = want.actor {
        view.actor = actor(driver, credential).await?;
    }
    if let Some(workspace) = want.webhooks {
        let mut each = |_: usize, row: &Row<'_>| {
            view.webhooks.push(notices::webhook(row)?);
            Ok(())
        };
        let lists = [vec![workspace.0.into()]];
        driver
            .query(notices::SELECT_WEBHOOKS, &lists, &mut each)
            .await?;
    }
    if let Some(wanted) = &want.addresses {
        view.addresses = notices::address_view(driver, wanted, view.now).await?;
    }
    if let Some(digest) = &want.link {
        view.addresses.rows = notices::by_link(driver, digest).await?;
    }
    if let Some(id) = want.challenge {
        let mut each = |_: usize, row: &Row<'_>| {
            view.challenge = Some(people::challenge(row)?);
            Ok(())
        };
        driver
            .query(people::CHALLENGE_BY_ID, &[vec![id.into()]], &mut each)
            .await?;
    }
    if let Some(id) = want.member {
        let mut each = |_: usize, row: &Row<'_>| {
            view.members.push(people::member(row)?);
            Ok(())
        };
        driver
            .query(people::MEMBER_BY_ID, &[vec![id.into()]], &mut each)
            .await?;
    }
    if want.people {
        let mut each = |_: usize, row: &Row<'_>| {
            view.members.push(people::member(row)?);
            Ok(())
        };
        driver
            .query(people::SELECT_MEMBERS, &[vec![]], &mut each)
            .await?;
        let mut each = |_: usize, row: &Row<'_>| {
            view.invitations.push(people::invitation(row)?);
            Ok(())
        };
        driver
            .query(people::SELECT_INVITATIONS, &[vec![]], &mut each)
            .await?;
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
            let mut found = None;
            let mut each = |_: usize, row: &Row<'_>| {
                found = Some(CredentialRow::AdminKey(rows::admin_key(row)?));
                Ok(())
            };
            driver
                .query(rows::ADMIN_KEY_BY_ID, &[vec![id.into()]], &mut each)
                .await?;
            Ok(found)
        }
        Credential::Session { member, session } => {
            let (mut who, mut at) = (None, None);
            let mut each = |_: usize, row: &Row<'_>| {
                who = Some(people::member(row)?);
                Ok(())
            };
            driver
                .query(people::MEMBER_BY_ID, &[vec![member.into()]], &mut each)
                .await?;
            let mut each = |_: usize, row: &Row<'_>| {
                at = Some(people::session(row)?);
                Ok(())
            };
            driver
                .query(people::SESSION_BY_ID, &[vec![session.into()]], &mut each)
                .await?;
            let both = who.zip(at.filter(|session| session.member == member));
            Ok(both.map(|both| CredentialRow::Session(Box::new(both))))
        }
    }
}
