//! Apache Kafka from its published jars: found, formatted, started.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::program;
use crate::{
    failure::Failure,
    gauntlet::HASTE,
    own::{OwnBroker, free_address, fresh},
};

/// The JVM flags of Kafka's own start scripts (`kafka-run-class.sh`); the heap comes before them.
const JVM_FLAGS: [&str; 10] = [
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
    "-Dcom.sun.management.jmxremote",
    "-Dcom.sun.management.jmxremote.authenticate=false",
    "-Dcom.sun.management.jmxremote.ssl=false",
];

/// A logger that says only what is wrong.
const LOGGING: &str = "<Configuration status=\"WARN\"><Appenders><Console name=\"console\" target=\"SYSTEM_OUT\">\
    <PatternLayout pattern=\"%d %p %m%n\"/></Console></Appenders><Loggers><Root level=\"WARN\">\
    <AppenderRef ref=\"console\"/></Root></Loggers></Configuration>\n";

/// The names by which Kafka's properties are asked for: nothing but the coordinates of its published artifacts.
const POM: &str = "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
    <groupId>peer</groupId><artifactId>peer</artifactId><version>1</version><dependencies>\
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>VERSION</version></dependency>\
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>VERSION</version></dependency>\
    </dependencies></project>\n";

/// The jars without which what was brought is not all of it.
const JARS: [&str; 2] = ["kafka_2.13", "kafka-tools"];

/// Unless told otherwise Kafka looks for the first time 30 s after its start for what retention takes, and unlinks what is to go a minute
/// after it was told so: a scenario is over by then, and would have been none.
const SOON: [(&str, &str); 2] =
    [("log.initial.task.delay.ms", "500"), ("log.segment.delete.delay.ms", "500")];

/// What a broker is to be told so that retention, compaction and deletion happen within seconds.
pub(super) fn haste() -> Vec<(&'static str, &'static str)> {
    HASTE.into_iter().chain(SOON).collect()
}

/// The heap of a tool, as its start script has it.
const TOOL_HEAP: &str = "-Xmx512M";

/// An Apache Kafka that can be started.
#[derive(Debug)]
pub(super) struct Kafka {
    java: PathBuf,
    jars: PathBuf,
    heap: String,
    /// How long `mvn` took to bring the jars, where it was asked for them.
    pub(super) brought: Option<Duration>,
}

impl Kafka {
    /// Finds Java and the jars; asks `mvn` for them where no home is named and none are there from last time.
    pub(super) fn find(
        home: Option<&Path>,
        directory: &Path,
        version: &str,
        heap: &str,
    ) -> Result<Self, Failure> {
        let java = match std::env::var_os("JAVA_HOME") {
            Some(home) => Path::new(&home).join("bin/java"),
            None => PathBuf::from("java"),
        };
        let (jars, brought) = match home {
            Some(home) => (home.join("libs"), None),
            None => download(directory, version)?,
        };
        let absolute = fs::canonicalize(&jars).map_err(|e| Failure::file("find", &jars, &e))?;
        Ok(Self { java, jars: absolute, heap: heap.to_owned(), brought })
    }

    /// Program and JVM flags, without the class to run.
    fn command_line(&self) -> Vec<String> {
        let mut line = vec![
            self.java.display().to_string(),
            format!("-Xmx{}", self.heap),
            format!("-Xms{}", self.heap),
        ];
        line.extend(JVM_FLAGS.map(str::to_owned));
        line.extend(["-cp".to_owned(), format!("{}/*", self.jars.display())]);
        line
    }

    /// The whole configuration: a single node that is broker and controller.
    fn properties(
        directory: &str,
        listen: &str,
        controller: &str,
        flush: bool,
        more: &[(&str, &str)],
    ) -> String {
        let flush = if flush { "log.flush.interval.messages=1\n" } else { "" };
        let more: String = more.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{controller}\n\
             listeners=PLAINTEXT://{listen},CONTROLLER://{controller}\nadvertised.listeners=PLAINTEXT://{listen}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={directory}\n\
             offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n{flush}{more}"
        )
    }

    /// Starts it with fresh data in `parent` and these properties more. Gives back the configuration beside it.
    pub(super) fn start(
        &self,
        parent: &Path,
        flush: bool,
        more: &[(&str, &str)],
        cores: Option<&[usize]>,
    ) -> Result<(OwnBroker, String), Failure> {
        let folder = fresh(parent)?;
        let directory = folder.path().to_path_buf();
        let (listen, controller) = (free_address()?, free_address()?);
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).map_err(|e| Failure::file("write", &path, &e)).map(|()| path)
        };
        let data = directory.join("data").display().to_string();
        let text = Self::properties(&data, &listen, &controller, flush, more);
        let properties = write("server.properties", &text)?;
        let logging = write("log4j2.xml", LOGGING)?;
        let mut format = self.java(&logging);
        // The cluster's id: 16 zero bytes and a bit in base64 without padding.
        format.arg("kafka.tools.StorageTool").args([
            "format",
            "-t",
            "AAAAAAAAAAAAAAAAAAAAAQ",
            "-c",
        ]);
        let output = program::output(format.arg(&properties), |e| {
            Failure::Local(format!("cannot run {}: {e}", self.java.display()))
        })?;
        if !output.status.success() {
            return Err(Failure::Local(format!(
                "Kafka's storage cannot be formatted: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )));
        }
        let mut start = self.java(&logging);
        // Its start script writes a log of the collector as well.
        let log = directory.join("kafkaServer-gc.log");
        start.arg(format!("-Xlog:gc*:file={}:time,tags:filecount=10,filesize=100M", log.display()));
        start.arg(format!("-Dkafka.logs.dir={}", directory.display()));
        start.arg("kafka.Kafka").arg(&properties);
        Ok((OwnBroker::spawn(start, listen, folder, cores)?, text))
    }

    /// One of Kafka's own tools: the class that its script starts, with the flags that it starts it with.
    pub(super) fn tool(&self, class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command.arg(TOOL_HEAP).args(JVM_FLAGS);
        command.arg("-cp").arg(format!("{}/*", self.jars.display())).arg(class);
        command
    }

    fn java(&self, logging: &Path) -> Command {
        let line = self.command_line();
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        // Before the class, after the flags.
        command.arg(format!("-Dlog4j2.configurationFile=file:{}", logging.display()));
        command
    }
}

/// Has `mvn` bring the jars, once, and says how long it took.
fn download(directory: &Path, version: &str) -> Result<(PathBuf, Option<Duration>), Failure> {
    if !version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')) {
        return Err(Failure::Usage(format!("`{version}` is no version")));
    }
    let home = directory.join(format!("kafka-{version}"));
    let mut brought = None;
    let jars = whole(&home, version, |part| {
        let began = Instant::now();
        mvn(&home, version, part)?;
        brought = Some(began.elapsed());
        Ok(())
    })?;
    Ok((jars, brought))
}

