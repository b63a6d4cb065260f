//! `tokenward admin-key`.

use super::confirm::{Agreement, Sure};
use super::error::CliError;
use super::once::Once;
use super::pages::{Pages, Portion};
use super::role::{Role, Within};
use super::session::{Session, id_of, only};
use super::settings::{Span, span};
use super::table::printable;
use super::views;
use reqwest::Method;
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::PathBuf;
use tokenward_api::FIRST_KEY;
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
}

/// Carries out one command.
pub(crate) async fn run(verb: Verb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        Verb::List(portion) => {
            let pages = Pages::new(api, "/admin-keys", Vec::new(), portion.limit);
            let first = Cell::new(false);
            let seen = |key: &Value| {
                let active = key["revoked_at"].is_null();
                first.set(first.get() || active && key["name"] == FIRST_KEY);
                true
            };
            out.lists(&mut [pages], seen, views::admin_keys).await?;
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
            let mut body = args.within.members(args.role, session).await?;
            body.insert("name".to_owned(), json!(args.name));
            if let Span::Seconds(seconds) = args.expires_in {
                body.insert("expires_in_seconds".to_owned(), json!(seconds));
            }
            let body = Value::Object(body);
            let mut made = api.send(Method::POST, "/admin-keys", Some(&body)).await?;
            out.note(&format!(
                "admin key {}",
                views::text(&made["admin_key"]["id"])
            ));
            once.deliver(&mut made, "key", "admin key", out)
        }
        Verb::Revoke { key, sure } => {
            let mut pages = Pages::new(api, "/admin-keys", Vec::new(), None);
            let wanted = |found: &Value| match Uuid::try_parse(&key) {
                Ok(id) => found["id"] == id.to_string(),
                Err(_) => found["name"] == key.as_str() && found["revoked_at"].is_null(),
            };
            let found = only(pages.find(wanted).await?, "admin key", &key)?;
            let own = found["id"] == api.key_id().to_string();
            session
                .confirm(sure, &warning(&found, own), Agreement::Yes)
                .await?;
            let answer = api
                .send(
                    Method::DELETE,
                    &format!("/admin-keys/{}", id_of(found)?),
                    None,
                )
                .await?;
            out.note("Revoked.");
            if out.json { out.json(&answer) } else { Ok(()) }
        }
    }
}

fn warning(key: &Value, own: bool) -> String {
    let name = printable(&views::text(&key["name"]));
    let id = printable(&views::text(&key["id"]));
    let role = printable(&views::text(&key["role"]));
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

    #[test]
    fn revoking_the_key_in_use_is_pointed_out() {
        let key = json!({"id": "0198c0de-0000-7000-8000-0000000000aa", "name": "night job", "role": "operator"});
        insta::assert_snapshot!(format!(
            "{}\n\n{}",
            warning(&key, false),
            warning(&key, true)
        ));
    }
}
