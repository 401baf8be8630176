//! Instructions per call, by callgrind: a figure that does not depend on who else is at work.
//!
//! Each case runs twice in a process of its own, with few calls and with many; the difference is what the calls cost, start
//! and input apart. Valgrind shows programs an older processor than the real one, so a checksum may take another path than it
//! does outside.

use std::io;
use std::path::Path;
use std::process::Command;

const FEW: u64 = 10;

/// Instructions of one call of case `name`, from `calls` of them.
///
/// # Errors
/// There is no valgrind, or no such case.
pub fn count(program: &Path, name: &str, calls: u64) -> io::Result<f64> {
    let few = collected(program, name, FEW)?;
    let many = collected(program, name, FEW + calls)?;
    Ok(many.saturating_sub(few) as f64 / calls.max(1) as f64)
}

fn collected(program: &Path, name: &str, calls: u64) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["case", name, "--calls", &calls.to_string()])
        .output()
        .map_err(|e| io::Error::new(e.kind(), format!("valgrind: {e}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(io::Error::other(format!("valgrind: {}\n{said}", output.status)));
    }
    parse(&said).ok_or_else(|| io::Error::other(format!("valgrind said {said:?}")))
}

/// The sum in `==12== Collected : 123456`.
fn parse(said: &str) -> Option<u64> {
    let (_, sum) = said.lines().find_map(|line| line.split_once("Collected :"))?;
    sum.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found() {
        assert_eq!(
            parse("==1== \n==1== Events    : Ir\n==1== Collected : 7654321\n"),
            Some(7_654_321)
        );
        assert_eq!(parse("==1== Collected : none"), None);
    }
}
