//! What the check costs at a gateway: each gateway with our check, without any, and with a bare server in
//! our place.

use super::calls::calls;
use super::http_check::address;
use crate::ext_authz::answer;
use crate::load;
use crate::process::{self, Bare};
use crate::report::{Goal, Report};
use crate::rounds::{Measures, interleave};
use anyhow::{Context as _, Result};
use gateways::{Kind, Places, Running, gateway};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokenward_testkit::{NewClient, Server};

/// Connections from the load to a gateway.
const CONNECTIONS: usize = 64;
/// How long each contender is loaded in a round.
const SPAN: Duration = Duration::from_millis(1500);
/// Everything that runs while gateways are measured.
pub(super) struct House {
    server: Server,
    unix: PathBuf,
    pub(super) token: String,
    /// The check's own answer: who calls, and its whole head as far as hyper does not write it by itself.
    pub(super) identity: Vec<(String, String)>,
    head: Vec<(String, String)>,
    product: Bare,
    _folder: tempfile::TempDir,
}

impl House {
    fn start() -> Result<House> {
        let folder = tempfile::tempdir()?;
        let unix = folder.path().join("check.sock");
        let server = Server::builder()
            .arg("--internal-unix")
            .arg(&unix.to_string_lossy())
            .arg("--trusted-proxy")
            .arg("127.0.0.1/32")
            .start();
        let api = server.api();
        let made = process::runtime()?.block_on(async {
            let workspace = api.workspace("acme").await?;
            api.product("e-invoice", "E-Invoice").await?;
            let erp = api.client(&workspace, NewClient::production("erp")).await?;
            let token = api.generate(&erp.secret).await?.token().access_token;
            let permit = api.check("production", "e-invoice", &token).await?;
            Ok::<_, tokenward_testkit::Broken>((token, permit.expect(200)))
        });
        let (token, permit) = made?;
        let headers = permit.headers.iter();
        let head: Vec<(String, String)> = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned()))
            .filter(|(name, _)| name != "date" && name != "content-length")
            .collect();
        let own = |(name, _): &&(String, String)| name.starts_with("x-tokenward-");
        let identity = head.iter().filter(own).cloned().collect();
        Ok(House {
            server,
            unix,
            token,
            identity,
            head,
            product: Bare::start(&[])?,
            _folder: folder,
        })
    }

    pub(super) fn internal(&self) -> Result<SocketAddr> {
        address(self.server.internal())
    }

    /// A gateway that asks `checker`.
    fn gateway(&self, kind: &Kind, checker: SocketAddr) -> Running {
        kind.start(&Places {
            tokenward: checker,
            tokenward_unix: self.unix.clone(),
            e_invoice: self.product.address,
            gst: self.product.address,
            replica_keys: PathBuf::new(),
            certificates: None,
        })
    }

    pub(super) fn permits(&self) -> Result<u64> {
        let metrics = load::ask(self.internal()?, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let line = metrics
            .lines()
            .find(|line| line.contains("outcome=\"PERMIT\""));
        let count = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        count.context("no permits are counted")
    }
}

/// Loads each gateway in turn; answers a second.
fn measure(house: &House, rounds: usize, gateways: &[Running]) -> Result<Measures> {
    let request = format!(
        "GET /e-invoice/v1/invoices HTTP/1.1\r\nhost: api.example.com\r\nx-cleartax-auth-token: {}\r\n\r\n",
        house.token
    );
    let failed = RefCell::new(None);
    let mut runs: Vec<_> = gateways
        .iter()
        .map(|gateway| {
            let (request, failed) = (&request, &failed);
            move || {
                let fill = |buffer: &mut Vec<u8>| buffer.extend_from_slice(request.as_bytes());
                let outcome = load::run(gateway.address, CONNECTIONS, SPAN, fill);
                match outcome.and_then(|outcome| outcome.all(200)) {
                    Ok(outcome) => outcome.rate(),
                    Err(why) => {
                        *failed.borrow_mut() = Some(why);
                        f64::NAN
                    }
                }
            }
        })
        .collect();
    let mut contenders: Vec<&mut dyn FnMut() -> f64> = runs
        .iter_mut()
        .map(|run| run as &mut dyn FnMut() -> f64)
        .collect();
    let measures = interleave(rounds, &mut contenders);
    failed.into_inner().map_or(Ok(measures), Err)
}

/// The sections.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq)]
pub(crate) enum Section {
    Nginx,
    Envoy,
    Calls,
}

