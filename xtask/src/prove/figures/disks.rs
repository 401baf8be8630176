//! The file systems on which figures are taken: that of the checkout, and others on loop devices.

use std::fs::{create_dir_all, remove_file};
use std::path::{Path, PathBuf};

use crate::Fault;
use crate::prove::loopback::{self, Loopback};

/// Bytes of a file system on a loop device: some ring lengths of segments, and rings and a reserve for 4 cores.
const SIZE: u64 = 6 << 30;

/// Which file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// The one that holds the target directory.
    Here,
    /// ext4 with its journal, as mkfs makes it.
    Ext4,
    Xfs,
}

/// All of them.
pub(super) const ALL: [Disk; 3] = [Disk::Here, Disk::Ext4, Disk::Xfs];

impl Disk {
    pub(super) fn name(self) -> &'static str {
        match self {
            Disk::Here => "here",
            Disk::Ext4 => "ext4",
            Disk::Xfs => "xfs",
        }
    }

    pub(super) fn parse(word: &str) -> Result<Disk, Fault> {
        let found = ALL.into_iter().find(|disk| disk.name() == word);
        found.ok_or_else(|| format!("no disk is called {word}; there are here, ext4, xfs").into())
    }

    fn make(self) -> &'static [&'static str] {
        match self {
            Disk::Here => &[],
            Disk::Ext4 => &["mkfs.ext4", "-q"],
            Disk::Xfs => &["mkfs.xfs", "-q", "-f"],
        }
    }

    /// Why it cannot be had, if so.
    pub(super) fn missing(self) -> Option<String> {
        self.make().first().and_then(|program| loopback::missing(program))
    }
}

/// A folder on a disk. Dropping it takes away the disk, if it was made for this.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    /// Its device, and the image behind it.
    made: Option<(Loopback, PathBuf)>,
}

impl Place {
    /// A place below `folder`. What is written on a loop device goes past the page cache of the file system below, and a
    /// flush of it is one of the file behind it.
    pub(super) fn new(disk: Disk, folder: &Path) -> Result<Place, Fault> {
        create_dir_all(folder)?;
        if disk == Disk::Here {
            return Ok(Place { folder: folder.to_path_buf(), made: None });
        }
        let at = folder.join(disk.name());
        loopback::release_stale(&at)?;
        let made = Loopback::mount(&at, disk.make(), SIZE, true)?;
        let image = at.with_extension("image");
        Ok(Place { folder: at, made: Some((made, image)) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((mut disk, image)) = self.made.take() else { return };
        if let Err(fault) = disk.end().and_then(|()| Ok(remove_file(image)?)) {
            eprintln!("xtask: {fault}");
        }
    }
}
