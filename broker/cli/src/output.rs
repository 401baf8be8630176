//! Data goes to stdout: as a table on a terminal, separated by tabs elsewhere, as JSON when asked for. Talk goes to stderr.

use crate::failure::{Failure, Stop};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// Where a command's data goes, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) terminal: bool,
}

/// A column's heading, and where its values stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, terminal: io::stdout().is_terminal() }
    }

    /// Rows with headings on a terminal; without them, and with tabs between the fields, for programs.
    pub(crate) fn table<const N: usize>(
        self,
        columns: [Column; N],
        rows: &[[String; N]],
    ) -> Result<(), Stop> {
        let text = if self.terminal { drawn(columns, rows) } else { tabbed(rows) };
        write(text.as_bytes())
    }

    /// One JSON document, and a line end.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<(), Stop> {
        let mut text = to_json(value)?;
        text.push('\n');
        write(text.as_bytes())
    }

    /// A line of text on a terminal only: headings between tables.
    pub(crate) fn heading(self, text: &str) -> Result<(), Stop> {
        if self.terminal { write(format!("{text}\n").as_bytes()) } else { Ok(()) }
    }
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<String, Stop> {
    serde_json::to_string(value).map_err(|e| {
        Stop::from(Failure {
            area: "output",
            what: "cannot write the answer as JSON".into(),
            cause: e.to_string(),
            remedy: "leave --json out".into(),
            code: crate::exit::FAILED,
        })
    })
}

/// Writes to stdout at once.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| stdout_broke(&e))
}

/// What a failed write to stdout means: a reader that has seen enough is no failure.
pub(crate) fn stdout_broke(error: &io::Error) -> Stop {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Stop::ReaderGone;
    }
    Failure {
        area: "output",
        what: "cannot write to stdout".into(),
        cause: error.to_string(),
        remedy: "check where the output goes: a full disk, a closed terminal".into(),
        code: crate::exit::FAILED,
    }
    .into()
}

/// Says something to the person at the terminal. Nobody may be listening; that stops nothing.
pub(crate) fn say(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A table with headings.
pub(crate) fn drawn<const N: usize>(columns: [Column; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.map(|c| match c {
        Column::Left(name) => Cell::new(name),
        Column::Right(name) => Cell::new(name).set_alignment(CellAlignment::Right),
    }));
    for row in rows {
        let cells = row.iter().zip(columns).map(|(text, column)| match column {
            Column::Left(_) => Cell::new(visible(text)),
            Column::Right(_) => Cell::new(visible(text)).set_alignment(CellAlignment::Right),
        });
        table.add_row(cells);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn tabbed<const N: usize>(rows: &[[String; N]]) -> String {
    let mut text = String::new();
    for row in rows {
        for (i, field) in row.iter().enumerate() {
            if i > 0 {
                text.push('\t');
            }
            text.push_str(&visible(field));
        }
        text.push('\n');
    }
    text
}

/// Control characters are shown by their escapes: a name from the wire moves no cursor, and a tab ends no field.
pub(crate) fn visible(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[String; 2]> {
        vec![["orders".into(), "12".into()], ["a\tb\u{1b}[2J".into(), "3".into()]]
    }

    #[test]
    fn a_table_has_headings_and_aligned_columns() {
        let text = drawn([Column::Left("TOPIC"), Column::Right("PARTITIONS")], &rows());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "TOPIC          PARTITIONS");
        assert_eq!(lines[1], "orders                 12");
        assert!(lines[2].starts_with("a\\tb\\u{1b}[2J"), "{text}");
    }

    #[test]
    fn programs_get_tabs_and_no_headings() {
        assert_eq!(tabbed(&rows()), "orders\t12\na\\tb\\u{1b}[2J\t3\n");
    }
}
