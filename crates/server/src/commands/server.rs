//! Commands of the server's own machine: serve, config check, backup, restore, move, digest keys.

use super::backup::Work;
use super::s3::{Address, Bucket};
use crate::clock::SystemClock;
use crate::config::data_dir::{self, DataDir};
use crate::config::s3::S3Settings;
use crate::config::{self, Config, DatabaseTls, ServeArgs, unknown_variables};
use crate::net::inherited_sockets::Handed;
use crate::process::preflight;
use crate::process::serve::{self, Fault};
use crate::{logs, random};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokenward_cli::Sure;
use tokenward_core::attach::ReplicaKeys;
use tokenward_core::digest::{KeyId, Keyring};
use tokenward_core::hex;
use tokenward_core::time::Clock;
use tokenward_store::{Location, Move, Moved, Step, StoreError, StoredKey};
use zeroize::Zeroizing;

/// Commands of the server's own machine.
#[derive(clap::Subcommand, Debug)]
pub(super) enum ServerCommand {
    /// Run the server. An empty data directory becomes a working server with no other step.
    #[command(after_help = SERVE_HELP)]
    Serve(Box<ServeArgs>),
    /// Hold the listening sockets and run the server as a child, which can be restarted without refusing a connection.
    #[command(after_help = HOLD_HELP)]
    Hold(Box<ServeArgs>),
    /// Look at the configuration as the server would resolve it.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Ask the server of this machine whether requests should come to it: exit code 0 if they should.
    #[command(after_help = HEALTH_HELP)]
    Health(HealthArgs),
    /// Copy the SQLite store to a file or to S3, while the server runs.
    #[command(after_help = BACKUP_HELP)]
    Backup(super::backup::BackupArgs),
    /// Put a backup in place, or a restored PostgreSQL database in order, under a new epoch.
    #[command(after_help = RESTORE_HELP)]
    Restore(Box<RestoreArgs>),
    /// Move the store from SQLite to PostgreSQL or back, and prove that the two are equal.
    #[command(after_help = MOVE_HELP)]
    Move(Box<MoveArgs>),
    /// The keys digests are made with.
    #[command(subcommand)]
    DigestKey(Box<DigestKeyVerb>),
}

const SERVE_HELP: &str = "Every flag has an environment variable and a key in the file; flags win over the environment,\n\
the environment over the file. Changed certificates are taken by themselves, or at once with SIGHUP; SIGTERM stops cleanly.\n\n\
Examples:\n  tokenward serve --data-dir /var/lib/tokenward\n  \
tokenward serve --database-url postgres://tokenward@db.example.com/tokenward \\\n      \
--environment-host sandbox=api-sandbox.example.com --trusted-proxy 10.0.0.4";
const HEALTH_HELP: &str = "For supervisors and containers, which have no curl. It finds the server through the data directory and\n\
calls /health/ready on the internal listener, or /health/live with --live.\n\n\
Example:\n  tokenward health --data-dir /var/lib/tokenward";
const BACKUP_HELP: &str = "The copy holds digests, never a token or a secret. To be of use it needs the digest keys\n\
(DATA_DIR/digest-keys), which are not in it: keep them elsewhere.\n\
PostgreSQL is backed up with its own tools (pg_dump, base backups).\n\
In S3 each server needs a prefix of its own. Credentials come from the environment\n\
(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a web identity), the container or the machine,\n\
never from a flag. What goes to S3 is encrypted unless --unencrypted is given, and the trial\n\
restores what was read back from the bucket.\n\n\
Examples:\n  tokenward backup --data-dir /var/lib/tokenward /backup/tokenward-2026-11-23.sqlite\n  \
tokenward backup --data-dir /var/lib/tokenward /backup --keep 14\n  \
tokenward backup --data-dir /var/lib/tokenward /backup --recipient age1...\n  \
tokenward backup --config /etc/tokenward/tokenward.toml s3://example-backups/node-1 --keep 14";
const RESTORE_HELP: &str = "A backup does not know which tokens were revoked after it was made. So a restore begins a new\n\
epoch: every access token issued before is ended, client secrets stay good, and clients simply\n\
generate again. Only who can prove that nothing was lost may keep the tokens: give the number\n\
and hash of the last audit entry of the lost server with --complete-to (from its metrics and\n\
`tokenward audit verify`, or from its data directory). It must be exactly where the backup ends.\n\n\
Examples:\n  tokenward restore --data-dir /var/lib/tokenward --from /backup/tokenward.sqlite\n  \
tokenward restore --data-dir /var/lib/tokenward --identity backup.key \\\n      \
--from s3://example-backups/node-1/tokenward-20261129T101530Z.sqlite.age\n  \
tokenward restore --data-dir /var/lib/tokenward --database-url postgres://tokenward@db/tokenward";

