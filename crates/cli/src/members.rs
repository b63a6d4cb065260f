//! `tokenward member`.

use super::api::Answer;
use super::confirm::Sure;
use super::error::CliError;
use super::once::Once;
use super::pages::{Found, Pages, Portion};
use super::role::{Role, Within};
use super::session::Session;
use super::table::printable;
use super::views::{self, Person};
use reqwest::Method;
use serde_json::Value;
use std::path::PathBuf;
use tokenward_api::{
    Invitation, JoinPath, Member, MemberChange, MemberChanged, MemberInvite, MemberInvited,
};
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
            out.lists(&mut both, portion.limit, |_: &Person| true, views::people)
                .await
        }
        Verb::Invite(args) => invite(args, session).await,
        Verb::Change(args) => change(args, session).await,
        Verb::Remove { member, sure } => {
            let found = find_member(session, &member).await?;
            session.confirm(sure, &warning("removes", &found)).await?;
            let path = format!("/members/{}", found.id);
            session.delete(&path, "Removed.").await
        }
        Verb::Withdraw { invitation, sure } => {
            let email = invitation.trim().to_lowercase();
            let wanted = |found: &Invitation| match Uuid::try_parse(&invitation) {
                Ok(id) => found.id == id,
                Err(_) => found.email.as_deref() == Some(email.as_str()),
            };
            let named = ("invitation", &*invitation);
            let found = session.find("/invitations", named, wanted).await?;
            let told = format!(
                "This withdraws the invitation of {}: its link stops working at once.",
                invited(&found)
            );
            session.confirm(sure, &told).await?;
            let path = format!("/invitations/{}", found.id);
            session.delete(&path, "Withdrawn.").await
        }
    }
}

async fn invite(args: InviteArgs, session: &Session) -> Result<(), CliError> {
    let Session { api, out } = session;
    let mut pending = Pages::new(api, "/invitations", Vec::new(), None);
    let email = args.email.trim().to_lowercase();
    let is_theirs = |one: &Invitation| one.email.as_deref() == Some(email.as_str());
    if !matches!(pending.find(is_theirs).await?, Found::None) {
        let impact = format!(
            "There is a pending invitation of {}. A new one ends it: the link sent before stops working.",
            printable(&args.email)
        );
        session.confirm(args.sure, &impact).await?;
    }
    let once = Once::new(args.link_file.as_deref())?;
    let (workspace_id, products) = args.within.resolve(session).await?;
    let body = MemberInvite {
        email: args.email,
        role: args.role.as_str().to_owned(),
        workspace_id,
        products,
    };
    let mut made: Answer<MemberInvited> = api.send(Method::POST, "/members", body).await?;
    out.note(&format!(
        "{} is invited till {}. Send them the link by a way that only they read; it works once.",
        invited(&made.invitation),
        made.invitation.expires_at
    ));
    let path = made.join_path.clone();
    deliver_link(once, &mut made.json, &path, session)
}

/// Delivers an answer with the whole link in the place of its path. The path alone is the link too: it is not to be in an
/// answer that goes without the link.
fn deliver_link(
    once: Once,
    answer: &mut Value,
    path: &JoinPath,
    session: &Session,
) -> Result<(), CliError> {
    let Session { api, out } = session;
    if let Some(members) = answer.as_object_mut() {
        members.remove("join_path");
        let link = format!("{}{}", api.base(), *path.0);
        members.insert("link".to_owned(), link.into());
    }
    out.note(
        "It begins with the address used here: put the one they reach the server by in its place.",
    );
    once.deliver(answer, "link", "link", out)
}

async fn change(args: ChangeArgs, session: &Session) -> Result<(), CliError> {
    let found = find_member(session, &args.member).await?;
    let (workspace_id, products) = args.within.resolve(session).await?;
    let body = MemberChange {
        role: args.role.map(|role| role.as_str().to_owned()),
        workspace_id,
        products,
        disabled: (args.disable || args.enable).then_some(args.disable),
    };
    let impact = match (args.disable, args.role) {
        (true, _) => Some(warning("disables", &found)),
        (false, Some(role)) => Some(format!(
            "This gives the member {} the role {} in place of {}.",
            printable(&found.email),
            role.as_str(),
            found.role.role
        )),
        (false, None) => None,
    };
    if let Some(impact) = impact {
        session.confirm(args.sure, &impact).await?;
    }
    let once = Once::new(args.link_file.as_deref())?;
    let path = format!("/members/{}", found.id);
    let Session { api, out } = session;
    let mut changed: Answer<MemberChanged> = api.send(Method::PATCH, &path, body).await?;
    let Some(path) = changed.join_path.clone() else {
        if let Some(members) = changed.json.as_object_mut() {
            members.remove("join_path");
        }
        return out.object(&changed, |changed| views::person(&changed.member));
    };
    out.note(&format!(
        "The new role allows more, so {} is signed out and has to set a new password. Send them the link by a way that only they read; it works once, for seven days.",
        printable(&changed.member.email)
    ));
    deliver_link(once, &mut changed.json, &path, session)
}

/// A member, by their id or e-mail address.
async fn find_member(session: &Session, named: &str) -> Result<Answer<Member>, CliError> {
    let email = named.trim().to_lowercase();
    let wanted = |found: &Member| match Uuid::try_parse(named) {
        Ok(id) => found.id == id,
        Err(_) => found.email == email,
    };
    session.find("/members", ("member", named), wanted).await
}

fn invited(invitation: &Invitation) -> String {
    match &invitation.email {
        Some(email) => printable(email),
        None => "the first operator".to_owned(),
    }
}

fn warning(act: &str, member: &Member) -> String {
    format!(
        "This {act} the member {} ({}).\nThey are signed out everywhere from that moment. Admin keys they know stay good.",
        printable(&member.email),
        member.role.role
    )
}
