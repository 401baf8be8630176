//! A file system of its own on a loop device: another one than that of the checkout, or one that can be made slow.

use std::fs::{File, create_dir_all, read_to_string};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Fault;

/// How long the last requests of a process that was killed may hold a file system.
const UNMOUNT_MAX: Duration = Duration::from_secs(60);

/// Runs a command of the system; what it prints, or what it complains of.
pub(super) fn done(command: &mut Command) -> Result<String, Fault> {
    let outcome = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if outcome.status.success() {
        return Ok(String::from_utf8(outcome.stdout)?.trim().to_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&outcome.stderr).trim()).into())
}

/// Why file systems cannot be made and mounted here, if so; `make` is the program that makes one.
pub(super) fn missing(make: &str) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it mounts a file system and so needs root".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("no /dev/loop-control (Linux: modprobe loop)".to_owned());
    }
    let package = match make {
        "mkfs.xfs" => "xfsprogs",
        _ => "e2fsprogs",
    };
    for (program, package) in [(make, package), ("losetup", "mount")] {
        if Command::new(program).arg("-V").output().is_err() {
            return Some(format!("no {program} (Debian: {package})"));
        }
    }
    None
}

/// What is mounted at this place.
fn mounted(at: &Path) -> Result<Option<String>, Fault> {
    let mounts = read_to_string("/proc/self/mounts")?;
    let at = at.to_string_lossy();
    let mut fields = mounts.lines().filter_map(|line| line.split_once(' '));
    let found = fields.find(|(_, rest)| rest.split(' ').next() == Some(&*at));
    Ok(found.map(|(device, _)| device.to_owned()))
}

/// Unmounts what a run that was cut off has left at this place, and gives its loop device back.
pub(super) fn release_stale(at: &Path) -> Result<(), Fault> {
    while let Some(device) = mounted(at)? {
        done(Command::new("umount").arg("-l").arg(at))?;
        if device.starts_with("/dev/loop") {
            done(Command::new("losetup").args(["--detach", &device]))?;
        }
    }
    Ok(())
}

/// A file system that is mounted. Dropping it unmounts it; its image stays.
pub(super) struct Loopback {
    device: Option<String>,
    mounted: Option<PathBuf>,
}

impl Loopback {
    /// Makes an image of this size beside `at` with these words, the path of the image to follow, and mounts it. With
    /// `direct` nothing of it is in the page cache of the file system below.
    pub(super) fn mount(
        at: &Path,
        make: &[&str],
        bytes: u64,
        direct: bool,
    ) -> Result<Loopback, Fault> {
        let mut disk = Loopback { device: None, mounted: None };
        let image = at.with_extension("image");
        create_dir_all(at)?;
        File::create(&image)?.set_len(bytes)?;
        let [program, words @ ..] = make else { return Err("no program makes it".into()) };
        done(Command::new(program).args(words).arg(&image))?;
        let mut attach = Command::new("losetup");
        attach.args(["--find", "--show"]);
        if direct {
            attach.arg("--direct-io=on");
        }
        let device = done(attach.arg(&image))?;
        disk.device = Some(device.clone());
        done(Command::new("mount").args(["-o", "noatime"]).arg(&device).arg(at))?;
        disk.mounted = Some(at.to_path_buf());
        Ok(disk)
    }

    /// The name of its device below `/sys/block`.
    pub(super) fn name(&self) -> &str {
        self.device.as_deref().unwrap_or_default().trim_start_matches("/dev/")
    }

    /// Unmounts it and gives the device back.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if let Some(at) = self.mounted.take() {
            let deadline = Instant::now() + UNMOUNT_MAX;
            while let Err(fault) = done(Command::new("umount").arg(&at)) {
                if Instant::now() > deadline {
                    return Err(fault);
                }
                sleep(Duration::from_millis(100));
            }
        }
        if let Some(device) = self.device.take() {
            done(Command::new("losetup").args(["--detach", &device]))?;
        }
        Ok(())
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        if let Err(fault) = self.end() {
            eprintln!("xtask: {fault}");
        }
    }
}
