//! Which keys the records carry: `none`, `random:N`, `seq`, `zipf:S:N`.

use std::{fmt, str::FromStr};

/// The distribution of keys; a key is the eight bytes of its number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeySpec {
    /// No key: a producer fills one partition's batch, then goes on to the next partition.
    None,
    /// Uniform over `N` keys.
    Random(u64),
    /// 0, 1, 2, ... without end.
    Sequential,
    /// Zipf with this exponent over `N` keys: key 1 is the hottest.
    Zipf(f64, u64),
}

impl FromStr for KeySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| match text.parse::<u64>() {
            Ok(n) if n > 0 => Ok(n),
            Ok(_) | Err(_) => Err(format!("`{text}` is not a number of keys")),
        };
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["none"] => Ok(Self::None),
            ["seq"] => Ok(Self::Sequential),
            ["random", n] => Ok(Self::Random(number(n)?)),
            ["zipf", s, n] => match s.parse::<f64>() {
                Ok(s) if s > 0.0 && s.is_finite() => Ok(Self::Zipf(s, number(n)?)),
                Ok(_) | Err(_) => Err(format!("`{s}` is not an exponent above 0")),
            },
            _ => Err(format!("`{text}` is none of none, random:N, seq, zipf:S:N")),
        }
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Random(n) => write!(f, "random:{n}"),
            Self::Sequential => f.write_str("seq"),
            Self::Zipf(s, n) => write!(f, "zipf:{s}:{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms() {
        assert_eq!("none".parse(), Ok(KeySpec::None));
        assert_eq!("seq".parse(), Ok(KeySpec::Sequential));
        assert_eq!("random:10".parse(), Ok(KeySpec::Random(10)));
        assert_eq!("zipf:1.1:1000".parse(), Ok(KeySpec::Zipf(1.1, 1000)));
        assert!("random:0".parse::<KeySpec>().is_err());
        assert!("zipf:-1:5".parse::<KeySpec>().is_err());
        assert!("other".parse::<KeySpec>().is_err());
    }
}
