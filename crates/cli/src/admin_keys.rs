//! `tokenward admin-key`.

use super::api::Answer;
use super::confirm::Sure;
use super::error::CliError;
use super::once::Once;
use super::pages::{Pages, Portion};
use super::role::{Role, Within};
use super::session::Session;
use super::settings::{Span, span};
use super::table::printable;
use super::views;
use reqwest::Method;
use std::cell::Cell;
use std::path::PathBuf;
use tokenward_api::{
    AdminKeyChange, AdminKeyCreate, AdminKeyCreated, AdminKeyInfo, FIRST_KEY, Name,
};
use uuid::Uuid;

/// Commands on admin keys.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Verb {
    /// List admin keys; the keys themselves are not kept anywhere.
    List(Portion),
    /// Create an admin key; it goes to standard output, once.
    #[command(after_help = "Examples:\n  \
        tokenward admin-key create --role auditor --expires-in 30d \"yearly audit\"\n  \
        tokenward admin-key create --role workspace-admin --workspace acme --key-file acme.key \"acme portal\"")]
    Create(CreateArgs),
    /// Change what an admin key is recognised by, besides its name.
    #[command(
        after_help = "Example:\n  tokenward admin-key note \"acme portal\" \"held by the portal's vault\""
    )]
    Note {
        /// Its id or exact name.
        key: String,
        /// The new note; empty for none.
        note: String,
    },
    /// Permanently revoke an admin key.
    Revoke {
        /// Its id or exact name.
        key: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// A new admin key.
#[derive(clap::Args, Debug)]
pub(crate) struct CreateArgs {
    /// Its name: who or what will hold it.
    name: String,
    /// What its holder may do.
    #[arg(long, value_enum)]
    role: Role,
    #[command(flatten)]
    within: Within,
    /// How long it is good: such as 30d, or never.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "never")]
    expires_in: Span,
    /// Write the key into this new file, readable by you alone, instead of to standard output.
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
    /// What to recognise the key by, besides its name.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// Carries out one command.
pub(crate) async fn run(verb: Verb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        Verb::List(portion) => {
            let pages = Pages::new(api, "/admin-keys", Vec::new(), portion.limit);
            let first = Cell::new(false);
            let seen = |key: &AdminKeyInfo| {
                let active = key.revoked_at.is_none();
                first.set(first.get() || active && *key.name == *FIRST_KEY);
                true
            };
            let lists = &mut [pages];
            out.lists(lists, None, seen, views::admin_keys).await?;
            if first.get() {
                out.note(&format!(
                    "The key {FIRST_KEY:?} was made at the first start and is still active. When people can sign in to the \
                     console and each program has a key of its own, revoke it: tokenward admin-key revoke {FIRST_KEY:?}"
                ));
            }
            Ok(())
        }
        Verb::Create(args) => {
            let once = Once::new(args.key_file.as_deref())?;
            let (workspace_id, products) = args.within.resolve(session).await?;
            let body = AdminKeyCreate {
                name: Name(args.name),
                role: args.role.as_str().to_owned(),
                workspace_id,
                products,
                expires_in_seconds: args.expires_in.seconds(),
                note: args.note,
            };
            let made = api.send(Method::POST, "/admin-keys", body).await;
            let mut made: Answer<AdminKeyCreated> = made?;
            out.note(&format!("admin key {}", made.admin_key.id));
            once.deliver(&mut made.json, "key", "admin key", out)
        }
        Verb::Note { key, note } => {
            let found = named(session, &key).await?;
            let path = format!("/admin-keys/{}", found.id);
            let body = AdminKeyChange { note };
            let answer: Answer<AdminKeyInfo> = api.send(Method::PATCH, &path, body).await?;
            out.note("Saved.");
            out.program(&answer)
        }
        Verb::Revoke { key, sure } => {
            let found = named(session, &key).await?;
            let own = found.id == api.key_id();
            session.confirm(sure, &warning(&found, own)).await?;
            let path = format!("/admin-keys/{}", found.id);
            let answer: Answer<AdminKeyInfo> = api.send(Method::DELETE, &path, ()).await?;
            out.note("Revoked.");
            out.program(&answer)
        }
    }
}

/// The admin key of this id, or the one of this name that is not revoked.
async fn named(session: &Session, key: &str) -> Result<Answer<AdminKeyInfo>, CliError> {
    let wanted = |found: &AdminKeyInfo| match Uuid::try_parse(key) {
        Ok(id) => found.id == id,
        Err(_) => *found.name == *key && found.revoked_at.is_none(),
    };
    session
        .find("/admin-keys", ("admin key", key), wanted)
        .await
}

fn warning(key: &AdminKeyInfo, own: bool) -> String {
    let (name, id, role) = (printable(&key.name), key.id, key.role.role);
    let own = if own {
        "\nIt is the key this command uses: it can't be used again."
    } else {
        ""
    };
    format!(
        "This revokes the admin key \"{name}\" ({id}, {role}) permanently.\nPrograms that still use it are refused at once.{own}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn revoking_the_key_in_use_is_pointed_out() {
        let key = json!({"id": "0198c0de-0000-7000-8000-0000000000aa", "name": "night job", "role": "operator"});
        let key: AdminKeyInfo = serde_json::from_value(key).unwrap();
        insta::assert_snapshot!(format!(
            "{}\n\n{}",
            warning(&key, false),
            warning(&key, true)
        ));
    }
}
