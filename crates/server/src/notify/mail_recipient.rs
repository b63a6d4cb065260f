//! What is looked at before a mail goes out: whether its address still wants it, and the links in it. A link's secret is
//! made here, at the moment of sending, and only its digest is kept.

use super::Post;
use super::deliver::{End, Over};
use super::mail::Links;
use crate::app::App;
use crate::auth::opaque_token::OpaqueToken;
use crate::verbs::addresses::{self, CONFIRM, LINK_SECONDS, State};
use tokenward_core::time::{Clock, Timestamp};
use tokenward_store::notices::{AddressWrite, Notice, NoticeAddress, folded_address};
use tokenward_store::people::Record;

/// Most notices in one mail; the rest of what was held back follows in the next.
const IN_ONE_MAIL: usize = 500;

/// The row of the notice's address.
async fn row(app: &App, notice: &Notice) -> Result<Option<NoticeAddress>, End> {
    let address = folded_address(&notice.made.recipient);
    let found = app
        .data
        .store
        .reader()
        .notice_address(notice.made.workspace, &address);
    found.await.map_err(|error| {
        tracing::warn!("a read failed: {error}");
        End::Failed("the store could not be read".into())
    })
}

/// The link that stops notices to this address, if this server knows its own address.
fn stop_link(app: &App, notice: &Notice) -> Option<String> {
    let base = app.data.config.public_url.as_deref()?;
    let made = &notice.made;
    let link = addresses::stop_link(&app.data.keyring, made.workspace, &made.recipient);
    Some(format!("{base}/console/email/stop/{link}"))
}

/// Why an address gets no notices.
fn not_wanted(row: Option<&NoticeAddress>) -> Option<End> {
    let why = match (row, addresses::state(row)) {
        (_, State::Confirmed) => return None,
        (_, State::Stopped) => "the owner of the address stopped notices",
        (None, _) => "no API client names the address any more",
        (Some(_), State::Pending) => "the address is not confirmed",
    };
    Some(End::GivenUp(why.into()))
}

/// Sends one mail.
pub(super) async fn one(app: &App, post: &Post, notice: &Notice) -> End {
    let Some(mail) = &post.mail else {
        return End::Failed("no mail server is configured".into());
    };
    let row = match row(app, notice).await {
        Ok(row) => row,
        Err(end) => return end,
    };
    let made = &notice.made;
    let mut links = Links {
        stop: stop_link(app, notice),
        ..Links::default()
    };
    if made.kind == CONFIRM {
        match confirm_link(app, notice, row.as_ref()).await {
            Ok(link) => links.confirm = Some(link),
            Err(end) => return end,
        }
    } else if let Some(end) = not_wanted(row.as_ref()) {
        return end;
    }
    match mail
        .send(&made.recipient, made.id, &made.body, &links)
        .await
    {
        Ok(()) => End::Delivered,
        Err(why) => End::Failed(why),
    }
}

/// A new confirmation link; the one sent before ends.
async fn confirm_link(
    app: &App,
    notice: &Notice,
    row: Option<&NoticeAddress>,
) -> Result<zeroize::Zeroizing<String>, End> {
    let asked = |row: &NoticeAddress| row.stopped_at.is_none_or(|at| at < notice.made.at);
    match row {
        None => {
            return Err(End::GivenUp(
                "no API client names the address any more".into(),
            ));
        }
        Some(row) if row.confirmed_at.is_some() => {
            return Err(End::GivenUp("the address is confirmed already".into()));
        }
        Some(row) if !asked(row) => {
            let why = "the owner of the address stopped notices";
            return Err(End::GivenUp(why.into()));
        }
        Some(_) => {}
    }
    let Some(base) = &app.data.config.public_url else {
        return Err(End::Failed(
            "public_url is not set, so there is no link to send".into(),
        ));
    };
    let opaque_token = OpaqueToken::new();
    let linked = AddressWrite::Linked {
        workspace: notice.made.workspace,
        address: folded_address(&notice.made.recipient),
        digest: opaque_token.digest(),
        till: app.data.clock().wall().plus_seconds(LINK_SECONDS),
    };
    let kept = app
        .data
        .store
        .note(vec![Record::NoticeAddress(linked)], Vec::new());
    if let Err(failure) = kept.await {
        tracing::warn!("a confirmation link could not be kept: {failure}");
        return Err(End::Failed("the link could not be kept".into()));
    }
    let text = opaque_token.expose();
    Ok(zeroize::Zeroizing::new(format!(
        "{base}/console/email/confirm/{}",
        text.as_str()
    )))
}

/// Sends what was held back for an address and a workspace in one mail.
pub(super) async fn held(app: &App, post: &Post, first: &Notice, now: Timestamp) -> Over {
    let failed = |why: &str| Over::one(app, first, End::Failed(why.into()));
    let made = &first.made;
    let found = app
        .data
        .store
        .reader()
        .held(&made.recipient, now, IN_ONE_MAIL)
        .await;
    let mut all = match found {
        Ok(all) => all,
        Err(error) => {
            tracing::warn!("a read failed: {error}");
            return failed("the store could not be read");
        }
    };
    all.retain(|notice| notice.made.workspace == made.workspace);
    // It may lie behind the page that was read.
    if all.len() < 2 || !all.iter().any(|notice| notice.no == first.no) {
        let end = one(app, post, first).await;
        return Over::one(app, first, end);
    }
    let end = match (row(app, first).await, &post.mail) {
        (Err(end), _) => end,
        (Ok(_), None) => End::Failed("no mail server is configured".into()),
        (Ok(row), Some(mail)) => match not_wanted(row.as_ref()) {
            Some(end) => end,
            None => {
                let bodies: Vec<&str> = all.iter().map(|one| one.made.body.as_str()).collect();
                let links = Links {
                    stop: stop_link(app, first),
                    ..Links::default()
                };
                match mail
                    .send_all(&made.recipient, made.id, &bodies, &links)
                    .await
                {
                    Ok(()) => End::Delivered,
                    Err(why) => End::Failed(why),
                }
            }
        },
    };
    let all = all
        .into_iter()
        .map(|notice| (notice, end.clone()))
        .collect();
    Over::many(app, first, all)
}
