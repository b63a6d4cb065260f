//! Commands of the server's own machine: serve, config check, backup, restore, digest keys.

use crate::clock::SystemClock;
use crate::config::{Config, ServeArgs};
use crate::data_dir::{self, DataDir};
use crate::serve::{self, Fault};
use crate::{logs, random};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tokenward_core::attach::ReplicaKeys;
use tokenward_core::time::Clock;
use tokenward_store::Location;

/// Commands of the server's own machine.
#[derive(clap::Subcommand, Debug)]
pub(super) enum ServerCommand {
    /// Run the server. An empty data directory becomes a working server with no other step.
    #[command(after_help = SERVE_HELP)]
    Serve(Box<ServeArgs>),
    /// Look at the configuration as the server would resolve it.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Copy the SQLite store to a file, while the server runs.
    #[command(after_help = BACKUP_HELP)]
    Backup(BackupArgs),
    /// Put a backup in place, or a restored PostgreSQL database in order, under a new epoch.
    #[command(after_help = RESTORE_HELP)]
    Restore(Box<RestoreArgs>),
    /// The keys digests are made with.
    #[command(subcommand)]
    DigestKey(DigestKeyVerb),
}

const SERVE_HELP: &str = "Every flag has an environment variable and a key in the file; flags win over the environment,\n\
the environment over the file. SIGHUP reads the certificates again; SIGTERM stops cleanly.\n\n\
Examples:\n  tokenward serve --data-dir /var/lib/tokenward\n  \
tokenward serve --database-url postgres://tokenward@db.example.com/tokenward \\\n      \
--environment-host sandbox=api-sandbox.example.com --trusted-proxy 10.0.0.4";
const BACKUP_HELP: &str = "The copy holds digests, never a token or a secret. To be of use it needs the digest keys\n\
(DATA_DIR/digest-keys), which are not in it: keep them elsewhere.\n\
PostgreSQL is backed up with its own tools (pg_dump, base backups).\n\n\
Example:\n  tokenward backup --data-dir /var/lib/tokenward /backup/tokenward-2026-11-23.sqlite";
const RESTORE_HELP: &str = "A backup does not know which tokens were revoked after it was made. So a restore begins a new\n\
epoch: every access token issued before is ended, client secrets stay good, and clients simply\n\
generate again. Only who can prove that nothing was lost may keep the tokens: give the number\n\
and hash of the last audit entry of the lost server with --complete-to (from its metrics and\n\
`tokenward audit verify`, or from its data directory). It must be exactly where the backup ends.\n\n\
Examples:\n  tokenward restore --data-dir /var/lib/tokenward --from /backup/tokenward.sqlite\n  \
tokenward restore --data-dir /var/lib/tokenward --database-url postgres://tokenward@db/tokenward";

/// `tokenward config ...`
#[derive(clap::Subcommand, Debug)]
pub(super) enum ConfigVerb {
    /// Check flags, environment and file, and print the result as JSON without secrets.
    Check(Box<ServeArgs>),
}

/// `tokenward digest-key ...`
#[derive(clap::Subcommand, Debug)]
pub(super) enum DigestKeyVerb {
    /// Add a key. After the next start new digests are made with it; old ones stay good and move over
    /// as tokens are generated.
    Add(DigestKeyArgs),
    /// List the ids of the keys, never the keys.
    List(DigestKeyArgs),
    /// Write the keys that a process with its own replica needs: good for checking tokens, nothing else.
    ForReplicas(ForReplicasArgs),
}

/// Arguments of `tokenward digest-key for-replicas`.
#[derive(clap::Args, Debug)]
pub(super) struct ForReplicasArgs {
    #[command(flatten)]
    keys: DigestKeyArgs,
    /// The file to make, readable by its owner only; it must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

/// Where the digest keys are.
#[derive(clap::Args, Debug)]
pub(super) struct DigestKeyArgs {
    /// The server's data directory
    #[arg(
        long,
        env = "TOKENWARD_DATA_DIR",
        value_name = "DIR",
        default_value = "tokenward-data"
    )]
    data_dir: PathBuf,
    /// File with the digest keys [default: DATA_DIR/digest-keys]
    #[arg(long, env = "TOKENWARD_DIGEST_KEYS", value_name = "FILE")]
    digest_keys: Option<PathBuf>,
}

/// Arguments of `tokenward backup`.
#[derive(clap::Args, Debug)]
pub(super) struct BackupArgs {
    /// The server's data directory
    #[arg(
        long,
        env = "TOKENWARD_DATA_DIR",
        value_name = "DIR",
        default_value = "tokenward-data"
    )]
    data_dir: PathBuf,
    /// The file to make; it must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `tokenward restore`.
#[derive(clap::Args, Debug)]
pub(super) struct RestoreArgs {
    /// The data directory to put the store in; it must hold no store yet
    #[arg(
        long,
        env = "TOKENWARD_DATA_DIR",
        value_name = "DIR",
        default_value = "tokenward-data"
    )]
    data_dir: PathBuf,
    /// The backup to restore (SQLite)
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "database_url",
        conflicts_with = "database_url"
    )]
    from: Option<PathBuf>,
    /// The database that was restored with PostgreSQL's own tools
    #[arg(
        long,
        env = "TOKENWARD_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// Proof that nothing was lost: number and hash of the lost server's last audit entry
    #[arg(long, value_name = "SEQ:HASH")]
    complete_to: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

