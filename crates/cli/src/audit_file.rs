//! An audit export as a file: verified without any server, and written as CSV. It reads what the
//! API wrote, member by member, and computes the chain anew with the core's own verifier.

use super::error::CliError;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use tokenward_api::audit_csv;
use tokenward_core::audit::{AuditRecord, Head, Verifier};
use tokenward_core::{ClientId, Digest, Timestamp, WorkspaceId};
use uuid::Uuid;

/// Longest line read; an entry is far shorter.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Entries between two signs of life.
const PROGRESS_ENTRIES: u64 = 10_000;

/// An entry as the API writes it.
#[derive(Deserialize)]
struct Line {
    seq: u64,
    at: String,
    /// The time as it went into the hash; `at` alone has whole seconds.
    #[serde(default)]
    at_micros: Option<i64>,
    actor: String,
    #[serde(default)]
    source: Option<String>,
    action: String,
    workspace_id: Option<Uuid>,
    client_id: Option<Uuid>,
    /// The rest, for people and programs.
    detail: Box<RawValue>,
    /// The same letter by letter, as it went into the hash; without it `detail` is taken as written.
    #[serde(default)]
    detail_text: Option<String>,
    hash: String,
}

impl Line {
    /// The text the hash is over.
    fn hashed_detail(&self) -> &str {
        self.detail_text.as_deref().unwrap_or(self.detail.get())
    }

    /// Whether what people read is what the hash is over.
    fn tells_the_hashed_detail(&self) -> bool {
        let read = |text: &str| serde_json::from_str::<Value>(text).ok();
        let hashed = read(self.hashed_detail());
        hashed.is_some() && hashed == read(self.detail.get())
    }
}

/// Verifies exports read one after the other; `kept` must be among them as it was. `progress` is called with the number
/// of entries now and then.
pub(crate) fn verify(
    paths: &[PathBuf],
    kept: Option<Head>,
    mut progress: impl FnMut(u64),
) -> Result<Head, CliError> {
    let mut verifier = Verifier::default();
    for path in paths {
        let failed =
            |line: u64, why: String| CliError::Failed(format!("{}:{line}: {why}", path.display()));
        let file = File::open(path)
            .map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))?;
        let mut reader = BufReader::new(file);
        let mut number = 0;
        while let Some(text) = line(&mut reader, path)? {
            number += 1;
            if text.trim_ascii().is_empty() {
                continue;
            }
            let entry = entry(text.trim_ascii_end()).map_err(|why| failed(number, why))?;
            verifier
                .next(&entry)
                .map_err(|broken| failed(number, format!("the chain is broken: {broken}")))?;
            let (at, hash) = verifier.head();
            if let Some(why) = kept.and_then(|kept| kept.differs(at, &hash)) {
                return Err(failed(number, why));
            }
            if entry.seq % PROGRESS_ENTRIES == 0 {
                progress(entry.seq);
            }
        }
    }
    let (seq, hash) = verifier.head();
    if let Some(why) = kept.and_then(|kept| kept.beyond(seq)) {
        return Err(CliError::Failed(why));
    }
    Ok(Head { seq, hash })
}

fn line(reader: &mut impl BufRead, path: &Path) -> Result<Option<Vec<u8>>, CliError> {
    let mut text = Vec::new();
    let read = reader
        .by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut text);
    match read {
        Ok(0) => Ok(None),
        Ok(length) if length as u64 == LINE_BYTES_MAX && text.last() != Some(&b'\n') => {
            Err(CliError::Failed(format!(
                "{}: a line is too long for an entry",
                path.display()
            )))
        }
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(CliError::Failed(format!("{}: {error}", path.display()))),
    }
}

fn entry(text: &[u8]) -> Result<AuditRecord, String> {
    let line: Line =
        serde_json::from_slice(text).map_err(|error| format!("no audit entry: {error}"))?;
    let micros = match line.at_micros {
        Some(micros) => micros,
        None => line
            .at
            .parse::<jiff::Timestamp>()
            .map_err(|error| format!("entry {}: {:?} is no time: {error}", line.seq, line.at))?
            .as_microsecond(),
    };
    let hash = Digest::from_hex(&line.hash)
        .ok_or_else(|| format!("entry {}: its hash is not 64 hex digits", line.seq))?;
    if !line.tells_the_hashed_detail() {
        return Err(format!(
            "entry {}: its detail for people is not the detail in the chain",
            line.seq
        ));
    }
    let detail = line.hashed_detail().to_owned();
    let written = AuditRecord {
        seq: line.seq,
        at: Timestamp(micros),
        actor: line.actor,
        source: line.source.unwrap_or_default(),
        action: line.action,
        workspace: line.workspace_id.map(WorkspaceId),
        client: line.client_id.map(ClientId),
        detail,
        hash: hash.0,
    };
    // The hash covers the microseconds; the time people read must be that same time.
    if !line.at.starts_with(&written.at.iso()[..19]) {
        return Err(format!(
            "entry {}: its time for people is not the time in the chain",
            written.seq
        ));
    }
    Ok(written)
}

