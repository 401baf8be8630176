//! Who takes part, and how each is called.

use std::process::Command;

use crate::tree;

/// One client program.
pub(crate) struct Member {
    /// Its name in topic names (see `CORPUS.md`).
    pub(crate) name: &'static str,
    /// The suite that sets it up.
    pub(crate) suite: &'static str,
    /// Whether it can read without a group.
    pub(crate) reads: bool,
    /// Whether its program plays consumer groups. kcat only prints what a group is given; sarama's groups play in
    /// `cargo xtask prove ecosystem`.
    pub(crate) groups: bool,
}

/// Every client, in the order in which they write. kafkajs reads only in groups.
pub(crate) const ROSTER: [Member; 9] = [
    Member { name: "rdkafka", suite: "librdkafka", reads: true, groups: true },
    Member { name: "confluent", suite: "python", reads: true, groups: true },
    Member { name: "kafkapython", suite: "python", reads: true, groups: true },
    Member { name: "aiokafka", suite: "python", reads: true, groups: true },
    Member { name: "kafkajs", suite: "node", reads: false, groups: true },
    Member { name: "java", suite: "java", reads: true, groups: true },
    Member { name: "go", suite: "go", reads: true, groups: true },
    Member { name: "sarama", suite: "go", reads: true, groups: false },
    Member { name: "kcat", suite: "kcat", reads: true, groups: false },
];

/// The Python of the virtual environment.
pub(crate) fn python() -> Command {
    Command::new(tree::work().join("python/venv/bin/python"))
}

impl Member {
    /// The program, without its arguments; `None` for kcat, which this crate drives by itself.
    pub(crate) fn program(&self) -> Option<Command> {
        let work = tree::work();
        let command = match self.name {
            "rdkafka" => Command::new(tree::binary("ringwood-clients-rdkafka")),
            "confluent" => with(python(), &["confluent.py"]),
            "kafkapython" => with(python(), &["kafkapython.py"]),
            "aiokafka" => with(python(), &["aio.py"]),
            "kafkajs" => with(Command::new("node"), &["client.js"]),
            "java" => {
                let mut java = Command::new("java");
                let classes = work.join("java/classes");
                let path = format!("{}:{}/*", classes.display(), work.join("java/lib").display());
                java.args(["-Xmx512m", "-cp", &path, "Client"]);
                java
            }
            "go" => Command::new(work.join("go/client")),
            "sarama" => with(Command::new(work.join("go/client")), &["sarama"]),
            _ => return None,
        };
        Some(self.placed(command))
    }

    fn placed(&self, mut command: Command) -> Command {
        match self.suite {
            // Bytecode must not land in the checkout.
            "python" => command
                .current_dir(tree::clients().join("python"))
                .env("PYTHONDONTWRITEBYTECODE", "1"),
            // The installed modules lie beside this copy of the program.
            "node" => command.current_dir(tree::work().join("node")),
            _ => command.current_dir(tree::work()),
        };
        command
    }
}

fn with(mut command: Command, words: &[&str]) -> Command {
    command.args(words);
    command
}
