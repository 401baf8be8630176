//! Text cut into the fields of a record: the other direction of [`super::print`].
//!
//! The literal behind the last field ends a record; the literals between fields end a field, at their first occurrence.

use super::{Encoding, Field, Piece};
use ids::Timestamp;

/// A format that text can be read with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splitter {
    /// What stands before the first field.
    prefix: Vec<u8>,
    /// Each field, and the literal behind it; that of the last one is the record's end and not in the text.
    fields: Vec<(Field, Encoding, Vec<u8>)>,
    delimiter: Vec<u8>,
    /// A record without the first field's delimiter is a value without a key.
    key_optional: bool,
    empty_is_null: bool,
}

/// What a record's text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<Timestamp>,
}

impl Splitter {
    /// One value a line.
    pub(crate) fn lines() -> Self {
        Self {
            prefix: Vec::new(),
            fields: vec![(Field::Value, Encoding::Raw, Vec::new())],
            delimiter: b"\n".to_vec(),
            key_optional: false,
            empty_is_null: false,
        }
    }

    /// A key, `delimiter`, and a value a line; a line without the delimiter is a value without a key.
    pub(crate) fn keyed(delimiter: Vec<u8>) -> Self {
        let key = (Field::Key, Encoding::Raw, delimiter);
        let value = (Field::Value, Encoding::Raw, Vec::new());
        Self { fields: vec![key, value], key_optional: true, ..Self::lines() }
    }

    /// A format of one's own. Without a literal at its end a record ends with its line.
    pub(crate) fn new(pieces: Vec<Piece>) -> Result<Self, String> {
        let mut splitter = Self { fields: Vec::new(), ..Self::lines() };
        for piece in pieces {
            match piece {
                Piece::Literal(bytes) => match splitter.fields.last_mut() {
                    Some((.., literal)) => *literal = bytes,
                    None => splitter.prefix = bytes,
                },
                Piece::Field(field, encoding) => {
                    if splitter.fields.last().is_some_and(|(.., literal)| literal.is_empty()) {
                        return Err(
                            "two fields need something between them, such as %k\\t%v".into()
                        );
                    }
                    match field {
                        Field::Key
                        | Field::Value
                        | Field::Headers
                        | Field::Partition
                        | Field::Millis => {}
                        Field::Topic
                        | Field::Offset
                        | Field::Time
                        | Field::KeyLength
                        | Field::ValueLength
                        | Field::LeaderEpoch => {
                            return Err("records are read from %k %v %h %p %T only".into());
                        }
                    }
                    if field == Field::Headers && encoding != Encoding::Raw {
                        return Err("headers are read from %h only, as a=1,b=2".into());
                    }
                    if splitter.fields.iter().any(|(f, ..)| *f == field) {
                        return Err("a field stands there twice".into());
                    }
                    splitter.fields.push((field, encoding, Vec::new()));
                }
            }
        }
        let Some((.., last)) = splitter.fields.last_mut() else {
            return Err("there is no field in it: %v is the value".into());
        };
        if !last.is_empty() {
            splitter.delimiter = std::mem::take(last);
        }
        Ok(splitter)
    }

    /// An empty value stands for null.
    pub(crate) fn empty_is_null(mut self, on: bool) -> Self {
        self.empty_is_null = on;
        self
    }

    /// Whether the text has keys.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.fields.iter().any(|(f, ..)| *f == field)
    }

    /// What ends a record; not empty.
    pub(crate) fn delimiter(&self) -> &[u8] {
        &self.delimiter
    }

    /// Reads one record, without its delimiter.
    pub(crate) fn split(&self, text: &[u8]) -> Result<Fields, String> {
        let mut rest = text
            .strip_prefix(self.prefix.as_slice())
            .ok_or_else(|| format!("does not begin with `{}`", self.prefix.escape_ascii()))?;
        let mut fields = Fields::default();
        for (field, encoding, literal) in &self.fields {
            let part = if literal.is_empty() {
                std::mem::take(&mut rest)
            } else if let Some(at) = find(rest, literal) {
                let (part, after) = rest.split_at(at);
                rest = after.get(literal.len()..).unwrap_or(&[]);
                part
            } else if self.key_optional {
                continue;
            } else {
                return Err(format!(
                    "has no `{}` behind its {}",
                    literal.escape_ascii(),
                    name(*field)
                ));
            };
            self.take(*field, *encoding, part, &mut fields)
                .map_err(|e| format!("its {}: {e}", name(*field)))?;
        }
        Ok(fields)
    }

    fn take(
        &self,
        field: Field,
        encoding: Encoding,
        part: &[u8],
        fields: &mut Fields,
    ) -> Result<(), String> {
        match field {
            Field::Key => fields.key = encoding.read(part)?,
            Field::Value if self.empty_is_null && part.is_empty() => fields.value = None,
            Field::Value => fields.value = encoding.read(part)?,
            Field::Headers => fields.headers = headers(part),
            Field::Partition => fields.partition = Some(number(part)?),
            Field::Millis => fields.timestamp = Some(Timestamp(number(part)?)),
            Field::Topic
            | Field::Offset
            | Field::Time
            | Field::KeyLength
            | Field::ValueLength
            | Field::LeaderEpoch => {}
        }
        Ok(())
    }
}