impl ServerCommand {
    /// Carries the command out.
    pub(super) fn run(self) -> ExitCode {
        let done = match self {
            Self::Serve(args) => run_server(*args),
            Self::Config(ConfigVerb::Check(args)) => check_config(*args),
            Self::Backup(args) => backup(&args),
            Self::Restore(args) => restore(&args),
            Self::DigestKey(verb) => digest_key(&verb),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                let _ = writeln!(std::io::stderr(), "tokenward: {fault}");
                ExitCode::FAILURE
            }
        }
    }
}

fn run_server(args: ServeArgs) -> Result<(), Fault> {
    let config = Config::resolve(args)?;
    logs::start(&config);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    serve::run(config)
}

fn check_config(args: ServeArgs) -> Result<(), Fault> {
    let config = Config::resolve(args)?;
    for warning in config.warnings() {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    let mut shown = serde_json::to_value(&config)?;
    shown["database"] = if config.database_url.is_some() {
        "postgres".into()
    } else {
        "sqlite".into()
    };
    shown["internal_auth"] = config.internal_auth.is_some().into();
    print(&serde_json::to_string_pretty(&shown)?)
}

fn print(text: &str) -> Result<(), Fault> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn backup(args: &BackupArgs) -> Result<(), Fault> {
    let from = args.data_dir.join(data_dir::DATABASE);
    if !from.exists() {
        return Err(format!(
            "{} does not exist; a PostgreSQL store is backed up with PostgreSQL's own tools",
            from.display()
        )
        .into());
    }
    let tty = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let mut told = 101;
    let copied = tokenward_store::backup(&from, &args.to, |left, all| {
        let percent = 100 - u64::from(left) * 100 / u64::from(all.max(1));
        if tty && percent != told {
            told = percent;
            let _ = write!(std::io::stderr(), "\rcopying {percent} %");
        }
    });
    if tty {
        note("");
    }
    let (change, seq, hash) = copied?;
    let hash = data_dir::hex(&hash);
    if args.json {
        let told = serde_json::json!({ "file": args.to, "change_number": change, "audit_seq": seq, "audit_hash": *hash });
        return print(&told.to_string());
    }
    print(&format!(
        "{} holds everything up to change {change}, audit entry {seq}:{}",
        args.to.display(),
        *hash
    ))?;
    note(
        "The digest keys are not in it. Keep a copy of them elsewhere: without them no secret or token can be checked.",
    );
    Ok(())
}

fn restore(args: &RestoreArgs) -> Result<(), Fault> {
    let proof = args.complete_to.as_deref().map(parse_proof).transpose()?;
    let directory = DataDir::open(&args.data_dir)?;
    let location = match (&args.from, &args.database_url) {
        (Some(from), _) => {
            let to = directory.file(data_dir::DATABASE);
            if to.exists() {
                return Err(format!(
                    "{} exists; move it away first, a restore never overwrites a store",
                    to.display()
                )
                .into());
            }
            let bytes = std::fs::File::open(from).and_then(|mut source| {
                data_dir::create_private(&to, b"").map_err(std::io::Error::other)?;
                let mut target = std::fs::File::options().write(true).open(&to)?;
                let bytes = std::io::copy(&mut source, &mut target)?;
                target.sync_all()?;
                Ok(bytes)
            });
            bytes.map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
            Location::Sqlite(to)
        }
        (None, Some(url)) => Location::Postgres(url.clone()),
        (None, None) => return Err("give --from or --database-url".into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let restoring = tokenward_store::restore(&location, proof, random::uuid(), SystemClock.wall());
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
    if !directory.file(data_dir::DIGEST_KEYS).exists() {
        note(
            "The digest keys are missing: put them into the data directory (or give --digest-keys) before you start the server.",
        );
    }
    let head = &restored.head;
    let hash = data_dir::hex(&head.audit_hash);
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

fn parse_proof(text: &str) -> Result<(u64, [u8; 32]), Fault> {
    let wrong = || format!("{text:?} is not SEQ:HASH, such as 1234:9f86d0…(64 hex characters)");
    let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
    let digest = tokenward_core::Digest::from_hex(hash).ok_or_else(wrong)?;
    Ok((seq.parse().map_err(|_| wrong())?, digest.0))
}

fn digest_key(verb: &DigestKeyVerb) -> Result<(), Fault> {
    let (DigestKeyVerb::Add(args)
    | DigestKeyVerb::List(args)
    | DigestKeyVerb::ForReplicas(ForReplicasArgs { keys: args, .. })) = verb;
    let path = args
        .digest_keys
        .clone()
        .unwrap_or_else(|| args.data_dir.join(data_dir::DIGEST_KEYS));
    match verb {
        DigestKeyVerb::Add(_) => {
            let id = data_dir::add_key(&path)?;
            print(&format!(
                "added digest key {id} to {}; restart the server to use it",
                path.display()
            ))
        }
        DigestKeyVerb::ForReplicas(ForReplicasArgs { to, .. }) => {
            let keys = ReplicaKeys::of(&data_dir::keyring(&path, false)?);
            data_dir::create_private(to, keys.text().as_bytes())?;
            print(&format!(
                "wrote the replica keys to {}; carry it to each process that attaches a replica, and keep it from everybody else",
                to.display()
            ))
        }
        DigestKeyVerb::List(_) => {
            let ring = data_dir::keyring(&path, false)?;
            let current = ring.current();
            for id in ring.ids() {
                print(&format!(
                    "{}{}",
                    id.0,
                    if id == current {
                        " (in use for new digests)"
                    } else {
                        ""
                    }
                ))?;
            }
            Ok(())
        }
    }
}
