//! What a request to the admin address asks for behind its `?`.

/// `name=value` pairs of one request.
#[derive(Debug)]
pub(crate) struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// A name that is not among `known`, or one without a value.
    pub(crate) fn read(text: Option<&'a str>, known: &[&str]) -> Result<Self, String> {
        let mut pairs = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) || value.is_empty() {
                return Err(format!(
                    "`{pair}` is not understood; known: {}=...",
                    known.join("=..., ")
                ));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// # Errors
    /// The value is no number.
    pub(crate) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, String> {
        let value = self.text(name);
        value.map(|v| v.parse().map_err(|_| format!("`{name}={v}`: not a number"))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_taken() {
        let known = ["last", "core"];
        let query = Query::read(Some("last=60&core=1"), &known).unwrap();
        assert_eq!((query.number("last"), query.number("core")), (Ok(Some(60u64)), Ok(Some(1u16))));
        assert_eq!(Query::read(None, &known).unwrap().number::<u64>("last"), Ok(None));
        assert!(Query::read(Some("lost=60"), &known).is_err());
        assert!(Query::read(Some("last"), &known).is_err());
        let query = Query::read(Some("last=x"), &known).unwrap();
        assert!(query.number::<u64>("last").is_err());
    }
}
