//! `tokenward serve`: from an empty data directory to a working server, and back to a clean stop.

use super::certificates::Certificates;
use super::{bootstrap, limits};
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::data_dir::{self, DataDir};
use crate::listeners::{internal, public};
use crate::net::inherited_sockets::Handed;
use crate::net::limits::Limits;
use crate::net::unix;
use crate::net::{Bound, Listener, Tls};
use crate::process::housekeeping::{self, Housekeeping};
use crate::process::nodes::NodesWatch;
use crate::process::preflight::{self, Opened};
use crate::traces::{self, Traces};
use crate::{notify, random};
use sd_notify::NotifyState;
use serde_json::json;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::time::Clock;
use tokenward_store::{About, Keys, Location, NodeIdentity, Options, Store, StoreError, TERM};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How often uses and counts are written, and the last change is remembered.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How long a server whose sockets another process holds goes on accepting before it stops. Each answer ends its connection
/// then, so that gateways have no kept connection left into which they could send a check while it is closed.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long a start waits for the link to the console.
const LINK_TIMEOUT: Duration = Duration::from_secs(1);

/// What a start or a run can end with; a sentence for the operator.
pub type Fault = Box<dyn Error + Send + Sync>;

/// Where the configuration puts the store.
#[must_use]
pub fn location(config: &Config) -> Location {
    match &config.database_url {
        Some(url) => Location::Postgres(url.to_string()),
        None => Location::Sqlite(config.data_dir.join(data_dir::DATABASE)),
    }
}

