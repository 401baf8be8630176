//! The lock of a data directory outlives kill -9 for as long as writes of the dead broker are on their way.
//!
//! The data directory is on a loop device that takes few writes a second (a limit of the block layer, so that they wait below the file system, where
//! nobody can call them back). After each kill the proof takes the lock as soon as it is free, as a second broker would, and looks at every file of
//! the directory: from then on no byte may change. To show that it could see it, it also counts the kills after which bytes did change
//! before the lock was free; if there are none, nothing was proved. Then the broker starts, and the log is verified as in `prove kill`.

use std::fs::{File, TryLockError, create_dir_all, read, read_dir, read_to_string, remove_dir};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::loopback::{self, Loopback};
use super::round::Blow;
use crate::broker::Broker;
use crate::{Fault, tree};

/// Bytes and writes a second.
const BYTES: u64 = 4 << 20;
const WRITES: u64 = 60;
/// How long the files are watched once the lock is free: many times what the device needs for a write.
const WATCH: Duration = Duration::from_millis(700);

/// Why there can be no slow disk here, if so.
pub(super) fn missing() -> Option<String> {
    loopback::missing("mkfs.ext4")
}

/// What a run that was cut off has left of the data directory of the broker of this name.
pub(super) fn release_stale(name: &str) -> Result<(), Fault> {
    loopback::release_stale(&tree::work().join(name).join("data"))
}

/// A slow disk and the group of processes for which it is slow. Dropping it undoes both.
pub(super) struct Slow {
    disk: Loopback,
    group: Option<PathBuf>,
}

impl Slow {
    /// A file system of 1 GiB at `at`, slow for this process and those that it starts.
    pub(super) fn mount(at: &Path) -> Result<Slow, Fault> {
        // Without a journal: nothing but the broker writes to it.
        let make = ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal"];
        let disk = Loopback::mount(at, &make, 1 << 30, false)?;
        let number = read_to_string(format!("/sys/block/{}/dev", disk.name()))?;
        let number = number.trim().to_owned();
        let mut slow = Slow { disk, group: None };
        let write = |path: PathBuf, text: String| {
            std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        let group = format!("ringwood-prove-{}", std::process::id());
        let old = Path::new("/sys/fs/cgroup/blkio");
        let folder = if old.exists() {
            let folder = old.join(group);
            create_dir_all(&folder)?;
            slow.group = Some(folder.clone());
            let limit = |what: &str| folder.join(format!("blkio.throttle.write_{what}_device"));
            write(limit("bps"), format!("{number} {BYTES}"))?;
            write(limit("iops"), format!("{number} {WRITES}"))?;
            folder
        } else {
            let all = Path::new("/sys/fs/cgroup");
            write(all.join("cgroup.subtree_control"), "+io".to_owned())?;
            let folder = all.join(group);
            create_dir_all(&folder)?;
            slow.group = Some(folder.clone());
            write(folder.join("io.max"), format!("{number} wbps={BYTES} wiops={WRITES}"))?;
            folder
        };
        write(folder.join("cgroup.procs"), std::process::id().to_string())?;
        Ok(slow)
    }

    fn end(&mut self) -> Result<(), Fault> {
        // The group first: what is still to be written need not be slow any more.
        let left = self.leave();
        self.disk.end()?;
        left
    }

    fn leave(&mut self) -> Result<(), Fault> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let above = group.parent().unwrap_or(&group).join("cgroup.procs");
        std::fs::write(above, std::process::id().to_string())?;
        // Processes that have just ended may be in it for a moment; those that this one started go with it.
        for _ in 0..100 {
            for process in read_to_string(group.join("cgroup.procs"))?.lines() {
                // One that has ended meanwhile cannot be moved and need not be.
                drop(std::fs::write(
                    group.parent().unwrap_or(&group).join("cgroup.procs"),
                    process,
                ));
            }
            if remove_dir(&group).is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
        Err(format!("{} could not be removed", group.display()).into())
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        if let Err(fault) = self.end() {
            eprintln!("xtask: {fault}");
        }
    }
}

/// What all files below hold.
fn fingerprint(at: &Path, hash: &mut DefaultHasher) -> Result<(), Fault> {
    let mut inner = Vec::new();
    for entry in read_dir(at)? {
        inner.push(entry?.path());
    }
    inner.sort();
    for path in inner {
        path.hash(hash);
        if path.is_dir() {
            fingerprint(&path, hash)?;
        } else {
            read(&path)?.hash(hash);
        }
    }
    Ok(())
}

fn state_of(data: &Path) -> Result<u64, Fault> {
    let mut hash = DefaultHasher::new();
    fingerprint(data, &mut hash)?;
    Ok(hash.finish())
}

/// kill -9 while the disk is busy, and a look at what happens until the lock is free and after.
pub(super) struct Late(pub(super) Option<Slow>);

impl Blow for Late {
    fn strike(&mut self, broker: &mut Broker, counts: &mut Counts) -> Result<(), Fault> {
        let data = broker.data();
        let at = data.join("lock");
        let lock = File::options().read(true).write(true).open(&at);
        let lock = lock.map_err(|error| format!("{}: {error}", at.display()))?;
        broker.kill_only()?;
        let killed = Instant::now();
        let early = state_of(&data)?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            if killed.elapsed() > Duration::from_secs(120) {
                return Err("the lock is still held two minutes after the kill".into());
            }
            sleep(Duration::from_millis(1));
        }
        let waited = killed.elapsed();
        let free = state_of(&data)?;
        sleep(WATCH);
        let later = state_of(&data)?;
        counts.add("locks_waited_for", 1);
        counts.add("lock_wait_ms_sum", waited.as_millis().try_into()?);
        counts.add("late_writes_before_lock_was_free", u64::from(early != free));
        counts.add("late_writes_after_lock_was_free", u64::from(free != later));
        drop(lock);
        broker.kill()?;
        if free != later {
            return Err("a write of the dead broker came after its lock was free".into());
        }
        Ok(())
    }

    fn end(&mut self, _: &Broker, _: bool) -> Result<(), Fault> {
        self.0.take().map_or(Ok(()), |mut slow| slow.end())
    }
}
