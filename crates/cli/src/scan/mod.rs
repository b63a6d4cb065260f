//! `tokenward scan`: finds our tokens, secrets and admin keys in files by shape and checksum. It
//! tells where one lies and whose it is, never what it is.

mod blocks;
mod online;
mod walk;

use super::error::CliError;
use super::output::Output;
use super::place::Address;
use super::progress::Progress;
use super::table::{Tone, printable};
use blocks::Sighting;
use online::{Life, Online};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokenward_core::scan::Kind;
use walk::{Event, Options, Totals, walk};

/// Exit code when something was found.
const EXIT_FOUND: u8 = 1;
/// Exit code when something found still lives.
const EXIT_LIVE: u8 = 3;
/// Exit code when nothing was found, but not everything could be read.
const EXIT_INCOMPLETE: u8 = 4;

/// Events on their way from the reader to the writer; the reader waits when the writer is behind.
const EVENTS_WAITING_MAX: usize = 256;

/// What `tokenward scan` takes.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    tokenward scan src/ .env\n  \
    git log -p | tokenward scan -\n  \
    tokenward scan --online --data-dir data exports/\n\n\
    A find is told as PATH:LINE:COLUMN with its kind, client and environment; never the credential.\n\
    Every file is read, hidden and binary ones too, text in UTF-16 as well. Links are followed only when named; \
    sockets, devices and the kernel's file systems are left out. Archives and encoded text are not opened.\n\n\
    Exit codes: 0 nothing found; 1 something found, or failed; 2 the command line was wrong; 3 something found \
    still lives (--online); 4 nothing found, but something could not be read.")]
pub(crate) struct ScanArgs {
    /// Files and folders; - is standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print a JSON object a line, for programs.
    #[arg(long)]
    json: bool,
    /// Do not leave the file system of a path given.
    #[arg(long, short = 'x')]
    one_file_system: bool,
    /// Ask the server whether what is found still lives. Changes nothing there.
    #[arg(long)]
    online: bool,
    /// With --online: the server's internal address, where tokens are asked about
    /// [default: that of the server that runs on --data-dir, else http://127.0.0.1:8081].
    #[arg(
        long,
        env = "TOKENWARD_INTERNAL_URL",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    internal_url: Option<String>,
    /// With --online: a file with the token that the internal address demands, if it demands one.
    #[arg(
        long,
        env = "TOKENWARD_INTERNAL_AUTH_FILE",
        hide_env_values = true,
        value_name = "PATH",
        help_heading = "Connection"
    )]
    internal_auth_file: Option<PathBuf>,
    #[command(flatten)]
    address: Address,
}

/// What a scan brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tally {
    finds: u64,
    live: u64,
    unknown: u64,
    unreadable: u64,
}

impl Tally {
    fn exit_code(self) -> u8 {
        match self {
            Tally { live: 1.., .. } => EXIT_LIVE,
            Tally { finds: 1.., .. } => EXIT_FOUND,
            Tally {
                unreadable: 1.., ..
            } => EXIT_INCOMPLETE,
            _ => 0,
        }
    }
}

/// Scans and says by the exit code what was found.
pub(crate) fn main(args: ScanArgs) -> ExitCode {
    let json = args.json;
    match super::blocking(run(args)) {
        Ok(tally) => ExitCode::from(tally.exit_code()),
        Err(error) => super::fail(&error, json),
    }
}

async fn run(args: ScanArgs) -> Result<Tally, CliError> {
    let online = match args.online {
        true => Some(Online::new(
            &args.address,
            args.internal_url.as_deref(),
            args.internal_auth_file.as_deref(),
        )?),
        false => None,
    };
    let options = Options {
        one_file_system: args.one_file_system,
        keep_text: args.online,
    };
    let (sender, mut events) = tokio::sync::mpsc::channel(EVENTS_WAITING_MAX);
    let paths = args.paths;
    // Files are read on a thread of their own, so that asking the server delays no reading.
    let reader = tokio::task::spawn_blocking(move || {
        walk(&paths, options, std::io::stdin(), |event| {
            sender.blocking_send(event).is_ok()
        })
    });
    let mut report = Report {
        out: Output::new(args.json),
        online,
        progress: Progress::on_stderr(),
        tally: Tally::default(),
    };
    while let Some(event) = events.recv().await {
        report.event(event).await?;
    }
    let totals = reader
        .await
        .map_err(|error| CliError::Failed(format!("reading ended early: {error}")))?;
    report.end(totals)?;
    Ok(report.tally)
}

struct Report {
    out: Output,
    online: Option<Online>,
    progress: Progress,
    tally: Tally,
}

impl Report {
    async fn event(&mut self, event: Event) -> Result<(), CliError> {
        match event {
            Event::Progress(totals) => {
                self.progress.show(&sum(totals, self.tally));
                Ok(())
            }
            Event::Find(path, sighting) => self.find(&path, &sighting).await,
            Event::Unreadable(path, why) => {
                self.tally.unreadable += 1;
                self.progress.clear();
                if self.out.json {
                    let line =
                        json!({"type": "unreadable", "path": path.to_string_lossy(), "why": why});
                    return self.out.line(&line.to_string());
                }
                self.out.note(&format!("{}: not read: {why}", shown(&path)));
                Ok(())
            }
            Event::Skipped(path) => {
                self.progress.clear();
                self.out
                    .note(&format!("{}: another file system, left out", shown(&path)));
                Ok(())
            }
        }
    }

