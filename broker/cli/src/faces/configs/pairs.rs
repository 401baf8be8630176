//! `--add-config k1=v1,k2=[v1,v2],k3=`: pairs, of which those in brackets may hold commas.

use crate::faces::end::End;

pub(super) fn read(text: &str) -> Result<Vec<(String, String)>, End> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in split(text) {
        let bad = || {
            End::Error("Invalid entity config: all configs to be added must be in the format \"key=val\" or \"key=[val1,val2]\" to group values which contain commas.".into())
        };
        let (key, value) = part.split_once('=').ok_or_else(bad)?;
        let value = value.trim();
        let value = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or(value);
        if key.trim().is_empty() {
            return Err(bad());
        }
        pairs.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(pairs)
}

/// At the commas that stand in no brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            ',' if !inside => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_hold_commas_together_and_values_may_be_empty() {
        let pairs = read("a=1, b=[x,y] ,c=").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x,y"), ("c", "")]);
        assert!(read("a").is_err() && read("=1").is_err() && read("a=1,,").is_err());
    }
}
