//! The deserializers of Kafka that turn bytes into text.

use crate::faces::end::End;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deserializer {
    /// As they are.
    Bytes,
    Text,
    Short,
    Integer,
    Long,
    Uuid,
    Boolean,
}

impl Deserializer {
    /// By the name of its class.
    pub(super) fn of(class: &str, flag: &str) -> Result<Self, End> {
        match class.strip_prefix("org.apache.kafka.common.serialization.").unwrap_or_default() {
            "StringDeserializer" => Ok(Self::Text),
            "ByteArrayDeserializer" | "BytesDeserializer" => Ok(Self::Bytes),
            "ShortDeserializer" => Ok(Self::Short),
            "IntegerDeserializer" => Ok(Self::Integer),
            "LongDeserializer" => Ok(Self::Long),
            "UUIDDeserializer" => Ok(Self::Uuid),
            "BooleanDeserializer" => Ok(Self::Boolean),
            _ => Err(End::Error(format!("not supported by ringwood: {flag} {class}"))),
        }
    }

    /// Appends the text of `bytes`; the error says what is wrong with them.
    pub(super) fn append(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let wrong =
            |size: usize| format!("Size of data received by the deserializer is not {size}");
        let number = match self {
            Self::Bytes => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Self::Text => String::from_utf8_lossy(bytes).into_owned(),
            Self::Short => i16::from_be_bytes(bytes.try_into().map_err(|_| wrong(2))?).to_string(),
            Self::Integer => {
                i32::from_be_bytes(bytes.try_into().map_err(|_| wrong(4))?).to_string()
            }
            Self::Long => i64::from_be_bytes(bytes.try_into().map_err(|_| wrong(8))?).to_string(),
            Self::Uuid => std::str::from_utf8(bytes)
                .ok()
                .filter(|t| is_uuid(t))
                .ok_or("Error parsing data into UUID")?
                .to_lowercase(),
            Self::Boolean => match bytes {
                [1] => "true".into(),
                [0] => "false".into(),
                [_] => return Err("Unexpected byte received by BooleanDeserializer".into()),
                _ => return Err(wrong(1)),
            },
        };
        out.extend_from_slice(number.as_bytes());
        Ok(())
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_size() {
        let read = |class: &str, bytes: &[u8]| {
            let class = format!("org.apache.kafka.common.serialization.{class}Deserializer");
            let mut out = Vec::new();
            let read = Deserializer::of(&class, "--value-deserializer").unwrap();
            read.append(bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(read("Long", &(-7i64).to_be_bytes()), Ok("-7".into()));
        assert_eq!(read("Integer", &9i32.to_be_bytes()), Ok("9".into()));
        assert_eq!(read("Short", &[1, 0]), Ok("256".into()));
        assert_eq!(read("Boolean", &[1]), Ok("true".into()));
        assert_eq!(read("String", b"hi"), Ok("hi".into()));
        assert!(read("Long", b"1234").is_err() && read("Boolean", &[2]).is_err());
        assert!(Deserializer::of("com.example.Mine", "--key-deserializer").is_err());
    }
}