/// Runs one section, or all three.
pub(crate) fn run(report: &mut Report, rounds: usize, only: Option<Section>) -> Result<()> {
    let house = House::start()?;
    let wanted = |section| only.is_none_or(|only| only == section);
    if wanted(Section::Nginx) {
        nginx(report, rounds, &house)?;
    }
    if wanted(Section::Envoy) {
        envoy(report, rounds, &house)?;
    }
    if wanted(Section::Calls) {
        calls(report, rounds, &house)?;
    }
    Ok(())
}

fn kind(name: &str) -> Result<&'static Kind> {
    let found = gateways::ALL.iter().find(|kind| kind.name == name);
    found.with_context(|| format!("no gateway is called {name}"))
}

fn nginx(report: &mut Report, rounds: usize, house: &House) -> Result<()> {
    let (ours, bare) = (house.internal()?, Bare::start(&house.head)?);
    let (nginx, unix) = (kind("nginx")?, kind("nginx over a unix socket")?);
    let contenders = [
        ("no check", &gateway::NGINX_UNASKED, ours),
        ("our check", nginx, ours),
        ("a bare server in our place", nginx, bare.address),
        ("our check, unix socket", unix, ours),
        (
            "our check, no kept connections",
            &gateway::NGINX_UNKEPT,
            ours,
        ),
    ];
    let measures = section(report, rounds, house, "The check at nginx", &contenders)?;
    let mut rate = |what: &str, of_to, goal| ratio(report, &measures, what, of_to, goal);
    let what = "our check, of a bare server in our place";
    rate(what, (1, 2), Goal::AtLeast(0.97));
    rate("our check, of no check", (1, 0), Goal::AtLeast(0.60));
    let what = "our check over a unix socket, of no check";
    rate(what, (3, 0), Goal::None);
    let what = "our check without kept connections, of no check";
    rate(what, (4, 0), Goal::None);
    Ok(())
}

fn envoy(report: &mut Report, rounds: usize, house: &House) -> Result<()> {
    let (ours, bare) = (house.internal()?, Bare::start(&house.head)?);
    let tonic = Bare::told(&["bare-grpc", "tonic"], &answer(&house.identity))?;
    let (grpc, http) = (kind("envoy over gRPC")?, kind("envoy over HTTP")?);
    let unix = kind("envoy over gRPC and a unix socket")?;
    let contenders = [
        ("no check", &gateway::ENVOY_UNASKED, ours),
        ("our check, gRPC", grpc, ours),
        ("bare tonic in our place", grpc, tonic.address),
        ("our check, gRPC, unix socket", unix, ours),
        ("our check, HTTP", http, ours),
        ("a bare server in our place, HTTP", http, bare.address),
    ];
    let measures = section(report, rounds, house, "The check at Envoy", &contenders)?;
    let mut rate = |what: &str, of_to, goal| ratio(report, &measures, what, of_to, goal);
    let what = "our check over gRPC, of bare tonic in our place";
    rate(what, (1, 2), Goal::AtLeast(0.97));
    let what = "our check over gRPC, of no check";
    rate(what, (1, 0), Goal::AtLeast(0.52));
    let what = "our check over a unix socket, of no check";
    rate(what, (3, 0), Goal::None);
    let what = "our check over HTTP, of a bare server in our place";
    rate(what, (4, 5), Goal::AtLeast(0.97));
    rate("our check over HTTP, of no check", (4, 0), Goal::None);
    Ok(())
}

/// Measures the contenders of a section: a name, a gateway and whom it asks.
fn section(
    report: &mut Report,
    rounds: usize,
    house: &House,
    title: &str,
    contenders: &[(&str, &Kind, SocketAddr)],
) -> Result<Measures> {
    let gateways = contenders
        .iter()
        .map(|(_, kind, of)| house.gateway(kind, *of));
    let measures = measure(house, rounds, &gateways.collect::<Vec<_>>())?;
    let how = format!(
        "The recipe of examples/gateways with one worker, {CONNECTIONS} kept connections, gateway, server, product and load on the same cores, {rounds} interleaved rounds of {} ms.",
        SPAN.as_millis()
    );
    report.section(title, &how);
    let names: Vec<&str> = contenders.iter().map(|(name, ..)| *name).collect();
    told(report, &measures, &names);
    Ok(measures)
}

pub(super) fn told(report: &mut Report, measures: &Measures, names: &[&str]) {
    for (which, name) in names.iter().enumerate() {
        let rate = measures.median(which);
        report.figure(format!("{name}: answers a second"), format!("{rate:.0}"));
    }
}

pub(super) fn ratio(
    report: &mut Report,
    measures: &Measures,
    what: &str,
    (of, to): (usize, usize),
    goal: Goal,
) {
    let ratio = measures.ratio(of, to);
    report.line(what, &format!("{ratio:.3}"), ratio, goal);
}
