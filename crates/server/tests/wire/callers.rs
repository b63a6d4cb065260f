//! Who may ask on an internal listener with a client authority: a matrix of certificates and requests, each with its
//! answer and its sentence in the log.

use crate::house::LIMIT;
use reqwest::{Certificate, Client, Identity, Method};
use std::path::PathBuf;
use std::sync::Arc;
use tokenward_testkit::{
    Answer, Authority, NewClient, Server, assert_contains, http, wait_until, words as words_of,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Years in which a certificate is valid that is neither old nor new.
const NOW: (i32, i32) = (2020, 2099);

/// A server whose callers must show certificates, and the files it reads.
struct Guarded {
    server: Server,
    authority: Authority,
    /// The authority of the server's own certificate.
    own: Authority,
    authority_file: PathBuf,
    token: String,
    _folder: tempfile::TempDir,
}

impl Guarded {
    async fn start() -> Guarded {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let authority = Authority::new("gateways");
        let own = Authority::new("servers");
        let (certificate, key) = own.issue(&["127.0.0.1"], NOW);
        let authority_file = write("authority.pem", authority.pem());
        let configuration = format!(
            "internal_tls_certificate = {:?}\ninternal_tls_key = {:?}\ninternal_client_authority = {authority_file:?}\n\
             [internal_callers]\n\
             \"Gateway.Internal\" = [\"production/gst\"]\n\
             \"spiffe://cluster/ns/edge/sa/envoy\" = [\"*/*\", \"introspect\"]\n\
             \"issued in a test\" = [\"sandbox/*\"]\n\
             \"prometheus.internal\" = [\"metrics\"]\n",
            write("server.pem", &certificate),
            write("server.key", &key),
        );
        let configuration = write("tokenward.toml", &configuration);
        let server = Server::builder()
            .args(&["--config", configuration.to_str().unwrap()])
            .start();
        let api = server.api();
        let acme = api.workspace("acme").await.unwrap();
        for slug in ["gst", "e-invoice"] {
            api.product(slug, slug).await.unwrap();
        }
        let client = api.client(&acme, NewClient::production("erp")).await;
        let secret = client.unwrap().secret;
        let token = api.generate(&secret).await.unwrap().token().access_token;
        Guarded {
            server,
            authority,
            own,
            authority_file,
            token,
            _folder: folder,
        }
    }

    /// A caller with this certificate; over HTTP/1, or HTTP/2 as TLS agrees on it.
    fn caller(&self, identity: Option<(String, String)>, http1: bool) -> Client {
        let trusted = Certificate::from_pem(self.own.pem().as_bytes()).unwrap();
        let mut builder = http().tls_certs_only([trusted]);
        if let Some((certificate, key)) = identity {
            let pem = format!("{certificate}{key}");
            builder = builder.identity(Identity::from_pem(pem.as_bytes()).unwrap());
        }
        if http1 {
            builder = builder.http1_only();
        }
        builder.build().unwrap()
    }

    async fn ask(&self, caller: &Client, method: Method, path: &str) -> Option<Answer> {
        let address = format!("{}{path}", self.server.internal());
        let mut request = caller
            .request(method.clone(), address)
            .header("x-cleartax-auth-token", &self.token);
        if method == Method::POST {
            request = request.form(&[("token", &self.token)]);
        }
        self.server.api().send(request).await.ok()
    }

    /// Waits for a line of the log with all of these words.
    fn logged(&self, words: &[&str]) {
        wait_until(&format!("a line with {words:?}"), LIMIT, || {
            let output = self.server.output();
            let has = |line: &str| words.iter().all(|word| line.contains(word));
            output.lines().any(has)
        });
    }
}

/// Who, and what it asks; the status, and the code or a word of the body, `-` for an empty one.
const ASKED: &str = "
none GET /health/ready 200 ready
none GET /health/live 200 live
none GET /check/production/gst 403 CALLER_NOT_ALLOWED
none GET /metrics 403 CALLER_NOT_ALLOWED
none POST /oauth2/introspect 403 access_denied
gateway GET /check/production/gst 200 -
gateway GET /check/production/e-invoice 403 CALLER_NOT_ALLOWED
gateway GET /check/sandbox/gst 403 CALLER_NOT_ALLOWED
gateway GET /check/production/none 403 CALLER_NOT_ALLOWED
gateway GET /metrics 403 CALLER_NOT_ALLOWED
gateway POST /oauth2/introspect/production/gst 200 true
gateway POST /oauth2/introspect/production/e-invoice 403 access_denied
gateway POST /oauth2/introspect 403 access_denied
envoy GET /check/production/gst 200 -
envoy GET /check/production/e-invoice 200 -
envoy GET /check/production/none 404 PRODUCT_UNKNOWN
envoy POST /oauth2/introspect 200 true
envoy GET /metrics 403 CALLER_NOT_ALLOWED
envoy-in-other-case GET /check/production/gst 403 CALLER_NOT_ALLOWED
common-name GET /check/sandbox/gst 401 ENVIRONMENT_MISMATCH
common-name GET /check/production/gst 403 CALLER_NOT_ALLOWED
unlisted GET /check/sandbox/gst 403 CALLER_NOT_ALLOWED
prometheus GET /metrics 200 tokenward_checks_total
prometheus GET /check/production/gst 403 CALLER_NOT_ALLOWED
";

#[tokio::test]
async fn each_certificate_may_ask_what_its_name_is_given_and_nothing_else() {
    let guarded = Guarded::start().await;
    let issue = |names: &[&str]| Some(guarded.authority.issue(names, NOW));
    let callers = [
        ("none", None),
        ("gateway", issue(&["other.internal", "gateway.internal"])),
        ("envoy", issue(&["spiffe://cluster/ns/edge/sa/envoy"])),
        (
            "envoy-in-other-case",
            issue(&["spiffe://cluster/ns/EDGE/sa/envoy"]),
        ),
        ("common-name", issue(&[])),
        // Its common name is in the table, and does not count beside another name.
        ("unlisted", issue(&["unlisted.internal"])),
        ("prometheus", issue(&["prometheus.internal"])),
    ];
    let mut refused_checks = 0;
    for http1 in [true, false] {
        for line in ASKED.trim().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[who, method, path, status, word] = &words[..] else {
                panic!("{line}")
            };
            let (_, identity) = callers.iter().find(|(name, _)| *name == who).unwrap();
            let caller = guarded.caller(identity.clone(), http1);
            let answer = guarded.ask(&caller, method.parse().unwrap(), path).await;
            let answer = answer.unwrap_or_else(|| panic!("{line}: no answer"));
            let (said, body) = (answer.status.to_string(), answer.body);
            let has_word = match word {
                "-" => body.is_empty(),
                _ => body.contains(word),
            };
            assert!(said == status && has_word, "{line}: {said} {body}");
            let is_counted = path.starts_with("/check") && word == "CALLER_NOT_ALLOWED";
            refused_checks += usize::from(is_counted);
        }
    }
    guarded.logged(&[
        "WARN",
        "127.0.0.1",
        "it asked for production/gst without a client certificate",
    ]);
    guarded.logged(&[
        "which internal_callers does not list for its client certificate (\"other.internal\", \"gateway.internal\")",
        "it asked for production/e-invoice",
    ]);
    guarded.logged(&[
        "internal_callers has no entry for its client certificate (\"unlisted.internal\")",
    ]);
    let prometheus = guarded.caller(callers[6].1.clone(), true);
    let metrics = guarded.ask(&prometheus, Method::GET, "/metrics").await;
    let counted =
        format!("\ntokenward_checks_total{{outcome=\"CALLER_NOT_ALLOWED\"}} {refused_checks}\n");
    assert_contains(&metrics.unwrap().body, &counted);
}

