//! Prometheus' text format: families of samples, with labels that may hold anything a group may be called.

use std::fmt::Write as _;

/// A text that grows. Writing to a `String` cannot fail.
#[derive(Default)]
pub(super) struct Text {
    text: String,
    /// The family that samples belong to.
    name: &'static str,
}

impl Text {
    /// Begins a metric. All its samples follow.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A metric of one sample without labels.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(&[], value);
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line("", labels, None, value);
    }

    /// A histogram of the family: its buckets' ends and the counts below them.
    pub(super) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        for (end, below) in buckets {
            self.line("_bucket", labels, Some(("le", &end.to_string())), below as f64);
        }
        self.line("_bucket", labels, Some(("le", "+Inf")), count as f64);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, count as f64);
    }

    /// A summary of the family: quantiles and their values.
    pub(super) fn summary(
        &mut self,
        labels: &[(&str, &str)],
        quantiles: &[(&str, f64)],
        count: u64,
        sum: f64,
    ) {
        for (quantile, value) in quantiles {
            self.line("", labels, Some(("quantile", quantile)), *value);
        }
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, count as f64);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        last: Option<(&str, &str)>,
        value: f64,
    ) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut open = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            self.text.push(open);
            open = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '"' => self.text.push_str("\\\""),
                    '\\' => self.text.push_str("\\\\"),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if open == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    pub(super) fn into_string(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_may_hold_anything() {
        let mut text = Text::default();
        text.family("m", "gauge", "Words.");
        text.sample(&[("group", "a\"b\\c\nd é"), ("p", "")], 1.5);
        text.sample(&[], 3.0);
        let expected =
            "# HELP m Words.\n# TYPE m gauge\nm{group=\"a\\\"b\\\\c\\nd é\",p=\"\"} 1.5\nm 3\n";
        assert_eq!(text.into_string(), expected);
    }
}
