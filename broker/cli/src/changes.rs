//! Configuration keys on the command line: `KEY=VALUE`, and what is to be done with them.

use client::{ConfigChange, ConfigOperation};

/// Reads `KEY=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        Some(_) | None => Err(format!("`{text}` is no KEY=VALUE, such as retention.ms=3600000")),
    }
}

/// Reads a key, in which a `=` is a mistake.
pub(crate) fn key(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) => Err(format!("a key has no value here: write {key}")),
        None if text.trim().is_empty() => Err("a key has a name".to_owned()),
        None => Ok(text.trim().to_owned()),
    }
}

fn change(name: &str, operation: ConfigOperation) -> ConfigChange {
    ConfigChange { name: name.to_owned(), operation }
}

/// Sets, unsets, additions to lists and removals from them, in this order.
pub(crate) fn changes(
    set: &[(String, String)],
    unset: &[String],
    append: &[(String, String)],
    subtract: &[(String, String)],
) -> Vec<ConfigChange> {
    let sets = set.iter().map(|(k, v)| change(k, ConfigOperation::Set(v.clone())));
    let unsets = unset.iter().map(|k| change(k, ConfigOperation::Unset));
    let appends = append.iter().map(|(k, v)| change(k, ConfigOperation::Append(v.clone())));
    let subtracts = subtract.iter().map(|(k, v)| change(k, ConfigOperation::Subtract(v.clone())));
    sets.chain(unsets).chain(appends).chain(subtracts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_be_empty_or_hold_an_equals_sign_but_a_key_may_not() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert!(pair("a").is_err() && pair("=b").is_err());
        assert!(key("a=b").is_err() && key(" ").is_err());
        assert_eq!(key("retention.ms"), Ok("retention.ms".into()));
    }
}
