//! Where `--reset-offsets` moves offsets to: the flags and the file, read.

use crate::faces::end::End;
use crate::faces::grammar::Words;
use crate::faces::groups::Place;
use crate::faces::properties::read_bounded;
use crate::groups::reset::To;
use crate::time;
use ids::{Offset, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// The largest plan that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Offsets of several groups.
pub(super) type Plans = BTreeMap<String, BTreeMap<Place, Offset>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    To(To),
    File(Plans),
}

const AIMS: [&str; 8] = [
    "to-offset",
    "shift-by",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "from-file",
];

impl Aim {
    pub(super) fn read(line: &Words) -> Result<Self, End> {
        let given: Vec<_> = AIMS.into_iter().filter(|a| line.has(a)).collect();
        Ok(match given.as_slice() {
            ["to-offset"] => Self::To(To::Offset(Offset(line.number("to-offset")?.unwrap_or(0)))),
            ["shift-by"] => Self::To(To::Shift(line.number("shift-by")?.unwrap_or(0))),
            ["to-datetime"] => Self::To(To::Time(datetime(line.required("to-datetime")?)?)),
            ["by-duration"] => {
                let ago = duration(line.required("by-duration")?)?;
                let ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                let at = time::now().0.saturating_sub_unsigned(ms).max(0);
                Self::To(To::Time(Timestamp(at)))
            }
            ["to-earliest"] => Self::To(To::Earliest),
            ["to-latest"] => Self::To(To::Latest),
            ["to-current"] => Self::To(To::Current),
            ["from-file"] => {
                let path = line.required("from-file")?;
                let groups: Vec<&str> = line.values("group").collect();
                Self::File(plans(&read_bounded(path, FILE_BYTES_MAX)?, &groups)?)
            }
            _ => {
                let all: Vec<_> = AIMS.iter().map(|a| format!("[{a}]")).collect();
                return Err(End::Usage(format!(
                    "Option [reset-offsets] requires one of the following scenarios: {}",
                    all.join(", ")
                )));
            }
        })
    }
}

/// `2026-11-27T10:00:00.000`, in UTC unless it says otherwise.
fn datetime(text: &str) -> Result<Timestamp, End> {
    let clock = text.split_once('T').map(|(_, clock)| clock);
    let zoned = clock.is_some_and(|c| c.contains(['+', '-', 'Z']));
    let text = if zoned { text.to_owned() } else { format!("{text}Z") };
    clock
        .and_then(|_| text.parse::<jiff::Timestamp>().ok())
        .map(|t| Timestamp(t.as_millisecond()))
        .ok_or_else(|| {
            End::Error(format!(
                "{text} is no time such as 2026-11-27T10:00:00.000 or 2026-11-27T10:00:00.000+01:00"
            ))
        })
}

/// `P1DT2H3M4S`.
fn duration(text: &str) -> Result<Duration, End> {
    time::iso_8601(text)
        .ok_or_else(|| End::Error(format!("{text} is no duration such as P7D, PT2H or P1DT2H3M4S")))
}

/// Lines of `topic,partition,offset` for the only group, or of `group,topic,partition,offset`.
fn plans(text: &str, groups: &[&str]) -> Result<Plans, End> {
    let mut plans = Plans::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, l)| !l.trim().is_empty()) {
        let bad = || End::Error(format!("line {number} of the plan cannot be read: {line}"));
        let cells: Vec<&str> = line.split(',').map(|c| c.trim().trim_matches('"')).collect();
        let (group, topic, partition, offset) = match (cells.as_slice(), groups) {
            ([topic, partition, offset], [group]) => (*group, *topic, *partition, *offset),
            ([group, topic, partition, offset], _) => (*group, *topic, *partition, *offset),
            _ => return Err(bad()),
        };
        let partition = partition.parse().map_err(|_| bad())?;
        let offset = offset.parse().map_err(|_| bad())?;
        let plan = plans.entry(group.to_owned()).or_default();
        plan.insert((topic.to_owned(), partition), Offset(offset));
    }
    Ok(plans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_times_are_those_of_iso_8601() {
        assert_eq!(duration("P1DT2H3M4S"), Ok(Duration::from_secs(86_400 + 7200 + 180 + 4)));
        assert_eq!(duration("PT5M"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("P7D"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "P", "PT", "7D", "P5M", "PT5D", "PT4S3M", "P99999999999999999D", "P-1D"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        let utc = datetime("2026-11-27T10:00:00.000").unwrap();
        assert_eq!(datetime("2026-11-27T11:00:00.000+01:00"), Ok(utc));
        assert!(datetime("2026-11-27").is_err() && datetime("noon").is_err());
    }

    #[test]
    fn a_plan_names_its_groups_unless_there_is_one() {
        let one = plans("t,0,7\nt,1,8\n", &["g"]).unwrap();
        assert_eq!(one["g"][&("t".to_owned(), 1)], Offset(8));
        let two = plans("a,t,0,7\n\"b\",t,0,9", &["a", "b"]).unwrap();
        assert_eq!((two["a"].len(), two["b"][&("t".to_owned(), 0)]), (1, Offset(9)));
        assert!(plans("t,0,7", &["a", "b"]).is_err());
        assert!(plans("t,x,7", &["g"]).is_err());
    }
}