/// An entry as a line of CSV.
pub(crate) fn csv_row(item: &RawValue) -> Result<String, CliError> {
    let entry = entry(item.get().as_bytes()).map_err(|why| {
        CliError::Failed(format!(
            "the server sent an audit entry that can't be read: {why}"
        ))
    })?;
    Ok(audit_csv::row(&entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokenward_core::audit::{Actor, CHAIN_START, Entry};

    /// An export of three entries, as the API writes them.
    fn export() -> Vec<String> {
        let mut before = CHAIN_START;
        (1..=3_u64)
            .map(|seq| {
                let entry = Entry {
                    at: Timestamp(1_795_428_930_123_456 + seq.cast_signed()),
                    actor: Actor::System,
                    source: "10.0.0.7".parse().ok(),
                    action: "token.generate",
                    workspace: None,
                    client: Some(ClientId(Uuid::from_u128(seq.into()))),
                    // Neither sorted nor compact: the text itself is what is hashed.
                    detail: r#"{"z": 1,"a":"é, \"x\""}"#.to_owned(),
                };
                let written = AuditRecord::new(&entry, seq, &before);
                before = written.hash;
                // The API writes the text beside the object; an older export has the object alone.
                let text = match seq {
                    3 => format!(r#","detail_text":{}"#, json!(written.detail)),
                    _ => String::new(),
                };
                format!(
                    r#"{{"seq":{seq},"at":"{}","at_micros":{},"actor":"system","source":"10.0.0.7","action":"token.generate","workspace_id":null,"client_id":"{}","detail":{}{text},"hash":"{}"}}"#,
                    written.at.iso(),
                    written.at.0,
                    Uuid::from_u128(seq.into()),
                    written.detail,
                    Digest(written.hash).to_hex()
                )
            })
            .collect()
    }

    fn verified(files: &[Vec<String>]) -> Result<Head, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (number, lines) in files.iter().enumerate() {
            let path = folder.path().join(number.to_string());
            std::fs::write(&path, lines.join("\n")).unwrap();
            paths.push(path);
        }
        let text = |error: CliError| error.report(false).unwrap();
        verify(&paths, None, |_| ())
            .map_err(|error| text(error).replace(&folder.path().display().to_string(), "FOLDER"))
    }

    #[test]
    fn a_whole_export_verifies_in_one_file_or_several() {
        let lines = export();
        let last: Value = serde_json::from_str(&lines[2]).unwrap();
        let head = verified(std::slice::from_ref(&lines)).unwrap();
        assert_eq!(head.seq, 3);
        assert_eq!(json!(Digest(head.hash)), last["hash"]);
        assert_eq!(
            verified(&[lines[..1].to_vec(), lines[1..].to_vec()]).unwrap(),
            head
        );
        assert_eq!(verified(&[vec![]]).unwrap().seq, 0);
    }

    #[test]
    fn what_was_altered_is_named_with_its_line() {
        let check = |tamper: fn(&mut Vec<String>), expect: &str| {
            let mut lines = export();
            tamper(&mut lines);
            assert_eq!(
                verified(&[lines]).unwrap_err(),
                format!("error: FOLDER/0:{expect}")
            );
        };
        check(
            |l| l[1] = l[1].replace("\"system\"", "\"nobody\""),
            "2: the chain is broken: entry 2 or the one before was altered",
        );
        check(
            |l| l[1] = l[1].replace("{\"z\": 1", "{\"z\":1"),
            "2: the chain is broken: entry 2 or the one before was altered",
        );
        check(
            |l| l[1] = l[1].replace("10:15:30", "10:15:31"),
            "2: entry 2: its time for people is not the time in the chain",
        );
        check(
            |l| l[2] = l[2].replacen("\"z\": 1", "\"z\": 2", 1),
            "3: entry 3: its detail for people is not the detail in the chain",
        );
        check(
            |l| drop(l.remove(1)),
            "2: the chain is broken: entries are missing before number 3",
        );
        check(
            |l| l[0].truncate(20),
            "1: no audit entry: EOF while parsing a string at line 1 column 20",
        );
    }

    #[test]
    fn csv_keeps_every_column() {
        let raw = RawValue::from_string(export().remove(0)).unwrap();
        let row = csv_row(&raw).unwrap();
        assert!(
            row.contains(r#","{""z"": 1,""a"":""é, \""x\""""}","#),
            "{row}"
        );
        assert!(
            row.starts_with(
                "1,2026-11-23T10:15:30+00:00,1795428930123457,system,10.0.0.7,token.generate,,"
            ),
            "{row}"
        );
    }
}
