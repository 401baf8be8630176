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
    let _ = writeln!(out, "{text}");
}

/// One line that replaces itself on a terminal and is an ordinary line elsewhere.
#[derive(Debug)]
pub(crate) struct LiveLine {
    in_place: bool,
    shown: bool,
}

impl LiveLine {
    pub(crate) fn new() -> Self {
        Self { in_place: io::stderr().is_terminal(), shown: false }
    }

    pub(crate) fn show(&mut self, text: &str) {
        let mut out = io::stderr().lock();
        let _ = if self.in_place {
            self.shown = true;
            write!(out, "\r\x1b[2K{text}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{text}")
        };
    }

    pub(crate) fn finish(&mut self) {
        if self.shown {
            note("");
            self.shown = false;
        }
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
