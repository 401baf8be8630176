//! The file system below a directory, by the name that the kernel's list of mounts gives it.

use std::path::{Path, PathBuf};

/// Its type, such as `ext4`, and the device below it; `None` if the kernel does not say.
pub(crate) fn of(directory: &Path) -> Option<String> {
    let directory = std::fs::canonicalize(directory).ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    innermost(&mounts, &directory)
}

/// That of the last mount among those with the longest path above `directory`: it hides the others.
fn innermost(mounts: &str, directory: &Path) -> Option<String> {
    let all = mounts.lines().filter_map(parse).filter(|m| directory.starts_with(&m.at));
    let here = all.max_by_key(|m| m.at.components().count())?;
    Some(if here.device.starts_with('/') {
        format!("{} on {}", here.type_of, here.device)
    } else {
        here.type_of
    })
}

struct Mount {
    at: PathBuf,
    type_of: String,
    device: String,
}

/// One line of proc_pid_mountinfo(5): the fifth word is the place; behind a dash come type and device.
fn parse(line: &str) -> Option<Mount> {
    let (before, behind) = line.split_once(" - ")?;
    let mut behind = behind.split(' ');
    Some(Mount {
        at: PathBuf::from(unescaped(before.split(' ').nth(4)?)),
        type_of: behind.next()?.to_owned(),
        device: unescaped(behind.next()?),
    })
}

/// The kernel writes spaces, tabs, line ends and backslashes as a backslash and three octal digits.
fn unescaped(word: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(word.to_owned(), |word, (escape, char)| word.replace(escape, char))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 7:0 / /srv/data rw,noatime - xfs /dev/loop0 rw
31 22 0:40 / /srv/my\\040disk rw - tmpfs tmpfs rw
32 30 7:1 / /srv/data rw - ext4 /dev/loop1 rw
broken line
";

    #[test]
    fn the_innermost_and_last_mount_counts() {
        let of = |path: &str| innermost(MOUNTS, Path::new(path)).unwrap();
        assert_eq!(of("/opt/x"), "ext4 on /dev/vda");
        assert_eq!(of("/srv/database"), "ext4 on /dev/vda", "whole components only");
        assert_eq!(of("/srv/data/topics"), "ext4 on /dev/loop1", "mounted over the other");
        assert_eq!(of("/srv/my disk/x"), "tmpfs");
        assert_eq!(innermost("", Path::new("/")), None);
    }

    #[test]
    fn this_machine_has_one() {
        assert!(of(Path::new("/")).is_some_and(|name| !name.is_empty()));
    }
}