const MOVE_HELP: &str = "Stop every server first. Every row is copied, read back and compared; the audit chain, the change log and the\n\
state for checks are verified in the copy. Then the copy can be used, and the store it was made from can not:\n\
a server refuses to start on it and says where the store is now. Nothing else is changed in it. Secrets and\n\
access tokens stay valid. An interrupted move leaves a copy that no server uses; run the same command again.\n\n\
Examples:\n  tokenward move --to postgresql --data-dir /var/lib/tokenward --database-url-file /etc/tokenward/database-url\n  \
tokenward move --to sqlite --data-dir /var/lib/tokenward-new --database-url-file /etc/tokenward/database-url";

/// `tokenward config ...`
#[derive(clap::Subcommand, Debug)]
pub(super) enum ConfigVerb {
    /// Check flags, environment, file and all that a start needs, and print the result as JSON without secrets.
    #[command(after_help = CHECK_HELP)]
    Check(Box<CheckArgs>),
}

const HOLD_HELP: &str = "It takes the flags, variables and file of `tokenward serve`, and passes them on. Signals: SIGUSR2 restarts the\n\
child from the program's file, for a new version or configuration; callers wait meanwhile. SIGHUP reads\n\
certificates again, SIGTERM ends both. Addresses are those of the start. Where systemd is, use its socket unit.";

const CHECK_HELP: &str = "It finds what `tokenward serve` would refuse: it reads the same files, matches certificates to keys\n\
and tries the addresses, on this machine and as this user. It does not connect to the database.\n\
Errors and warnings go to standard error. Exit code 1: the server would not start, or callers would\n\
refuse its certificate; with --strict also when something is risky.";

/// Arguments of `tokenward config check`.
#[derive(clap::Args, Debug)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// Also ask the single sign-on provider for its metadata and compare its issuer
    #[arg(long)]
    online: bool,
    /// Exit with 1 on warnings too
    #[arg(long)]
    strict: bool,
}

/// `tokenward digest-key ...`
#[derive(clap::Subcommand, Debug)]
pub(super) enum DigestKeyVerb {
    /// Add a key. After the next start new digests are made with it; old ones stay good and move over
    /// as tokens are generated.
    Add(Places),
    /// List the keys by id and fingerprint, with what still needs each; never the keys themselves.
    List(StoredKeysArgs),
    /// Remove a key that nothing needs any more.
    Remove(RemoveKeyArgs),
    /// Write the keys that a process with its own replica needs: good for checking tokens, nothing else.
    ForReplicas(ForReplicasArgs),
}

/// Arguments of `tokenward digest-key for-replicas`.
#[derive(clap::Args, Debug)]
pub(super) struct ForReplicasArgs {
    #[command(flatten)]
    places: Places,
    /// The file to make, readable by its owner only; it must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

/// Arguments of `tokenward digest-key list`.
#[derive(clap::Args, Debug)]
pub(super) struct StoredKeysArgs {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    database: Database,
    /// Print the keys as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `tokenward digest-key remove`.
#[derive(clap::Args, Debug)]
pub(super) struct RemoveKeyArgs {
    #[command(flatten)]
    stored: StoredKeysArgs,
    /// The id of the key
    #[arg(value_name = "ID")]
    id: u8,
    #[command(flatten)]
    sure: Sure,
}

/// Where the server keeps its files, by flag, environment or its configuration file.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Places {
    /// The server's configuration file (TOML), for what is not given here
    #[arg(long, env = "TOKENWARD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's data directory [default: tokenward-data]
    #[arg(long, env = "TOKENWARD_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// File with the digest keys [default: DATA_DIR/digest-keys]
    #[arg(long, env = "TOKENWARD_DIGEST_KEYS", value_name = "FILE")]
    digest_keys: Option<PathBuf>,
}

/// The PostgreSQL database, when the store is not in the data directory.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Database {
    /// The PostgreSQL database, when the store is not in the data directory
    #[arg(
        long,
        env = "TOKENWARD_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// Read the database URL from a file: what stands on a command line can be read by every user of the machine
    #[arg(long, env = "TOKENWARD_DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<PathBuf>,
    #[command(flatten)]
    tls: DatabaseTls,
}

impl Places {
    /// What the configuration file says.
    pub(super) fn file(&self) -> Result<ServeArgs, Fault> {
        let file = self.config.as_deref().map(ServeArgs::read).transpose()?;
        Ok(file.unwrap_or_default())
    }

