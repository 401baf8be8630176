//! The faces of Kafka's tools: called by the name of one of them, the binary takes that tool's flags and prints what it prints.
//!
//! ```text
//!  flags/NAME.flags   what the tool's --help lists, and what its face does with each (`grammar`)
//!  NAME.rs            the tool; it ends in an `end::End`, in the original's words
//!  install            `ringwood tools install DIR`: the links by whose names the binary is called
//! ```
//!
//! For every flag the face either does what the original does, or refuses it by name; nothing is taken and ignored. What the
//! originals print on stdout is printed on stdout, line by line, except that what Java leaves to the order of its hash
//! tables is sorted. A test runs the originals beside the faces.

mod broker_api_versions;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod delete_records;
mod end;
mod get_offsets;
mod grammar;
mod groups;
mod install;
mod log_dirs;
mod names;
mod properties;
mod session;
mod topics;

pub use install::ToolsArgs;
pub(crate) use install::run as run_tools;

use end::{Done, End};
use grammar::{Grammar, Words};
use std::ffi::OsString;
use std::path::Path;

/// One of Kafka's tools.
#[derive(Clone, Copy, Debug)]
pub struct Face {
    name: &'static str,
    flags: &'static str,
    run: fn(&Words) -> Done,
}

const FACES: [Face; 9] = [
    Face {
        name: "kafka-broker-api-versions",
        flags: include_str!("faces/flags/kafka-broker-api-versions.flags"),
        run: broker_api_versions::run,
    },
    Face {
        name: "kafka-configs",
        flags: include_str!("faces/flags/kafka-configs.flags"),
        run: configs::run,
    },
    Face {
        name: "kafka-console-consumer",
        flags: include_str!("faces/flags/kafka-console-consumer.flags"),
        run: console_consumer::run,
    },
    Face {
        name: "kafka-console-producer",
        flags: include_str!("faces/flags/kafka-console-producer.flags"),
        run: console_producer::run,
    },
    Face {
        name: "kafka-consumer-groups",
        flags: include_str!("faces/flags/kafka-consumer-groups.flags"),
        run: consumer_groups::run,
    },
    Face {
        name: "kafka-delete-records",
        flags: include_str!("faces/flags/kafka-delete-records.flags"),
        run: delete_records::run,
    },
    Face {
        name: "kafka-get-offsets",
        flags: include_str!("faces/flags/kafka-get-offsets.flags"),
        run: get_offsets::run,
    },
    Face {
        name: "kafka-log-dirs",
        flags: include_str!("faces/flags/kafka-log-dirs.flags"),
        run: log_dirs::run,
    },
    Face {
        name: "kafka-topics",
        flags: include_str!("faces/flags/kafka-topics.flags"),
        run: topics::run,
    },
];

/// The tool by whose name the binary was called, if it was: `kafka-topics`, `/usr/bin/kafka-topics.sh`.
#[must_use]
pub fn called_as(program: &OsString) -> Option<Face> {
    let name = Path::new(program).file_name()?.to_str()?;
    let name = name.strip_suffix(".sh").unwrap_or(name);
    FACES.into_iter().find(|f| f.name == name)
}

impl Face {
    /// Runs the tool with its arguments; its exit code, 0 or 1 as the original's.
    #[must_use]
    pub fn run(&self, arguments: impl Iterator<Item = OsString>) -> u8 {
        let grammar = match Grammar::read(self.flags) {
            Ok(grammar) => grammar,
            Err(e) => return end::close(Err(End::Error(e)), ""),
        };
        end::close(self.act(&grammar, arguments), &grammar.help())
    }

    fn act(&self, grammar: &Grammar, arguments: impl Iterator<Item = OsString>) -> Done {
        let line: Result<Vec<String>, OsString> = arguments.map(OsString::into_string).collect();
        let line = line
            .map_err(|bad| End::Usage(format!("{} is no text in UTF-8", bad.to_string_lossy())))?;
        if line.is_empty() {
            return Err(End::Usage(grammar.about.to_owned()));
        }
        let words = Words::read(self.name, grammar, &line)?;
        if words.has("help") {
            return Err(End::Usage(grammar.about.to_owned()));
        }
        if words.has("version") {
            return end::print(concat!(
                "ringwood ",
                env!("CARGO_PKG_VERSION"),
                " (as Kafka 4.3.0)"
            ));
        }
        (self.run)(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grammar::{Argument, Fate};
    use std::fs;

    fn grammars() -> impl Iterator<Item = (Face, Grammar)> {
        FACES.into_iter().map(|f| (f, Grammar::read(f.flags).unwrap()))
    }

    #[test]
    fn a_tool_is_known_by_its_name_with_and_without_sh() {
        for name in ["kafka-topics", "/opt/kafka/bin/kafka-topics.sh", "./kafka-topics"] {
            assert_eq!(called_as(&name.into()).map(|f| f.name), Some("kafka-topics"), "{name}");
        }
        for name in ["ringwood", "kafka-topic", "kafka-topics.bat", ""] {
            assert!(called_as(&name.into()).is_none(), "{name}");
        }
    }

    #[test]
    fn every_flag_of_every_tool_is_done_or_refused_by_name() {
        for (face, grammar) in grammars() {
            assert!(grammar.flags.iter().any(|f| f.name == "help"), "{}", face.name);
            // A flag that is said to be done is asked for by the tool's own source.
            let file = face.name.trim_start_matches("kafka-").replace('-', "_");
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/faces");
            let mut source = fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
            source.push_str(&fs::read_to_string(folder.join("session.rs")).unwrap());
            if let Ok(more) = fs::read_dir(folder.join(&file)) {
                for entry in more {
                    source.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
                }
            }
            for flag in &grammar.flags {
                let mut line = vec![format!("--{}", flag.name)];
                if flag.argument != Argument::None {
                    line.push("x".into());
                }
                let read = Words::read(face.name, &grammar, &line);
                match flag.fate {
                    Fate::Refuses => assert_eq!(
                        read.unwrap_err(),
                        End::Error(format!("not supported by ringwood: --{}", flag.name)),
                        "{}",
                        face.name
                    ),
                    Fate::Gone(new) => {
                        assert!(grammar.flags.iter().any(|f| f.name == new), "--{new}");
                        assert!(matches!(read, Err(End::Error(_))), "{} {}", face.name, flag.name);
                    }
                    Fate::Does => {
                        assert!(read.is_ok_and(|w| w.has(flag.name)));
                        let everywhere = ["help", "version"].contains(&flag.name);
                        assert!(
                            everywhere || source.contains(&format!("\"{}\"", flag.name)),
                            "{}: nobody asks for --{}",
                            face.name,
                            flag.name
                        );
                    }
                }
            }
        }
    }
}
