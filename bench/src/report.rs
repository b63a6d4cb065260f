//! The results as tables: on the terminal while measuring, and as a file whose sections are replaced
//! one by one, so that a row can be measured again alone.

use crate::machine;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "# Results\n\nWritten by `make bench`: each figure beside its floor from the same interleaved rounds, medians.\nRatios carry over to other machines; absolute figures don't. One row alone: `cargo run --release -p tokenward-bench -- ROW`.\n";

/// A goal and whether it was reached.
pub(crate) enum Goal {
    /// At most this ratio or figure.
    AtMost(f64),
    /// At least this ratio or figure.
    AtLeast(f64),
    /// A figure told for what it is worth.
    None,
}

/// The sections measured in this run.
pub(crate) struct Report {
    sections: Vec<(String, String)>,
    machine: String,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            sections: Vec::new(),
            machine: machine::describe(),
        }
    }

    /// Begins a section: a title, what is measured how, and the head of its table.
    pub(crate) fn section(&mut self, title: &str, how: &str) {
        let text = format!(
            "{how}\n\nMachine: {}.\n\n| what | figure | goal | |\n|---|---|---|---|\n",
            self.machine
        );
        println!("\n{title}\n  {how}\n  {}", self.machine);
        self.sections.push((title.to_owned(), text));
    }

    /// A line of the section's table, for a figure without a goal.
    pub(crate) fn figure(&mut self, what: impl AsRef<str>, figure: impl AsRef<str>) {
        self.line(what.as_ref(), figure.as_ref(), 0.0, Goal::None);
    }

    /// A line of the section's table, for nanoseconds.
    pub(crate) fn nanos(&mut self, what: &str, nanos: f64) {
        self.figure(what, format!("{nanos:.0} ns"));
    }

    /// A line of the section's table, for a ratio.
    pub(crate) fn ratio(&mut self, what: &str, ratio: f64, goal: Goal) {
        self.line(what, &format!("{ratio:.2}"), ratio, goal);
    }

    /// A line of the section's table. `value` is what the goal is about; `figure` says it in words.
    pub(crate) fn line(&mut self, what: &str, figure: &str, value: f64, goal: Goal) {
        let (goal, mark) = match goal {
            Goal::AtMost(most) => (
                format!("<= {most}"),
                if value <= most { "met" } else { "missed" },
            ),
            Goal::AtLeast(least) => (
                format!(">= {least}"),
                if value >= least { "met" } else { "missed" },
            ),
            Goal::None => (String::new(), ""),
        };
        println!("  {what:<64} {figure:>20}  {goal:>8}  {mark}");
        if let Some((_, text)) = self.sections.last_mut() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {what} | {figure} | {goal} | {mark} |");
        }
    }

    /// Puts the sections into a file of results, each in the place of its earlier self.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let old = std::fs::read_to_string(path).unwrap_or_default();
        let mut kept: Vec<(String, String)> = old
            .split("\n## ")
            .skip(1)
            .filter_map(|section| section.split_once('\n'))
            .map(|(title, text)| (title.to_owned(), text.trim().to_owned()))
            .collect();
        for (title, text) in &self.sections {
            let text = text.trim().to_owned();
            match kept.iter_mut().find(|(known, _)| known == title) {
                Some((_, place)) => *place = text,
                None => kept.push((title.clone(), text)),
            }
        }
        let mut out = HEAD.to_owned();
        for (title, text) in kept {
            let _ = write!(out, "\n## {title}\n\n{text}\n");
        }
        std::fs::write(path, out).with_context(|| format!("{} cannot be written", path.display()))
    }
}