    /// The data directory, and whether somebody named it.
    pub(super) fn data_dir(&self) -> Result<(PathBuf, bool), Fault> {
        let named = self.data_dir.clone().or(self.file()?.data_dir);
        let is_named = named.is_some();
        let place = named.unwrap_or_else(|| PathBuf::from(data_dir::DEFAULT));
        Ok((place, is_named))
    }

    pub(super) fn digest_keys(&self) -> Result<PathBuf, Fault> {
        match self.digest_keys.clone().or(self.file()?.digest_keys) {
            Some(path) => Ok(path),
            None => Ok(self.data_dir()?.0.join(data_dir::DIGEST_KEYS)),
        }
    }

    /// The database URL given, or the one of the configuration file.
    fn database_url(&self, given: &Database) -> Result<Option<Zeroizing<String>>, Fault> {
        let file = self.file()?;
        let named = given.database_url_file.clone().or(file.database_url_file);
        let url = config::secret("database_url", given.database_url.clone(), named)?;
        // Without a database these settings are those of a server that shares the environment.
        match url {
            Some(_) => Ok(given.tls.clone().or(file.database_tls).complete(url)?),
            None => Ok(None),
        }
    }
}

/// Arguments of `tokenward health`.
#[derive(clap::Args, Debug)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    places: Places,
    /// Ask only whether the process runs
    #[arg(long)]
    live: bool,
}

/// Longest wait for the answer to `tokenward health`. Who calls it has a shorter limit for what is healthy.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments of `tokenward restore`.
#[derive(clap::Args, Debug)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    places: Places,
    /// The backup to restore (SQLite) into the data directory, which must hold no store yet: a file, or s3://BUCKET/KEY; without
    /// it the PostgreSQL database, after it was restored with PostgreSQL's own tools
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["database_url", "database_url_file", "config"],
        conflicts_with_all = ["database_url", "database_url_file"]
    )]
    from: Option<PathBuf>,
    /// Private keys of an encrypted backup, in a file as age-keygen writes it
    #[arg(long, value_name = "FILE", requires = "from")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    s3: S3Settings,
    #[command(flatten)]
    database: Database,
    /// Proof that nothing was lost: number and hash of the lost server's last audit entry
    #[arg(long, value_name = "SEQ:HASH")]
    complete_to: Option<String>,
    /// Every server of the PostgreSQL database was stopped before: do not wait for their leases to end
    #[arg(long)]
    nodes_stopped: bool,
    #[command(flatten)]
    sure: Sure,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Where a store is moved.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Engine {
    /// From the data directory to the PostgreSQL database, which must be empty
    Postgresql,
    /// From the PostgreSQL database to the data directory, which must hold no store
    Sqlite,
}

/// Arguments of `tokenward move`.
#[derive(clap::Args, Debug)]
pub(super) struct MoveArgs {
    #[command(flatten)]
    places: Places,
    /// Where to
    #[arg(long, value_name = "ENGINE")]
    to: Engine,
    #[command(flatten)]
    database: Database,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

impl ServerCommand {
    /// Carries the command out.
    pub(super) fn run(self) -> ExitCode {
        let done = match self {
            Self::Serve(args) => run_server(*args),
            Self::Hold(args) => hold(*args),
            Self::Config(ConfigVerb::Check(args)) => check_config(*args),
            Self::Health(args) => health(&args),
            Self::Backup(args) => super::backup::backup(&args),
            Self::Restore(args) => restore(&args),
            Self::Move(args) => move_store(&args),
            Self::DigestKey(verb) => digest_key(&verb),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                let error = fault.downcast_ref::<std::io::Error>();
                let gone =
                    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
                if !gone {
                    complain(format!("tokenward: {fault}"));
                }
                ExitCode::FAILURE
            }
        }
    }
}

/// Runs `tokenward serve` with the words that follow `hold`.
fn hold(args: ServeArgs) -> Result<(), Fault> {
    let config = Config::resolve(args)?;
    let _logging = logs::start(&config);
    // Found now: after an upgrade the path of this process's own file leads nowhere.
    let program = std::env::current_exe()?;
    let mut words: Vec<_> = std::env::args_os().skip(1).collect();
    let verb = words.iter().position(|word| word == "hold");
    verb.map(|place| words.remove(place));
    crate::process::hold::run(&config, &program, &words)
}

fn run_server(args: ServeArgs) -> Result<(), Fault> {
    // First, while this process has one thread.
    let handed = Handed::take()?;
    let config = Config::resolve(args)?;
    let _logging = logs::start(&config);
    for warning in unknown_variables(&super::command_line()) {
        tracing::warn!("{warning}");
    }
    serve::run(config, handed)
}

