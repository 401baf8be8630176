//! Which language runtimes are on PATH, and whether they are new enough.

use std::process::{Command, Stdio};

/// A runtime that a suite needs.
pub(crate) struct Runtime {
    /// The suite, and how it is called on the command line.
    pub(crate) suite: &'static str,
    /// What it needs, as it is said when it is absent.
    pub(crate) need: &'static str,
    /// Debian's packages that bring it.
    pub(crate) packages: &'static [&'static str],
    /// The programs, each with the arguments that make it print its version and with the least major and minor version.
    programs: &'static [(&'static str, &'static [&'static str], (u32, u32))],
}

/// Every suite that can be skipped, in the order in which they run.
pub(crate) const RUNTIMES: [Runtime; 5] = [
    Runtime {
        suite: "python",
        need: "python3 >= 3.10 with venv",
        packages: &["python3", "python3-venv"],
        programs: &[
            ("python3", &["--version"], (3, 10)),
            ("python3", &["-c", "import ensurepip, venv; print('3.10')"], (3, 10)),
        ],
    },
    Runtime {
        suite: "node",
        need: "node >= 18 with npm",
        packages: &["nodejs", "npm"],
        programs: &[("node", &["--version"], (18, 0)), ("npm", &["--version"], (7, 0))],
    },
    Runtime {
        suite: "java",
        need: "java >= 17 with javac and mvn",
        packages: &["openjdk-17-jdk-headless", "maven"],
        programs: &[
            ("java", &["-version"], (17, 0)),
            ("javac", &["-version"], (17, 0)),
            ("mvn", &["--batch-mode", "-version"], (3, 6)),
        ],
    },
    Runtime {
        // From 1.21 on, go fetches by itself the newer version that go.mod asks for.
        suite: "go",
        need: "go >= 1.21",
        packages: &["golang"],
        programs: &[("go", &["version"], (1, 21))],
    },
    Runtime {
        suite: "kcat",
        need: "kcat",
        packages: &["kcat"],
        programs: &[("kcat", &["-V"], (1, 6))],
    },
];

/// Prometheus' own judge, which no client needs.
pub(crate) const PROMTOOL: Runtime = Runtime {
    suite: "promtool",
    need: "promtool",
    packages: &["prometheus"],
    programs: &[("promtool", &["--version"], (2, 0))],
};

impl Runtime {
    /// Whether everything is here and new enough.
    pub(crate) fn is_here(&self) -> bool {
        self.programs.iter().all(|(program, words, least)| {
            version(program, words).is_some_and(|found| found >= *least)
        })
    }

    /// The line that tells people what they miss.
    pub(crate) fn absence(&self) -> String {
        format!("no {} (Debian: {})", self.need, self.packages.join(" "))
    }
}

/// The first version number that the program prints.
fn version(program: &str, words: &[&str]) -> Option<(u32, u32)> {
    // `go version` must tell its own version, not the one that some go.mod nearby asks for.
    let output = Command::new(program)
        .args(words)
        .env("GOTOOLCHAIN", "local")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    // Java prints its version on standard error.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    number(&text)
}

fn number(text: &str) -> Option<(u32, u32)> {
    // Maven colours what it prints, in sequences that hold digits.
    let text: String = text
        .split('\u{1b}')
        .map(|part| part.strip_prefix('[').and_then(|p| p.split_once('m')).map_or(part, |(_, t)| t))
        .collect();
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[start..].split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        assert_eq!(number("Python 3.11.7"), Some((3, 11)));
        assert_eq!(number("v20.20.2\n"), Some((20, 20)));
        assert_eq!(number("openjdk version \"17.0.15\" 2025-04-15"), Some((17, 0)));
        assert_eq!(number("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(number("Version 1.7.1 (JSON, librdkafka 2.0.2)"), Some((1, 7)));
        assert_eq!(number("\u{1b}[1mApache Maven 3.8.7\u{1b}[m"), Some((3, 8)));
        assert_eq!(number("none"), None);
    }
}
