//! What the command line of one of Kafka's tools may hold, and what it holds.
//!
//! Each tool has a file in `flags/`, one flag a line, as the original's `--help` lists them:
//!
//! ```text
//!  about    one sentence about the tool
//!  does     --flag <ARGUMENT>          | what it does, in our words
//!  does     --flag [ARGUMENT]          | an argument that may be left out
//!  refuses  --flag                     | what it would be; given, it is refused by name
//!  gone     --old-flag <ARGUMENT> --new-flag
//! ```
//!
//! The last kind is not Kafka's any more: it is answered with the same command written anew. The rules of reading are those
//! of the originals: `--flag value` or `--flag=value`, one or two dashes, and any beginning of a flag that no other has.

use super::end::End;
use std::str::FromStr;

/// Whether a flag has an argument, and what that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    None,
    Required(&'static str),
    Optional(&'static str),
}

/// What becomes of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Does,
    Refuses,
    /// Another flag has taken its place.
    Gone(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    /// Without its dashes.
    pub(super) name: &'static str,
    pub(super) argument: Argument,
    pub(super) fate: Fate,
    pub(super) about: &'static str,
}

/// A tool's flags.
#[derive(Clone, Debug)]
pub(super) struct Grammar {
    pub(super) about: &'static str,
    pub(super) flags: Vec<Flag>,
}

impl Grammar {
    /// Reads a file of `flags/`; the error names the line.
    pub(super) fn read(text: &'static str) -> Result<Self, String> {
        let mut grammar = Self { about: "", flags: Vec::new() };
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
            let bad = || format!("no line of a flag file: {line}");
            let (kind, rest) = line.split_once(char::is_whitespace).ok_or_else(bad)?;
            if kind == "about" {
                grammar.about = rest.trim();
                continue;
            }
            let (flag, about) = rest.split_once(" | ").unwrap_or((rest, ""));
            let mut words = flag.split_whitespace();
            let name = words.next().and_then(|w| w.strip_prefix("--")).ok_or_else(bad)?;
            let mut next = words.next();
            let argument = match next {
                Some(w) if w.starts_with('<') => Argument::Required(w.trim_matches(['<', '>'])),
                Some(w) if w.starts_with('[') => Argument::Optional(w.trim_matches(['[', ']'])),
                Some(_) | None => Argument::None,
            };
            if argument != Argument::None {
                next = words.next();
            }
            let fate = match (kind, next.and_then(|w| w.strip_prefix("--"))) {
                ("does", None) => Fate::Does,
                ("refuses", None) => Fate::Refuses,
                ("gone", Some(new)) => Fate::Gone(new),
                _ => return Err(bad()),
            };
            grammar.flags.push(Flag { name, argument, fate, about: about.trim() });
        }
        Ok(grammar)
    }

    /// The flag of this name, or the only one that begins with it.
    fn find(&self, text: &str) -> Result<&Flag, End> {
        if let Some(flag) = self.flags.iter().find(|f| f.name == text) {
            return Ok(flag);
        }
        let mut near = self.flags.iter().filter(|f| f.name.starts_with(text));
        match (near.next(), near.next()) {
            (Some(flag), None) if !text.is_empty() => Ok(flag),
            _ => Err(End::Usage(format!("{text} is not a recognized option"))),
        }
    }

    /// The text of `--help`.
    pub(super) fn help(&self) -> String {
        let shown = |f: &Flag| match f.argument {
            Argument::None => format!("--{}", f.name),
            Argument::Required(a) => format!("--{} <{a}>", f.name),
            Argument::Optional(a) => format!("--{} [{a}]", f.name),
        };
        let listed = || self.flags.iter().filter(|f| !matches!(f.fate, Fate::Gone(_)));
        let width = listed().map(|f| shown(f).len()).max().unwrap_or(0);
        let mut text = String::new();
        for f in listed() {
            let not = if f.fate == Fate::Refuses { "not supported by ringwood: " } else { "" };
            text.push_str(&format!("{:width$}  {not}{}\n", shown(f), f.about));
        }
        text
    }
}

/// A command line that keeps to its grammar.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) tool: &'static str,
    given: Vec<(&'static str, Option<String>)>,
    /// The names of all flags, so that a question about one that does not exist is found by any test.
    known: Vec<&'static str>,
}

