//! A broker of the release build, for one measurement.

use std::fs::{read_to_string, remove_dir_all};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Options, binary};
use crate::Fault;
use crate::broker::free_port;
use crate::prove::processors;

/// The kernel's ticks of processor time in `/proc`: a constant of its interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// A broker. Dropping it kills the process and removes its data.
pub(super) struct Broker {
    process: Child,
    pub(super) listen: String,
    admin: String,
    data: PathBuf,
}

/// Seconds of processor time that a process has used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Times {
    pub(super) user: f64,
    /// What the kernel did for it.
    pub(super) kernel: f64,
}

impl Times {
    pub(super) fn all(self) -> f64 {
        self.user + self.kernel
    }

    /// The kernel's share of what has been used since, between 0 and 1; not a number where nothing was.
    pub(super) fn kernel_share_until(self, later: Times) -> f64 {
        (later.kernel - self.kernel) / (later.all() - self.all())
    }
}

impl Broker {
    pub(super) fn start(
        folder: &Path,
        cores: u32,
        processors: Option<&str>,
        options: &Options,
    ) -> Result<Broker, Fault> {
        let data = folder.join("data");
        if data.exists() {
            remove_dir_all(&data)?;
        }
        let (listen, admin) = (free_port()?.to_string(), free_port()?.to_string());
        let process = processors::on(processors, &binary())
            .arg("start")
            .arg("--data")
            .arg(&data)
            .args(["--listen", &listen, "--admin", &admin, "--cores", &cores.to_string()])
            .args(["--memory", &options.memory, "--reserve", "64MiB"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut broker = Broker { process, listen, admin, data };
        let deadline = Instant::now() + Duration::from_secs(30);
        while broker.metrics().is_none() {
            if broker.process.try_wait()?.is_some() || Instant::now() > deadline {
                return Err("the broker does not start".into());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(broker)
    }

    /// The number of its process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What the whole process has used.
    pub(super) fn times(&self) -> Result<Times, Fault> {
        let stat = read_to_string(format!("/proc/{}/stat", self.id()))?;
        times(&stat).ok_or_else(|| format!("no times in {stat}").into())
    }

    /// The text of `/metrics`, once it serves.
    pub(super) fn metrics(&self) -> Option<String> {
        crate::http::get(&self.admin, "/readyz").filter(|text| text.contains(" 200 "))?;
        crate::http::get(&self.admin, "/metrics").filter(|text| text.contains("ringwood_"))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended.map(drop).and_then(|()| remove_dir_all(&self.data)) {
            eprintln!("xtask: the broker's end: {error}");
        }
    }
}

/// Those of `/proc/PID/stat`. The name of the program, in brackets, may hold anything; behind it the times are the 12th and 13th word.
fn times(stat: &str) -> Option<Times> {
    let (_, behind) = stat.rsplit_once(") ")?;
    let mut words = behind.split(' ').skip(11);
    let (user, kernel): (f64, f64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Times { user: user / TICKS_PER_SECOND, kernel: kernel / TICKS_PER_SECOND })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        let found = times(stat).unwrap();
        assert_eq!((found, found.all()), (Times { user: 2.5, kernel: 0.5 }, 3.0));
        assert_eq!(times("77 (a) S 1"), None);
        let later = Times { user: 3.5, kernel: 3.5 };
        assert_eq!(found.kernel_share_until(later), 0.75);
        assert!(found.kernel_share_until(found).is_nan());
    }
}