/// Writes to standard error, for a second at most: nobody may be reading it.
fn complain(text: String) {
    let (done, written) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = writeln!(std::io::stderr(), "{text}");
        let _ = done.send(());
    });
    let _ = written.recv_timeout(std::time::Duration::from_secs(1));
}

fn check_config(args: CheckArgs) -> Result<(), Fault> {
    let config = Config::resolve(args.serve)?;
    if args.online
        && let Some(sso) = &config.sso
    {
        let runtime = runtime()?;
        let asked = runtime.block_on(crate::auth::provider::discover(sso));
        asked.map_err(|why| format!("sso_issuer: {why}"))?;
    }
    let mut shown = serde_json::to_value(&config)?;
    shown["database"] = if config.database_url.is_some() {
        "postgres".into()
    } else {
        "sqlite".into()
    };
    shown["internal_auth"] = config.internal_auth.is_some().into();
    shown["mail"] = config.mail_url.is_some().into();
    if let Some(socket) = &config.internal_unix {
        shown["internal_unix_mode"] = format!("{:o}", socket.mode).into();
    }
    print(&serde_json::to_string_pretty(&shown)?)?;
    let mut found = preflight::check(&config, SystemClock.wall().unix_seconds());
    found
        .warnings
        .extend(unknown_variables(&super::command_line()));
    let recipients = super::backup::recipients(&config.backup_recipients);
    found.judge(recipients.map_err(|error| format!("backup_recipients: {error}")));
    found.judge(config.backup_s3.check());
    for warning in &found.warnings {
        note(&format!("warning: {warning}"));
    }
    for error in &found.errors {
        note(&format!("error: {error}"));
    }
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (found.errors.len(), found.warnings.len()) {
        (0, 0) => Ok(()),
        (0, _) if !args.strict => Ok(()),
        (0, warnings) => Err(count(warnings, "warning").into()),
        (errors, _) => Err(format!(
            "{}: the server would not work with this configuration",
            count(errors, "error")
        )
        .into()),
    }
}

/// What a command waits in.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

pub(super) fn print(text: &str) -> Result<(), Fault> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn health(args: &HealthArgs) -> Result<(), Fault> {
    let path = args.places.data_dir()?.0.join(data_dir::LISTENING);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!(
            "no server runs on this data directory: {}: {error}",
            path.display()
        )
    })?;
    let addresses: serde_json::Value = serde_json::from_str(&text)?;
    let mut url = url::Url::parse(addresses["internal"].as_str().unwrap_or_default())?;
    let loopback: Option<std::net::IpAddr> = match url.host() {
        Some(url::Host::Ipv4(host)) if host.is_unspecified() => {
            Some(std::net::Ipv4Addr::LOCALHOST.into())
        }
        Some(url::Host::Ipv6(host)) if host.is_unspecified() => {
            Some(std::net::Ipv6Addr::LOCALHOST.into())
        }
        _ => None,
    };
    if let Some(loopback) = loopback {
        let _ = url.set_ip_host(loopback);
    }
    url.set_path(if args.live {
        "/health/live"
    } else {
        "/health/ready"
    });
    // Nothing is sent that another server could use, and the certificate names the host that gateways use.
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(HEALTH_TIMEOUT)
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let runtime = runtime()?;
    let (status, text) = runtime
        .block_on(async {
            let answer = client.get(url.clone()).send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
        })
        .map_err(|error| {
            format!(
                "the server at {url} does not answer: {}",
                error.without_url()
            )
        })?;
    match status.is_success() {
        true => print(text.trim_end()),
        false => Err(text.trim_end().into()),
    }
}

