//! What goes to standard output: tables for people, the API's own JSON for programs. Everything a
//! person should know besides goes to standard error.

use super::api::Answer;
use super::error::CliError;
use super::pages::{Pages, parsed};
use super::place::wants_colour;
use super::table::{Style, Table};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Write as _;

/// Rows of a list that are drawn as one table, with columns of one width: enough for what a person reads, few enough
/// that a long list begins soon.
const ALIGNED_ROWS: usize = 1_000;

/// How to show things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// JSON instead of tables.
    pub(crate) json: bool,
    /// How tables are drawn.
    pub(crate) style: Style,
}

impl Output {
    /// What standard output calls for.
    pub(crate) fn new(json: bool) -> Output {
        Output {
            json,
            style: Style::of_stdout(wants_colour()),
        }
    }

    /// One line on standard output.
    pub(crate) fn line(&self, text: &str) -> Result<(), CliError> {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()?;
        Ok(())
    }

    /// One remark for the person; programs that read JSON get none.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            // Nothing can be done about a person who does not listen.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// One thing.
    pub(crate) fn object<T>(
        &self,
        answer: &Answer<T>,
        view: impl FnOnce(&T) -> Table,
    ) -> Result<(), CliError> {
        if self.json {
            return self.json(&answer.json);
        }
        self.line(&view(answer).draw(self.style))
    }

    /// What an act answered, for programs; people were told by a remark.
    pub(crate) fn program<T>(&self, answer: &Answer<T>) -> Result<(), CliError> {
        match self.json {
            true => self.json(&answer.json),
            false => Ok(()),
        }
    }

    /// What an act answered: the thing as it is now, or nothing.
    pub(crate) fn json(&self, value: &Value) -> Result<(), CliError> {
        match value {
            Value::Null => Ok(()),
            value => self.line(&format!("{value:#}")),
        }
    }

    /// Lists one after the other as one, page by page: as `{"items":[...]}` or as a table a page.
    /// `wanted` leaves items out; of the others at most `limit` are shown.
    pub(crate) async fn lists<T: DeserializeOwned + Clone>(
        &self,
        lists: &mut [Pages<'_>],
        limit: Option<u64>,
        wanted: impl Fn(&T) -> bool,
        view: impl Fn(&[T]) -> Table,
    ) -> Result<(), CliError> {
        let full = |shown: u64| limit.is_some_and(|limit| shown >= limit);
        let mut shown = 0_u64;
        let mut rows = Vec::new();
        // In a file the headings stand once; on a terminal they scroll away.
        let draw = |rows: &mut Vec<T>, first: bool| {
            let mut table = view(rows);
            if self.style == Style::Plain && !first {
                table = table.without_headings();
            }
            rows.clear();
            self.line(&table.draw(self.style))
        };
        if self.json {
            self.line("{\"items\":[")?;
        }
        for list in lists {
            while !full(shown)
                && let Some(items) = list.next().await?
            {
                for raw in &items {
                    let item: T = (*parsed::<T>(raw)?).clone();
                    if full(shown) || !wanted(&item) {
                        continue;
                    }
                    if self.json {
                        let comma = if shown > 0 { "," } else { "" };
                        self.line(&format!("{comma}{}", raw.get()))?;
                    }
                    shown += 1;
                    rows.push(item);
                }
                if self.json {
                    rows.clear();
                } else if rows.len() >= ALIGNED_ROWS {
                    let first = shown == rows.len() as u64;
                    draw(&mut rows, first)?;
                }
            }
        }
        if !rows.is_empty() {
            let first = shown == rows.len() as u64;
            draw(&mut rows, first)?;
        }
        match (self.json, shown) {
            (true, _) => self.line("]}"),
            (false, 0) => {
                self.note("No results.");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
