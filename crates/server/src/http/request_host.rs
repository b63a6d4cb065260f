//! The host of a request to the public listener, settled before anything else reads it: afterwards the `Host` header
//! holds the one host the request is for, whatever the protocol, and `X-Forwarded-Host` is there only if a trusted proxy
//! has said it.

use crate::app::App;
use crate::config::host::Host;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use ipnet::IpNet;
use std::net::IpAddr;

static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What commands and links name when nobody has said where this server is reached.
pub(crate) const PLACEHOLDER: &str = "https://tokens.example.com";

/// The request names no host, several, or one that can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadHost;

/// Makes the `Host` header hold the host the request is for (RFC 9112, section 3.2; RFC 9113, section 8.3.1). An
/// absolute address or `:authority` that differs from the header is refused.
pub(crate) fn settle<B>(
    request: &mut Request<B>,
    peer: IpAddr,
    trusted: &[IpNet],
) -> Result<(), BadHost> {
    let mut values = request.headers().get_all(header::HOST).iter();
    let named = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => Some(read(value).ok_or(BadHost)?),
        (Some(_), Some(_)) => return Err(BadHost),
    };
    let target = match request.uri().authority() {
        None => None,
        Some(authority) => Some(Host::parse(authority.as_str()).ok_or(BadHost)?),
    };
    let is_http2 = request.version() == http::Version::HTTP_2;
    let host = match (named, target) {
        (Some(named), Some(target)) if named != target => return Err(BadHost),
        (Some(host), _) => host,
        (None, Some(host)) if is_http2 => host,
        (None, _) => return Err(BadHost),
    };
    let text = HeaderValue::try_from(host.to_string()).map_err(|_| BadHost)?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, text);
    if !trusted.iter().any(|network| network.contains(&peer)) {
        headers.remove(&FORWARDED_HOST);
    }
    Ok(())
}

fn read(value: &HeaderValue) -> Option<Host> {
    Host::parse(value.to_str().ok()?)
}

/// The only value of a header; of several there is none.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The host of a settled request.
pub(crate) fn of(headers: &HeaderMap) -> Option<Host> {
    only(headers, &header::HOST).and_then(read)
}

/// The host the caller used: as a trusted proxy says, else that of the request.
fn outer(headers: &HeaderMap) -> Option<Host> {
    only(headers, &FORWARDED_HOST)
        .and_then(read)
        .or_else(|| of(headers))
}

/// Whether the caller reached this machine by its own name, without a proxy between that says otherwise.
pub(crate) fn is_here(headers: &HeaderMap) -> bool {
    outer(headers).is_some_and(|host| host.is_loopback())
}

/// Whether the caller's connection is encrypted, as far as can be told: by TLS of ours, or of a proxy that says so. Any
/// peer is believed here, for the word only ever makes an address `https`.
pub(crate) fn is_encrypted(app: &App, headers: &HeaderMap) -> bool {
    app.data.config.public_has_tls()
        || only(headers, &FORWARDED_PROTO)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// The address this server is configured to be reached at, without a slash at the end.
fn configured(app: &App) -> Option<&str> {
    let config = &app.data.config;
    let known = config.public_url.as_ref().or(config.issuer.as_ref());
    known.map(|known| known.trim_end_matches('/'))
}

/// Whether this server's address is configured, so that no request decides on it.
pub(crate) fn is_configured(app: &App) -> bool {
    configured(app).is_some()
}

/// The issuer of OAuth metadata (RFC 8414), to the letter where it is configured.
pub(crate) fn issuer(app: &App, headers: &HeaderMap) -> String {
    match &app.data.config.issuer {
        Some(issuer) => issuer.clone(),
        None => base_url(app, headers),
    }
}

/// The address the caller reached this server at, without a slash at the end: as configured, else by the request.
pub(crate) fn base_url(app: &App, headers: &HeaderMap) -> String {
    if let Some(known) = configured(app) {
        return known.to_owned();
    }
    // Between machines nothing is said to be reached without TLS: a client would send its secret there in the clear.
    let scheme = match is_here(headers) && !is_encrypted(app, headers) {
        true => "http",
        false => "https",
    };
    match outer(headers) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://localhost"),
    }
}

/// The same for a page with commands that hold a secret: a host that only the request names is not repeated, for
/// whoever copies the command would send the secret there. Loopback, the listener's own address and hosts of the
/// configuration are.
pub(crate) fn base_url_for_secrets(app: &App, headers: &HeaderMap) -> String {
    let known = |host: &Host| {
        host.is_loopback()
            || host.address() == Some(app.data.config.public.ip())
            || app.data.config.environment_hosts.contains_key(host.name())
    };
    match is_configured(app) || outer(headers).as_ref().is_some_and(known) {
        true => base_url(app, headers),
        false => PLACEHOLDER.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn request(uri: &str, version: http::Version, headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().uri(uri).version(version);
        let add = |builder: http::request::Builder, (name, value): &(&str, &str)| {
            builder.header(*name, *value)
        };
        headers.iter().fold(builder, add).body(()).unwrap()
    }

    #[track_caller]
    fn check(uri: &str, version: http::Version, hosts: &[&str], expect: Option<&str>) {
        let headers: Vec<(&str, &str)> = hosts.iter().map(|host| ("host", *host)).collect();
        let mut request = request(uri, version, &headers);
        let settled = settle(&mut request, PEER, &[]);
        let seen = settled
            .ok()
            .and_then(|()| of(request.headers()))
            .map(|host| host.to_string());
        assert_eq!(seen.as_deref(), expect, "{uri} {hosts:?}");
    }

    #[test]
    fn each_form_of_a_request_names_one_host() {
        use http::Version as V;
        check(
            "/x",
            V::HTTP_11,
            &["Api.example.com."],
            Some("api.example.com"),
        );
        check("/x", V::HTTP_11, &[], None);
        check("/x", V::HTTP_10, &[], None);
        check("/x", V::HTTP_11, &["a", "a"], None);
        check("/x", V::HTTP_11, &["x@a"], None);
        check("http://a/x", V::HTTP_11, &["a"], Some("a"));
        check("http://a/x", V::HTTP_11, &["b"], None);
        check("http://a/x", V::HTTP_11, &[], None);
        check("http://a:8443/x", V::HTTP_2, &[], Some("a:8443"));
        check("http://a/x", V::HTTP_2, &["a"], Some("a"));
        check("http://a/x", V::HTTP_2, &["b"], None);
        check("http://x@a/x", V::HTTP_2, &[], None);
        check("/x", V::HTTP_2, &[], None);
    }

    #[test]
    fn what_a_proxy_says_is_kept_only_if_it_is_trusted() {
        let said = [("host", "inner"), ("x-forwarded-host", "outer.example.com")];
        let mut untrusted = request("/", http::Version::HTTP_11, &said);
        settle(&mut untrusted, PEER, &[]).unwrap();
        assert_eq!(outer(untrusted.headers()).unwrap().to_string(), "inner");
        let mut trusted = request("/", http::Version::HTTP_11, &said);
        settle(&mut trusted, PEER, &["127.0.0.1/32".parse().unwrap()]).unwrap();
        let outer = outer(trusted.headers()).unwrap();
        assert_eq!(outer.to_string(), "outer.example.com");
    }
}