fn restore(args: &RestoreArgs) -> Result<(), Fault> {
    let proof = args.complete_to.as_deref().map(parse_proof).transpose()?;
    let (data_dir, named) = args.places.data_dir()?;
    data_dir::must_be_meant(&data_dir, named)?;
    let digest_keys = args.places.digest_keys()?;
    let database_url = match args.from {
        Some(_) => None,
        None => args.places.database_url(&args.database)?,
    };
    let keyring = data_dir::find_keyring(&digest_keys)?;
    if database_url.is_some() && proof.is_none() {
        args.sure.confirm(
            "This begins a new epoch in the PostgreSQL database: every access token issued so far is revoked. Client secrets \
             stay valid. This can't be undone. With --complete-to the tokens stay valid.",
        )?;
    }
    let directory = DataDir::open(&data_dir)?;
    let to = directory.file(data_dir::DATABASE);
    if args.from.is_some() && to.exists() {
        return Err(format!(
            "{} exists; move it away first, a restore never overwrites a store",
            to.display()
        )
        .into());
    }
    let source = args.from.as_deref();
    let source = source.map(|from| Source::of(&data_dir, from, args));
    let source = source.transpose()?;
    let location = match (&source, database_url) {
        (
            Some(Source {
                path: from, shown, ..
            }),
            _,
        ) => {
            if let Some(ring) = &keyring {
                let copy = Location::Sqlite(from.clone());
                fitting(&copy, ring, &digest_keys)?;
            }
            let bytes = std::fs::File::open(from).and_then(|mut source| {
                data_dir::create_private(&to, b"").map_err(std::io::Error::other)?;
                let mut target = std::fs::File::options().write(true).open(&to)?;
                let bytes = std::io::copy(&mut source, &mut target)?;
                target.sync_all()?;
                Ok(bytes)
            });
            bytes.map_err(|error| format!("cannot copy {shown}: {error}"))?;
            Location::Sqlite(to)
        }
        (None, Some(url)) => {
            let location = Location::Postgres(url.to_string());
            if let Some(ring) = &keyring {
                fitting(&location, ring, &digest_keys)?;
            }
            location
        }
        (None, None) => {
            return Err(
                "give --from, --database-url-file, or a configuration with database_url_file"
                    .into(),
            );
        }
    };
    drop(source);
    let runtime = runtime()?;
    let wait = match (&location, args.nodes_stopped) {
        (Location::Postgres(_), false) => tokenward_store::NODE_WAIT,
        _ => Duration::ZERO,
    };
    if !wait.is_zero() {
        note(&format!(
            "waiting {} s: a server that worked on the lost database may still permit tokens of that time. --nodes-stopped leaves \
             the wait out when every server was stopped before",
            wait.as_secs() + 1
        ));
    }
    let now = SystemClock.wall();
    let restoring = tokenward_store::restore(&location, proof, random::uuid(), now, wait);
    let restored = runtime.block_on(restoring).inspect_err(|_| {
        if let (Location::Sqlite(path), Some(_)) = (&location, &args.from) {
            // What was put there by this command is taken away again: a copy under the old epoch
            // must not lie where a server would start on it.
            for suffix in ["", "-wal", "-shm"] {
                let mut name = path.clone().into_os_string();
                name.push(suffix);
                let _ = std::fs::remove_file(name);
            }
        }
    })?;
    directory.forget_seen()?;
    // Replicas of the lost server may still be vouching: the first start waits until they can't.
    data_dir::replace(&directory.file(data_dir::REPLICAS), b"restored\n")?;
    if keyring.is_none() {
        let needed = tokenward_store::stored_keys(&location, SystemClock.wall())?;
        let texts: Vec<String> = needed.iter().map(described).collect();
        note(&format!(
            "The digest keys are missing: put them into {} before you start the server, which refuses to start without \
             them. The store was written with {}.",
            digest_keys.display(),
            texts.join(", ")
        ));
    }
    let head = &restored.head;
    let hash = hex::encode(&head.audit_hash);
    if args.json {
        let told = serde_json::json!({
            "change_number": head.change_number, "audit_seq": head.audit_seq, "audit_hash": *hash,
            "epoch": restored.epoch, "tokens_ended": restored.epoch.is_some(),
        });
        return print(&told.to_string());
    }
    print(&match restored.epoch {
        Some(epoch) => format!(
            "Restored up to change {}, audit entry {}. Epoch {epoch} begins: every access token issued before is ended, client secrets stay good.",
            head.change_number, head.audit_seq
        ),
        None => format!(
            "Restored up to change {}, audit entry {}, which is all there was: tokens stay good.",
            head.change_number, head.audit_seq
        ),
    })
}

/// The SQLite file that a restore reads.
struct Source {
    path: PathBuf,
    /// What sentences call it.
    shown: String,
    /// The folder that the file is in when it was fetched or decrypted; it goes with this value.
    _work: Option<Work>,
}

