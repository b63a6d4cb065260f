//! `tokenward member`.

use super::confirm::{Agreement, Sure};
use super::error::CliError;
use super::once::Once;
use super::pages::{Found, Pages, Portion};
use super::role::{Role, Within};
use super::session::{Session, id_of, only};
use super::table::printable;
use super::views;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use uuid::Uuid;

/// Told with `member --help` and `member invite --help`.
const WAY_BACK: &str = "Locked out of the console? An operator's admin key is the way back in, for members too:\n  \
    tokenward member invite --role operator --email you@example.com\n\
    Open the link and choose a new password; it replaces what was set before.";

/// Commands on members.
#[derive(clap::Subcommand, Debug)]
#[command(after_help = WAY_BACK)]
pub(crate) enum Verb {
    /// List members, then those who are invited.
    List(Portion),
    /// Invite somebody, or let a member back in; the link goes to standard output, once.
    #[command(after_help = WAY_BACK)]
    Invite(InviteArgs),
    /// Give a member another role, disable or enable them. A role with more rights ends their sessions and sign-in
    /// methods; the link to set new ones goes to standard output, once.
    Change(ChangeArgs),
    /// Remove a member; their sessions end at once.
    Remove {
        /// Their id or e-mail address.
        member: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Withdraw an invitation. Its link stops working at once.
    Withdraw {
        /// Its id, or the e-mail address invited.
        invitation: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// An invitation.
#[derive(clap::Args, Debug)]
pub(crate) struct InviteArgs {
    /// The e-mail address they sign in with.
    #[arg(long)]
    email: String,
    /// What they may do; of a member who is let back in, their own role.
    #[arg(long, value_enum)]
    role: Role,
    #[command(flatten)]
    within: Within,
    /// Write the link into this new file, readable by you alone, instead of to standard output.
    #[arg(long, value_name = "PATH")]
    link_file: Option<PathBuf>,
    #[command(flatten)]
    sure: Sure,
}

/// What is to be different.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("change").args(["role", "disable", "enable"]).multiple(true).required(true))]
pub(crate) struct ChangeArgs {
    /// Their id or e-mail address.
    member: String,
    /// What they may do from now on.
    #[arg(long, value_enum)]
    role: Option<Role>,
    #[command(flatten)]
    within: Within,
    /// Let them sign in no more; their sessions end at once.
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Let them sign in again.
    #[arg(long)]
    enable: bool,
    /// Write the link that a role with more rights needs into this new file, readable by you alone, instead of to
    /// standard output.
    #[arg(long, value_name = "PATH", requires = "role")]
    link_file: Option<PathBuf>,
    #[command(flatten)]
    sure: Sure,
}

/// Carries out one command.
pub(crate) async fn run(verb: Verb, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    match verb {
        Verb::List(portion) => {
            let mut both =
                ["/members", "/invitations"].map(|path| Pages::new(api, path, Vec::new(), None));
            out.lists_up_to(&mut both, portion.limit, |_| true, views::people)
                .await
        }
        Verb::Invite(args) => invite(args, session).await,
        Verb::Change(args) => change(args, session).await,
        Verb::Remove { member, sure } => {
            let found = find(session, "/members", "member", &member).await?;
            session
                .confirm(sure, &warning("removes", &found), Agreement::Yes)
                .await?;
            let path = format!("/members/{}", id_of(found)?);
            api.send(Method::DELETE, &path, None).await?;
            out.note("Removed.");
            Ok(())
        }
        Verb::Withdraw { invitation, sure } => {
            let found = find(session, "/invitations", "invitation", &invitation).await?;
            let told = format!(
                "This withdraws the invitation of {}: its link stops working at once.",
                name(&found)
            );
            session.confirm(sure, &told, Agreement::Yes).await?;
            let path = format!("/invitations/{}", id_of(found)?);
            api.send(Method::DELETE, &path, None).await?;
            out.note("Withdrawn.");
            Ok(())
        }
    }
}

async fn invite(args: InviteArgs, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    let mut pending = Pages::new(api, "/invitations", Vec::new(), None);
    let is_theirs = |one: &Value| one["email"] == args.email.trim().to_lowercase().as_str();
    if !matches!(pending.find(is_theirs).await?, Found::None) {
        let impact = format!(
            "There is a pending invitation of {}. A new one ends it: the link sent before stops working.",
            printable(&args.email)
        );
        session.confirm(args.sure, &impact, Agreement::Yes).await?;
    }
    let once = Once::new(args.link_file.as_deref())?;
    let mut body = args.within.members(args.role, session).await?;
    body.insert("email".to_owned(), json!(args.email));
    let mut made = api
        .send(Method::POST, "/members", Some(&Value::Object(body)))
        .await?;
    let Some(path) = made["join_path"].as_str() else {
        let why = "the server's answer holds no link; invite again";
        return Err(CliError::Failed(why.to_owned()));
    };
    made["link"] = json!(format!("{}{path}", api.base()));
    // The path alone is the link too: it is not to be in an answer that goes without the link.
    if let Some(members) = made.as_object_mut() {
        members.remove("join_path");
    }
    out.note(&format!(
        "{} is invited till {}. Send them the link by a way that only they read; it works once.",
        name(&made["invitation"]),
        views::text(&made["invitation"]["expires_at"])
    ));
    out.note(
        "It begins with the address used here: put the one they reach the server by in its place.",
    );
    once.deliver(&mut made, "link", "link", out)
}

async fn change(args: ChangeArgs, session: &Session) -> Result<(), CliError> {
    let found = find(session, "/members", "member", &args.member).await?;
    let mut body = match args.role {
        Some(role) => args.within.members(role, session).await?,
        None => Map::new(),
    };
    let impact = match (args.disable, args.role) {
        (true, _) => Some(warning("disables", &found)),
        (false, Some(role)) => Some(format!(
            "This gives the member {} the role {} in place of {}.",
            name(&found),
            role.as_str(),
            printable(&views::text(&found["role"]))
        )),
        (false, None) => None,
    };
    if let Some(impact) = impact {
        session.confirm(args.sure, &impact, Agreement::Yes).await?;
    }
    if args.disable || args.enable {
        body.insert("disabled".to_owned(), json!(args.disable));
    }
    let once = Once::new(args.link_file.as_deref())?;
    let path = format!("/members/{}", id_of(found)?);
    let Session { api, out } = session;
    let mut changed = api
        .send(Method::PATCH, &path, Some(&Value::Object(body)))
        .await?;
    let join_path = changed
        .as_object_mut()
        .and_then(|members| members.remove("join_path"));
    let Some(path) = join_path.as_ref().and_then(Value::as_str) else {
        return out.object(&changed, views::person);
    };
    changed["link"] = json!(format!("{}{path}", api.base()));
    out.note(&format!(
        "The new role allows more, so {} is signed out and has to set a new password. Send them the link by a way that only they read; it works once, for seven days.",
        name(&changed)
    ));
    out.note(
        "It begins with the address used here: put the one they reach the server by in its place.",
    );
    once.deliver(&mut changed, "link", "link", out)
}

/// One of a list, by its id or e-mail address.
async fn find(session: &Session, path: &str, what: &str, named: &str) -> Result<Value, CliError> {
    let email = named.trim().to_lowercase();
    let wanted = |found: &Value| match Uuid::try_parse(named) {
        Ok(id) => found["id"] == id.to_string(),
        Err(_) => found["email"] == email.as_str(),
    };
    let mut pages = Pages::new(&session.api, path, Vec::new(), None);
    only(pages.find(wanted).await?, what, named)
}

fn name(one: &Value) -> String {
    match one["email"].as_str() {
        Some(email) => printable(email),
        None => "the first operator".to_owned(),
    }
}

fn warning(act: &str, member: &Value) -> String {
    let role = printable(&views::text(&member["role"]));
    format!(
        "This {act} the member {} ({role}).\nThey are signed out everywhere from that moment. Admin keys they know stay good.",
        name(member)
    )
}
