//! Which file system and device a directory lies on.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the bytes go.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Storage {
    /// The directory that was asked about.
    pub directory: PathBuf,
    /// Kind of file system: `ext4`, `xfs`, `tmpfs`.
    pub file_system: String,
    /// Its mount options.
    pub options: String,
    /// The device as mounted.
    pub device: String,
    /// The device's model, scheduler and write cache, where the kernel tells.
    pub facts: String,
}

impl Storage {
    /// Looks the directory up among the mounts. `None` where the system does not tell.
    #[must_use]
    pub fn of(directory: &Path) -> Option<Self> {
        let directory = fs::canonicalize(directory).ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let (_, line) = mounts
            .lines()
            .filter_map(|line| {
                let mount = PathBuf::from(line.split(' ').nth(4)?);
                directory.starts_with(&mount).then(|| (mount.components().count(), line))
            })
            .max_by_key(|(depth, _)| *depth)?;
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let file_system = after.next()?.to_owned();
        let device = after.next()?.to_owned();
        let options = before.split(' ').nth(5)?.to_owned();
        let numbers = before.split(' ').nth(2)?;
        Some(Self { facts: facts(numbers), directory, file_system, options, device })
    }
}

/// What the kernel knows of the block device with these numbers (`major:minor`); of a partition, what it knows of its disk.
fn facts(numbers: &str) -> String {
    let Ok(device) = fs::canonicalize(format!("/sys/dev/block/{numbers}")) else {
        return String::new();
    };
    let disk = if device.join("queue").exists() {
        device
    } else {
        device.parent().map(Path::to_path_buf).unwrap_or_default()
    };
    let read = |name: &str| {
        fs::read_to_string(disk.join(name)).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    [
        ("model", read("device/model")),
        ("write cache", read("queue/write_cache")),
        ("scheduler", read("queue/scheduler")),
        ("rotational", read("queue/rotational")),
        ("block", read("queue/logical_block_size")),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| format!("{name} {value}"))
    .collect::<Vec<_>>()
    .join(", ")
}