impl Source {
    /// Fetches the backup when it is in S3, and decrypts it when it is encrypted.
    fn of(data_dir: &Path, from: &Path, args: &RestoreArgs) -> Result<Self, Fault> {
        let address = Address::read(from)?;
        let shown = match &address {
            Some(address) => address.to_string(),
            None => from.display().to_string(),
        };
        let mut work = None;
        let mut path = from.to_owned();
        if let Some(address) = address {
            let bucket = Bucket::open(
                address,
                &args.s3.clone().or(args.places.file()?.backup_s3()),
            )?;
            let folder = Work::begin(data_dir)?;
            path = folder.file("downloaded");
            bucket.download(None, &path)?;
            work = Some(folder);
        }
        let encrypted = super::backup::is_encrypted(&path);
        let encrypted = encrypted.map_err(|error| format!("cannot read {shown}: {error}"))?;
        match (encrypted, args.identity.as_deref()) {
            (false, None) => {}
            (false, Some(_)) => {
                return Err(format!("{shown} is not encrypted: leave --identity out").into());
            }
            (true, None) => {
                return Err(format!(
                    "{shown} is encrypted: name the file with its private key with --identity"
                )
                .into());
            }
            (true, Some(identity)) => {
                let identities = super::backup::identities(identity)?;
                let folder = match work.take() {
                    Some(folder) => folder,
                    None => Work::begin(data_dir)?,
                };
                let plain = folder.file("decrypted.sqlite");
                super::backup::decrypt(&path, &shown, &plain, &identities)?;
                path = plain;
                work = Some(folder);
            }
        }
        Ok(Self {
            path,
            shown,
            _work: work,
        })
    }
}

fn move_store(args: &MoveArgs) -> Result<(), Fault> {
    let (data_dir, named) = args.places.data_dir()?;
    data_dir::must_be_meant(&data_dir, named)?;
    let url = args.places.database_url(&args.database)?;
    let url = url.ok_or(
        "no PostgreSQL database is named: give --database-url-file, or a configuration with database_url_file",
    )?;
    let digest_keys = args.places.digest_keys()?;
    let keyring = data_dir::find_keyring(&digest_keys)?.ok_or_else(|| {
        format!(
            "{} does not exist: put the store's digest keys there, from the server's data directory or your copy",
            digest_keys.display()
        )
    })?;
    let directory = DataDir::open(&data_dir)?;
    let file = directory.file(data_dir::DATABASE);
    let postgres = Location::Postgres(url.to_string());
    let (from, to) = match args.to {
        Engine::Postgresql if !file.exists() => {
            return Err(format!(
                "{} does not exist: there is no store to move",
                file.display()
            )
            .into());
        }
        Engine::Postgresql => (Location::Sqlite(file), postgres),
        Engine::Sqlite => (postgres, Location::Sqlite(file)),
    };
    fitting(&from, &keyring, &digest_keys)?;
    let tty = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let mut last = (Step::Copying, String::new());
    let mut progress = |step: Step, table: &str, rows: u64| {
        let next = last.0 != step || last.1 != table;
        if next && tty && !last.1.is_empty() {
            note("");
        }
        let line = match step {
            Step::Copying => format!("copying {table}: {rows} rows"),
            Step::Comparing => format!("comparing {table}: {rows} rows"),
            Step::Verifying => format!("verifying {table}"),
            Step::Waiting => format!(
                "waiting {} s: a server that did not stop in good order may still answer checks",
                tokenward_store::NODE_WAIT.as_secs() + 1
            ),
        };
        if tty {
            let _ = write!(std::io::stderr(), "\r{line}");
        } else if next {
            note(
                line.split_once(':')
                    .filter(|_| step != Step::Waiting)
                    .map_or(&line, |(line, _)| line),
            );
        }
        last = (step, table.to_owned());
    };
    let wanted = Move {
        from: &from,
        to: &to,
        keyring: Arc::new(keyring),
        id: random::uuid(),
        now: SystemClock.wall(),
        wait: tokenward_store::NODE_WAIT,
    };
    let runtime = runtime()?;
    let moved = runtime.block_on(tokenward_store::move_store(&wanted, &mut progress));
    if tty {
        note("");
    }
    let moved = moved?;
    let replicas = directory.file(data_dir::REPLICAS);
    if args.to == Engine::Sqlite {
        // Replicas of the former servers may still be vouching: the first start waits until they can't.
        data_dir::replace(&replicas, b"moved\n")?;
    }
    told_moved(args, &moved, &digest_keys, replicas.exists())
}