fn name(field: Field) -> &'static str {
    match field {
        Field::Key => "key",
        Field::Value => "value",
        Field::Headers => "headers",
        Field::Partition => "partition",
        Field::Millis => "time",
        Field::Topic
        | Field::Offset
        | Field::Time
        | Field::KeyLength
        | Field::ValueLength
        | Field::LeaderEpoch => "field",
    }
}

fn number<N: std::str::FromStr>(text: &[u8]) -> Result<N, String> {
    let text = String::from_utf8_lossy(text);
    text.trim().parse().map_err(|_| format!("`{text}` is no number"))
}

/// Reads `a=1,b=2`.
fn headers(text: &[u8]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|b| *b == b',').map(header).collect()
}

/// Reads `a=1`; without an equals sign the value is null.
pub(crate) fn header(text: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    match find(text, b"=") {
        Some(at) => (text[..at].to_vec(), Some(text[at + 1..].to_vec())),
        None => (text.to_vec(), None),
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn splitter(format: &str) -> Splitter {
        Splitter::new(parse(format).unwrap()).unwrap()
    }

    fn some(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn a_line_is_a_value() {
        let fields = Splitter::lines().split(b"a:b").unwrap();
        assert_eq!(fields, Fields { value: some("a:b"), ..Fields::default() });
        assert_eq!(Splitter::lines().split(b"").unwrap().value, some(""));
        assert_eq!(Splitter::lines().empty_is_null(true).split(b"").unwrap().value, None);
    }

    #[test]
    fn a_key_ends_at_the_first_delimiter_and_may_be_missing() {
        let s = Splitter::keyed(b"::".to_vec());
        let fields = s.split(b"k::v::w").unwrap();
        assert_eq!((fields.key, fields.value), (some("k"), some("v::w")));
        let fields = s.split(b"k:v").unwrap();
        assert_eq!((fields.key, fields.value), (None, some("k:v")));
        let fields = s.split(b"::v").unwrap();
        assert_eq!((fields.key, fields.value), (some(""), some("v")));
    }

    #[test]
    fn a_format_names_every_field() {
        let s = splitter("> %p %T %h %k=%v;\\n");
        assert_eq!(s.delimiter(), b";\n");
        let fields = s.split(b"> 2 1000 a=1,b k=v=w").unwrap();
        assert_eq!(fields.partition, Some(2));
        assert_eq!(fields.timestamp, Some(Timestamp(1000)));
        assert_eq!(fields.headers, [(b"a".to_vec(), some("1")), (b"b".to_vec(), None)]);
        assert_eq!((fields.key, fields.value), (some("k"), some("v=w")));
        let e = s.split(b"< 2").unwrap_err();
        assert!(e.contains("begin"), "{e}");
        let e = s.split(b"> two 1 a k=v").unwrap_err();
        assert!(e.contains("partition") && e.contains("two"), "{e}");
        let e = s.split(b"> 2 1000 a kv").unwrap_err();
        assert!(e.contains("`=` behind its key"), "{e}");
        assert_eq!(splitter("%v").delimiter(), b"\n");
    }

    #[test]
    fn encodings_are_read_back() {
        let s = splitter("%k{base64} %v{hex}");
        let fields = s.split(b"AP8= 00ff").unwrap();
        assert_eq!((fields.key, fields.value), (Some(vec![0, 255]), Some(vec![0, 255])));
        assert!(s.split(b"!!! 00").is_err());
    }

    #[test]
    fn formats_that_cannot_be_read_are_refused() {
        for bad in ["%k%v", "plain", "", "%t %v", "%o %v", "%v %v", "%h{json} %v"] {
            assert!(Splitter::new(parse(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
