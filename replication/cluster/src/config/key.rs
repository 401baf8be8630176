//! One configuration key: its type, its default, which values it takes, and what it is for.

use std::fmt;

/// The type of a key's value. The numbers are those of DescribeConfigs (KIP-569).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ValueType {
    /// `true` or `false`, in any case.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// 32 bits, signed.
    Int = 3,
    /// 16 bits, signed.
    Short = 4,
    /// 64 bits, signed.
    Long = 5,
    /// A finite number.
    Double = 6,
    /// Texts separated by commas.
    List = 7,
    /// A Java class name.
    Class = 8,
    /// A text that is never shown.
    Password = 9,
}

impl ValueType {
    /// The number on the wire.
    #[must_use]
    pub fn wire(self) -> i8 {
        self as i8
    }
}

/// Which values of its type a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// All of them.
    Any,
    /// Integers from a minimum.
    AtLeast(i64),
    /// Integers of a range, both ends included.
    Between(i64, i64),
    /// Integers of a range, and one more.
    BetweenOr(i64, i64, i64),
    /// Numbers of a range, both ends included.
    Ratio(f64, f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list of some of these, each at most once, perhaps empty.
    ListOf(&'static [&'static str]),
    /// `*`, nothing, or `partition:broker` pairs (KIP-73).
    ThrottledReplicas,
    /// Anything but `true`, for the reason given.
    NotTrue(&'static str),
}

/// Whether this broker acts on a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It does.
    Used,
    /// It is accepted, stored and shown, because real files and tools set it, but nothing depends on it here.
    Inert,
}

/// Whether a broker key can change while the broker runs (KIP-226).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// Only in the file.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
}

/// A broker key that means the same as a topic key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synonym {
    /// The broker key.
    pub name: &'static str,
    /// Topic value = broker value times this: 3,600,000 for a key in hours.
    pub scale: i64,
}

/// A configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The type of its values.
    pub kind: ValueType,
    /// The text of its default; `None` if it has none.
    pub default: Option<&'static str>,
    /// Which values it takes.
    pub check: Check,
    /// Whether this broker acts on it.
    pub effect: Effect,
    /// Whether it can change at run time. Topic and group keys always can.
    pub update: Update,
    /// For a topic key: the broker keys that it falls back to, first wins. For a broker key with an older name: both
    /// names.
    pub synonyms: &'static [Synonym],
    /// What it is for, in one line.
    pub doc: &'static str,
}

/// A value, read.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Of a Boolean key.
    Boolean(bool),
    /// Of an Int, Short or Long key.
    Integer(i64),
    /// Of a Double key.
    Double(f64),
    /// Of a String, Class or Password key.
    Text(String),
    /// Of a List key.
    List(Vec<String>),
}

impl fmt::Display for Value {
    /// The text that DescribeConfigs shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(v) => write!(f, "{v}"),
            Self::Integer(v) => write!(f, "{v}"),
            Self::Double(v) => f.write_str(&format!("{v:?}").replace('e', "E")),
            Self::Text(v) => f.write_str(v),
            Self::List(v) => f.write_str(&v.join(",")),
        }
    }
}

/// Why a configuration is refused, in words for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The key; may be empty when the error is about several.
    pub key: String,
    /// The whole sentence.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn new(key: &str, message: impl Into<String>) -> Self {
        // A hostile key may be as long as the frame.
        Self { key: key.chars().take(200).collect(), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

impl Key {
    /// A key that is used, can change at run time and has no synonyms.
    pub(crate) const fn new(
        name: &'static str,
        kind: ValueType,
        default: Option<&'static str>,
        check: Check,
        doc: &'static str,
    ) -> Self {
        let (effect, update) = (Effect::Used, Update::ClusterWide);
        Self { name, kind, default, check, effect, update, synonyms: &[], doc }
    }

    pub(crate) const fn inert(mut self) -> Self {
        self.effect = Effect::Inert;
        self
    }

    pub(crate) const fn update(mut self, update: Update) -> Self {
        self.update = update;
        self
    }

    pub(crate) const fn like(mut self, synonyms: &'static [Synonym]) -> Self {
        self.synonyms = synonyms;
        self
    }

    /// Whether its values are never shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == ValueType::Password
    }

    /// Reads and checks a value. White space around it does not count, as in Kafka.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let value = self.read(text.trim()).map_err(|why| self.refuse(text, &why))?;
        self.check(&value).map_err(|why| self.refuse(text, &why))?;
        Ok(value)
    }

    fn refuse(&self, text: &str, why: &str) -> ConfigError {
        let name = self.name;
        let message = if self.is_sensitive() {
            format!("Invalid value for configuration {name}: {why}")
        } else {
            let quoted: String = text.chars().take(100).collect();
            format!("Invalid value {quoted} for configuration {name}: {why}")
        };
        ConfigError::new(name, message)
    }

    fn read(&self, text: &str) -> Result<Value, String> {
        match self.kind {
            ValueType::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            ValueType::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            ValueType::Boolean => Err("expected true or false".into()),
            ValueType::Int => integer(text, i32::MIN.into(), i32::MAX.into(), "32"),
            ValueType::Short => integer(text, i16::MIN.into(), i16::MAX.into(), "16"),
            ValueType::Long => integer(text, i64::MIN, i64::MAX, "64"),
            ValueType::Double => match text.parse::<f64>() {
                Ok(v) if v.is_finite() => Ok(Value::Double(v)),
                Ok(_) | Err(_) => Err("not a number".into()),
            },
            ValueType::List if text.is_empty() => Ok(Value::List(Vec::new())),
            ValueType::List => {
                Ok(Value::List(text.split(',').map(|part| part.trim().to_owned()).collect()))
            }
            ValueType::String | ValueType::Class | ValueType::Password => {
                Ok(Value::Text(text.to_owned()))
            }
        }
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        match (self.check, value) {
            (Check::AtLeast(min), Value::Integer(v)) if *v < min => {
                Err(format!("must be at least {min}"))
            }
            (Check::Between(min, max), Value::Integer(v)) if !(min..=max).contains(v) => {
                Err(format!("must be from {min} to {max}"))
            }
            (Check::BetweenOr(min, max, or), Value::Integer(v))
                if !(min..=max).contains(v) && *v != or =>
            {
                Err(format!("must be from {min} to {max}, or {or}"))
            }
            (Check::Ratio(min, max), Value::Double(v)) if !(min..=max).contains(v) => {
                Err(format!("must be from {min} to {max}"))
            }
            (Check::OneOf(all), Value::Text(v)) if !all.contains(&v.as_str()) => {
                Err(format!("must be one of {}", all.join(", ")))
            }
            (Check::OneOfAnyCase(all), Value::Text(v))
                if !all.iter().any(|a| a.eq_ignore_ascii_case(v)) =>
            {
                Err(format!("must be one of {}", all.join(", ")))
            }
            (Check::ListOf(all), Value::List(v)) => {
                for (i, item) in v.iter().enumerate() {
                    if !all.contains(&item.as_str()) {
                        return Err(format!("each item must be one of {}", all.join(", ")));
                    }
                    if v[..i].contains(item) {
                        return Err(format!("{item} appears twice"));
                    }
                }
                Ok(())
            }
            (Check::ThrottledReplicas, Value::List(v)) => {
                let star = v.len() == 1 && v[0] == "*";
                if star || v.iter().all(|item| is_replica(item)) {
                    Ok(())
                } else {
                    Err("must be * or partition:broker pairs separated by commas".into())
                }
            }
            (Check::NotTrue(why), Value::Boolean(true)) => Err(why.into()),
            (
                Check::Any
                | Check::AtLeast(_)
                | Check::Between(..)
                | Check::BetweenOr(..)
                | Check::Ratio(..)
                | Check::OneOf(_)
                | Check::OneOfAnyCase(_)
                | Check::ListOf(_)
                | Check::ThrottledReplicas
                | Check::NotTrue(_),
                _,
            ) => Ok(()),
        }
    }
}