/// Prints what was moved, and what to do next.
fn told_moved(
    args: &MoveArgs,
    moved: &Moved,
    digest_keys: &Path,
    replicas: bool,
) -> Result<(), Fault> {
    let head = &moved.head;
    let hash = hex::encode(&head.audit_hash);
    let rows: u64 = moved.tables.iter().map(|table| table.rows).sum();
    if args.json {
        let tables: Vec<_> = moved
            .tables
            .iter()
            .map(|table| serde_json::json!({ "name": table.name, "rows": table.rows, "digest": table.digest }))
            .collect();
        let told = serde_json::json!({
            "from": moved.from, "to": moved.to, "change_number": head.change_number, "audit_seq": head.audit_seq,
            "audit_hash": *hash, "rows": rows, "tables": tables, "clients": moved.clients,
            "changes_folded": moved.folded,
        });
        return print(&told.to_string());
    }
    print(&format!(
        "Moved {} to {}: {rows} rows in {} tables, {} API client{}.\nThe two are equal: rows and digest of every table; audit \
         chain up to entry {}:{}; change log up to change {}; state for checks, from the tables and from {} changes of the log.",
        moved.from,
        moved.to,
        moved.tables.len(),
        moved.clients,
        if moved.clients == 1 { "" } else { "s" },
        head.audit_seq,
        *hash,
        head.change_number,
        moved.folded
    ))?;
    note(&match args.to {
        Engine::Postgresql => format!(
            "Start servers with --database-url-file (database_url_file in the configuration) and the digest keys in {}. The file \
             can't be used by a server any more; keep it until you have a backup of the database.",
            digest_keys.display()
        ),
        Engine::Sqlite => format!(
            "Start one server without a database URL, with the digest keys in {}. The PostgreSQL database can't be used by a \
             server any more; keep it until you have a backup of the file.",
            digest_keys.display()
        ),
    });
    if replicas && args.to == Engine::Postgresql {
        note(
            "Replicas in other processes were attached to the former server: start the first server on this data directory. It \
             waits until they have ended.",
        );
    }
    Ok(())
}

fn parse_proof(text: &str) -> Result<(u64, [u8; 32]), Fault> {
    let wrong = || format!("{text:?} is not SEQ:HASH, such as 1234:9f86d0…(64 hex characters)");
    let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
    let digest = tokenward_core::Digest::from_hex(hash).ok_or_else(wrong)?;
    Ok((seq.parse().map_err(|_| wrong())?, digest.0))
}

/// Refuses keys in the file that are not the store's, before anything is changed.
fn fitting(location: &Location, ring: &Keyring, path: &Path) -> Result<(), Fault> {
    tokenward_store::judge_keys(location, ring, SystemClock.wall()).map_err(|error| match error {
        StoreError::DigestKeys(fault) => format!("{}: {fault}", path.display()).into(),
        other => other.into(),
    })
}

/// A key of a store by its id and fingerprint.
fn described(key: &StoredKey) -> String {
    match key.fingerprint {
        Some(fingerprint) => format!("digest key {} (fingerprint {fingerprint})", key.id.0),
        None => format!("digest key {}", key.id.0),
    }
}

impl StoredKeysArgs {
    fn location(&self) -> Result<Location, Fault> {
        Ok(match self.places.database_url(&self.database)? {
            Some(url) => Location::Postgres(url.to_string()),
            None => Location::Sqlite(self.places.data_dir()?.0.join(data_dir::DATABASE)),
        })
    }

    /// The keys the store was written with; none when there is no store yet.
    fn stored(&self) -> Result<Vec<StoredKey>, Fault> {
        let location = self.location()?;
        if let Location::Sqlite(path) = &location
            && !path.exists()
        {
            note(&format!(
                "{} does not exist, so only the key file is shown; for a PostgreSQL store give --database-url",
                path.display()
            ));
            return Ok(Vec::new());
        }
        Ok(tokenward_store::stored_keys(&location, SystemClock.wall())?)
    }

    /// The key that the nodes of a PostgreSQL database make new digests with.
    fn chosen(&self) -> Result<Option<KeyId>, Fault> {
        match self.location()? {
            location @ Location::Postgres(_) => Ok(tokenward_store::chosen_key(&location)?),
            Location::Sqlite(_) => Ok(None),
        }
    }
}

