//! Where files lie below the data directory.

use ids::{CoreId, PartitionId};
use log::SegmentName;
use std::path::{Path, PathBuf};

/// The names of everything in one data directory.
#[derive(Clone, Debug)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The directory that `--data` names.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The data directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Held with `flock` while a broker runs.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Both copies of the layout.
    #[must_use]
    pub fn layouts(&self) -> [PathBuf; 2] {
        [self.root.join("layout"), self.root.join("layout.copy")]
    }

    /// The directory of all cores of a layout generation.
    #[must_use]
    pub fn cores(&self, generation: u64) -> PathBuf {
        self.root.join(format!("cores-{generation}"))
    }

    /// One core's directory.
    #[must_use]
    pub fn core(&self, generation: u64, core: CoreId) -> PathBuf {
        self.cores(generation).join(core.0.to_string())
    }

    /// One ring file.
    #[must_use]
    pub fn ring(&self, generation: u64, core: CoreId, file: u32) -> PathBuf {
        self.core(generation, core).join(format!("ring-{file}"))
    }

    /// Both copies of a core's manifest.
    #[must_use]
    pub fn manifests(&self, generation: u64, core: CoreId) -> [PathBuf; 2] {
        let dir = self.core(generation, core);
        [dir.join("manifest-a"), dir.join("manifest-b")]
    }

    /// One rest log of a core.
    #[must_use]
    pub fn rest(&self, generation: u64, core: CoreId, number: u32) -> PathBuf {
        self.core(generation, core).join(format!("rest-{number}"))
    }

    /// Space that a core keeps for checkpoints on a full disk.
    #[must_use]
    pub fn reserve(&self, generation: u64, core: CoreId) -> PathBuf {
        self.core(generation, core).join("reserve")
    }

    /// The directory of all topics.
    #[must_use]
    pub fn topics(&self) -> PathBuf {
        self.root.join("topics")
    }

    /// A topic's directory.
    #[must_use]
    pub fn topic(&self, id: ids::TopicId) -> PathBuf {
        self.topics().join(id.to_string())
    }

    /// A partition's directory.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> PathBuf {
        self.topic(id.topic).join(id.index.to_string())
    }

    /// A segment's file with this ending (`log`, `index`).
    #[must_use]
    pub fn segment(&self, id: PartitionId, name: SegmentName, ending: &str) -> PathBuf {
        self.partition(id).join(format!("{name}.{ending}"))
    }
}
