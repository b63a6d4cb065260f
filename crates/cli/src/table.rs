//! Tables: bordered, coloured and fitted to the width on a terminal; aligned text without borders
//! anywhere else. Texts from elsewhere are made printable first, so that a label can't steer the
//! reader's terminal.

use comfy_table::{
    Cell as StyledCell, Color, ColumnConstraint, ContentArrangement, Table as Drawn, presets,
};
use std::io::IsTerminal as _;

/// How loud a cell is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    /// As any other.
    Plain,
    /// All is well.
    Good,
    /// Worth a look.
    Odd,
    /// Over, refused, dangerous.
    Bad,
}

/// One cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A text from anywhere; what can't be printed is escaped.
    pub(crate) fn new(text: &str) -> Cell {
        Cell {
            text: printable(text),
            tone: Tone::Plain,
        }
    }

    /// The same in another tone.
    pub(crate) fn tone(mut self, tone: Tone) -> Cell {
        self.tone = tone;
        self
    }
}

/// A table is wrapped while the terminal shows this share of its width, in tenths; on a narrower one
/// it is told row by row, for words in pieces of three letters help nobody.
const WRAPPED_MOST_TENTHS: usize = 7;

/// Where a table is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// A file or a pipe.
    Plain,
    /// A terminal.
    Terminal {
        /// Columns, where known.
        width: Option<u16>,
        /// Whether colours are wanted.
        colour: bool,
    },
}

impl Style {
    /// What standard output is; `colour` says whether the person lets us.
    pub(crate) fn of_stdout(colour: bool) -> Style {
        match std::io::stdout().is_terminal() {
            true => Style::Terminal {
                // A terminal that was never sized says 0.
                width: rustix::termios::tcgetwinsize(std::io::stdout())
                    .ok()
                    .map(|size| size.ws_col)
                    .filter(|width| *width > 0),
                colour,
            },
            false => Style::Plain,
        }
    }

    /// A word in its tone.
    pub(crate) fn paint(self, text: &str, tone: Tone) -> String {
        let code = match (self, tone) {
            (Style::Plain | Style::Terminal { colour: false, .. }, _) | (_, Tone::Plain) => None,
            (_, Tone::Good) => Some(32),
            (_, Tone::Odd) => Some(33),
            (_, Tone::Bad) => Some(31),
        };
        code.map_or_else(
            || text.to_owned(),
            |code| format!("\x1b[{code}m{text}\x1b[0m"),
        )
    }
}

/// A table that is made column by column.
pub(crate) struct Columns<'a, T> {
    items: &'a [T],
    table: Table,
}

impl<T> Columns<'_, T> {
    /// Adds a column: its heading, and the cell of each item.
    pub(crate) fn column<C: Into<Cell>>(
        mut self,
        heading: &'static str,
        cell: impl Fn(&T) -> C,
    ) -> Self {
        self.table.headings.push(heading);
        for (row, item) in self.table.rows.iter_mut().zip(self.items) {
            row.push(cell(item).into());
        }
        self
    }

    /// The table with the columns so far.
    pub(crate) fn table(self) -> Table {
        self.table
    }
}

