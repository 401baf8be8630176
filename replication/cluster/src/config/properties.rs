//! Java properties text, the form of `server.properties`.
//!
//! Lines of `key=value`, `key: value` or `key value`. White space before a key and around the separator does not count;
//! lines that begin with `#` or `!` are comments; a backslash at a line's end continues the line, dropping the white space
//! at the next one's beginning; `\t \n \r \f \uXXXX` are escapes, and before any other character a backslash drops away.
//! The last of two equal keys wins, as in Java.

use std::collections::BTreeMap;
use std::fmt;

/// Why a text is not properties.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PropertiesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for PropertiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for PropertiesError {}

/// Reads properties text into a map. Errors: an escape `\u` that is not followed by four hexadecimal digits, or that
/// leaves half a surrogate pair.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, PropertiesError> {
    let mut out = BTreeMap::new();
    let mut lines = lines(text).enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while continues(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        let (key, value) = split(&logical);
        let place = |message: String| PropertiesError { line: at + 1, message };
        out.insert(unescape(key).map_err(place)?, unescape(value).map_err(place)?);
    }
    Ok(out)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Lines end with `\n`, `\r` or `\r\n`.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').map(|l| l.strip_suffix('\r').unwrap_or(l)).flat_map(|l| l.split('\r'))
}

/// An odd number of backslashes at the end: the last one is not escaped.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Key and value, both still escaped: the key ends at the first `=`, `:` or blank that no backslash escapes.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (matches!(c, '=' | ':') || is_blank(c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some(end) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut units = Vec::new();
    while let Some(c) = chars.next() {
        let escape = if c == '\\' { chars.next() } else { None };
        if escape == Some('u') {
            let hex: String = chars.by_ref().take(4).collect();
            let digits = hex.len() == 4 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            let unit = u16::from_str_radix(&hex, 16).ok().filter(|_| digits);
            units.push(unit.ok_or(format!("\\u{hex} is not four hexadecimal digits"))?);
            continue;
        }
        flush(&mut units, &mut out)?;
        match escape {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some(other) => out.push(other),
            // A lone backslash at the very end of the text means nothing.
            None if c == '\\' => {}
            None => out.push(c),
        }
    }
    flush(&mut units, &mut out)?;
    Ok(out)
}

/// Java escapes are UTF-16 units; a run of them is decoded together so that surrogate pairs meet.
fn flush(units: &mut Vec<u16>, out: &mut String) -> Result<(), String> {
    if !units.is_empty() {
        let text = String::from_utf16(units);
        out.push_str(&text.map_err(|_| "half a surrogate pair in \\u escapes".to_owned())?);
        units.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, String) {
        parse(text).unwrap().into_iter().next().unwrap()
    }

    #[test]
    fn separators_and_blanks() {
        for text in ["k=v", "k = v", "k:v", "k : v", "k v", "  k\t=\tv", "\u{feff}k=v", "k=v\r\n"] {
            assert_eq!(one(text), ("k".into(), "v".into()), "{text:?}");
        }
        assert_eq!(one("k"), ("k".into(), String::new()));
        assert_eq!(one("k=a=b: c "), ("k".into(), "a=b: c ".into()));
    }

    #[test]
    fn comments_and_empty_lines_are_nothing() {
        assert!(parse("# a=b\n\n  ! c=d\n \t\n").unwrap().is_empty());
    }

    #[test]
    fn lines_continue() {
        let text = "listeners=PLAINTEXT://:9092,\\\n   SSL://:9093\nother=1\\\\\nlast=2\\";
        let map = parse(text).unwrap();
        assert_eq!(map["listeners"], "PLAINTEXT://:9092,SSL://:9093");
        assert_eq!(map["other"], "1\\");
        assert_eq!(map["last"], "2");
    }

    #[test]
    fn a_continued_comment_ends_with_its_line() {
        assert_eq!(parse("# comment \\\nk=v").unwrap()["k"], "v");
    }

    #[test]
    fn escapes() {
        assert_eq!(one(r"a\ b\=c=\tx\n\u00e9\ud83d\ude00\q"), ("a b=c".into(), "\tx\né😀q".into()));
        assert_eq!(one(r"dir=C\:\\logs").1, r"C:\logs");
        for bad in [r"k=\u12", r"k=\u12g4", r"k=\ud83d"] {
            assert_eq!(parse(bad).unwrap_err().line, 1, "{bad}");
        }
        assert_eq!(parse("a=1\nb=\\u").unwrap_err().line, 2);
    }

    #[test]
    fn the_last_of_two_wins() {
        assert_eq!(parse("k=1\nk=2").unwrap()["k"], "2");
    }
}
