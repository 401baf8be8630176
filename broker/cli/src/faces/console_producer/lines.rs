//! How a line becomes a record: the rules of Kafka's LineMessageReader, on bytes.
//!
//! ```text
//!  headers <headers.delimiter> key <key.separator> value        with parse.headers and parse.key
//!  name <headers.key.separator> value <headers.separator> ...   the headers
//! ```

use crate::faces::end::End;
use crate::faces::properties::Properties;

/// Properties of the reader.
const KNOWN: &[&str] = &[
    "headers.delimiter",
    "headers.key.separator",
    "headers.separator",
    "ignore.error",
    "key.separator",
    "null.marker",
    "parse.headers",
    "parse.key",
    "topic",
];

#[derive(Debug)]
pub(super) struct LineReader {
    key_separator: Option<Vec<u8>>,
    headers_delimiter: Option<Vec<u8>>,
    headers_separator: Vec<u8>,
    headers_key_separator: Vec<u8>,
    ignore_error: bool,
    null_marker: Option<Vec<u8>>,
}

/// A record's parts, in the line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

impl LineReader {
    pub(super) fn new(properties: &Properties) -> Result<Self, End> {
        for (key, _) in properties.iter().filter(|(key, _)| !KNOWN.contains(key)) {
            crate::output::say(format_args!("warning: the property {key} has no effect here"));
        }
        let text =
            |key: &str, standard: &str| properties.get(key).unwrap_or(standard).as_bytes().to_vec();
        let is_true = |key| properties.is_true(key).unwrap_or(false);
        let key_separator = text("key.separator", "\t");
        let headers_delimiter = text("headers.delimiter", "\t");
        let headers_separator = text("headers.separator", ",");
        let headers_key_separator = text("headers.key.separator", ":");
        let null_marker = properties.get("null.marker").map(|m| m.as_bytes().to_vec());
        let separators = [
            ("headers.delimiter", &headers_delimiter),
            ("headers.separator", &headers_separator),
            ("headers.key.separator", &headers_key_separator),
        ];
        for (i, (a, x)) in separators.iter().enumerate() {
            for (b, y) in separators.iter().skip(i + 1) {
                if x == y {
                    return Err(End::Error(format!("{a} and {b} may not be equal")));
                }
            }
        }
        for (name, separator) in separators.iter().chain(&[("key.separator", &key_separator)]) {
            if null_marker.as_ref() == Some(*separator) {
                return Err(End::Error(format!("null.marker and {name} may not be equal")));
            }
            if separator.is_empty() {
                return Err(End::Error(format!("{name} may not be empty")));
            }
        }
        Ok(Self {
            key_separator: is_true("parse.key").then_some(key_separator),
            headers_delimiter: is_true("parse.headers").then_some(headers_delimiter),
            headers_separator,
            headers_key_separator,
            ignore_error: is_true("ignore.error"),
            null_marker,
        })
    }

    /// Reads a line; `number` counts from 1.
    pub(super) fn parse<'a>(&self, line: &'a [u8], number: u64) -> Result<Parsed<'a>, String> {
        let whole = line;
        let cut = |line: &'a [u8], at: &Option<Vec<u8>>, name: &str| match at {
            None => Ok((None, line)),
            Some(separator) => match split(line, separator) {
                Some((head, rest)) => Ok((Some(head), rest)),
                None if self.ignore_error => Ok((None, line)),
                None => Err(format!(
                    "No {name} found on line number {number}: '{}'",
                    String::from_utf8_lossy(whole)
                )),
            },
        };
        let (headers, rest) = cut(line, &self.headers_delimiter, "headers delimiter")?;
        let (key, value) = cut(rest, &self.key_separator, "key separator")?;
        let headers = match headers.and_then(|h| self.unless_null(h)) {
            None => Vec::new(),
            Some(headers) => self.headers(headers, number)?,
        };
        Ok(Parsed {
            key: key.and_then(|k| self.unless_null(k)),
            value: self.unless_null(value),
            headers,
        })
    }

    fn unless_null<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        (self.null_marker.as_deref() != Some(bytes)).then_some(bytes)
    }

    fn headers<'a>(
        &self,
        mut text: &'a [u8],
        number: u64,
    ) -> Result<Vec<(&'a [u8], Option<&'a [u8]>)>, String> {
        let mut pairs = Vec::new();
        while let Some((pair, rest)) = split(text, &self.headers_separator) {
            pairs.push(pair);
            text = rest;
        }
        pairs.push(text);
        // As in Java, nothing behind the last separators is nothing; an empty line of headers is one bad header.
        while pairs.len() > 1 && pairs.last().is_some_and(|p| p.is_empty()) {
            pairs.pop();
        }
        pairs
            .into_iter()
            .map(|pair| match split(pair, &self.headers_key_separator) {
                Some((key, _)) if self.unless_null(key).is_none() => Err(format!(
                    "Header keys should not be equal to the null marker '{}' as they can't be null",
                    String::from_utf8_lossy(key)
                )),
                Some((key, value)) => Ok((key, self.unless_null(value))),
                None if self.ignore_error => Ok((pair, None)),
                None => Err(format!(
                    "No header key separator found in pair '{}' on line number {number}",
                    String::from_utf8_lossy(pair)
                )),
            })
            .collect()
    }
}

/// What stands before the first `separator`, and what stands behind it.
fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|w| w == separator)?;
    Some((bytes.get(..at)?, bytes.get(at + separator.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(pairs: &[(&str, &str)]) -> Result<LineReader, End> {
        let mut properties = Properties::default();
        for (key, value) in pairs {
            properties.set(key, value);
        }
        LineReader::new(&properties)
    }

    #[test]
    fn a_line_is_a_value_unless_told_otherwise() {
        let plain = reader(&[]).unwrap();
        let value = plain.parse(b"a\tb", 1).unwrap();
        assert_eq!((value.key, value.value), (None, Some(&b"a\tb"[..])));
        let keyed = reader(&[("parse.key", "TRUE "), ("key.separator", "::")]).unwrap();
        let parsed = keyed.parse(b"k::v::w", 1).unwrap();
        assert_eq!((parsed.key, parsed.value), (Some(&b"k"[..]), Some(&b"v::w"[..])));
        assert_eq!(
            keyed.parse(b"bare", 7).unwrap_err(),
            "No key separator found on line number 7: 'bare'"
        );
        let lax = reader(&[("parse.key", "true"), ("ignore.error", "true")]).unwrap();
        assert_eq!(lax.parse(b"bare", 1).unwrap().key, None);
    }

    #[test]
    fn headers_stand_first_and_nulls_have_a_marker() {
        let all = [("parse.key", "true"), ("parse.headers", "true"), ("null.marker", "NULL")];
        let r = reader(&all).unwrap();
        let parsed = r.parse(b"h1:v1,h2:NULL,\tNULL\tvalue", 1).unwrap();
        assert_eq!(parsed.headers, [(&b"h1"[..], Some(&b"v1"[..])), (b"h2", None)]);
        assert_eq!((parsed.key, parsed.value), (None, Some(&b"value"[..])));
        assert_eq!(
            r.parse(b"NULL\tk\tNULL", 1).unwrap(),
            Parsed { key: Some(b"k"), ..Parsed::default() }
        );
        for bad in [&b"h1\tk\tv"[..], b"NULL:x\tk\tv", b"\tk\tv", b"h:v"] {
            assert!(r.parse(bad, 1).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn separators_differ() {
        assert!(reader(&[("headers.delimiter", ",")]).is_err());
        assert!(reader(&[("null.marker", ":")]).is_err());
        assert!(reader(&[("key.separator", "")]).is_err());
    }
}
