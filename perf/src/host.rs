//! The broker that a command measures: the one that is named, or one of our own that comes and goes with the command.

use std::path::PathBuf;

use crate::{
    awake::{Awake, AwakeArgs},
    ceiling::Bounds,
    failure::Failure,
    interrupt,
    measure::Scene,
    memory::{self, MemoryArgs},
    own::{CoreArgs, OwnBroker},
    terminal,
};

/// Options of the commands that start a broker where none is named.
#[derive(Clone, Debug, clap::Args)]
pub struct HostArgs {
    /// Brokers to measure; without it a broker is started with fresh data on free ports, and stopped
    #[arg(short, long, value_delimiter = ',')]
    bootstrap: Vec<String>,
    /// Where the named broker serves its metrics, host:port
    #[arg(long, value_name = "HOST:PORT", requires = "bootstrap")]
    admin: Option<String>,
    /// Where the broker's fresh data goes, in a folder of its own that is removed [default: the system's for temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// The broker's program [default: this one]
    #[arg(long, value_name = "FILE")]
    ringwood: Option<PathBuf>,
    #[command(flatten)]
    cores: CoreArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    awake: AwakeArgs,
}

/// A broker to measure. One of our own ends with this.
#[derive(Debug)]
pub(crate) struct Host {
    bootstrap: Vec<String>,
    admin: Option<String>,
    /// Which cores broker and client have, what became of the memory before, and what the machine could do at most; empty where they were
    /// not ours to divide.
    pub(crate) sides: String,
    /// Bytes a second that the device takes in flushed writes, where it was measured.
    device: Option<f64>,
    own: Option<(Start, OwnBroker)>,
    /// What keeps the client's processors from sleeping.
    awake: Awake,
}

/// How a broker of our own is started.
#[derive(Debug)]
struct Start {
    program: Option<PathBuf>,
    parent: PathBuf,
    arguments: Vec<String>,
    cores: Option<Vec<usize>>,
}

impl Start {
    fn start(&self) -> Result<OwnBroker, Failure> {
        let program = self.program.as_deref();
        OwnBroker::ringwood(program, &self.parent, &self.arguments, self.cores.as_deref())
    }
}

impl HostArgs {
    /// Starts a broker with these arguments where none is named, and keeps this process to the client's cores.
    pub(crate) fn open(&self, arguments: &[&str]) -> Result<Host, Failure> {
        self.open_after(memory::USUAL, arguments)
    }

    /// The same, after touching so much memory at most.
    pub(crate) fn open_after(
        &self,
        touch: memory::Limits,
        arguments: &[&str],
    ) -> Result<Host, Failure> {
        if !self.bootstrap.is_empty() {
            return Ok(Host {
                bootstrap: self.bootstrap.clone(),
                admin: self.admin.clone(),
                sides: String::new(),
                device: None,
                own: None,
                awake: self.awake.begin_beside(&self.bootstrap)?,
            });
        }
        let sides = self.cores.sides()?;
        let awake = self.awake.begin(sides.client.as_deref())?;
        let memory = self.memory.touch(touch);
        terminal::note(&memory);
        interrupt::check()?;
        sides.keep_client()?;
        let start = Start {
            program: self.ringwood.clone(),
            parent: self.dir.clone().unwrap_or_else(std::env::temp_dir),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            cores: sides.broker.clone(),
        };
        let bounds = speed_of_light(&start);
        let light = bounds.map_or_else(String::new, |bounds| format!("\n{}", bounds.line()));
        let own = start.start()?;
        Ok(Host {
            bootstrap: vec![own.address().to_owned()],
            admin: own.admin().map(str::to_owned),
            sides: format!("{}; {memory}{light}", sides.words()),
            device: bounds.and_then(|bounds| bounds.device),
            own: Some((start, own)),
            awake,
        })
    }
}

/// What the device and the loopback can do; nothing where that cannot be had, which is no reason not to measure.
fn speed_of_light(start: &Start) -> Option<Bounds> {
    let parent = &start.parent;
    let made = std::fs::create_dir_all(parent).map_err(|e| Failure::file("create", parent, &e));
    match made.and_then(|()| Bounds::glance(parent, start.cores.as_deref())) {
        Ok(bounds) => Some(bounds),
        Err(failure) => {
            terminal::note(&failure.to_string());
            None
        }
    }
}

impl Host {
    /// A broker of our own makes room for another with fresh data: what one measurement has left behind (topics that are still
    /// being deleted, a full ring) is not in the next. A named broker stays.
    pub(crate) fn renew(&mut self) -> Result<(), Failure> {
        let Some((start, before)) = self.own.take() else { return Ok(()) };
        drop(before);
        let own = start.start()?;
        self.bootstrap = vec![own.address().to_owned()];
        self.admin = own.admin().map(str::to_owned);
        self.own = Some((start, own));
        Ok(())
    }

    /// How many of the client's processors are kept from sleeping.
    pub(crate) fn kept_awake(&self) -> usize {
        self.awake.count()
    }

    /// A measurement on this broker, once, with fresh topics. On a broker of our own they stay: they go with its data, and deleting
    /// them would be work for it while the next measurement is made.
    pub(crate) fn scene(&self) -> Scene {
        Scene {
            bootstrap: self.bootstrap.clone(),
            arguments: std::env::args().collect(),
            replication: 1,
            repeat: 1,
            keep_topics: self.own.is_some(),
            data_dir: self.own.as_ref().map(|(_, broker)| broker.directory().to_path_buf()),
            admin: self.admin.clone(),
            kept_awake: self.kept_awake(),
            device: self.device,
            ..Scene::default()
        }
    }
}
