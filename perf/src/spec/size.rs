//! How large a record's value is: `1KiB`, `100..2000` (uniform), or `file:payloads` (one value a line).

use std::{fmt, path::PathBuf, str::FromStr};

use super::quantity::{bytes, format_bytes};

/// The value sizes, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizeSpec {
    /// Every value has this size.
    Fixed(usize),
    /// Uniform between the two, both included.
    Uniform(usize, usize),
    /// The lines of this file, in order, over and over.
    File(PathBuf),
}

/// Kafka's default for `message.max.bytes` is near 1 MiB; far above it no broker takes a record.
const VALUE_BYTES_MAX: u64 = 64 << 20;

impl FromStr for SizeSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |text: &str| {
            let size = bytes(text)?;
            if size > VALUE_BYTES_MAX {
                return Err(format!("a value of {text} is above the 64 MiB that perf sends"));
            }
            Ok(size as usize)
        };
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(Self::File(PathBuf::from(path)));
        }
        let Some((from, to)) = text.split_once("..") else { return Ok(Self::Fixed(size(text)?)) };
        let (from, to) = (size(from)?, size(to)?);
        if from > to {
            return Err(format!("`{text}`: the smaller size comes first"));
        }
        Ok(Self::Uniform(from, to))
    }
}

impl fmt::Display for SizeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => f.write_str(&format_bytes(*size as f64)),
            Self::Uniform(from, to) => {
                write!(f, "{}..{}", format_bytes(*from as f64), format_bytes(*to as f64))
            }
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        assert_eq!("1KiB".parse(), Ok(SizeSpec::Fixed(1024)));
        assert_eq!("100..2000".parse(), Ok(SizeSpec::Uniform(100, 2000)));
        assert_eq!("file:a/b".parse(), Ok(SizeSpec::File(PathBuf::from("a/b"))));
        assert!("2000..100".parse::<SizeSpec>().is_err());
        assert!("1TiB".parse::<SizeSpec>().is_err());
    }
}
