//! Space that is kept for the moment when the disk is full.
//!
//! What has been acknowledged must still reach segments, rest log and manifest when nothing more can be allocated, or the
//! ring could never be given back. So each core keeps a preallocated file as large as all that a checkpoint can need: its
//! ring, both manifests and the rest log. A checkpoint that is refused space shrinks it and goes on. Writes stay refused
//! until it is whole again.

use crate::data_dir::Part;
use runtime::{File, Open, Runtime};
use std::cell::Cell;
use std::io;

/// The file gives and takes in steps of this.
const STEP: u64 = 1 << 20;

/// One core's reserve.
#[derive(Debug)]
pub(crate) struct Reserve {
    /// None for a store that takes no writes from clients.
    file: Option<File>,
    len: Cell<u64>,
}

/// Whether an allocation was refused because there is no space, and not because something is broken.
pub(crate) fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether a file could not be opened for want of descriptors (EMFILE, ENFILE): nothing is broken, and somebody has to close
/// first.
pub(crate) fn is_out_of_files(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(23 | 24))
}

impl Reserve {
    pub(crate) fn none() -> Self {
        Self { file: None, len: Cell::new(0) }
    }

    /// Opens the core's reserve, as long as it is: [`Reserve::grow`] makes it whole.
    pub(crate) async fn open(rt: &Runtime, part: &Part<'_>) -> io::Result<Self> {
        let path = part.paths.reserve(part.generation, part.core);
        let open = Open { read: true, write: true, create: true, ..Open::default() };
        match rt.disk().open(&path, open).await {
            Ok(file) => {
                // What a crash has left of it may have a length without space.
                let mut len = file.len()?;
                let kept = if len > 0 { file.allocate(0, len).await } else { Ok(()) };
                match kept {
                    Ok(()) => {}
                    Err(e) if is_full(&e) => {
                        file.set_len(0).await?;
                        len = 0;
                    }
                    Err(e) => return Err(e),
                }
                Ok(Self { file: Some(file), len: Cell::new(len) })
            }
            Err(e) if is_full(&e) => Ok(Self::none()),
            Err(e) => Err(e),
        }
    }

    /// Whether it has anything to give.
    pub(crate) fn has_some(&self) -> bool {
        self.len.get() > 0
    }

    /// How much it falls short of `target`.
    pub(crate) fn missing(&self, target: u64) -> u64 {
        if self.file.is_some() { target.saturating_sub(self.len.get()) } else { 0 }
    }

    /// Makes it whole.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) async fn grow(&self, target: u64) -> io::Result<()> {
        let missing = self.missing(target);
        if let Some(file) = self.file.as_ref().filter(|_| missing > 0) {
            file.allocate(self.len.get(), missing).await?;
            self.len.set(target);
        }
        Ok(())
    }

    /// Gives a part of it to the file system; false if there is nothing left to give.
    pub(crate) async fn shrink(&self) -> io::Result<bool> {
        let len = self.len.get();
        let Some(file) = self.file.as_ref().filter(|_| len > 0) else { return Ok(false) };
        let left = len - (len / 8).max(STEP).min(len);
        file.set_len(left).await?;
        self.len.set(left);
        // A journalling file system hands freed blocks out again only when the truncation is durable.
        file.sync_data().await?;
        Ok(true)
    }
}

/// What a checkpoint can need at most: everything in the ring, and a new form of the rest log and of both manifests.
pub(crate) fn target(ring: u64, manifest: u64, rest: u64) -> u64 {
    (ring + 2 * (manifest + STEP) + rest + STEP).next_multiple_of(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::Core;
    use crate::paths::Paths;
    use ids::CoreId;
    use runtime::sim::{SimConfig, World};
    use std::path::Path;

    #[test]
    fn it_gives_space_back_and_takes_it_again() {
        let world = World::new(2, SimConfig { capacity: 32 << 20, ..SimConfig::default() });
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        world
            .run(&rt, async move {
                let paths = Paths::new(Path::new("/d"));
                it.disk().create_dir_all(&paths.core(1, CoreId(0))).await.unwrap();
                let ring = Core { ring: [0; 16], files: 4, file_bytes: 1 << 20 };
                let part = Part { paths: &paths, generation: 1, core: CoreId(0), ring };
                let reserve = Reserve::open(&it, &part).await.unwrap();
                let free = || it.disk().space(paths.root()).unwrap().free;
                let target = target(4 << 20, 0, 0);
                assert_eq!(target, 7 << 20);
                let before = free();
                reserve.grow(target).await.unwrap();
                assert_eq!((before - free(), reserve.missing(target)), (target, 0));
                let mut given = 0;
                while reserve.shrink().await.unwrap() {
                    given += 1;
                }
                assert_eq!((given, free(), reserve.missing(target)), (7, before, target));
                let all = it.disk().space(paths.root()).unwrap().free;
                let refused = reserve.grow(all + (1 << 20)).await.unwrap_err();
                assert!(is_full(&refused));
                reserve.grow(target).await.unwrap();
            })
            .expect_done();
    }
}
