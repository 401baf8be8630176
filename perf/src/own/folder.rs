//! The folder of a broker of our own.
//!
//! It is removed when its owner goes, on every way out of a command. What is killed cannot do that: so a shell waits at a pipe whose other
//! end only this process holds. When that end is closed and nobody has sent the shell away, the process has gone without a word; then
//! the shell stops the broker, if there is one, and removes the folder.

use std::{
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::failure::Failure;

/// `$1` is the folder; each line names a process that has its data there. That data goes: the process need not end cleanly.
const WATCH: &str = r#"
trap '' HUP INT TERM
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
    kill -KILL "$pid"
    sleep 1
fi
rm -rf -- "$1"
"#;

/// A folder that goes when this does.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Absent where there is no shell: then what is killed leaves its folder.
    watch: Option<Child>,
}

/// A new folder in `parent`.
pub(crate) fn fresh(parent: &Path) -> Result<Folder, Failure> {
    let number = crate::load::Clock::start().now() % 1_000_000_000_000;
    let path = parent.join(format!("ringwood-perf-{}-{number}", std::process::id()));
    fs::create_dir_all(&path).map_err(|e| Failure::file("create", &path, &e))?;
    let mut folder = Folder { path, watch: None };
    folder.path =
        fs::canonicalize(&folder.path).map_err(|e| Failure::file("find", &folder.path, &e))?;
    folder.watch = watch(&folder.path);
    Ok(folder)
}

fn watch(folder: &Path) -> Option<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", WATCH, "ringwood-perf-watch"]).arg(folder);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // A terminal's Ctrl-C is for us.
    shell.process_group(0).spawn().ok()
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// This process has its data here: it is to end before the folder is removed.
    pub(super) fn belongs_to(&mut self, pid: u32) {
        if let Some(pipe) = self.watch.as_mut().and_then(|shell| shell.stdin.as_mut()) {
            // Without a shell nobody is told.
            let _ = writeln!(pipe, "{pid}");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        if let Some(mut shell) = self.watch.take() {
            // Before its pipe is closed: there is nothing left for it to do.
            let _ = shell.kill();
            let _ = shell.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ringwood-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_folder_goes_with_its_owner_and_with_the_process() {
        let parent = scratch("folder");
        let folder = fresh(&parent).unwrap();
        let path = folder.path().to_path_buf();
        fs::write(path.join("file"), "text").unwrap();
        drop(folder);
        assert!(!path.exists());
        // The pipe of a process that is killed is closed, and nobody sends the shell away.
        let mut folder = fresh(&parent).unwrap();
        let mut owner = Command::new("sleep").arg("1000").spawn().unwrap();
        folder.belongs_to(owner.id());
        fs::write(folder.path().join("file"), "text").unwrap();
        drop(folder.watch.as_mut().unwrap().stdin.take());
        // It ends by the signal, long before its time.
        assert!(!owner.wait().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(60);
        while folder.path().exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!folder.path().exists());
        fs::remove_dir(&parent).unwrap();
    }
}
