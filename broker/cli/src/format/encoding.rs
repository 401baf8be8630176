//! How bytes are written in text, and read back.

use super::Field;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How a field's bytes stand in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    #[default]
    Raw,
    Hex,
    Base64,
    /// A JSON string, with bytes that are not UTF-8 replaced; null is `null`.
    Json,
}

/// Reads `{hex}`, `{base64}`, `{json}` behind a field, if one of them is there.
pub(super) fn suffix(field: Field, rest: &str) -> Result<(Encoding, &str), String> {
    let Some((word, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) else {
        return Ok((Encoding::Raw, rest));
    };
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok((Encoding::Raw, rest));
    }
    let encoding = match word {
        "hex" => Encoding::Hex,
        "base64" => Encoding::Base64,
        "json" => Encoding::Json,
        other => return Err(format!("`{{{other}}}` is none of {{hex}}, {{base64}}, {{json}}")),
    };
    match (field, encoding) {
        (Field::Key | Field::Value, _) | (Field::Headers, Encoding::Json) => Ok((encoding, after)),
        _ => Err(format!("only %k and %v can be written as {{{word}}}")),
    }
}

impl Encoding {
    /// Appends `bytes`; null is nothing, but for JSON.
    pub(crate) fn write(self, bytes: Option<&[u8]>, out: &mut Vec<u8>) {
        match (self, bytes) {
            (Self::Json, None) => out.extend_from_slice(b"null"),
            (Self::Json, Some(bytes)) => {
                let text = String::from_utf8_lossy(bytes);
                out.extend_from_slice(
                    serde_json::Value::from(text.as_ref()).to_string().as_bytes(),
                );
            }
            (_, None) => {}
            (Self::Raw, Some(bytes)) => out.extend_from_slice(bytes),
            (Self::Hex, Some(bytes)) => {
                for b in bytes {
                    out.extend_from_slice(&hex_of(*b));
                }
            }
            (Self::Base64, Some(bytes)) => {
                out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            }
        }
    }

    /// Reads what [`Encoding::write`] wrote.
    pub(crate) fn read(self, text: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Raw => Ok(Some(text.to_vec())),
            Self::Hex => {
                let (pairs, rest) = text.as_chunks::<2>();
                let bytes: Option<Vec<u8>> =
                    pairs.iter().map(|[a, b]| Some(hex_digit(*a)? << 4 | hex_digit(*b)?)).collect();
                bytes.filter(|_| rest.is_empty()).map(Some).ok_or_else(|| "no hexadecimal".into())
            }
            Self::Base64 => STANDARD.decode(text).map(Some).map_err(|e| format!("no base64: {e}")),
            Self::Json => {
                let text: Option<String> =
                    serde_json::from_slice(text).map_err(|e| format!("no JSON string: {e}"))?;
                Ok(text.map(String::into_bytes))
            }
        }
    }
}

fn hex_of(byte: u8) -> [u8; 2] {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

fn hex_digit(c: u8) -> Option<u8> {
    char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Standard base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Raw, Encoding::Hex, Encoding::Base64] {
            let mut text = Vec::new();
            encoding.write(Some(&bytes), &mut text);
            assert_eq!(encoding.read(&text), Ok(Some(bytes.clone())), "{encoding:?}");
        }
        for value in [None, Some("say \"hi\"\n\u{1F980}".as_bytes())] {
            let mut text = Vec::new();
            Encoding::Json.write(value, &mut text);
            assert_eq!(Encoding::Json.read(&text), Ok(value.map(<[u8]>::to_vec)));
        }
    }

    #[test]
    fn what_is_not_in_the_encoding_is_refused() {
        for (encoding, text) in [
            (Encoding::Hex, "abc"),
            (Encoding::Hex, "zz"),
            (Encoding::Hex, "+1"),
            (Encoding::Base64, "a"),
            (Encoding::Json, "plain"),
            (Encoding::Json, "{}"),
        ] {
            assert!(encoding.read(text.as_bytes()).is_err(), "{encoding:?} {text}");
        }
    }
}
