//! Words to people: results on stdout, progress on stderr, colour only where a terminal shows it.

use std::io::{self, IsTerminal, Write};

/// Writes a result to stdout. A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line of progress or a notice to stderr.
pub(crate) fn note(text: &str) {
    let mut out = io::stderr().lock();
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    let _ = writeln!(out, "{}", lines.join("\n"));
}

/// The text with its control characters written out: what a broker says of itself, and how a directory is called, moves no cursor and
/// colours nothing.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A progress bar with a line beside it that replace themselves on a terminal, and an ordinary line elsewhere.
#[derive(Debug)]
pub(crate) struct LiveLine {
    in_place: bool,
    shown: bool,
}

impl LiveLine {
    pub(crate) fn new() -> Self {
        Self { in_place: io::stderr().is_terminal(), shown: false }
    }

    /// Shows the text; `done` is the share of the work behind it, between 0 and 1.
    pub(crate) fn show(&mut self, done: f64, text: &str) {
        let mut out = io::stderr().lock();
        let _ = if self.in_place {
            self.shown = true;
            let columns = rustix::termios::tcgetwinsize(io::stderr())
                .map_or(80, |size| usize::from(size.ws_col).max(20));
            let line = fit(&format!("{} {}", bar(done), text.trim_start()), columns - 1);
            write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{text}")
        };
    }

    /// Whether it replaces itself: there is a terminal.
    pub(crate) fn is_in_place(&self) -> bool {
        self.in_place
    }

    pub(crate) fn finish(&mut self) {
        if self.shown {
            note("");
            self.shown = false;
        }
    }

    /// Takes it away: what comes next says more.
    pub(crate) fn clear(&mut self) {
        if self.shown {
            let mut out = io::stderr().lock();
            let _ = write!(out, "\r\x1b[2K").and_then(|()| out.flush());
            self.shown = false;
        }
    }
}

/// Cells of the bar.
const BAR: usize = 16;

/// `[######----------]`, in eighths of a cell.
fn bar(done: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (done.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let mut cells = "█".repeat(eighths / 8);
    if eighths / 8 < BAR {
        cells.push(EIGHTHS[eighths % 8]);
        cells.push_str(&" ".repeat(BAR - 1 - eighths / 8));
    }
    format!("▕{cells}▏")
}

/// The text cut to so many columns: a line that wraps cannot replace itself.
fn fit(text: &str, columns: usize) -> String {
    match text.char_indices().nth(columns) {
        Some(_) => text.chars().take(columns.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Whether stdout takes colour.
pub(crate) fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Better, worse, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Better,
    Worse,
    Plain,
}

/// The text in its colour.
pub(crate) fn tint(text: &str, tone: Tone, colour: bool) -> String {
    match (tone, colour) {
        (Tone::Better, true) => format!("\x1b[32m{text}\x1b[0m"),
        (Tone::Worse, true) => format!("\x1b[31m{text}\x1b[0m"),
        (Tone::Better | Tone::Worse | Tone::Plain, _) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_one_width() {
        for tenth in 0..=11 {
            assert_eq!(bar(f64::from(tenth) / 10.0).chars().count(), BAR + 2, "{tenth}");
        }
        assert_eq!(bar(0.5), "▕████████        ▏");
        assert_eq!(bar(1.0), "▕████████████████▏");
    }

    #[test]
    fn what_others_say_moves_no_cursor() {
        assert_eq!(visible("a\x1b[2Jb\u{9b}c\nd"), "a\\u{1b}[2Jb\\u{9b}c\\nd");
        assert_eq!(visible("größer ▁▅█"), "größer ▁▅█");
    }

    #[test]
    fn a_line_never_wraps() {
        assert_eq!(fit("twelve chars", 12), "twelve chars");
        assert_eq!(fit("twelve chars", 7), "twelve…");
    }
}
