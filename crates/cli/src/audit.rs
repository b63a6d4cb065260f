//! `tokenward audit`: reading the audit log, taking it away, proving that nobody altered it.

use super::api::{Answer, Query, query};
use super::audit_file::{self, csv_row};
use super::error::CliError;
use super::once::private_file;
use super::output::Output;
use super::pages::{Pages, Portion, parsed};
use super::progress::{Progress, rest};
use super::session::{Common, Group, Session};
use super::table::printable;
use super::views;
use clap::ValueEnum;
use serde_json::json;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokenward_api::{AuditEntry, AuditHead, AuditVerified, AuditWhole, Hash};
use tokenward_core::Digest;
use tokenward_core::audit::Head;
use uuid::Uuid;

/// Busy answers with the same sentence in a row before `audit verify` gives up. The server asks for 5 seconds each time:
/// about five minutes without any progress.
const BUSY_ANSWERS_MAX: u32 = 60;
/// Longest pause between two requests, whatever the server asks for.
const PAUSE_MAX_SECONDS: u64 = 60;

/// Commands on the audit log.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Verb {
    /// List entries, oldest first.
    #[command(after_help = "Example:\n  tokenward audit list --after 1200 --limit 50")]
    List(ListArgs),
    /// Write all entries out, to keep elsewhere or to read in another program.
    #[command(after_help = "Examples:\n  \
        tokenward audit export --output audit-2026.jsonl\n  \
        tokenward audit export --after 1200 --format csv > audit.csv\n\n\
        JSON lines can be verified later with `tokenward audit verify --export FILE`; CSV is for spreadsheets.")]
    Export(ExportArgs),
    /// Verify the chain of hashes: asks the server, or reads an export without any server.
    #[command(after_help = "Examples:\n  \
        tokenward audit verify\n  \
        tokenward audit verify --export audit-2026.jsonl\n  \
        tokenward audit verify --export audit-2026.jsonl --against-server\n  \
        tokenward audit verify --head 35:f1425a...\n\n\
        Keep the head that is printed where the server can't write. With --head the log, or the export, must still \
        hold that entry: it can't have been written anew or cut off before it. --against-server asks the server whether \
        it still has the last exported entry.\n\
        The server verifies for one caller at a time, and a long log in several steps: while it answers that it is busy, \
        the request is repeated.\n\
        Exit code 0: the chain is whole. 1: it is broken, or could not be read.")]
    Verify(VerifyArgs),
}

/// Which entries to list.
#[derive(clap::Args, Debug)]
pub(crate) struct ListArgs {
    /// Only entries after this number.
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Only entries about this client.
    #[arg(long, value_name = "ID")]
    client: Option<Uuid>,
    /// Only entries about this workspace: id or exact name.
    #[arg(long, short = 'w')]
    workspace: Option<String>,
    #[command(flatten)]
    portion: Portion,
}

/// The form of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line, as the API has it.
    Jsonl,
    /// RFC 4180, with a heading.
    Csv,
}

/// How to export.
#[derive(clap::Args, Debug)]
pub(crate) struct ExportArgs {
    /// The form.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// Only entries after this number: the last one of an earlier export.
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Write into this new file instead of to standard output.
    #[arg(long, short = 'o', value_name = "PATH")]
    output: Option<PathBuf>,
}

/// What to verify.
#[derive(clap::Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Verify this export in JSON lines, without a server; several are read as one, in order.
    #[arg(long, value_name = "PATH")]
    export: Vec<PathBuf>,
    /// An entry that must still be there: its number and its hash, as an earlier verification printed them.
    #[arg(long, value_name = "SEQ:HASH", value_parser = head)]
    head: Option<Head>,
    /// Ask the server too whether it still has the last entry of the export.
    #[arg(long, requires = "export")]
    against_server: bool,
}

fn head(text: &str) -> Result<Head, String> {
    Head::parse(text).ok_or_else(|| {
        "isn't a valid head. Give an entry's number, a colon and its hash in 64 hex digits, as `tokenward audit verify` \
         prints them"
            .to_owned()
    })
}

/// Carries out one command. `audit verify --export` needs no server, so none is looked for here.
pub(crate) async fn run(group: Group<Verb>) -> Result<(), CliError> {
    let common = group.common;
    match group.verb {
        Verb::List(args) => list(args, &Session::new(&common)?).await,
        Verb::Export(args) => export(args, &Session::new(&common)?).await,
        Verb::Verify(args) if args.export.is_empty() => {
            verify_server(args.head, &Session::new(&common)?).await
        }
        Verb::Verify(args) => verify_export(&args, &common).await,
    }
}

async fn list(args: ListArgs, session: &Session) -> Result<(), CliError> {
    let workspace = match &args.workspace {
        Some(name) => Some(session.workspace_id(name).await?),
        None => None,
    };
    let query = query([
        ("after", args.after.map(|seq| seq.to_string())),
        ("client_id", args.client.map(|id| id.to_string())),
        ("workspace_id", workspace.map(|id| id.to_string())),
    ]);
    let pages = Pages::new(&session.api, "/audit", query, args.portion.limit);
    let lists = &mut [pages];
    session.out.lists(lists, None, |_| true, views::audit).await
}