/// The folder with all jars. They are brought to a folder of another name, which has the right one only when the last is there: what
/// was interrupted is brought again.
fn whole(
    home: &Path,
    version: &str,
    bring: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let (jars, part) = (home.join("libs"), home.join("libs.part"));
    let is_whole = |folder: &Path| {
        JARS.iter().all(|name| folder.join(format!("{name}-{version}.jar")).exists())
    };
    if is_whole(&jars) {
        return Ok(jars);
    }
    for folder in [&jars, &part] {
        match fs::remove_dir_all(folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::file("remove", folder, &e));
            }
            Ok(()) | Err(_) => {}
        }
    }
    fs::create_dir_all(&part).map_err(|e| Failure::file("create", &part, &e))?;
    bring(&part)?;
    if !is_whole(&part) {
        let names = JARS.join(" and ");
        return Err(Failure::Local(format!("no {names} of version {version} were brought")));
    }
    fs::rename(&part, &jars).map_err(|e| Failure::file("rename", &part, &e))?;
    Ok(jars)
}

fn mvn(home: &Path, version: &str, part: &Path) -> Result<(), Failure> {
    let pom = home.join("pom.xml");
    fs::write(&pom, POM.replace("VERSION", version))
        .map_err(|e| Failure::file("write", &pom, &e))?;
    // It is run elsewhere than here.
    let part = fs::canonicalize(part).map_err(|e| Failure::file("find", part, &e))?;
    let mut command = Command::new("mvn");
    command.args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    command.arg(format!("-DoutputDirectory={}", part.display())).current_dir(home);
    let output = program::output(&mut command, |e| {
        Failure::Local(format!("cannot run mvn ({e}); name a --kafka-home instead"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::Local(format!(
        "mvn brought no Kafka {version}: {}",
        String::from_utf8_lossy(&output.stdout)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_has_the_properties_that_are_asked_for_and_no_flush_unasked() {
        let more = [("log.cleaner.backoff.ms", "500")];
        let calm = Kafka::properties("/data", "127.0.0.1:1", "127.0.0.1:2", false, &[]);
        let hurried = Kafka::properties("/data", "127.0.0.1:1", "127.0.0.1:2", true, &more);
        assert!(!calm.contains("flush") && !calm.contains("backoff"), "{calm}");
        let flush = "log.flush.interval.messages=1";
        for line in ["log.dirs=/data", flush, "log.cleaner.backoff.ms=500"] {
            assert!(hurried.lines().any(|l| l == line), "{line}: {hurried}");
        }
    }

    #[test]
    fn what_is_to_go_goes_within_a_scenario() {
        let hurried = Kafka::properties("/data", "127.0.0.1:1", "127.0.0.1:2", false, &haste());
        for line in [
            "log.segment.delete.delay.ms=500",
            "log.initial.task.delay.ms=500",
            "log.retention.check.interval.ms=1000",
        ] {
            assert!(hurried.lines().any(|l| l == line), "{line}: {hurried}");
        }
    }

    #[test]
    fn jars_of_an_interrupted_copy_are_none() {
        let home = std::env::temp_dir().join(format!("ringwood-jars-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        let copy = |part: &Path, names: &[&str]| {
            for name in names {
                fs::write(part.join(name), "").unwrap();
            }
        };
        let named = ["kafka_2.13-1.0.jar", "kafka-tools-1.0.jar"];
        // Both of those that are looked for, and none of the others.
        let interrupted = whole(&home, "1.0", |part| {
            copy(part, &named);
            Err(Failure::Local("interrupted".into()))
        });
        assert_eq!(interrupted, Err(Failure::Local("interrupted".into())));
        assert!(!home.join("libs").exists());
        let too_few = whole(&home, "1.0", |part| {
            copy(part, &["log4j.jar"]);
            Ok(())
        });
        assert!(too_few.is_err() && !home.join("libs").exists());
        let jars = whole(&home, "1.0", |part| {
            assert_eq!(fs::read_dir(part).unwrap().count(), 0, "what was left of the last time");
            copy(part, &named);
            copy(part, &["log4j.jar"]);
            Ok(())
        });
        assert_eq!(jars, Ok(home.join("libs")));
        let again = whole(&home, "1.0", |_| panic!("brought again"));
        assert_eq!(again, jars);
        fs::remove_dir_all(&home).unwrap();
    }
}
