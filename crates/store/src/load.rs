//! Reading a whole store: the head, and the replica at a start.

use crate::driver::Driver;
use crate::error::StoreError;
use crate::job::{Next, parse_uuid};
use crate::rows;
use crate::value::Row;
use std::sync::Arc;
use tokenward_core::ids::{ClientId, ClientNo, ProductNo, WorkspaceNo};
use tokenward_core::label::Label;
use tokenward_core::replica::LoadedClient;
use tokenward_core::restrictions::Restrictions;
use tokenward_core::{Keyring, Replica};
use uuid::Uuid;

/// Where a store stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The store's name, given at its creation.
    pub store: Uuid,
    /// The epoch; every restore begins a new one.
    pub epoch: Uuid,
    /// The number of the last change.
    pub change_number: u64,
    /// The number of the last audit entry.
    pub audit_seq: u64,
    /// The hash of the audit chain.
    pub audit_hash: [u8; 32],
}

const SELECT_HEAD: &str = "SELECT store, epoch, change_number, audit_seq, audit_hash FROM head";
const SELECT_NEXT: &str = "SELECT (SELECT coalesce(max(no) + 1, 0) FROM client),
    (SELECT coalesce(max(no) + 1, 0) FROM workspace), (SELECT next_product FROM head)";

/// Reads the head row.
pub(crate) async fn read_head(driver: &mut Driver) -> Result<Head, StoreError> {
    let mut head = None;
    let mut each = |_: usize, row: &Row<'_>| {
        let uuid = |text: &str| {
            parse_uuid(text).ok_or_else(|| StoreError::Damaged("a name in the head row".into()))
        };
        head = Some(Head {
            store: uuid(row.text(0)?)?,
            epoch: uuid(row.text(1)?)?,
            change_number: row.int(2)?.cast_unsigned(),
            audit_seq: row.int(3)?.cast_unsigned(),
            audit_hash: row.bytes(4)?,
        });
        Ok(())
    };
    driver.query(SELECT_HEAD, &[vec![]], &mut each).await?;
    head.ok_or_else(|| StoreError::Damaged("the head row is missing".into()))
}

/// Reads the numbers the next new things get.
pub(crate) async fn read_next(driver: &mut Driver) -> Result<Next, StoreError> {
    let mut next = None;
    let mut each = |_: usize, row: &Row<'_>| {
        next = Some(Next {
            client: ClientNo(row.count(0)?),
            workspace: WorkspaceNo(row.count(1)?),
            product: ProductNo(row.count(2)?),
        });
        Ok(())
    };
    driver.query(SELECT_NEXT, &[vec![]], &mut each).await?;
    next.ok_or_else(|| StoreError::Damaged("no answer to a count".into()))
}

/// Loads all of a store into a new replica. It has no lease: who vouches for it is decided by the
/// caller. Nothing else may write meanwhile.
pub(crate) async fn load(
    driver: &mut Driver,
    keyring: Arc<Keyring>,
) -> Result<Replica, StoreError> {
    let head = read_head(driver).await?;
    let next = read_next(driver).await?;
    let replica = Replica::new(keyring, next.client.index());
    let mut loading = replica.loading();
    let mut each = |_: usize, row: &Row<'_>| Ok(loading.workspace(&rows::workspace(row, 0)?)?);
    driver.stream(rows::SELECT_WORKSPACES, &mut each).await?;
    let mut each = |_: usize, row: &Row<'_>| {
        loading.product(&rows::product(row)?);
        Ok(())
    };
    driver.stream(rows::SELECT_PRODUCTS, &mut each).await?;
    let mut each = |_: usize, row: &Row<'_>| load_client(&mut loading, row);
    driver.stream(rows::LOAD_CLIENTS, &mut each).await?;
    loading.finish(head.change_number);
    Ok(replica)
}

fn load_client(
    loading: &mut tokenward_core::replica::Loading<'_>,
    row: &Row<'_>,
) -> Result<(), StoreError> {
    let products = row.text_or_null(5)?.map(rows::products).transpose()?;
    let restrictions = Restrictions {
        products: products.map(|mut list| {
            list.sort_unstable();
            list.dedup();
            list.into_boxed_slice()
        }),
        token_networks: rows::networks(row.text(6)?)?,
    };
    loading.client(&LoadedClient {
        no: ClientNo(row.count(0)?),
        id: ClientId(Uuid::from_bytes(row.bytes(1)?)),
        workspace: WorkspaceNo(row.count(2)?),
        environment: rows::environment(row.int(3)?)?,
        label: &Label::parse(row.text(4)?).map_err(|error| StoreError::Damaged(error.0))?,
        restrictions,
        disabled: row.int_or_null(7)?.is_some(),
        deleted: row.int_or_null(8)?.is_some(),
        slot: &rows::slot(row, rows::LOAD_SLOT)?,
    })?;
    Ok(())
}
