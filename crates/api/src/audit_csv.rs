//! The audit log for spreadsheets: CSV by RFC 4180, the same from the command line and from the console.

use tokenward_core::audit::AuditRecord;

const COLUMNS: [&str; 11] = [
    "seq",
    "at",
    "at_micros",
    "actor",
    "source",
    "action",
    "workspace_id",
    "client_id",
    "detail",
    "hash",
    "request_id",
];

/// The first line.
#[must_use]
pub fn heading() -> String {
    line(COLUMNS.map(str::to_owned))
}

/// An entry as a line.
#[must_use]
pub fn row(entry: &AuditRecord) -> String {
    line([
        entry.seq.to_string(),
        entry.at.iso(),
        entry.at.0.to_string(),
        entry.actor.clone(),
        entry.source.clone(),
        entry.action.clone(),
        entry
            .workspace
            .map_or_else(String::new, |id| id.to_string()),
        entry.client.map_or_else(String::new, |id| id.to_string()),
        entry.detail.clone(),
        tokenward_core::Digest(entry.hash).to_hex(),
        request_id(&entry.detail),
    ])
}

fn request_id(detail: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Named {
        request_id: Option<String>,
    }
    let named = serde_json::from_str::<Named>(detail).ok();
    named.and_then(|named| named.request_id).unwrap_or_default()
}

/// Quoted where needed, quotes doubled, CRLF at the end. A cell that a spreadsheet would take for a formula is put behind
/// an apostrophe.
fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cell = |mut cell: String| {
        if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            cell.insert(0, '\'');
        }
        match cell.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell,
        }
    };
    let cells: Vec<String> = cells.into_iter().map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_disarmed() {
        assert_eq!(
            line(["=1+1".to_owned(), "a\nb".to_owned(), "é, \"x\"".to_owned()]),
            "'=1+1,\"a\nb\",\"é, \"\"x\"\"\"\r\n"
        );
        assert_eq!(heading().trim_end().split(',').count(), COLUMNS.len());
    }
}
