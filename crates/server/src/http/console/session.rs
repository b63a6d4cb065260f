//! Who asks: a member with a session, or a stranger who is shown the sign-in page and loses nothing they typed.

use super::acts::{self, Proof};
use super::form::WORD;
use super::prelude::*;
use super::{resume, sign_in};
use crate::auth::opaque_token::OpaqueToken;
use crate::http::body::{self, BodyError};
use crate::http::denied;
use crate::verbs::sign_in::{Origin, person};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use std::net::SocketAddr;
use std::sync::OnceLock;

/// The cookie: only over TLS or on the machine itself, only for this host, never for a script.
pub(super) const COOKIE: &str = "__Host-tokenward";

/// Sets the session's cookie.
pub(super) fn set_cookie(opaque_token: &OpaqueToken) -> HeaderValue {
    let text = opaque_token.expose();
    let cookie = format!(
        "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict",
        text.as_str()
    );
    // The text is base64.
    let mut value = HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static("invalid"));
    value.set_sensitive(true);
    value
}

/// Takes the cookie away.
pub(super) fn clear_cookie() -> HeaderValue {
    HeaderValue::from_static(
        "__Host-tokenward=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0",
    )
}

/// The one cookie of that name; two of them are none, for nobody knows who set which.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let mut own = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name);
    match (own.next(), own.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

/// Where a request comes from.
pub(super) fn origin(parts: &Parts, app: &App) -> Origin {
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(peer)| peer.ip());
    let source = peer.and_then(|peer| app.caller_address(peer, &parts.headers));
    let agent = parts.headers.get(header::USER_AGENT);
    let agent = agent.and_then(|value| value.to_str().ok()).unwrap_or("");
    Origin {
        source,
        agent: agent.to_owned(),
    }
}

/// Who asks, if anybody is signed in.
pub(super) struct Visitor {
    pub(super) person: Option<Person>,
    opaque_token: Option<OpaqueToken>,
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, PageError> {
        let origin = origin(parts, app);
        let opaque_token = cookie(&parts.headers, COOKIE).and_then(OpaqueToken::parse);
        let person = match &opaque_token {
            Some(opaque_token) => person(&app.people, opaque_token, &origin).await?,
            None => None,
        };
        if let Some(person) = &person {
            denied::asks(&parts.extensions, app, || person.admin());
        }
        Ok(Self {
            person,
            opaque_token,
        })
    }
}

/// The server, and a member who looks at a page of it.
pub(super) struct Member(pub(super) Arc<App>, pub(super) Person);

impl FromRequestParts<Arc<App>> for Member {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, PageError> {
        let visitor = Visitor::from_request_parts(parts, app).await?;
        match visitor.person {
            Some(person) => Ok(Self(Arc::clone(app), person)),
            None => {
                let next = parts.uri.path_and_query().map_or("", |path| path.as_str());
                let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
                let address = format!("/console/sign-in?next={next}");
                Err(PageError::Answered(Box::new(see(&address))))
            }
        }
    }
}

/// A member who looks at a page that leads to something destructive: the proof of who they are is fresh, or asked for
/// first.
pub(super) struct SteppedUp(pub(super) Arc<App>, pub(super) Person);

impl FromRequestParts<Arc<App>> for SteppedUp {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, PageError> {
        let Member(server, person) = Member::from_request_parts(parts, app).await?;
        let whole = parts.uri.path_and_query();
        let page = whole.map_or(parts.uri.path(), |whole| whole.as_str());
        super::step_up::first(app, &person, page)?;
        Ok(Self(server, person))
    }
}

/// A member who sends a form of their session. An act that needs a fresh proof asks for it before its handler runs.
pub(super) struct PostedForm {
    pub(super) app: Arc<App>,
    pub(super) person: Person,
    pub(super) form: Form,
    /// Where it was sent to.
    pub(super) path: String,
}

impl FromRequest<Arc<App>> for PostedForm {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let form = read(&parts.headers, body).await?;
        // After the body, which its sender may have held back while the session ended.
        let visitor = Visitor::from_request_parts(&mut parts, app).await?;
        let (Some(person), Some(opaque_token)) = (visitor.person, visitor.opaque_token) else {
            // Nothing typed is lost: it goes through the sign-in and is sent again from there.
            let page = sign_in::again(app, &parts.headers, parts.uri.path(), &form)?;
            return Err(PageError::Answered(Box::new(page)));
        };
        if !opaque_token.is_form_word(form.text(WORD)) {
            return Err(PageError::Foreign);
        }
        let path = parts.uri.path().to_owned();
        if let Some(kept) = parts.extensions.get::<Kept>() {
            let _ = kept.0.set(KeptForm {
                app: Arc::clone(app),
                headers: parts.headers.clone(),
                path: path.clone(),
                form: form.clone(),
            });
        }
        let sent = Self {
            app: Arc::clone(app),
            person,
            form,
            path,
        };
        if acts::proof(&sent.path) == Proof::Fresh {
            sent.must_be_proved().await?;
        }
        Ok(sent)
    }
}

