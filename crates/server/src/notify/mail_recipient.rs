//! What is looked at before a mail goes out: whether its address still wants it, and the links in it. A link's secret is
//! made here, at the moment of sending, and only its digest is kept.

use super::Post;
use super::deliver::{End, Over, Undelivered};
use super::mail::{Links, Mailer};
use crate::app::App;
use crate::auth::opaque_token::OpaqueToken;
use crate::verbs::addresses::{self, CONFIRM, LINK_SECONDS, State};
use tokenward_core::time::{Clock, Timestamp};
use tokenward_store::notices::{AddressWrite, Notice, NoticeAddress, folded_address};
use tokenward_store::people::Record;
use zeroize::Zeroizing;

/// Most notices in one mail; the rest of what was held back follows in the next.
const IN_ONE_MAIL: usize = 500;

/// The row of the notice's address.
async fn row(app: &App, notice: &Notice) -> Result<Option<NoticeAddress>, Undelivered> {
    let address = folded_address(&notice.made.recipient);
    let reader = app.data.reader();
    Ok(reader
        .notice_address(notice.made.workspace, &address)
        .await?)
}

/// The link that stops notices to this address, if this server knows its own address.
fn stop_link(app: &App, notice: &Notice) -> Option<String> {
    let base = app.data.config.public_url.as_deref()?;
    let made = &notice.made;
    let link = addresses::stop_link(&app.data.keyring, made.workspace, &made.recipient);
    Some(format!("{base}/console/email/stop/{link}"))
}

/// Refuses an address that gets no notices.
fn must_be_wanted(row: Option<&NoticeAddress>) -> End {
    let why = match (row, addresses::state(row)) {
        (_, State::Confirmed) => return Ok(()),
        (_, State::Stopped) => "the owner of the address stopped notices",
        (None, _) => "no API client names the address any more",
        (Some(_), State::Pending | State::Unknown) => "the address is not confirmed",
    };
    Err(Undelivered::given_up(why))
}

fn mailer(post: &Post) -> Result<&Mailer, Undelivered> {
    let none = || Undelivered::failed("no mail server is configured");
    post.mail.as_ref().ok_or_else(none)
}

/// Sends one mail.
pub(super) async fn one(app: &App, post: &Post, notice: &Notice) -> End {
    let (mail, made) = (mailer(post)?, &notice.made);
    let row = row(app, notice).await?;
    let mut links = Links {
        stop: stop_link(app, notice),
        ..Links::default()
    };
    if made.kind == CONFIRM {
        links.confirm = Some(confirm_link(app, notice, row.as_ref()).await?);
    } else {
        must_be_wanted(row.as_ref())?;
    }
    let sent = mail.send(&made.recipient, made.id, &made.body, &links);
    Ok(sent.await?)
}

/// A new confirmation link; the one sent before ends.
async fn confirm_link(
    app: &App,
    notice: &Notice,
    row: Option<&NoticeAddress>,
) -> Result<Zeroizing<String>, Undelivered> {
    let asked = |row: &NoticeAddress| row.stopped_at.is_none_or(|at| at < notice.made.at);
    let over = match row {
        None => Some("no API client names the address any more"),
        Some(row) if row.confirmed_at.is_some() => Some("the address is confirmed already"),
        Some(row) if !asked(row) => Some("the owner of the address stopped notices"),
        Some(_) => None,
    };
    if let Some(why) = over {
        return Err(Undelivered::given_up(why));
    }
    let unset = || Undelivered::failed("public_url is not set, so there is no link to send");
    let base = app.data.config.public_url.as_ref().ok_or_else(unset)?;
    let opaque_token = OpaqueToken::new();
    let linked = AddressWrite::Linked {
        workspace: notice.made.workspace,
        address: folded_address(&notice.made.recipient),
        digest: opaque_token.digest(),
        till: app.data.clock().wall().plus_seconds(LINK_SECONDS),
    };
    let kept = app.data.note(vec![Record::NoticeAddress(linked)]);
    if let Err(failure) = kept.await {
        tracing::warn!("a confirmation link could not be kept: {failure}");
        return Err(Undelivered::failed("the link could not be kept"));
    }
    let text = opaque_token.expose();
    Ok(Zeroizing::new(format!(
        "{base}/console/email/confirm/{}",
        text.as_str()
    )))
}

/// Sends what was held back for an address and a workspace in one mail.
pub(super) async fn held(app: &App, post: &Post, first: &Notice, now: Timestamp) -> Over {
    let made = &first.made;
    let found = app.data.reader().held(&made.recipient, now, IN_ONE_MAIL);
    let mut all = match found.await {
        Ok(all) => all,
        Err(error) => return Over::one(app, first, Err(error.into())),
    };
    all.retain(|notice| notice.made.workspace == made.workspace);
    // It may lie behind the page that was read.
    if all.len() < 2 || !all.iter().any(|notice| notice.no == first.no) {
        let end = one(app, post, first).await;
        return Over::one(app, first, end);
    }
    let sending = async {
        let row = row(app, first).await?;
        let mail = mailer(post)?;
        must_be_wanted(row.as_ref())?;
        let bodies: Vec<&str> = all.iter().map(|one| one.made.body.as_str()).collect();
        let links = Links {
            stop: stop_link(app, first),
            ..Links::default()
        };
        let sent = mail.send_all(&made.recipient, made.id, &bodies, &links);
        Ok::<_, Undelivered>(sent.await?)
    };
    let end = sending.await;
    let all = all.into_iter().map(|notice| (notice, end.clone()));
    Over::many(app, first, all.collect())
}
