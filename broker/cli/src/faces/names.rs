//! Names of topics by regular expression, as the originals match them: against the whole name, with commas for "or".

use super::end::End;
use regex::Regex;

/// The longest expression, compiled.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Which names are meant.
#[derive(Clone, Debug)]
pub(super) struct Names(Regex);

impl Names {
    /// A list of expressions, of which one must match; blanks and quotes around it do not count.
    pub(super) fn list(text: &str) -> Result<Self, End> {
        let pattern: String = text.trim().replace(',', "|").replace(' ', "");
        Self::pattern(pattern.trim_matches(['"', '\'']))
    }

    /// One expression.
    pub(super) fn pattern(text: &str) -> Result<Self, End> {
        regex::RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map(Self)
            .map_err(|e| End::Error(format!("{text} is an invalid regex: {e}")))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_whole_names() {
        let names = Names::list(" 'a.*, exact' ").unwrap();
        assert!(
            names.has("abc") && names.has("exact") && !names.has("bac") && !names.has("exact2")
        );
        assert!(Names::list("a(").is_err());
        assert!(Names::pattern("x{1000}{1000}").is_err());
    }
}
