//! Fills a store with the population, behind the server's back: a million creations over HTTP would
//! take longer than everything that is measured afterwards.

use crate::population::{self, ISSUED, KEY};
use crate::process;
use anyhow::{Context as _, Result};
use futures_util::SinkExt as _;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use tempfile::TempDir;
use tokenward_core::digest::Keyring;
use tokenward_core::ids::ClientNo;
use tokenward_core::slot::Slot;
use tokenward_testkit::{Server, ServerBuilder};
use tokio_postgres::NoTls;

/// The digest keys' file of a data directory, with the population's key.
fn keys(data: &Path) -> Result<()> {
    let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(data.join("digest-keys"));
    let written = file.and_then(|mut file| file.write_all(format!("1:{hex}\n").as_bytes()));
    written.context("the digest keys cannot be written")
}

/// A data folder whose store has the clients, in SQLite or in the PostgreSQL database of a URL, and a server on it.
pub(crate) fn store(database: Option<&str>, clients: u32) -> Result<(TempDir, ServerBuilder)> {
    let folder = tempfile::tempdir().context("no folder")?;
    keys(folder.path())?;
    let builder = || {
        let builder = Server::builder().data_dir(folder.path());
        database
            .iter()
            .fold(builder, |builder, url| builder.database(url))
    };
    // The first start makes the tables.
    drop(builder().start());
    match database {
        Some(url) => process::runtime()?
            .block_on(postgres(url, clients))
            .context("PostgreSQL cannot be filled")?,
        None => sqlite(&folder.path().join("tokenward.sqlite"), clients)
            .context("SQLite cannot be filled")?,
    }
    let builder = builder();
    Ok((folder, builder))
}

/// One client as the columns of its two rows.
struct Rows {
    no: u32,
    id: [u8; 16],
    workspace: u32,
    label: String,
    products: Option<&'static str>,
    secret: [u8; 32],
    slot: Slot,
}

fn rows(keyring: &Keyring, no: u32) -> Rows {
    let secret = population::secret(keyring, no);
    let digest = keyring.secret(keyring.current(), &secret);
    Rows {
        no,
        id: population::id(keyring, no).0.into_bytes(),
        workspace: population::workspace(no),
        label: population::label(no),
        products: population::restricted(ClientNo(no)).then_some("0,2"),
        secret: digest.map_or([0; 32], |digest| digest.0),
        slot: population::slot(keyring, no),
    }
}

const CLIENT: &str = "no, id, workspace, environment, label, live_label, products, lifetime, secret_networks, token_networks,
    emails, on_repeat, renew_before, handover_max, created_at, secret1_n, secret1_digest, secret1_key, secret1_at, next_secret, label_key";
const SLOT: &str = "client, generation, digest, digest_key, issued_at, valid_till, former_reasons, quota1_day, quota1_used,
    quota2_day, quota2_used";

/// Fills the SQLite file of a server that is not running.
fn sqlite(file: &Path, clients: u32) -> Result<()> {
    let keyring = population::keyring();
    let mut connection = rusqlite::Connection::open(file)?;
    let transaction = connection.transaction()?;
    {
        let mut product = transaction
            .prepare("INSERT INTO product (no, slug, name, created_at) VALUES (?1, ?2, ?2, ?3)")?;
        for (no, slug) in (0..).zip(population::PRODUCTS) {
            product.execute((no, slug, ISSUED.0))?;
        }
        transaction.execute("UPDATE head SET next_product = 3", ())?;
        let mut workspace = transaction.prepare(
            "INSERT INTO workspace (no, id, name, created_at) VALUES (?1, ?2, 'Acme', ?3)",
        )?;
        for no in 0..=population::workspace(clients) {
            workspace.execute((no, population::workspace_id(no).0.into_bytes(), ISSUED.0))?;
        }
        let mut client = transaction.prepare(&format!(
            "INSERT INTO client ({CLIENT}) VALUES (?1, ?2, ?3, 1, ?4, ?4, ?5, 3600, '', '', '', 0, 600, 0, ?6, 1, ?7, 1, ?6, 2, ?4)"
        ))?;
        let mut slot = transaction.prepare(&format!(
            "INSERT INTO slot ({SLOT}) VALUES (?1, 1, ?2, 1, ?3, ?4, 0, 0, 0, 0, 0)"
        ))?;
        for no in 0..clients {
            let row = rows(&keyring, no);
            client.execute((
                row.no,
                row.id,
                row.workspace,
                row.label,
                row.products,
                ISSUED.0,
                row.secret,
            ))?;
            if let Some(token) = row.slot.token {
                slot.execute((
                    row.no,
                    token.digest.0,
                    token.issued_at.0,
                    token.valid_till.map(|till| till.0),
                ))?;
            }
        }
    }
    Ok(transaction.commit()?)
}

/// Fills the PostgreSQL database of a server that is not running.
async fn postgres(url: &str, clients: u32) -> Result<(), tokio_postgres::Error> {
    let keyring = population::keyring();
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move { drop(connection.await) });
    let at = ISSUED.0;
    let hex = |bytes: &[u8]| {
        bytes.iter().fold("\\\\x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let mut few = "UPDATE head SET next_product = 3;".to_owned();
    for (no, slug) in (0..).zip(population::PRODUCTS) {
        let _ = write!(
            few,
            "INSERT INTO product (no, slug, name, created_at) VALUES ({no}, '{slug}', '{slug}', {at});"
        );
    }
    client.batch_execute(&few).await?;
    let copy = |table: &str, columns: &str| format!("COPY {table} ({columns}) FROM STDIN");
    let workspaces = (0..=population::workspace(clients)).map(|no| {
        format!(
            "{no}\t{}\tAcme\t{at}\n",
            hex(population::workspace_id(no).0.as_bytes())
        )
    });
    pour(
        &client,
        &copy("workspace", "no, id, name, created_at"),
        workspaces,
    )
    .await?;
    let records = (0..clients).map(|no| {
        let Rows { no, id, workspace, label, products, secret, .. } = rows(&keyring, no);
        let (id, secret, products) = (hex(&id), hex(&secret), products.unwrap_or("\\N"));
        format!("{no}\t{id}\t{workspace}\t1\t{label}\t{label}\t{products}\t3600\t\t\t\t0\t600\t0\t{at}\t1\t{secret}\t1\t{at}\t2\t{label}\n")
    });
    pour(&client, &copy("client", CLIENT), records).await?;
    let slots = (0..clients).map(|no| {
        let token = population::slot(&keyring, no).token;
        let (digest, till) = token.map_or((String::new(), 0), |token| {
            (
                hex(&token.digest.0),
                token.valid_till.map_or(0, |till| till.0),
            )
        });
        format!("{no}\t1\t{digest}\t1\t{at}\t{till}\t0\t0\t0\t0\t0\n")
    });
    pour(&client, &copy("slot", SLOT), slots).await?;
    client.batch_execute("ANALYZE; CHECKPOINT").await
}

/// Copies lines into a table, some thousand at a time.
async fn pour(
    client: &tokio_postgres::Client,
    copy: &str,
    lines: impl Iterator<Item = String>,
) -> Result<(), tokio_postgres::Error> {
    let sink = client.copy_in::<_, bytes::Bytes>(copy).await?;
    let mut sink = std::pin::pin!(sink);
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        if text.len() > 1 << 20 {
            sink.send(std::mem::take(&mut text).into_bytes().into())
                .await?;
        }
    }
    sink.send(text.into_bytes().into()).await?;
    sink.finish().await.map(drop)
}