impl Words {
    /// Reads a command line, without the tool's own name.
    pub(super) fn read(
        tool: &'static str,
        grammar: &Grammar,
        line: &[String],
    ) -> Result<Self, End> {
        let mut given = Vec::new();
        let mut at = 0;
        while let Some(word) = line.get(at) {
            at += 1;
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                crate::output::say(format_args!("{tool}: {word} is no flag, and ignored"));
                continue;
            };
            let (name, attached) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let flag = grammar.find(name)?;
            match flag.fate {
                Fate::Does => {}
                Fate::Refuses => {
                    return Err(End::Error(format!("not supported by ringwood: --{}", flag.name)));
                }
                Fate::Gone(new) => return Err(End::Error(anew(tool, flag.name, new, line))),
            }
            let value = match (flag.argument, attached) {
                (Argument::None, None) => None,
                (Argument::None, Some(_)) => {
                    let words = format!("Option {} takes no argument", flag.name);
                    return Err(End::Usage(words));
                }
                (Argument::Required(_) | Argument::Optional(_), Some(value)) => Some(value),
                (Argument::Required(_), None) => {
                    let Some(value) = line.get(at) else {
                        let words = format!("Option {} requires an argument", flag.name);
                        return Err(End::Usage(words));
                    };
                    at += 1;
                    Some(value.clone())
                }
                (Argument::Optional(_), None) => {
                    let value = line.get(at).filter(|next| !next.starts_with('-'));
                    at += usize::from(value.is_some());
                    value.cloned()
                }
            };
            given.push((flag.name, value));
        }
        let known = grammar.flags.iter().map(|f| f.name).collect();
        Ok(Self { tool, given, known })
    }

    fn of<'a>(&'a self, flag: &'a str) -> impl Iterator<Item = Option<&'a str>> + 'a {
        debug_assert!(self.known.contains(&flag), "{} has no --{flag}", self.tool);
        self.given.iter().filter(move |(name, _)| *name == flag).map(|(_, value)| value.as_deref())
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.of(flag).next().is_some()
    }

    /// Every value that was given for the flag.
    pub(super) fn values<'a>(&'a self, flag: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.of(flag).flatten()
    }

    /// The flag's value; two of them are a mistake.
    pub(super) fn value<'a>(&'a self, flag: &'a str) -> Result<Option<&'a str>, End> {
        let mut values = self.values(flag);
        let first = values.next();
        if values.next().is_some() {
            return Err(End::Usage(format!(
                "Found multiple arguments for option {flag}, but you asked for only one"
            )));
        }
        Ok(first)
    }

    /// The flag's value, read as a number.
    pub(super) fn number<T: FromStr>(&self, flag: &str) -> Result<Option<T>, End> {
        let Some(text) = self.value(flag)? else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| End::Usage(format!("Cannot parse argument '{text}' of option {flag}")))
    }

    /// The flag's value, which must be there.
    pub(super) fn required<'a>(&'a self, flag: &'a str) -> Result<&'a str, End> {
        self.value(flag)?
            .ok_or_else(|| End::Usage(format!("Missing required argument \"[{flag}]\"")))
    }

    /// Refuses `flag` together with any of `others`.
    pub(super) fn alone(&self, flag: &str, others: &[&str]) -> Result<(), End> {
        if !self.has(flag) {
            return Ok(());
        }
        match others.iter().find(|other| self.has(other)) {
            None => Ok(()),
            Some(other) => Err(End::Usage(format!(
                "Option \"[{flag}]\" can't be used with option \"[{other}]\""
            ))),
        }
    }
}

/// The same command with `new` in the place of a flag that is gone.
fn anew(tool: &str, old: &str, new: &str, line: &[String]) -> String {
    let brokers = std::env::var("RINGWOOD_BOOTSTRAP").unwrap_or_else(|_| "127.0.0.1:9092".into());
    let mut words = vec![tool.to_owned()];
    let mut replaced = false;
    let mut line = line.iter();
    while let Some(word) = line.next() {
        let bare = word.trim_start_matches('-');
        let (name, attached) = bare.split_once('=').map_or((bare, None), |(n, v)| (n, Some(v)));
        if !word.starts_with('-') || name != old {
            words.push(quoted(word));
            continue;
        }
        let value = attached.or_else(|| line.next().map(String::as_str)).unwrap_or_default();
        if !replaced {
            // An address of ZooKeeper is of no use to a broker; one of a broker is.
            let value = if old == "zookeeper" { brokers.as_str() } else { value };
            words.extend([format!("--{new}"), quoted(value)]);
            replaced = true;
        }
    }
    format!("--{old} is gone from Kafka's tools. The same command today:\n  {}", words.join(" "))
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &str = "\
about    Tries things.
does     --list                  | lists
does     --state [STATES]        | the state
does     --topic <NAME>          | the topic
does     --topics <NAMES>        | topics
refuses  --color <NAME>          | colours
gone     --zookeeper <H> --bootstrap-server
";

    fn read(line: &[&str]) -> Result<Words, End> {
        let line: Vec<String> = line.iter().map(|w| (*w).to_owned()).collect();
        Words::read("kafka-try", &Grammar::read(FLAGS).unwrap(), &line)
    }

    fn error(line: &[&str]) -> String {
        match read(line).unwrap_err() {
            End::Usage(text) | End::Error(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_follow_or_are_attached_and_flags_may_be_cut_short() {
        let words =
            read(&["--li", "--topic", "a", "-topic=b=c", "--state", "--topics", "-1"]).unwrap();
        assert!(words.has("list") && words.has("state"));
        assert_eq!(words.values("topic").collect::<Vec<_>>(), ["a", "b=c"]);
        assert_eq!(words.value("state"), Ok(None));
        assert_eq!(words.number::<i32>("topics"), Ok(Some(-1)));
        let words = read(&["--state", "stable,empty"]).unwrap();
        assert_eq!(words.value("state"), Ok(Some("stable,empty")));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(error(&["--nope"]), "nope is not a recognized option");
        assert_eq!(error(&["--top", "a"]), "top is not a recognized option");
        assert_eq!(error(&["--topic"]), "Option topic requires an argument");
        assert_eq!(error(&["--list=3"]), "Option list takes no argument");
        assert_eq!(error(&["--color", "red"]), "not supported by ringwood: --color");
        let twice = read(&["--topic", "a", "--topic", "b"]).unwrap();
        assert!(twice.value("topic").is_err());
        assert!(read(&["--topic", "a"]).unwrap().number::<i32>("topic").is_err());
    }

    #[test]
    fn a_flag_that_is_gone_is_answered_with_the_same_command() {
        let text = error(&["--zookeeper", "zk:2181/x", "--topic", "it's", "--list"]);
        let command = text.lines().nth(1).unwrap();
        assert!(command.starts_with("  kafka-try --bootstrap-server "), "{command}");
        assert!(command.ends_with(" --topic 'it'\\''s' --list"), "{command}");
        assert!(!command.contains("zk:2181"), "{command}");
    }

    #[test]
    fn a_flag_file_with_a_mistake_is_refused() {
        for bad in ["does flag", "maybe --flag", "gone --flag", "does"] {
            assert!(Grammar::read(bad).is_err(), "{bad}");
        }
    }
}