impl PostedForm {
    /// The server, who sends the form, and the form.
    pub(super) fn parts(self) -> (Arc<App>, Person, Form) {
        (self.app, self.person, self.form)
    }

    /// A proof of who one is must be fresh. The form goes through the page that asks for it.
    pub(super) async fn must_be_proved(&self) -> Result<(), PageError> {
        if self.person.is_proved(self.app.data.clock().wall()) {
            return Ok(());
        }
        let page = super::step_up::ask(&self.app, &self.person, &self.path, &self.form).await?;
        Err(PageError::Answered(Box::new(page)))
    }
}

/// The form of a request, for the sign-in page in the place of its answer.
#[derive(Clone, Default)]
struct Kept(Arc<OnceLock<KeptForm>>);

struct KeptForm {
    app: Arc<App>,
    headers: HeaderMap,
    path: String,
    form: Form,
}

/// Marks the answer to a request whose session ended after it was looked up.
#[derive(Clone, Copy)]
pub(super) struct SignedOut;

/// Answers a form whose session ended before its act was decided like a form whose session had ended before it came.
pub(super) async fn ask_to_sign_in(mut request: Request, next: Next) -> Response {
    let kept = Kept::default();
    request.extensions_mut().insert(kept.clone());
    let response = next.run(request).await;
    if response.extensions().get::<SignedOut>().is_none() {
        return response;
    }
    match kept.0.get() {
        Some(kept) => sign_in::again(&kept.app, &kept.headers, &kept.path, &kept.form)
            .unwrap_or_else(IntoResponse::into_response),
        None => response,
    }
}

/// A form from whoever sends it; the router has refused what other sites send.
pub(super) struct Open {
    pub(super) form: Form,
    pub(super) origin: Origin,
    /// The browser that a kept form belongs to; empty when none does.
    pub(super) browser: String,
}

impl FromRequest<Arc<App>> for Open {
    type Rejection = PageError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, PageError> {
        let (parts, body) = request.into_parts();
        let form = read(&parts.headers, body).await?;
        Ok(Self {
            form,
            origin: origin(&parts, app),
            browser: resume::browser_of(&parts.headers),
        })
    }
}

async fn read(headers: &HeaderMap, body: axum::body::Body) -> Result<Form, PageError> {
    if !body::is_form(headers) {
        return Err(PageError::Malformed("this is not a form"));
    }
    let whole = body::read(headers, body).await;
    let whole = whole.map_err(|error| {
        PageError::Malformed(match error {
            BodyError::TooLarge => "the form is too long",
            BodyError::TooSlow => "the form did not arrive in time",
            BodyError::CutOff => "the form was cut off",
        })
    })?;
    Form::read(&whole).ok_or(PageError::Malformed("the form has too many fields"))
}

/// An address inside the console to go on to; anything else, and the start page.
pub(super) fn inside(next: &str) -> &str {
    let plain = next
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let ours = next == "/console" || next.starts_with("/console/");
    // Browsers take `..` out of a path, also where it is percent-encoded, and would come out elsewhere on this host:
    // at the token API, as a request of the same site, with the HTTP Basic they remember.
    let path = next.split(['?', '#']).next().unwrap_or(next);
    let stays = !path.contains("/.") && !path.contains('%');
    if plain && ours && stays && !next.contains("//") {
        next
    } else {
        "/console"
    }
}

/// A page that a signed-in person has no use for.
pub(super) fn home() -> Reply {
    Ok(see("/console"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_out_of_the_console() {
        for good in [
            "/console",
            "/console/clients/1?done=revoked",
            "/console/audit?actor=a%3A..%2Fb",
        ] {
            assert_eq!(inside(good), good);
        }
        let words = "
            https://evil.example //evil.example/console /console//evil.example /consolex /console/\\evil.example
            /console/../integration/v1/authz/token /console/x/../../oauth2/token /console/.. /oauth2/token
            /console/%2e%2e/integration/v1/authz/token /console/.%2E/oauth2/token javascript:alert(1)";
        let blank = ["", "/console/\r\nSet-Cookie: a=b"];
        for bad in words.split_whitespace().chain(blank) {
            assert_eq!(inside(bad), "/console", "{bad}");
        }
    }

    #[test]
    fn two_cookies_are_none() {
        let (one, two) = (OpaqueToken::new(), OpaqueToken::new());
        let headers = |lines: &[String]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::try_from(line).unwrap());
            }
            headers
        };
        let pair =
            |opaque_token: &OpaqueToken| format!("{COOKIE}={}", opaque_token.expose().as_str());
        let found = |lines: &[String]| cookie(&headers(lines), COOKIE).map(str::to_owned);
        let value = one.expose().to_string();
        assert_eq!(found(&[format!("a=b; {}", pair(&one))]), Some(value));
        assert_eq!(found(&[format!("{}; {}", pair(&one), pair(&two))]), None);
        assert_eq!(found(&[pair(&one), pair(&two)]), None);
        assert_eq!(found(&["tokenward=x".to_owned()]), None);
    }
}
