//! Records as text: fields, literals, escapes. `consume -f` prints with a format, `produce -f` reads with one.
//!
//! The letters are kcat's, where kcat has one:
//!
//! ```text
//!  %t topic   %p partition   %o offset   %k key   %v %s value   %h headers   %T time in ms   %D time as RFC 3339
//!  %K %S bytes of key and value, -1 for null   %e leader epoch   %% a percent sign   \n \t \r \0 \\ \xHH
//! ```
//!
//! `{hex}`, `{base64}` and `{json}` behind a key, a value or the headers say how bytes are written.

mod encoding;
mod json;
mod print;
mod split;

pub(crate) use encoding::Encoding;
pub(crate) use json::json_line;
pub(crate) use print::print;
pub(crate) use split::{Fields, Splitter, header};

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(Vec<u8>),
    Field(Field, Encoding),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Headers,
    Millis,
    Time,
    KeyLength,
    ValueLength,
    LeaderEpoch,
}

/// What `--help` says about formats.
pub(crate) const HELP: &str = "\
Format fields:
  %t topic   %p partition   %o offset   %k key   %v value   %h headers (a=1,b=2)
  %T time in ms since 1970   %D time as RFC 3339   %e leader epoch
  %K, %S bytes of key and value, -1 for null   %% a percent sign
  %k, %v, %h may be followed by {hex}, {base64} or {json}
  \\n \\t \\r \\0 \\\\ \\xHH are characters";

/// Reads a format.
pub(crate) fn parse(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or("");
        match c {
            '\\' => {
                let (byte, after) = escape(rest)?;
                literal.push(byte);
                rest = after;
            }
            '%' => {
                let letter = rest.chars().next().ok_or("a `%` at the end: write %% for itself")?;
                rest = rest.get(letter.len_utf8()..).unwrap_or("");
                if letter == '%' {
                    literal.push(b'%');
                    continue;
                }
                let field = field(letter)?;
                let (encoding, after) = encoding::suffix(field, rest)?;
                rest = after;
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Field(field, encoding));
            }
            c => literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Reads escapes only: a delimiter.
pub(crate) fn literal(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or("");
        if c == '\\' {
            let (byte, after) = escape(rest)?;
            bytes.push(byte);
            rest = after;
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    if bytes.is_empty() { Err("a delimiter has at least one byte".into()) } else { Ok(bytes) }
}

fn escape(rest: &str) -> Result<(u8, &str), String> {
    let c = rest.chars().next().ok_or("a `\\` at the end: write \\\\ for itself")?;
    let after = rest.get(c.len_utf8()..).unwrap_or("");
    match c {
        'n' => Ok((b'\n', after)),
        't' => Ok((b'\t', after)),
        'r' => Ok((b'\r', after)),
        '0' => Ok((0, after)),
        '\\' => Ok((b'\\', after)),
        'x' => {
            let digits = after.get(..2).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
            let byte = byte.ok_or("\\x wants two hexadecimal digits, such as \\x1f")?;
            Ok((byte, after.get(2..).unwrap_or("")))
        }
        other => Err(format!("`\\{other}` is none of \\n \\t \\r \\0 \\\\ \\xHH")),
    }
}

fn field(letter: char) -> Result<Field, String> {
    Ok(match letter {
        't' => Field::Topic,
        'p' => Field::Partition,
        'o' => Field::Offset,
        'k' => Field::Key,
        'v' | 's' => Field::Value,
        'h' => Field::Headers,
        'T' => Field::Millis,
        'D' => Field::Time,
        'K' => Field::KeyLength,
        'S' => Field::ValueLength,
        'e' => Field::LeaderEpoch,
        other => {
            return Err(format!(
                "`%{other}` is none of %t %p %o %k %v %h %T %D %K %S %e; write %% for a percent sign"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_fields_and_literals() {
        use Piece::{Field as F, Literal};
        let raw = Encoding::Raw;
        assert_eq!(
            parse("%t/%p %k{hex}\\t%v\\n").unwrap(),
            [
                F(Field::Topic, raw),
                Literal(b"/".to_vec()),
                F(Field::Partition, raw),
                Literal(b" ".to_vec()),
                F(Field::Key, Encoding::Hex),
                Literal(b"\t".to_vec()),
                F(Field::Value, raw),
                Literal(b"\n".to_vec()),
            ]
        );
        assert_eq!(parse("100%%\\x41\\0é").unwrap(), [Literal(b"100%A\0\xc3\xa9".to_vec())]);
        assert_eq!(parse("").unwrap(), []);
        // A brace that is none of the encodings' is itself.
        assert_eq!(parse("%k{ }").unwrap(), [F(Field::Key, raw), Literal(b"{ }".to_vec())]);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for bad in ["%", "%z", "\\", "\\q", "\\x", "\\x4", "\\xzz", "\\x+1", "%k{hexx}", "%t{hex}"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(literal("").is_err());
        assert_eq!(literal("\\t").unwrap(), b"\t");
        assert_eq!(literal("%k").unwrap(), b"%k");
    }
}