async fn export(args: ExportArgs, session: &Session) -> Result<(), CliError> {
    let mut place: Box<dyn Write> = match &args.output {
        None => Box::new(std::io::stdout()),
        Some(path) => Box::new(new_file(path)?),
    };
    let query = query([("after", args.after.map(|seq| seq.to_string()))]);
    let mut pages = Pages::new(&session.api, "/audit", query, None);
    let mut progress = Progress::on_stderr();
    let mut count = 0_u64;
    let mut out = BufWriter::new(&mut place);
    if args.format == Format::Csv {
        out.write_all(tokenward_api::audit_csv::heading().as_bytes())?;
    }
    while let Some(items) = pages.next().await? {
        for item in &items {
            match args.format {
                Format::Jsonl => writeln!(out, "{}", item.get())?,
                Format::Csv => out.write_all(csv_row(item)?.as_bytes())?,
            }
            count += 1;
        }
        // What is read is written at once: an export cut short is whole up to there.
        out.flush()?;
        progress.show(&format!("{count} entries"));
    }
    progress.clear();
    session.out.note(&format!("{count} entries exported."));
    Ok(())
}

fn new_file(path: &Path) -> Result<std::fs::File, CliError> {
    let file = private_file(path);
    file.map_err(|error| CliError::Failed(format!("{} can't be made: {error}", path.display())))
}

async fn verify_server(kept: Option<Head>, session: &Session) -> Result<(), CliError> {
    let query = query([("head", kept.map(|kept| kept.to_string()))]);
    let verdict = verdict(session, &query).await?;
    if session.out.json {
        session.out.json(&verdict.json)?;
    }
    match &*verdict {
        AuditVerified::Whole(_) if session.out.json => Ok(()),
        AuditVerified::Whole(found) => session.out.line(&whole(found)),
        AuditVerified::Broken(broken) => Err(CliError::Failed(format!(
            "the audit log is broken at entry {}: {}",
            broken.broken_at, broken.why
        ))),
    }
}

/// The server's verdict. One verification runs at a time and a long log takes several requests, so the request is
/// repeated while the server is busy.
///
/// # Errors
/// Also after [`BUSY_ANSWERS_MAX`] answers in a row without progress.
async fn verdict(session: &Session, query: &Query) -> Result<Answer<AuditVerified>, CliError> {
    let (mut told, mut in_vain) = (String::new(), 0);
    loop {
        let problem = match session.api.read("/audit/verify", query).await {
            Err(CliError::Refused(problem)) if problem.code() == Some("BUSY") => problem,
            other => return other,
        };
        let detail = printable(problem.detail().unwrap_or_default());
        let seconds = problem.retry_after_seconds.unwrap_or(1);
        let seconds = seconds.clamp(1, PAUSE_MAX_SECONDS);
        if detail == told {
            in_vain += 1;
        } else {
            let note =
                format!("The server is busy: {detail} Repeating the request every {seconds} s.");
            session.out.note(&note);
            (told, in_vain) = (detail, 1);
        }
        if in_vain >= BUSY_ANSWERS_MAX {
            return Err(CliError::Refused(problem));
        }
        rest(Duration::from_secs(seconds)).await;
    }
}

async fn verify_export(args: &VerifyArgs, common: &Common) -> Result<(), CliError> {
    let out = Output::new(common.json);
    let mut progress = Progress::on_stderr();
    let head = audit_file::verify(&args.export, args.head, |count| {
        progress.show(&format!("{count} entries"))
    });
    progress.clear();
    let head = head?;
    if args.against_server {
        same_on_server(&head, &Session::new(common)?).await?;
    }
    let found = AuditWhole {
        ok: true,
        entries: head.seq,
        head: AuditHead {
            seq: head.seq,
            hash: Hash(Digest(head.hash).to_hex()),
        },
    };
    if out.json {
        out.json(&json!(found))
    } else {
        out.line(&whole(&found))
    }
}

fn whole(found: &AuditWhole) -> String {
    let AuditHead { seq, hash } = &found.head;
    format!("OK: {} entries verified; head {seq}:{hash}", found.entries)
}

async fn same_on_server(head: &Head, session: &Session) -> Result<(), CliError> {
    if head.seq == 0 {
        return Ok(());
    }
    let query = vec![("after", (head.seq - 1).to_string())];
    let mut pages = Pages::new(&session.api, "/audit", query, Some(1));
    if let Some([item, ..]) = pages.next().await?.as_deref() {
        let entry = parsed::<AuditEntry>(item)?;
        if entry.seq == head.seq && *entry.hash == Digest(head.hash).to_hex() {
            return Ok(());
        }
    }
    Err(CliError::Failed(format!(
        "the export is whole, but the server's entry {} is not the exported one: its log was written anew",
        head.seq
    )))
}
