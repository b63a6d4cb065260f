//! What a start opens before it touches the store: certificates, listening sockets, key files. `tokenward serve` keeps
//! what was opened; `tokenward config check` runs the same code and closes it again, so that neither finds what the
//! other does not.

use crate::config::data_dir;
use crate::config::{Config, TlsFiles};
use crate::net::acme::Orders;
use crate::net::inherited_sockets::Handed;
use crate::net::unix;
use crate::net::{self, Bound, Tls};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

/// Certificates and sockets of all listeners.
pub(crate) struct Opened {
    /// Of the public and the internal listener.
    pub(crate) tls: [Option<Arc<Tls>>; 2],
    /// What orders the certificate of the public listener, if that comes by ACME.
    pub(crate) orders: Option<Orders>,
    /// The public listener.
    pub(crate) public: Bound,
    /// The internal one: a socket for each thread.
    pub(crate) internal: Bound,
    /// The internal one for processes of this machine.
    pub(crate) unix: Option<unix::Socket>,
}

/// Why a start is refused; a sentence for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    text: String,
    /// Another process has the address.
    in_use: bool,
}

impl Problem {
    fn new(text: String) -> Self {
        Self {
            text,
            in_use: false,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.text)
    }
}

impl Opened {
    /// Opens all, or tells everything that stands in the way. Sockets that were handed over are used, not opened.
    pub(crate) fn open(config: &Config, mut handed: Handed) -> Result<Self, Vec<Problem>> {
        // Both ends of TLS use one provider; a second start in the same process finds it set.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut problems = Vec::new();
        let public_tls = keep(tls("public", &config.public_tls), &mut problems);
        let orders = keep(orders(config), &mut problems);
        let internal_tls = keep(tls("internal", &config.internal_tls), &mut problems);
        let public = bound("public", config.public, 1, &mut handed);
        let public = keep(public, &mut problems);
        let threads = config.check_threads;
        let internal = bound("internal", config.internal, threads, &mut handed);
        let internal = keep(internal, &mut problems);
        let unix = keep(socket(config, &mut handed), &mut problems);
        problems.extend(handed.unclaimed().into_iter().map(|at| {
            Problem::new(format!(
                "a socket on {at} was handed over, which is none of public, internal and internal_unix. Name the same addresses \
                 in the socket unit (systemctl edit --full tokenward.socket) and in the configuration"
            ))
        }));
        let mail = crate::notify::check_mail(config);
        let mail = keep(
            mail.map_err(|why| Problem::new(why.to_string())),
            &mut problems,
        );
        keep(
            crate::traces::check(config).map_err(Problem::new),
            &mut problems,
        );
        match (
            public_tls,
            orders,
            internal_tls,
            public,
            internal,
            unix,
            mail,
        ) {
            (
                Some(public_tls),
                Some(orders),
                Some(internal_tls),
                Some(public),
                Some(internal),
                Some(unix),
                Some(()),
            ) if problems.is_empty() => Ok(Self {
                tls: [
                    public_tls.or_else(|| orders.as_ref().map(Orders::tls)),
                    internal_tls,
                ],
                orders,
                public,
                internal,
                unix,
            }),
            _ => Err(problems),
        }
    }
}

fn keep<T>(outcome: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    outcome.map_err(|problem| problems.push(problem)).ok()
}

fn tls(listener: &str, files: &Option<TlsFiles>) -> Result<Option<Arc<Tls>>, Problem> {
    let opened = files.clone().map(Tls::open).transpose();
    let opened = opened.map_err(|why| Problem::new(format!("{listener}: {why}")))?;
    Ok(opened.map(Arc::new))
}

fn orders(config: &Config) -> Result<Option<Orders>, Problem> {
    let made = config.acme.clone();
    let made = made.map(|settings| Orders::new(settings, &config.data_dir));
    made.transpose()
        .map_err(|why| Problem::new(format!("public: {why}")))
}