/// Rows under headings; without headings a list of names and values.
#[derive(Clone, Default, Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&'static str]) -> Table {
        Table {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// The rows alone.
    pub(crate) fn without_headings(mut self) -> Table {
        self.headings.clear();
        self
    }

    /// A table with a row for each item; its columns follow.
    pub(crate) fn of<T>(items: &[T]) -> Columns<'_, T> {
        Columns {
            items,
            table: Table {
                headings: Vec::new(),
                rows: vec![Vec::new(); items.len()],
            },
        }
    }

    /// The first row, as names and values.
    pub(crate) fn facts(mut self) -> Table {
        let mut facts = Table::default();
        let cells = self.rows.drain(..).next().into_iter().flatten();
        for (heading, cell) in self.headings.iter().zip(cells) {
            facts.fact(&heading.to_lowercase(), cell);
        }
        facts
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Adds a name and its value.
    pub(crate) fn fact(&mut self, name: &str, value: impl Into<Cell>) {
        self.row([Cell::new(name), value.into()]);
    }

    /// The lines, without a line break at the end; empty when there are no rows.
    pub(crate) fn draw(&self, style: Style) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        match style {
            Style::Plain => self.plain(),
            Style::Terminal { width, colour } => self.bordered(width, colour),
        }
    }

    fn plain(&self) -> String {
        let mut drawn = self.filled(false);
        drawn.load_style(presets::NOTHING).force_no_tty();
        for column in drawn.column_iter_mut() {
            column.set_padding((0, 2));
        }
        drawn.trim_fmt()
    }

    fn bordered(&self, width: Option<u16>, colour: bool) -> String {
        let mut drawn = self.filled(colour);
        drawn.load_style(presets::UTF8_FULL_CONDENSED);
        if colour {
            drawn.enforce_styling();
        }
        let contents = drawn.column_max_content_widths();
        // Two blanks and a border a column, and the last border.
        let natural: usize = contents
            .iter()
            .map(|width| usize::from(*width) + 3)
            .sum::<usize>()
            + 1;
        match width.map(usize::from) {
            Some(width)
                if natural * WRAPPED_MOST_TENTHS > width * 10 && !self.headings.is_empty() =>
            {
                return self.one_by_one(colour);
            }
            Some(width) if natural > width => {
                drawn.set_content_arrangement(ContentArrangement::Dynamic);
                drawn.set_width(u16::try_from(width).unwrap_or(u16::MAX));
                // An id or a name in pieces can't be copied.
                if let Some(column) = drawn.column_mut(0) {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
            _ => {}
        }
        drawn.trim_fmt()
    }

    /// Each row as lines of heading and value, for a terminal too narrow for the table.
    fn one_by_one(&self, colour: bool) -> String {
        let blocks = self.rows.iter().map(|row| {
            let mut block = Drawn::new();
            block.load_style(presets::NOTHING);
            if colour {
                block.enforce_styling();
            }
            for (heading, cell) in self.headings.iter().zip(row) {
                block.add_row([StyledCell::new(heading), styled(cell, colour)]);
            }
            for column in block.column_iter_mut() {
                column.set_padding((0, 2));
            }
            block.trim_fmt()
        });
        blocks.collect::<Vec<_>>().join("\n\n") + "\n"
    }

    fn filled(&self, colour: bool) -> Drawn {
        let mut drawn = Drawn::new();
        drawn.set_content_arrangement(ContentArrangement::Disabled);
        if !self.headings.is_empty() {
            drawn.set_header(self.headings.iter().map(StyledCell::new));
        }
        for row in &self.rows {
            drawn.add_row(row.iter().map(|cell| styled(cell, colour)));
        }
        drawn
    }
}

fn styled(cell: &Cell, colour: bool) -> StyledCell {
    let styled = StyledCell::new(&cell.text);
    match cell.tone {
        _ if !colour => styled,
        Tone::Plain => styled,
        Tone::Good => styled.fg(Color::Green),
        Tone::Odd => styled.fg(Color::Yellow),
        Tone::Bad => styled.fg(Color::Red),
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::new(text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::new(&text)
    }
}

/// A text as it may be shown on a terminal: control characters and the invisible marks that turn
/// the reading direction appear as escapes.
pub(crate) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["LABEL", "STATE"]);
        table.row([
            Cell::new("erp\x1b[2J"),
            Cell::new("enabled").tone(Tone::Good),
        ]);
        table.row([
            Cell::new("billing at night"),
            Cell::new("deleted").tone(Tone::Bad),
        ]);
        table
    }

    #[test]
    fn a_pipe_gets_aligned_text_and_nothing_else() {
        insta::assert_snapshot!(table().draw(Style::Plain));
    }

    #[test]
    fn a_terminal_gets_borders() {
        let style = Style::Terminal {
            width: Some(60),
            colour: false,
        };
        insta::assert_snapshot!(table().draw(style));
    }

    #[test]
    fn a_narrower_terminal_wraps_and_a_narrow_one_tells_row_by_row() {
        let mut table = Table::new(&["ID", "LABEL", "DETAIL"]);
        for id in [
            "0198c0de-0000-7000-8000-00000000000a",
            "0198c0de-0000-7000-8000-00000000000b",
        ] {
            let cells = [
                id,
                "billing at night",
                "generation=7 policy=replace from=10.0.0.7",
            ];
            table.row(cells.map(Cell::new));
        }
        let drawn = [90, 60].map(|width| {
            table.draw(Style::Terminal {
                width: Some(width),
                colour: false,
            })
        });
        insta::assert_snapshot!(drawn.join("\n\n"));
    }

    #[test]
    fn colour_is_only_on_top() {
        let style = Style::Terminal {
            width: Some(60),
            colour: true,
        };
        let drawn = table().draw(style);
        assert!(
            drawn.contains("\x1b[") && drawn.contains("enabled"),
            "{drawn:?}"
        );
        assert!(
            !drawn.contains("\x1b[2J"),
            "a label must not clear the screen: {drawn:?}"
        );
    }

    #[test]
    fn an_empty_table_is_empty() {
        assert_eq!(Table::new(&["LABEL"]).draw(Style::Plain), "");
    }
}
