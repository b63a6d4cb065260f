//! A form kept across a sign-in, or across the page that asks who one is. It travels sealed through the browser that
//! sent it: no link and no other site can begin one. It never acts by itself; its sender confirms it.

use super::acts;
use super::prelude::*;
use super::session::{cookie, inside};
use crate::auth::opaque_token::OpaqueToken;
use crate::http::BODY_MAX;
use crate::random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use tokenward_core::seal::NONCE_BYTES;

/// Seconds for which a form is kept.
const KEPT_SECONDS: u64 = 30 * 60;
/// Most bytes of a sealed form: it must fit into a body beside everything else.
const SEALED_MAX: usize = BODY_MAX / 2;
/// Context of the seal.
const CONTEXT: &str = "console form kept while its sender signs in";
/// Binds a kept form to the browser that sent it, where there is no session to bind it to.
const COOKIE: &str = "__Host-tokenward-form";

/// Where a sign-in leads.
#[derive(Clone, Default)]
pub(super) struct Way {
    /// An address inside the console.
    pub(super) next: String,
    /// A sealed form; empty when there is none.
    pub(super) kept: String,
    /// What it is for, in words; empty when nothing is.
    pub(super) act: String,
}

/// A form as it was sent.
#[derive(Serialize, Deserialize)]
struct Kept {
    path: String,
    form: String,
    at: Timestamp,
    /// The browser or the session that it belongs to.
    owner: String,
}

impl Way {
    /// What a link may say: where to go, and nothing else.
    pub(super) fn of_link(query: &Form) -> Self {
        let next = inside(query.text("next")).to_owned();
        let act = next.split('?').next().and_then(acts::at);
        Self {
            act: act.map_or_else(String::new, |act| act.words().to_owned()),
            next,
            kept: String::new(),
        }
    }

    /// What a page of ours carries.
    pub(super) fn of_form(form: &Form) -> Self {
        Self {
            kept: form.text("kept").to_owned(),
            ..Self::of_link(form)
        }
    }

    /// The way back to a form that was sent to `path` by `owner`.
    pub(super) fn back(app: &App, path: &str, form: &Form, owner: &str) -> Self {
        let Some(found) = acts::at(path) else {
            return Self::default();
        };
        let kept = match found.keeps() {
            true => seal(app, path, form, owner),
            false => None,
        };
        Self {
            next: found.page(),
            kept: kept.unwrap_or_default(),
            act: found.words().to_owned(),
        }
    }

    pub(super) fn keeps(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Goes on: to the page that `next` names, or to the page that shows the kept form and asks for confirmation.
    pub(super) async fn go(&self, app: &App, person: &Person, owner: &str) -> Reply {
        let kept = open(app, &self.kept, owner);
        let found = kept.as_ref().and_then(|kept| acts::at(&kept.path));
        let (Some(kept), Some(found)) = (kept, found) else {
            return Ok(see(inside(&self.next)));
        };
        let form = Form::read(kept.form.as_bytes()).unwrap_or_default();
        page(&ResumePage {
            frame: Frame::new(person, found.words(), ""),
            heading: found.described(app, person, &form).await,
            entries: form.kept(),
            button: found.words(),
            back: found.page(),
            path: kept.path,
        })
    }
}

/// What was sent, to be confirmed.
#[derive(Template)]
#[template(path = "console/resume.html")]
struct ResumePage {
    frame: Frame,
    heading: String,
    path: String,
    entries: Vec<(String, String)>,
    button: &'static str,
    back: String,
}

fn seal(app: &App, path: &str, form: &Form, owner: &str) -> Option<String> {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.extend_pairs(form.kept());
    let kept = Kept {
        path: path.to_owned(),
        form: pairs.finish(),
        at: app.data.clock().wall(),
        owner: owner.to_owned(),
    };
    let plain = serde_json::to_vec(&kept).ok()?;
    let nonce: [u8; NONCE_BYTES] = random::bytes();
    let sealed = app.data.keyring.seal_at_rest(CONTEXT, &plain, nonce);
    let text = URL_SAFE_NO_PAD.encode(sealed);
    (text.len() <= SEALED_MAX).then_some(text)
}

fn open(app: &App, sealed: &str, owner: &str) -> Option<Kept> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let plain = app.data.keyring.open_at_rest(CONTEXT, &sealed)?;
    let kept: Kept = serde_json::from_slice(&plain).ok()?;
    let fresh = app.data.clock().wall().seconds_since(kept.at) < KEPT_SECONDS;
    (fresh && !owner.is_empty() && kept.owner == owner).then_some(kept)
}

/// The session at work as an owner.
pub(super) fn session(person: &Person) -> String {
    format!("session {}", person.session.id)
}

fn browser(opaque_token: &OpaqueToken) -> String {
    format!("browser {}", URL_SAFE_NO_PAD.encode(opaque_token.digest()))
}

/// The browser that sent a request, as an owner; empty when it has never been given a name.
pub(super) fn browser_of(headers: &HeaderMap) -> String {
    let opaque_token = cookie(headers, COOKIE).and_then(OpaqueToken::parse);
    opaque_token.as_ref().map_or_else(String::new, browser)
}

/// The browser that sent a request, as an owner, and the cookie that names it from now on.
pub(super) fn named_browser(headers: &HeaderMap) -> (String, HeaderValue) {
    let known = cookie(headers, COOKIE).and_then(OpaqueToken::parse);
    let opaque_token = known.unwrap_or_default();
    let text = opaque_token.expose();
    let set = format!(
        "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={KEPT_SECONDS}",
        text.as_str()
    );
    let mut set = HeaderValue::try_from(set).unwrap_or(HeaderValue::from_static("invalid"));
    set.set_sensitive(true);
    (browser(&opaque_token), set)
}
