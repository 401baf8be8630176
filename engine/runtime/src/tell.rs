//! What a process tells its people, on stderr.

use std::fmt;
use std::io::Write;

/// Writes a line to stderr, as `crate::tell!` does; but a log that takes no more, because its disk is full or its reader has gone,
/// stops nothing. A line is one write, so that lines of several cores do not mix.
#[macro_export]
macro_rules! tell {
    ($($part:tt)*) => { $crate::tell::line(format_args!($($part)*)) };
}

/// The line of [`tell!`](crate::tell!).
pub fn line(text: fmt::Arguments<'_>) {
    let line = format!("{text}\n");
    // There is nobody else to tell.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
