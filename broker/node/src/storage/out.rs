//! Data on stdout: aligned on a terminal, tab-separated otherwise, JSON when asked.

use std::io::{BufWriter, ErrorKind, IsTerminal, Stdout, Write};

/// Where lines go. A reader who has seen enough ends the program without a word, as `head` expects.
pub(super) struct Out {
    out: BufWriter<Stdout>,
    pub(super) json: bool,
    terminal: bool,
}

impl Out {
    pub(super) fn new(json: bool) -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        Self { out: BufWriter::new(stdout), json, terminal }
    }

    fn write(&mut self, line: &str) {
        let done = writeln!(self.out, "{line}");
        check(done);
    }

    pub(super) fn object(&mut self, value: &serde_json::Value) {
        self.write(&value.to_string());
    }

    /// One row of a list that may be long: tab-separated always.
    pub(super) fn row(&mut self, cells: &[String]) {
        self.write(&cells.join("\t"));
    }

    /// A table that is known as a whole; nothing if it has no rows.
    pub(super) fn table(&mut self, heading: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            return;
        }
        let heading: Vec<String> = heading.iter().map(|h| (*h).to_owned()).collect();
        if !self.terminal {
            self.row(&heading);
            for row in rows {
                self.row(row);
            }
            return;
        }
        let all = || std::iter::once(&heading).chain(rows);
        let widths: Vec<usize> = (0..heading.len())
            .map(|n| all().filter_map(|r| r.get(n)).map(|c| c.chars().count()).max().unwrap_or(0))
            .collect();
        for row in all() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
            self.write(cells.join("  ").trim_end());
        }
        self.write("");
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let done = self.out.flush();
        check(done);
    }
}

fn check(done: std::io::Result<()>) {
    match done {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => {
            runtime::tell!("error: stdout cannot be written: {e}");
            std::process::exit(1);
        }
    }
}

/// Milliseconds since 1970 as RFC 3339, in UTC; `-` for none.
pub(super) fn time(ms: i64) -> String {
    if ms < 0 {
        return "-".into();
    }
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Howard Hinnant's days-to-civil algorithm: eras of 400 years, years that begin in March.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (s, ms) = (in_day / 1000, in_day % 1000);
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(time(-1), "-");
    }
}
