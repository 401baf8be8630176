//! "Did you mean ...": the known name nearest to an unknown one.

/// Names longer than this get no suggestion: the work is the product of the lengths, and no real key is longer.
const NAME_CHARS_MAX: usize = 100;

/// The name among `known` with the fewest edits from `name`, if there are few enough to be a slip: at most a third of the
/// name, and five at most. Ties go to the first.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(NAME_CHARS_MAX + 1).collect();
    if name.is_empty() || name.len() > NAME_CHARS_MAX {
        return None;
    }
    let allowed = (name.len() / 3).clamp(1, 5);
    let distances = known.into_iter().map(|k| (distance(&name, k, allowed), k));
    distances.filter(|(d, _)| *d <= allowed).min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// Edits between two words (insert, remove, replace, swap neighbours), or more than `allowed` if there are more.
fn distance(a: &[char], b: &str, allowed: usize) -> usize {
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > allowed {
        return allowed + 1;
    }
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["retention.ms", "retention.bytes", "segment.ms", "cleanup.policy"];

    #[test]
    fn slips_find_their_key() {
        for (slip, meant) in [
            ("retention.sm", "retention.ms"),
            ("retention_ms", "retention.ms"),
            ("retnetion.ms", "retention.ms"),
            ("cleanup.polic", "cleanup.policy"),
            ("segments.ms", "segment.ms"),
        ] {
            assert_eq!(nearest(slip, KNOWN), Some(meant), "{slip}");
        }
    }

    #[test]
    fn nonsense_finds_nothing() {
        for name in ["", "x", "completely.different", &"r".repeat(100_000)] {
            assert_eq!(nearest(name, KNOWN), None, "{name:.20}");
        }
    }
}