#[tokio::test]
async fn certificate_of_another_authority_or_time_is_refused_in_the_handshake() {
    let guarded = Guarded::start().await;
    let gst = "/check/production/gst";
    let names = ["gateway.internal"];
    let stranger = Authority::new("strangers");
    for (identity, words) in [
        (
            stranger.issue(&names, NOW),
            "is not from an authority in internal_client_authority",
        ),
        (
            guarded.authority.issue(&names, (2020, 2021)),
            "its client certificate has expired",
        ),
        (
            guarded.authority.issue(&names, (2090, 2099)),
            "its client certificate is not valid yet",
        ),
    ] {
        for http1 in [true, false] {
            let caller = guarded.caller(Some(identity.clone()), http1);
            for path in [gst, "/health/ready"] {
                let answer = guarded.ask(&caller, Method::GET, path).await;
                assert!(answer.is_none(), "{words}");
            }
        }
        guarded.logged(&["caller refused", "127.0.0.1", words]);
    }
    let plain = guarded.server.internal().replace("https", "http");
    let request = guarded.caller(None, true).get(format!("{plain}{gst}"));
    assert!(request.send().await.is_err());

    // Another authority takes over without a restart; a file that is none leaves it in place.
    let of_stranger = guarded.caller(Some(stranger.issue(&names, NOW)), true);
    let before = guarded.caller(Some(guarded.authority.issue(&names, NOW)), true);
    assert!(guarded.ask(&before, Method::GET, gst).await.is_some());
    std::fs::write(&guarded.authority_file, stranger.pem()).unwrap();
    let taken = async {
        loop {
            if let Some(answer) = guarded.ask(&of_stranger, Method::GET, gst).await {
                return answer;
            }
        }
    };
    let taken = tokio::time::timeout(LIMIT, taken).await;
    taken.expect("the new authority is taken").expect(200);
    let again = guarded.caller(Some(guarded.authority.issue(&names, NOW)), true);
    assert!(guarded.ask(&again, Method::GET, gst).await.is_none());
    std::fs::write(&guarded.authority_file, "no certificate").unwrap();
    guarded.logged(&[
        "keeping the current certificate",
        "authority.pem holds no certificate",
    ]);
    let answer = guarded.ask(&of_stranger, Method::GET, gst).await;
    answer.unwrap().expect(200);
}

