//! The words behind `cargo xtask prove NAME`: flags, and names with a value.
//!
//! Each proof says which flags it has and takes the options one by one; what is missing, unknown or cannot be read is complained of here, by its
//! name.

use std::error::Error;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Fault;

/// Gives each option to `take`, with its value, which is empty for a flag. `take` answers whether there is such an option.
pub(super) fn each<'a>(
    words: &[&'a str],
    flags: &[&str],
    mut take: impl FnMut(&str, &'a str) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let mut words = words.iter();
    while let Some(name) = words.next() {
        if !name.starts_with("--") {
            return Err(format!("{name}: an option begins with --").into());
        }
        let value = if flags.contains(name) {
            ""
        } else {
            words.next().ok_or_else(|| format!("{name} needs a value, or is no option here"))?
        };
        match take(name, value) {
            Ok(true) => {}
            Ok(false) => return Err(format!("no such option: {name}").into()),
            Err(fault) => return Err(format!("{name} {value}: {fault}").into()),
        }
    }
    Ok(())
}

/// Values separated by commas, at least one.
pub(super) fn list<T: FromStr<Err: Error + 'static>>(value: &str) -> Result<Vec<T>, Fault> {
    let all: Result<Vec<T>, T::Err> = value.split(',').map(str::parse).collect();
    Ok(all?)
}

/// Numbers of cores: none of them 0.
pub(super) fn cores(value: &str) -> Result<Vec<u32>, Fault> {
    let all = list(value)?;
    if all.contains(&0) {
        return Err("a broker has at least one core".into());
    }
    Ok(all)
}

/// Bytes, such as `64MiB`.
pub(super) fn size(value: &str) -> Result<u64, Fault> {
    let (number, unit) = ["GiB", "MiB", "KiB"]
        .into_iter()
        .zip([1 << 30, 1 << 20, 1 << 10])
        .find_map(|(name, unit)| Some((value.strip_suffix(name)?, unit)))
        .unwrap_or((value, 1));
    let number: u64 = number.trim().parse().map_err(|_| "that is no size")?;
    number.checked_mul(unit).ok_or_else(|| "that is too large".into())
}

/// A seed for a run that was given none.
pub(super) fn seed() -> Result<u64, Fault> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::from(now.subsec_nanos()) ^ now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<(u64, bool), String> {
        let (mut count, mut fast) = (0, false);
        each(words, &["--fast"], |name, value| {
            match name {
                "--count" => count = value.parse()?,
                "--fast" => fast = true,
                _ => return Ok(false),
            }
            Ok(true)
        })
        .map_err(|fault| fault.to_string())?;
        Ok((count, fast))
    }

    #[test]
    fn flags_have_no_value_and_options_have_one() {
        assert_eq!(read(&[]), Ok((0, false)));
        assert_eq!(read(&["--fast", "--count", "7"]), Ok((7, true)));
        assert_eq!(read(&["--count", "7", "--fast"]), Ok((7, true)));
    }

    #[test]
    fn a_complaint_names_the_option() {
        assert_eq!(read(&["--cuont", "7"]), Err("no such option: --cuont".to_owned()));
        assert!(read(&["--count"]).is_err_and(|why| why.starts_with("--count needs a value")));
        assert!(read(&["--count", "many"]).is_err_and(|why| why.starts_with("--count many: ")));
        assert!(read(&["7"]).is_err_and(|why| why.starts_with("7: ")));
    }

    #[test]
    fn sizes_and_lists_are_read_or_refused() {
        assert_eq!(size("64MiB").ok(), Some(64 << 20));
        assert_eq!(size("12").ok(), Some(12));
        assert!(size("64MB").is_err() && size("").is_err() && size("99999999999GiB").is_err());
        assert_eq!(cores("1,2,4").ok(), Some(vec![1, 2, 4]));
        assert!(cores("").is_err() && cores("1,0").is_err() && cores("1,,2").is_err());
    }
}
