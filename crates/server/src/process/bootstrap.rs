//! The first admin key, made on an empty store.

use crate::app::App;
use crate::config::data_dir::{self, DataDir};
use crate::process::serve::Fault;
use crate::random;
use serde_json::json;
use std::path::Path;
use tokenward_api::FIRST_KEY;
use tokenward_core::audit::Entry;
use tokenward_core::client::{AdminKeyRecord, Role};
use tokenward_core::label::Name;
use tokenward_core::time::Clock;
use tokenward_core::{AdminKey, Change};
use tokenward_store::{Decided, ReadSet};

/// The environment variable that may hold the first admin key; used on an empty store only.
const GIVEN: &str = "TOKENWARD_BOOTSTRAP_ADMIN_KEY";

/// Offers the console's first operator a link while no operator can sign in: written to the data directory for its owner
/// only, and shown on a terminal; never in a log.
pub(crate) async fn first_link(app: &App, path: &Path, base: &str) -> Result<(), Fault> {
    let made = crate::verbs::members::first_link(&app.data).await?;
    data_dir::remove(path)?;
    let Some(opaque_token) = made else {
        return Ok(());
    };
    let link = zeroize::Zeroizing::new(format!(
        "{base}/console/join/{}",
        opaque_token.expose().as_str()
    ));
    data_dir::create_private(path, format!("{}\n", link.as_str()).as_bytes())?;
    tracing::info!(
        "no operator can sign in to the console yet; the link that makes its first operator is in {}, good once and for a day",
        path.display()
    );
    let mut terminal = std::io::stderr();
    if std::io::IsTerminal::is_terminal(&terminal) {
        use std::io::Write as _;
        let _ = writeln!(terminal, "\nSet up the console: {}\n", link.as_str());
    }
    Ok(())
}

/// Whether the admin key given is one of those in force.
fn is_in_force(app: &App, given: &str, known: &[AdminKeyRecord]) -> bool {
    let Ok(key) = AdminKey::from_chosen(given) else {
        return false;
    };
    let now = app.data.clock().wall();
    known.iter().any(|record| {
        record.id == key.id()
            && record.revoked_at.is_none()
            && record.expires_at.is_none_or(|end| now < end)
            && app
                .data
                .keyring
                .admin(record.key, &key)
                .is_some_and(|digest| digest.matches(&record.digest))
    })
}

/// Makes the first operator's key if the store has none: the one given, or a new one, written to the
/// data directory for its owner only.
pub(crate) async fn first_admin_key(app: &App, directory: &DataDir) -> Result<(), Fault> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a secret that must not stand on the command line or in the file"
    )]
    let given = std::env::var(GIVEN).ok().filter(|text| !text.is_empty());
    let given = given.map(zeroize::Zeroizing::new);
    let known = app.data.reader().admin_keys().await?;
    if !known.is_empty() {
        if let Some(text) = &given
            && !is_in_force(app, text, &known)
        {
            tracing::warn!(
                "{GIVEN} was not used: this store has admin keys already, and the value is none of those in force. It \
                 only sets the first key of an empty store; make another key with `tokenward admin-key create`"
            );
        }
        return Ok(());
    }
    let (key, shown) = match given {
        Some(text) => {
            let key = AdminKey::from_chosen(&text)
                .map_err(|_| format!("{GIVEN} must be 16 to 256 visible ASCII characters; better make one with `openssl rand -hex 32`"))?;
            (key, None)
        }
        None => {
            let key = AdminKey::from_random(random::uuid(), random::bytes());
            let text = key.expose();
            (key, Some(text))
        }
    };
    if let Some(text) = &shown {
        let path = directory.file(data_dir::ADMIN_KEY);
        // Left by a start that ended between this file and the store: its key never came to be.
        data_dir::remove(&path)?;
        data_dir::create_private(&path, format!("{}\n", text.as_str()).as_bytes())?;
    }
    let keyring = std::sync::Arc::clone(&app.data.keyring);
    let wants = ReadSet {
        admin_keys: true,
        ..ReadSet::default()
    };
    let made = app.data.store.decide(wants, move |view| {
        if !view.admin_keys.is_empty() {
            return Ok((Decided::default(), false));
        }
        let digest = keyring
            .admin(keyring.current(), &key)
            .ok_or("no digest key")?;
        let record = AdminKeyRecord {
            id: key.id(),
            name: Name::parse(FIRST_KEY).map_err(|_| "name")?,
            role: Role::Operator,
            digest,
            key: keyring.current(),
            created_at: view.now,
            expires_at: None,
            revoked_at: None,
        };
        let entry = Entry::by_system(
            view.now,
            "admin_key.bootstrap",
            &json!({ "admin_key": record.id, "role": "operator" }),
        );
        let changes = vec![Change::AdminKeyPut {
            key: Box::new(record),
        }];
        Ok((Decided::changes(changes, entry), true))
    });
    let made: Result<bool, &'static str> = made.await?;
    if !made? {
        // Another node that started on the empty database at the same moment made it, and has it in its data directory.
        if shown.is_some() {
            data_dir::remove(&directory.file(data_dir::ADMIN_KEY))?;
        }
        tracing::info!("another node made the first admin key of this new store");
        return Ok(());
    }
    match shown {
        Some(_) => {
            let path = directory.file(data_dir::ADMIN_KEY);
            tracing::info!(
                "this is a new store; the first admin key is in {}",
                path.display()
            );
        }
        None => tracing::info!("this is a new store; its first admin key is the one in {GIVEN}"),
    }
    Ok(())
}