/// A session that is resumed skips the certificate, so an expired one would pass.
#[tokio::test]
async fn no_session_is_resumed() {
    let guarded = Guarded::start().await;
    let address = guarded.server.internal().strip_prefix("https://").unwrap();
    let (certificate, key) = guarded.authority.issue(&["gateway.internal"], NOW);
    let config = client_config(&certificate, &key, guarded.own.pem());
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for _ in 0..2 {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        let request = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer));
        let _ = read.await.expect("an answer in time");
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
    }
}

/// A client with this certificate that trusts this authority.
fn client_config(certificate: &str, key: &str, authority: &str) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(read(authority)).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    builder
        .with_client_auth_cert(vec![read(certificate)], key)
        .unwrap()
}

/// Settings that would let no caller ask, or every caller, are refused at the start.
#[test]
fn settings_that_do_not_go_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let authority = Authority::new("gateways");
    let (certificate, key) = authority.issue(&["127.0.0.1"], NOW);
    let tls = format!(
        "--internal-tls-certificate={} --internal-tls-key={}",
        write("server.pem", &certificate),
        write("server.key", &key)
    );
    let of = |file: &str| format!("--internal-client-authority={file}");
    let (authority, none) = (
        of(&write("authority.pem", authority.pem())),
        of(&write("server.key", &key)),
    );
    let gateway = "--internal-caller=gateway.internal=production/gst";
    let odd = "--internal-caller=gateway.internal=gst";
    let gone = of(&folder.path().join("gone").display().to_string());
    for (arguments, words) in [
        (
            format!("{tls} {authority}"),
            "internal_client_authority needs internal_callers",
        ),
        (
            format!("{tls} {gateway}"),
            "internal_callers needs internal_client_authority",
        ),
        (
            format!("{authority} {gateway}"),
            "internal_client_authority needs internal_tls_certificate",
        ),
        (
            format!("{tls} {authority} {odd}"),
            "isn't ENVIRONMENT/PRODUCT",
        ),
        (
            format!("{tls} {none} {gateway}"),
            "server.key holds no certificate",
        ),
        (format!("{tls} {gone} {gateway}"), "gone"),
    ] {
        Server::builder()
            .args(&words_of(&arguments))
            .refused(&[words]);
    }
}