fn cannot_listen(on: &str, error: &std::io::Error) -> Problem {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => {
            ". Another process listens there: stop it, or choose another address"
        }
        ErrorKind::PermissionDenied => {
            ". Ports below 1024 need a privilege (CAP_NET_BIND_SERVICE); choose a higher one, or grant it"
        }
        ErrorKind::AddrNotAvailable => ". This machine has no such address",
        _ => "",
    };
    Problem {
        text: format!("cannot listen on {on}: {error}{hint}"),
        in_use: error.kind() == ErrorKind::AddrInUse,
    }
}

fn bound(
    listener: &str,
    address: SocketAddr,
    count: usize,
    handed: &mut Handed,
) -> Result<Bound, Problem> {
    let handed = handed.tcp(address);
    let held = handed.is_some();
    let bound = match handed {
        // The threads share it: the kernel wakes those that wait, and one of them accepts.
        Some((address, socket)) => std::iter::repeat_with(|| socket.try_clone())
            .take(count)
            .collect::<Result<Vec<_>, _>>()
            .map(|sockets| (address, sockets)),
        None => net::bind(address, count),
    };
    let bound = bound.map_err(|error| cannot_listen(&format!("{address} ({listener})"), &error));
    bound.map(|(address, sockets)| Bound {
        address,
        sockets,
        held,
    })
}

fn socket(config: &Config, handed: &mut Handed) -> Result<Option<unix::Socket>, Problem> {
    let bind = |socket: &crate::config::UnixSocket| {
        if let Some(listener) = handed.unix(&socket.path) {
            return Ok(unix::Socket::handed(listener, &socket.path));
        }
        unix::Socket::bind(socket)
            .map_err(|error| cannot_listen(&socket.path.display().to_string(), &error))
    };
    config.internal_unix.as_ref().map(bind).transpose()
}

/// What `tokenward config check` found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What `tokenward serve` refuses, or callers will.
    pub(crate) errors: Vec<String>,
    /// What is risky.
    pub(crate) warnings: Vec<String>,
}

impl Findings {
    /// Takes an error as one of the configuration.
    pub(crate) fn judge<T>(&mut self, tried: Result<T, impl std::fmt::Display>) {
        self.errors
            .extend(tried.err().map(|error| error.to_string()));
    }
}

/// Tries everything a start tries short of the store, and leaves nothing behind. `now` is in seconds since 1970.
pub(crate) fn check(config: &Config, now: i64) -> Findings {
    let mut found = Findings {
        warnings: config.risks(),
        ..Findings::default()
    };
    found.warnings.extend(crate::traces::risk(config));
    let runs = data_dir::is_in_use(&config.data_dir);
    match Opened::open(config, Handed::default()) {
        Ok(opened) => {
            for tls in opened.tls.iter().flatten() {
                found.errors.extend(tls.out_of_time(now));
                found.warnings.extend(tls.ends_soon(now));
            }
        }
        Err(problems) => {
            for problem in problems {
                if problem.in_use && runs {
                    // Its own, most likely; that it is another's shows at the start.
                    found.warnings.push(format!(
                        "{problem}. A server runs on this data directory; if it is the one that listens there, this is as it should be"
                    ));
                } else {
                    found.errors.push(problem.to_string());
                }
            }
        }
    }
    if let Some(url) = &config.database_url {
        found.judge(tokenward_store::transport(url));
    }
    let folder = &config.data_dir;
    found.judge(data_dir::must_be_meant(folder, config.data_dir_named));
    found.errors.extend(data_dir::cannot_be_written(folder));
    let database = folder.join(data_dir::DATABASE);
    let store = std::fs::metadata(&database).is_ok_and(|file| file.len() > 0);
    if config.digest_keys.exists() {
        found.judge(data_dir::keyring(&config.digest_keys));
    } else if store && config.database_url.is_none() && !config.new_digest_keys {
        found.errors.push(format!(
            "{} does not exist, but {} does. Without the keys its digests were made with no secret and no token can be \
             checked: put the file back",
            config.digest_keys.display(),
            database.display()
        ));
    }
    found
}

/// All problems of a start, a line each.
pub(crate) fn lines(problems: &[Problem]) -> String {
    let texts: Vec<_> = problems.iter().map(Problem::to_string).collect();
    texts.join("\n")
}