/// Runs the server until it is told to stop.
pub(crate) fn run(config: Config, handed: Handed) -> Result<(), Fault> {
    let limits = Limits::new(
        limits::raise_descriptor_limit(),
        config.public_connections_per_source,
        config.public_idle_seconds,
    );
    if limits.is_lowered() {
        tracing::warn!(
            connections = limits.connections,
            "the limit of open files is low, so the public listener serves this many connections at once; raise it (LimitNOFILE=65536 in a systemd unit)"
        );
    }
    if let Err(error) = limits::protect_memory() {
        tracing::warn!("cannot keep memory out of core dumps: {error}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("public")
        .build()?;
    let outcome = runtime.block_on(serve(config, handed, limits));
    // A start that was given up may still be reading the store.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// The signals that end the server or make it read its certificates again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From now on none of them ends the process by itself.
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the server is told to end.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn serve(config: Config, handed: Handed, limits: Limits) -> Result<(), Fault> {
    // First: a process that is the first of its container ignores signals it has no handler for, and every other would
    // be ended by SIGHUP.
    let mut signals = Signals::install()?;
    data_dir::must_be_meant(&config.data_dir, config.data_dir_named)?;
    let directory = DataDir::open(&config.data_dir)?;
    data_dir::remove(&directory.file(data_dir::LISTENING))?;
    let Opened {
        tls: [public_tls, internal_tls],
        mut orders,
        mut public,
        internal,
        unix,
    } = Opened::open(&config, handed).map_err(|problems| preflight::lines(&problems))?;
    if let Some(orders) = &mut orders {
        orders.open().await?;
    }
    for risk in config.risks().into_iter().chain(traces::risk(&config)) {
        tracing::warn!("{risk}");
    }
    let seen = directory.seen()?;
    must_be_there(&location(&config), seen.is_some())?;
    let options = Options {
        keys: keys(&config)?,
        clock: Arc::new(SystemClock),
        node: NodeIdentity {
            incarnation: random::uuid(),
            place: directory.place()?,
            about: about(&config),
        },
        fresh: (random::uuid(), random::uuid()),
        seen,
        term: TERM,
        // Keys that end everything are no other node's.
        sharing: !config.new_digest_keys,
        replicas_before: directory.file(data_dir::REPLICAS).exists(),
    };
    let place = location(&config);
    let opened = tokio::select! {
        opened = Store::open(&place, options) => opened,
        () = signals.end() => {
            tracing::info!("stopped before the store was open");
            return Ok(());
        }
    };
    let (store, writer) = opened.map_err(|error| named(error, &config))?;
    let epoch = store.head_at_open().epoch;
    // What was seen expired before this start stays so, whatever the machine's clock says now.
    SystemClock.not_before(store.head_at_open().clock);
    let app = Arc::new(App::new(store, config));
    let _ = app.tls.set([public_tls.clone(), internal_tls.clone()]);
    app.data.metrics.started(SystemClock.wall());
    let post = match prepare(&app, &directory).await {
        Ok(post) => post,
        Err(fault) => {
            // The node signs off, or the next start would wait for this one's lease to end.
            drop(app);
            tokio::task::spawn_blocking(move || writer.join()).await?;
            return Err(fault);
        }
    };

    let held = public.held || internal.held || unix.as_ref().is_some_and(unix::Socket::is_held);
    let (stop_checks, stopped) = watch::channel(false);
    let internal_address = internal.address;
    let threads = check_threads(
        &app,
        internal,
        internal_tls.as_ref(),
        unix.as_ref(),
        &stopped,
    )?;
    let (stop, stopped) = watch::channel(false);
    let telling = tokio::spawn(notify::run(Arc::clone(&app), post, stopped.clone()));
    let socket = public.sockets.pop().ok_or("no public socket")?;
    let public_listener = tokio::spawn(public::serve(
        Arc::clone(&app),
        Listener::new(socket, public_tls.clone(), public.held)?,
        limits,
        stopped,
    ));
    let public_address = public.address;
    // The ACME server connects to the listener.
    let ordering = orders.map(|orders| tokio::spawn(orders.run()));

    let addresses = json!({
        "public": format!("{}://{public_address}", scheme(public_tls.is_some())),
        "internal": format!("{}://{internal_address}", scheme(internal_tls.is_some())),
    });
    let base = base(&app.data.config, public_address);
    let mut linking = tokio::spawn(offer_link(
        Arc::clone(&app),
        directory.file(data_dir::CONSOLE_LINK),
        base,
    ));
    let _ = tokio::time::timeout(LINK_TIMEOUT, &mut linking).await;
    data_dir::replace(
        &directory.file(data_dir::LISTENING),
        format!("{addresses}\n").as_bytes(),
    )?;
    if app.data.config.public_url.is_none() && app.data.config.issuer.is_none() {
        tracing::info!(
            "links and OAuth metadata name the host of each request; set public_url to the address this server is reached at"
        );
    }
    let (change, _) = app.data.store.numbers();
    tracing::info!(public = %public_address, internal = %internal_address, clients = app.data.replica().client_count(), change, "serving");
    tell_supervisor(&NotifyState::Ready);

    let certificates = Certificates::new([public_tls, internal_tls]);
    let outcome = until_stopped(&app, &directory, epoch, certificates, signals).await;

    tracing::info!(
        "stopping: no new requests, {} s for those under way",
        app.data.config.drain_seconds
    );
    tell_supervisor(&NotifyState::Stopping);
    app.stop();
    linking.abort();
    if let Some(ordering) = ordering {
        ordering.abort();
    }
    if outcome.is_err() {
        // A node that must not go on answers no check.
        let _ = stop_checks.send(true);
    } else if held {
        let _ = tokio::time::timeout(LAST_ANSWERS, std::future::pending::<()>()).await;
    }
    let _ = stop.send(true);
    let _ = public_listener.await;
    let _ = telling.await;
    // Last, so that checks are answered while slow requests of the public listener end.
    let _ = stop_checks.send(true);
    for thread in threads {
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
    drop(unix);
    write_out(&app).await?;
    let change = app.data.store.proven();
    if let Err(error) = directory.remember(epoch, change) {
        // What was remembered a moment ago still holds, and the store must be closed well on a full disk, too.
        tracing::warn!("{error}");
    }
    data_dir::remove(&directory.file(data_dir::LISTENING))?;
    if app
        .data
        .store
        .attachments()
        .is_quiet(app.data.clock().boot())
    {
        app.replicas.remove()?;
    }
    drop(app);
    tokio::task::spawn_blocking(move || writer.join()).await?;
    tracing::info!(change, "stopped");
    outcome
}

/// Writes and sends what waits for it, once no request is under way.
async fn write_out(app: &Arc<App>) -> Result<(), Fault> {
    housekeeping::write_all(app).await;
    let app = Arc::clone(app);
    let ended = tokio::task::spawn_blocking(move || app.data.traces.get().map(Traces::stop));
    Ok(ended.await.map(drop)?)
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// Where people reach the public listener, as far as the configuration says.
fn base(config: &Config, public: SocketAddr) -> String {
    let known = config.public_url.as_ref().or(config.issuer.as_ref());
    match (known, &config.acme) {
        (Some(known), _) => known.trim_end_matches('/').to_owned(),
        // The name in its certificate, at the port that the challenge needs anyway.
        (None, Some(acme)) => format!("https://{}", acme.domains[0]),
        (None, None) => {
            let scheme = scheme(config.public_has_tls());
            match public.ip().is_unspecified() {
                true => format!("{scheme}://localhost:{}", public.port()),
                false => format!("{scheme}://{public}"),
            }
        }
    }
}

/// Tells systemd how far the process is, where systemd started it as a service of `Type=notify`.
fn tell_supervisor(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(
            "cannot reach systemd at NOTIFY_SOCKET, so it does not know that the server is ready or stops: {error}"
        );
    }
}

/// What comes before the listeners, once the store is open.
async fn prepare(app: &App, directory: &DataDir) -> Result<notify::Post, Fault> {
    let post = notify::Post::open(app)?;
    if let Some(traces) = Traces::start(&app.data.config, app.data.metrics.spans())? {
        let _ = app.data.traces.set(traces);
    }
    bootstrap::first_admin_key(app, directory).await?;
    Ok(post)
}

/// The digest keys of this start; a key file is made only when the store turns out to be empty, or with
/// `--new-digest-keys`.
fn keys(config: &Config) -> Result<Keys, Fault> {
    let path = config.digest_keys.clone();
    Ok(Keys {
        found: data_dir::find_keyring(&path)?.map(Arc::new),
        make: Box::new(move |id| {
            data_dir::make_keyring(&path, id).map_err(|error| error.to_string())
        }),
        replace: config.new_digest_keys,
    })
}

/// What this node says of itself to the other nodes of the database and to people.
fn about(config: &Config) -> About {
    let name = config.node_name.clone();
    About {
        name: name.or_else(crate::net::host_name).unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").into(),
        settings: config.shared_settings(),
    }
}

/// A fault of the digest keys names their file.
fn named(error: StoreError, config: &Config) -> Fault {
    match error {
        StoreError::DigestKeys(fault) => {
            format!("{}: {fault}", config.digest_keys.display()).into()
        }
        other => other.into(),
    }
}

/// Offers the console's first operator a link. That is a change like any other: after a restore it is answered only
/// when no replica of the time before can vouch any more, and the start does not wait for that.
async fn offer_link(app: Arc<App>, path: std::path::PathBuf, base: String) {
    if let Err(error) = bootstrap::first_link(&app, &path, &base).await {
        tracing::error!("no link for the console's first operator: {error}");
    }
}

/// A store that was here and is gone must not be replaced by an empty one in silence.
fn must_be_there(location: &Location, was: bool) -> Result<(), Fault> {
    let Location::Sqlite(path) = location else {
        return Ok(());
    };
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if was && bytes == 0 {
        return Err(format!(
            "{} is missing or empty, but this data directory has held a store: put it back, restore a backup \
             (`tokenward restore`), or name another --data-dir for a new store. If the store is in PostgreSQL, give --database-url",
            path.display()
        )
        .into());
    }
    Ok(())
}

/// Starts the threads that answer checks.
fn check_threads(
    app: &Arc<App>,
    internal: Bound,
    tls: Option<&Arc<Tls>>,
    unix: Option<&unix::Socket>,
    stop: &watch::Receiver<bool>,
) -> Result<Vec<std::thread::JoinHandle<()>>, Fault> {
    let held = internal.held;
    let unix_held = unix.is_some_and(unix::Socket::is_held);
    let mut threads = Vec::new();
    for (number, socket) in internal.sockets.into_iter().enumerate() {
        let (app, tls, stop) = (Arc::clone(app), tls.cloned(), stop.clone());
        let unix = unix.map(unix::Socket::share).transpose()?;
        let thread = std::thread::Builder::new()
            .name(format!("check-{number}"))
            .spawn(move || check_thread(app, (socket, held), tls, (unix, unix_held), stop))?;
        threads.push(thread);
    }
    Ok(threads)
}

/// One thread that answers checks: its own socket, its own runtime, nothing shared but the replica.
fn check_thread(
    app: Arc<App>,
    (socket, held): (std::net::TcpListener, bool),
    tls: Option<Arc<Tls>>,
    (unix, unix_held): (Option<std::os::unix::net::UnixListener>, bool),
    stop: watch::Receiver<bool>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!("cannot start a check thread: {error}"),
    };
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async move {
        let unix = unix.map(tokio::net::UnixListener::from_std).transpose();
        match (Listener::new(socket, tls, held), unix) {
            (Ok(listener), Ok(unix)) => {
                internal::serve(app, listener, unix, unix_held, stop).await;
            }
            (Err(error), _) | (_, Err(error)) => tracing::error!("cannot listen: {error}"),
        }
    });
}

/// Housekeeping until a signal, or until this node must not go on.
async fn until_stopped(
    app: &App,
    directory: &DataDir,
    epoch: uuid::Uuid,
    mut certificates: Certificates,
    mut signals: Signals,
) -> Result<(), Fault> {
    let mut dropped = 0;
    let mut tick = tokio::time::interval(HOUSEKEEPING);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut remembered = 0;
    let mut nodes = NodesWatch::default();
    let mut housekeeping = Housekeeping::default();
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            _ = signals.hang_up.recv() => {
                certificates.reload();
            }
            _ = tick.tick() => {
                certificates.tick(SystemClock.wall().unix_seconds());
                let lost = crate::logs::dropped();
                if lost > dropped {
                    tracing::warn!(lines = lost - dropped, "log lines were dropped because they were not read in time");
                    dropped = lost;
                }
                let _ = housekeeping.tick(app).await;
                nodes.tick(app).await;
                let change = app.data.store.proven();
                if change > remembered {
                    match directory.remember(epoch, change) {
                        Ok(()) => remembered = change,
                        // Tried again with the next tick.
                        Err(error) => tracing::warn!("{error}"),
                    }
                }
                if app.data.store.is_expelled() {
                    return Err("this node must not go on: another node has the database, or the database is not the one it was (see the log above)".into());
                }
            }
        }
    }
}
