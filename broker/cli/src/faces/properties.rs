//! Property files as Java reads them, and which of their keys mean something here.

use super::end::End;
use super::grammar::Words;
use crate::output::say;
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys that every client has.
const OF_EVERY_CLIENT: &[&str] = &[
    "bootstrap.servers",
    "client.id",
    "default.api.timeout.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
];

/// The largest property file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Keys and values, the later ones counting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Reads the file that a flag names, if it was given.
    pub(super) fn of_file(words: &Words, flag: &str) -> Result<Self, End> {
        words.value(flag)?.map_or_else(|| Ok(Self::default()), load)
    }

    /// Adds the `key=value` pairs of a flag, which win.
    pub(super) fn add_pairs(&mut self, words: &Words, flag: &str) {
        for pair in words.values(flag) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.0.insert(key.to_owned(), value.to_owned());
        }
    }

    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), value.to_owned());
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// `true` and nothing else, in any case.
    pub(super) fn is_true(&self, key: &str) -> Option<bool> {
        self.get(key).map(|v| v.trim().eq_ignore_ascii_case("true"))
    }

    pub(super) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, End> {
        let Some(text) = self.get(key) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| {
            End::Error(format!(
                "Invalid value {text} for configuration {key}: it is no such number"
            ))
        })
    }

    pub(super) fn millis(&self, key: &str) -> Result<Option<Duration>, End> {
        Ok(self.number(key)?.map(Duration::from_millis))
    }

    /// Warns about every key that means nothing here, and refuses what would be a promise.
    pub(super) fn check(&self, known: &[&str]) -> Result<(), End> {
        match self.get("security.protocol").map(str::trim) {
            None | Some("PLAINTEXT" | "plaintext") => {}
            Some(other) => {
                return Err(End::Error(format!(
                    "not supported by ringwood: security.protocol={other}"
                )));
            }
        }
        for key in self.0.keys() {
            if !known.contains(&key.as_str()) && !OF_EVERY_CLIENT.contains(&key.as_str()) {
                say(format_args!("warning: the property {key} has no effect here"));
            }
        }
        Ok(())
    }
}

/// Reads a property file.
pub(super) fn load(path: &str) -> Result<Properties, End> {
    let text = read_bounded(path, FILE_BYTES_MAX)?;
    parse(&text)
        .map(Properties)
        .map_err(|line| End::Error(format!("{path}: line {line} has a bad \\u escape")))
}

/// A file's text, if it is not larger than `bytes_max`.
pub(super) fn read_bounded(path: &str, bytes_max: u64) -> Result<String, End> {
    use std::io::Read;
    let failed = |e: std::io::Error| End::Error(format!("{path}: {e}"));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(bytes_max + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(End::Error(format!("{path}: larger than {bytes_max} bytes")));
    }
    Ok(text)
}

/// The error is the number of a line.
fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut properties = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        // An odd number of backslashes at the end: the next line belongs to it.
        while logical.len() - logical.trim_end_matches('\\').len() & 1 == 1 {
            logical.pop();
            let Some((_, more)) = lines.next() else { break };
            logical.push_str(more.trim_start());
        }
        let (key, value) = split(&logical);
        let (key, value) = (unescape(key), unescape(value));
        let (Some(key), Some(value)) = (key, value) else { return Err(number + 1) };
        properties.insert(key, value);
    }
    Ok(properties)
}

/// At the first `=`, `:` or blank that no backslash protects.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '=' || c == ':' || c.is_whitespace() {
            let (key, rest) = line.split_at(at);
            let rest = rest.trim_start();
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (key, rest.trim_start());
        }
    }
    (line, "")
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                plain.push(char::from_u32(code?)?);
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_java_reads_them() {
        let text = "# no\n! no\n  a = 1 \nb:2\nc 3\nd\\=e=f=g\nlong=one,\\\n   two\ntab=\\t\\u0041\nempty\n";
        let read = parse(text).unwrap();
        let expected = [
            ("a", "1 "),
            ("b", "2"),
            ("c", "3"),
            ("d=e", "f=g"),
            ("empty", ""),
            ("long", "one,two"),
            ("tab", "\tA"),
        ];
        let read: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(read, expected);
        assert_eq!(parse("a=1\nb=\\u00"), Err(2));
    }

    #[test]
    fn a_protocol_that_is_not_there_is_refused() {
        let mut properties = Properties::default();
        properties.set("security.protocol", "SASL_SSL");
        let refused = properties.check(&[]).unwrap_err();
        assert_eq!(
            refused,
            End::Error("not supported by ringwood: security.protocol=SASL_SSL".into())
        );
        properties.set("security.protocol", "PLAINTEXT");
        assert_eq!(properties.check(&[]), Ok(()));
    }
}