    async fn find(&mut self, path: &Path, sighting: &Sighting) -> Result<(), CliError> {
        let life = match (&mut self.online, &sighting.text) {
            (Some(online), Some(text)) => Some(online.life(sighting.kind, text).await),
            _ => None,
        };
        self.tally.finds += 1;
        match &life {
            Some(Life::Live) => self.tally.live += 1,
            Some(Life::Unknown(why)) => {
                self.tally.unknown += 1;
                if self.tally.unknown == 1 {
                    self.progress.clear();
                    self.out.note(&format!("could not ask: {why}"));
                }
            }
            _ => {}
        }
        self.progress.clear();
        let line = match self.out.json {
            true => find_json(path, sighting, life.as_ref()),
            false => find_text(path, sighting, life.as_ref(), &self.out),
        };
        self.out.line(&line)
    }

    fn end(&mut self, totals: Totals) -> Result<(), CliError> {
        self.progress.clear();
        let Tally {
            finds,
            live,
            unknown,
            unreadable,
        } = self.tally;
        if self.out.json {
            let mut line = json!({"type": "summary", "files": totals.files, "bytes": totals.bytes,
                "finds": finds, "unreadable": unreadable});
            if self.online.is_some() {
                line["live"] = json!(live);
                line["unknown"] = json!(unknown);
            }
            return self.out.line(&line.to_string());
        }
        self.out.note(&sum(totals, self.tally));
        Ok(())
    }
}

/// So far, in a line.
fn sum(totals: Totals, tally: Tally) -> String {
    let mut text = format!(
        "{} files, {} read, {} found",
        totals.files,
        size(totals.bytes),
        tally.finds
    );
    for (count, what) in [(tally.live, "live"), (tally.unreadable, "not readable")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

fn find_text(path: &Path, sighting: &Sighting, life: Option<&Life>, out: &Output) -> String {
    let owner = match sighting.kind {
        Kind::AdminKey => format!("admin key {}", sighting.owner),
        kind => format!("{} of client {}", kind.as_str(), sighting.owner),
    };
    let (path, line, column) = (shown(path), sighting.line, sighting.column);
    let mut text = format!("{path}:{line}:{column}: {owner}");
    if let Some(environment) = sighting.environment {
        text.push_str(&format!(", {environment}"));
    }
    if let Some(life) = life {
        let tone = match life {
            Life::Live => Tone::Bad,
            Life::Dead => Tone::Good,
            Life::Unknown(_) => Tone::Odd,
        };
        text.push_str(&format!(", {}", out.style.paint(life.as_str(), tone)));
    }
    text
}

fn find_json(path: &Path, sighting: &Sighting, life: Option<&Life>) -> String {
    let (kind, owner) = match sighting.kind {
        Kind::AccessToken => ("access_token", "client_id"),
        Kind::ClientSecret => ("client_secret", "client_id"),
        Kind::AdminKey => ("admin_key", "admin_key_id"),
    };
    let mut line = json!({"type": "find", "path": path.to_string_lossy(), "line": sighting.line,
        "column": sighting.column, "offset": sighting.offset, "kind": kind});
    line[owner] = json!(sighting.owner);
    if let Some(environment) = sighting.environment {
        line["environment"] = json!(environment.as_str());
    }
    if let Some(life) = life {
        line["state"] = json!(life.as_str());
    }
    line.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::table::Style;
    use super::*;
    use tokenward_core::Environment;
    use uuid::Uuid;

    fn sighting(kind: Kind) -> Sighting {
        Sighting {
            kind,
            owner: Uuid::from_u128(7),
            environment: (kind != Kind::AdminKey).then_some(Environment::Sandbox),
            line: 3,
            column: 14,
            offset: 99,
            text: None,
        }
    }

    #[test]
    fn finds_in_both_forms() {
        let out = Output {
            json: false,
            style: Style::Plain,
        };
        let path = Path::new("src/a\n.env");
        let mut lines = Vec::new();
        for (kind, life) in [
            (Kind::AccessToken, None),
            (Kind::ClientSecret, Some(Life::Live)),
            (Kind::AdminKey, Some(Life::Unknown("why".to_owned()))),
        ] {
            lines.push(find_text(path, &sighting(kind), life.as_ref(), &out));
            lines.push(find_json(path, &sighting(kind), life.as_ref()));
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn the_exit_code_tells_the_worst() {
        let check = |finds, live, unreadable, expect: u8| {
            let tally = Tally {
                finds,
                live,
                unreadable,
                ..Tally::default()
            };
            assert_eq!(tally.exit_code(), expect);
        };
        check(0, 0, 0, 0);
        check(0, 0, 1, 4);
        check(2, 0, 1, 1);
        check(2, 1, 1, 3);
    }

    #[test]
    fn the_sum_reads_well() {
        let totals = Totals {
            files: 12,
            bytes: 34_567_890,
        };
        let tally = Tally {
            finds: 2,
            live: 1,
            unreadable: 3,
            ..Tally::default()
        };
        let expect = "12 files, 34 MB read, 2 found, 1 live, 3 not readable";
        assert_eq!(sum(totals, tally), expect);
        let nothing = sum(Totals::default(), Tally::default());
        assert_eq!(nothing, "0 files, 0 bytes read, 0 found");
    }
}
