//! Gateways that prove who they are: the internal listener has TLS and asks for certificates, and the recipes' lines for
//! that are switched on. Each certificate has its verdict, and nothing passes where either end refuses the other.

use crate::world::{GSTINS, IDENTITY, INVOICES, World};
use gateways::{Ask, CERTIFIED, Certificates, Kind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokenward_testkit::{Authority, NewClient, Server, wait_until};

/// Years in which a certificate is valid that is neither old nor new.
const NOW: (i32, i32) = (2020, 2099);
/// Longer than anything awaited here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

struct Files<'a> {
    folder: &'a Path,
    authority: &'a Authority,
}

impl Files<'_> {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A gateway's files: its certificate, and that it trusts `trusted`.
    fn gateway(&self, name: &str, own: (String, String), trusted: &Authority) -> Certificates {
        Certificates {
            authority: self.write(&format!("{name}-authority.pem"), trusted.pem()),
            certificate: self.write(&format!("{name}.pem"), &own.0),
            key: self.write(&format!("{name}.key"), &own.1),
        }
    }
}

fn try_out(kind: &Kind) {
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new("internal"), Authority::new("strangers"));
    let files = Files {
        folder: folder.path(),
        authority: &authority,
    };
    let own = files
        .authority
        .issue(&["tokenward.internal", "localhost"], NOW);
    let (certificate, key) = (
        files.write("own.pem", &own.0),
        files.write("own.key", &own.1),
    );
    let trusted = files.write("authority.pem", authority.pem());
    let flag = |name: &str, path: &Path| format!("--internal-{name}={}", path.display());
    let server = Server::builder()
        .arg(&flag("tls-certificate", &certificate))
        .arg(&flag("tls-key", &key))
        .arg(&flag("client-authority", &trusted))
        .arg("--internal-caller=gateway.internal=production/e-invoice")
        .arg("--internal-caller=gateway.internal=replica")
        .arg("--internal-caller=other.internal=sandbox/*");
    let issue = |name: &str, years| authority.issue(&[name], years);
    let right = files.gateway("right", issue("gateway.internal", NOW), &authority);
    let mut world = World::behind(kind, server, Some(right));
    let api = world.api.clone();
    world.wait(api.product("gst", "GST"));
    let erp = world.client(NewClient::production);
    let token = world.generate(&erp);
    let answer = world.invoices(&token);
    let (body, gateway) = (&answer.body, world.gateway.output());
    assert_eq!(answer.status, 200, "{body}\n{gateway}");
    let seen = world.reached();
    for name in IDENTITY {
        let expect = if name == "x-tokenward-valid-till" {
            0
        } else {
            1
        };
        assert!(seen.all(name).len() >= expect, "{name}: {seen:?}");
    }
    assert_eq!(seen.all("x-tokenward-client"), [erp.id.as_str()]);
    // A layer that asks takes what is no clear answer for none.
    let not_allowed = match kind.name.starts_with("tower") {
        true => (503, "CANNOT_VOUCH"),
        false => (403, "CALLER_NOT_ALLOWED"),
    };
    let ask_gst = |world: &World| world.ask(&Ask::get(GSTINS).token(&token));
    if kind.asks {
        // The right certificate, and a route of a product that it is not for.
        ask_gst(&world).expect_error(not_allowed.0, not_allowed.1);
    } else {
        // A replica is for all products.
        ask_gst(&world).expect(200);
    }
    world.forget();
    let newer = world.generate(&erp);
    world.invoices(&token).expect_error(401, "TOKEN_SUPERSEDED");
    world.invoices(&newer).expect(200);
    world.forget();
    if !kind.asks {
        // It does not begin to listen without its replica.
        return;
    }
    let none = (503, "CANNOT_VOUCH");
    let (others, unlisted) = (
        issue("other.internal", NOW),
        issue("unlisted.internal", NOW),
    );
    let expired = issue("gateway.internal", (2020, 2021));
    let strange = stranger.issue(&["gateway.internal"], NOW);
    for (name, own, trusted, (status, code)) in [
        ("other", others, &authority, not_allowed),
        ("unlisted", unlisted, &authority, not_allowed),
        ("expired", expired, &authority, none),
        ("strange", strange, &authority, none),
        // Tokenward's certificate is not one that this gateway trusts.
        ("misled", issue("gateway.internal", NOW), &stranger, none),
    ] {
        world.places.certificates = Some(files.gateway(name, own, trusted));
        world.gateway = kind.start(&world.places);
        let answer = world.invoices(&newer);
        let gateway = world.gateway.output();
        let body = answer.body;
        assert_eq!(answer.status, status, "{name}: {body}\n{gateway}");
        assert!(body.contains(code), "{name}: {body}\n{gateway}");
        world.untouched();
    }
    for words in [
        "has no entry for its client certificate (\"unlisted.internal\")",
        "has expired",
        "is not from an authority",
    ] {
        wait_until(words, LIMIT, || world.server.output().contains(words));
    }
    // Tokenward's certificate is for another name than the gateway asks for.
    let misnamed = files.authority.issue(&["elsewhere.internal"], NOW);
    files.write("own.pem", &misnamed.0);
    files.write("own.key", &misnamed.1);
    wait_until("the other certificate", LIMIT, || {
        world.server.output().contains("certificate reloaded")
    });
    let own = issue("gateway.internal", NOW);
    world.places.certificates = Some(files.gateway("last", own, &authority));
    world.gateway = kind.start(&world.places);
    let answer = world.ask(&Ask::get(INVOICES).token(&newer));
    answer.expect_error(503, "CANNOT_VOUCH");
    world.untouched();
}

const TRIED: [&str; 5] = [
    "nginx with certificates",
    "envoy over gRPC with certificates",
    "envoy over HTTP with certificates",
    "tower layer that asks with certificates",
    "tower layer with its replica and certificates",
];

#[test]
fn no_certified_gateway_is_left_out() {
    let all: Vec<&str> = CERTIFIED.iter().map(|kind| kind.name).collect();
    assert_eq!(all, TRIED);
}

#[test]
fn nginx() {
    try_out(&CERTIFIED[0]);
}

#[test]
fn envoy_over_grpc() {
    try_out(&CERTIFIED[1]);
}

#[test]
fn envoy_over_http() {
    try_out(&CERTIFIED[2]);
}

#[test]
fn tower_layer_that_asks() {
    try_out(&CERTIFIED[3]);
}

#[test]
fn tower_layer_with_its_replica() {
    try_out(&CERTIFIED[4]);
}