fn integer(text: &str, min: i64, max: i64, bits: &str) -> Result<Value, String> {
    match text.parse::<i64>() {
        Ok(v) if (min..=max).contains(&v) => Ok(Value::Integer(v)),
        Ok(_) | Err(_) => Err(format!("not a whole number of {bits} bits")),
    }
}

fn is_replica(item: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    item.split_once(':').is_some_and(|(partition, broker)| digits(partition) && digits(broker))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(kind: ValueType, check: Check) -> Key {
        Key::new("some.key", kind, None, check, "")
    }

    #[test]
    fn values_are_trimmed_and_shown_in_one_form() {
        for (kind, text, shown) in [
            (ValueType::Boolean, " TRUE ", "true"),
            (ValueType::Int, " +5", "5"),
            (ValueType::Long, "-1 ", "-1"),
            (ValueType::Double, "1", "1.0"),
            (ValueType::Double, "1.7976931348623157E308", "1.7976931348623157E308"),
            (ValueType::List, " a , b", "a,b"),
            (ValueType::List, "", ""),
        ] {
            assert_eq!(key(kind, Check::Any).parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn types_refuse_what_they_cannot_hold() {
        for (kind, text) in [
            (ValueType::Boolean, "yes"),
            (ValueType::Int, "2147483648"),
            (ValueType::Short, "40000"),
            (ValueType::Long, "9223372036854775808"),
            (ValueType::Long, "1.0"),
            (ValueType::Long, ""),
            (ValueType::Double, "NaN"),
            (ValueType::Double, "inf"),
        ] {
            assert!(key(kind, Check::Any).parse(text).is_err(), "{kind:?} {text:?}");
        }
    }

    #[test]
    fn checks_refuse_and_say_why() {
        let cases = [
            (key(ValueType::Int, Check::AtLeast(1)), "0", "at least 1"),
            (key(ValueType::Int, Check::BetweenOr(1, 9, -1)), "0", "or -1"),
            (key(ValueType::Double, Check::Ratio(0.0, 1.0)), "1.1", "from 0 to 1"),
            (key(ValueType::String, Check::OneOf(&["a", "b"])), "c", "one of a, b"),
            (key(ValueType::List, Check::ListOf(&["a", "b"])), "a,a", "twice"),
            (key(ValueType::List, Check::ListOf(&["a", "b"])), "a,c", "one of a, b"),
            (key(ValueType::List, Check::ThrottledReplicas), "1:", "partition:broker"),
            (key(ValueType::Boolean, Check::NotTrue("no tiers")), "true", "no tiers"),
        ];
        for (key, text, why) in cases {
            let error = key.parse(text).unwrap_err();
            assert!(error.message.contains(why), "{error}");
        }
        assert!(key(ValueType::Int, Check::BetweenOr(1, 9, -1)).parse("-1").is_ok());
        assert!(key(ValueType::List, Check::ThrottledReplicas).parse("0:1,1:2").is_ok());
        assert!(key(ValueType::List, Check::ThrottledReplicas).parse("*").is_ok());
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = key(ValueType::Password, Check::OneOf(&["x"])).parse("hunter2").unwrap_err();
        assert!(!error.message.contains("hunter2"));
    }
}
