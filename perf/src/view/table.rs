//! A table in plain text, and as Markdown.

use std::{fs, path::Path};

use crate::{
    failure::Failure,
    terminal::{self, Tone, tint, visible},
};

/// Which side the text leans to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Text and its colour.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Cell {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// Rows of cells under a header; the first column leans left, the others as said.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
    align: Align,
}

impl Table {
    pub(crate) fn new(header: impl IntoIterator<Item = impl Into<String>>, align: Align) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new(), align }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    pub(crate) fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// The table as lines, each ending in a newline.
    pub(crate) fn render(&self, colour: bool) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0).max(self.header.len());
        let length = |text: &str| visible(text).chars().count();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let header = self.header.get(column).map_or(0, |text| length(text));
            cells.map(|cell| length(&cell.text)).max().unwrap_or(0).max(header)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let pad = |text: &str, column: usize, tone: Tone| {
            let space = " ".repeat(widths[column] - length(text));
            let text = tint(&visible(text), tone, colour);
            if column == 0 || self.align == Align::Left {
                format!("{text}{space}")
            } else {
                format!("{space}{text}")
            }
        };
        let mut lines = String::new();
        let mut line = |cells: Vec<String>| {
            lines.push_str(cells.join("  ").trim_end());
            lines.push('\n');
        };
        if !self.header.is_empty() {
            line(self.header.iter().enumerate().map(|(c, t)| pad(t, c, Tone::Plain)).collect());
            line(widths.iter().map(|w| "-".repeat(*w)).collect());
        }
        for row in &self.rows {
            line(row.iter().enumerate().map(|(c, cell)| pad(&cell.text, c, cell.tone)).collect());
        }
        lines
    }
}

impl Table {
    /// The table as Markdown, for a page of the documentation. A row that ends early ends early there too.
    pub(crate) fn markdown(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0).max(self.header.len());
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = "|".to_owned();
            let mut count = 0;
            for cell in cells {
                // What would end the cell, or be taken for a mark of the language.
                let cell = cell.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ");
                text.push_str(&format!(" {cell} |"));
                count += 1;
            }
            text.push_str(&"  |".repeat(columns.saturating_sub(count)));
            text + "\n"
        };
        let mut text = line(&mut self.header.iter().map(String::as_str));
        let lean = if self.align == Align::Right { "---:|" } else { "---|" };
        text.push_str(&format!("|---|{}\n", lean.repeat(columns.saturating_sub(1))));
        for row in &self.rows {
            text.push_str(&line(&mut row.iter().map(|cell| cell.text.as_str())));
        }
        text
    }
}

/// Writes a text of Markdown to a file; `-` is stdout.
pub(crate) fn put_markdown(place: &str, text: &str) -> Result<(), Failure> {
    if place == "-" {
        terminal::print(text);
        return Ok(());
    }
    let path = Path::new(place);
    fs::write(path, text).map_err(|e| Failure::file("write", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["what", "a"], Align::Right);
        table.row(vec![Cell::plain("p50"), Cell::plain("1.00 ms")]);
        table.row(vec![Cell::plain("p99.9"), Cell::plain("12 ms")]);
        assert_eq!(
            table.render(false),
            "what         a\n-----  -------\np50    1.00 ms\np99.9    12 ms\n"
        );
    }

    #[test]
    fn a_name_cannot_break_the_table() {
        let mut table = Table::new(["what", "a\x1b[2J"], Align::Right);
        table.row(["x\ny", "1"].map(Cell::plain).into());
        let text = table.render(false);
        assert_eq!(text, "what  a\\u{1b}[2J\n----  ----------\nx\\ny           1\n");
    }

    #[test]
    fn markdown_has_every_column_in_every_row() {
        let mut table = Table::new(["what", "a", "b"], Align::Right);
        table.row(["x|y", "1", "<2"].map(Cell::plain).into());
        table.row(vec![Cell::plain("z"), Cell::plain("FAILED")]);
        assert_eq!(
            table.markdown(),
            "| what | a | b |\n|---|---:|---:|\n| x\\|y | 1 | &lt;2 |\n| z | FAILED |  |\n"
        );
    }
}