fn list_keys(args: &StoredKeysArgs, path: &Path) -> Result<(), Fault> {
    let ring = data_dir::keyring(path)?;
    let mut stored = args.stored()?;
    let current = args.chosen()?.unwrap_or(ring.current());
    let mut lines = Vec::new();
    for (id, fingerprint) in ring.fingerprints() {
        let of_store = stored
            .iter()
            .position(|key| key.id == id)
            .map(|at| stored.remove(at));
        let state = match of_store.and_then(|key| key.fingerprint) {
            Some(other) if other != fingerprint => "not the key of the database",
            _ if id == current => "in use for new digests",
            _ if id == ring.newest() => "used once every node of the database has it",
            Some(_) if of_store.is_some_and(|key| key.uses.is_none()) => {
                "needed by nothing: can be removed"
            }
            _ => "kept for older digests",
        };
        lines.push((id, Some(fingerprint), state, of_store));
    }
    for key in stored {
        lines.push((key.id, key.fingerprint, "missing from the file", Some(key)));
    }
    if args.json {
        let keys: Vec<_> = lines.iter().map(|(id, fingerprint, state, key)| {
            let uses = key.map(|key| key.uses);
            serde_json::json!({
                "id": id, "fingerprint": fingerprint.map(|one| one.to_string()), "state": state,
                "first_used_at": key.and_then(|key| key.first_used_at).map(|at| at.iso()),
                "needed_by": uses.map(|uses| serde_json::json!({
                    "client_secrets": uses.secrets, "access_tokens": uses.tokens, "admin_keys": uses.admin_keys,
                    "webhooks": uses.webhooks, "authenticator_apps": uses.apps,
                })),
            })
        }).collect();
        return print(&serde_json::to_string_pretty(&keys)?);
    }
    for (id, fingerprint, state, key) in lines {
        let fingerprint = fingerprint.map_or_else(|| "unknown".into(), |one| one.to_string());
        let since = key
            .and_then(|key| key.first_used_at)
            .map_or_else(String::new, |at| format!(", since {}", at.iso()));
        let uses = key.map_or_else(String::new, |key| format!("; needed by {}", key.uses));
        print(&format!(
            "{} ({state}), fingerprint {fingerprint}{since}{uses}",
            id.0
        ))?;
    }
    Ok(())
}

fn remove_key(args: &RemoveKeyArgs, path: &Path) -> Result<(), Fault> {
    let id = KeyId(args.id);
    let ring = data_dir::keyring(path)?;
    if let Location::Sqlite(file) = args.stored.location()?
        && !file.exists()
    {
        return Err(format!(
            "{} does not exist, so what needs digest key {} is not known: for a PostgreSQL store give --database-url",
            file.display(),
            id.0
        )
        .into());
    }
    fitting(&args.stored.location()?, &ring, path)?;
    let stored = args.stored.stored()?;
    let of_store = |id: KeyId| stored.iter().find(|key| key.id == id);
    if args.stored.chosen()? == Some(id) {
        return Err(format!(
            "digest key {} is in use for new digests by the nodes of the database: add another one first (`tokenward digest-key add`), \
             copy the file to every node and restart each of them",
            id.0
        )
        .into());
    }
    if id != ring.current() && of_store(ring.current()).is_none_or(|key| key.fingerprint.is_none())
    {
        return Err(format!(
            "no server has started with digest key {} yet, so new digests are still made with an older one: restart the server first",
            ring.current().0
        )
        .into());
    }
    if let Some(key) = of_store(id).filter(|_| id != ring.current())
        && !key.uses.is_none()
    {
        return Err(format!(
            "digest key {} is needed by {}. A secret and its token move to the newest key when a token is generated; replace \
             admin keys (`tokenward admin-key create`), rotate webhook secrets, and set authenticator apps up again",
            id.0, key.uses
        )
        .into());
    }
    if id != ring.current() && ring.ids().any(|known| known == id) {
        args.sure.confirm(&format!(
            "This removes digest key {} from {}. Backups made while it was needed can't be restored without a copy of it.",
            id.0,
            path.display()
        ))?;
    }
    data_dir::remove_key(path, id)?;
    print(&format!(
        "removed digest key {} from {}; restart the server to forget it",
        id.0,
        path.display()
    ))
}

fn digest_key(verb: &DigestKeyVerb) -> Result<(), Fault> {
    let (DigestKeyVerb::Add(places)
    | DigestKeyVerb::List(StoredKeysArgs { places, .. })
    | DigestKeyVerb::Remove(RemoveKeyArgs {
        stored: StoredKeysArgs { places, .. },
        ..
    })
    | DigestKeyVerb::ForReplicas(ForReplicasArgs { places, .. })) = verb;
    let path = places.digest_keys()?;
    match verb {
        DigestKeyVerb::Add(_) => {
            let id = data_dir::add_key(&path)?;
            print(&format!(
                "added digest key {id} to {}; restart the server to use it",
                path.display()
            ))
        }
        DigestKeyVerb::ForReplicas(ForReplicasArgs { to, .. }) => {
            let keys = ReplicaKeys::of(&data_dir::keyring(&path)?);
            data_dir::create_private(to, keys.text().as_bytes())?;
            print(&format!(
                "wrote the replica keys to {}; carry it to each process that attaches a replica, and keep it from everybody else",
                to.display()
            ))
        }
        DigestKeyVerb::List(args) => list_keys(args, &path),
        DigestKeyVerb::Remove(args) => remove_key(args, &path),
    }
}
