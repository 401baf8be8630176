//! Consumer groups: the part `group` of `CORPUS.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use crate::NAME;
use crate::admin::Admin;
use crate::member::{Member, Place, Taken, fetch_committed, set_committed};
use crate::report::{Fault, Report, refused};

/// Where the one partition that is set back is set back to.
const SET_BACK: i64 = 40;

/// The streams of the group, out of `WRITER:STREAM,...` words.
struct Asked<'a> {
    bootstrap: &'a str,
    base: i64,
    group: String,
    streams: BTreeMap<String, (String, String)>,
    first: Place,
    ends: BTreeMap<Place, i64>,
}

impl<'a> Asked<'a> {
    fn parse(bootstrap: &'a str, run: &str, base: i64, words: &[&str]) -> Result<Self, Fault> {
        let (mut streams, mut ends, mut first) = (BTreeMap::new(), BTreeMap::new(), None);
        for word in words {
            let (writer, list) = word.split_once(':').ok_or("want WRITER:STREAM,...")?;
            for stream in list.split(',') {
                let topic = format!("{run}-{writer}-{stream}");
                first.get_or_insert_with(|| (topic.clone(), 0));
                let parts = corpus::partitions(stream);
                for partition in 0..parts {
                    let end = i64::from(corpus::records(stream) / parts);
                    ends.insert((topic.clone(), i32::try_from(partition)?), end);
                }
                streams.insert(topic, (writer.to_owned(), stream.to_owned()));
            }
        }
        let first = first.ok_or("want at least one WRITER:STREAM")?;
        Ok(Asked { bootstrap, base, group: format!("{run}-{NAME}-group"), streams, first, ends })
    }

    /// What stays committed to the end of the run: one partition set back, the others at their ends.
    fn left(&self) -> BTreeMap<Place, i64> {
        let mut left = self.ends.clone();
        left.insert(self.first.clone(), SET_BACK);
        left
    }

    fn member(&self, group: &str, instance: Option<&str>) -> Result<Member, Fault> {
        let topics: Vec<&str> = self.streams.keys().map(String::as_str).collect();
        Member::join(self.bootstrap, group, &topics, instance)
    }

    fn total(&self) -> usize {
        usize::try_from(self.ends.values().sum::<i64>()).unwrap_or(usize::MAX)
    }

    /// Everything exactly once, in order, and as it was written.
    fn everything_once(&self, members: &[Member]) -> Result<(), Fault> {
        let mut next: BTreeMap<Place, i64> = BTreeMap::new();
        for member in members {
            let has = member.assigned();
            for Taken { place, offset, record } in member.taken() {
                if !has.contains(&place) {
                    return Err(format!("{place:?} came to a member that lacks it").into());
                }
                let at = next.entry(place.clone()).or_default();
                if offset != *at {
                    return Err(format!("{place:?}: want offset {at}, got {offset}").into());
                }
                *at += 1;
                let (writer, stream) = self.streams.get(&place.0).ok_or("a foreign topic")?;
                let parts = corpus::partitions(stream);
                let i = u32::try_from(offset)? * parts + u32::try_from(place.1)?;
                let want = corpus::expected(writer, stream, i, self.base);
                if let Some(complaint) = corpus::difference(&want, &record) {
                    return Err(format!("{place:?} offset {offset}: {complaint}").into());
                }
            }
        }
        same(&self.ends, &next)
    }

    fn offsets_are(&self, group: &str, want: &BTreeMap<Place, i64>) -> Result<(), Fault> {
        same(want, &fetch_committed(self.bootstrap, group, self.ends.keys())?)
    }
}

fn same<T: PartialEq + std::fmt::Debug>(want: &T, got: &T) -> Result<(), Fault> {
    if want == got { Ok(()) } else { Err(format!("want {want:?}, got {got:?}").into()) }
}

/// Lets the members poll until it is done, for at most 30 s.
fn drive(members: &[&Member], done: impl Fn() -> bool) -> Result<(), Fault> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        if Instant::now() > deadline {
            let seen: Vec<_> = members
                .iter()
                .map(|one| (one.assignments(), one.assigned().len(), one.taken().len()))
                .collect();
            return Err(
                format!("not done in 30 s: {seen:?} (assignments, partitions, records)").into()
            );
        }
        for member in members {
            member.poll(Duration::from_millis(20))?;
        }
    }
    Ok(())
}

/// Lets the members poll for a while: what should not come would come now.
fn linger(members: &[&Member], millis: u64) -> Result<(), Fault> {
    let until = Instant::now() + Duration::from_millis(millis);
    drive(members, || Instant::now() > until)
}

/// Every check of the verb `group`.
pub(crate) fn all(
    bootstrap: &str,
    run: &str,
    base: i64,
    words: &[&str],
    report: &mut Report,
) -> Result<(), Fault> {
    let asked = Asked::parse(bootstrap, run, base, words)?;
    let admin = Admin::open(bootstrap)?;
    let group = asked.group.as_str();
    let none = format!("{group}-none");
    let mut pair = Vec::new();
    report.attempt("two members read everything once", || {
        for _ in 0..2 {
            pair.push(asked.member(group, None)?);
        }
        let both: Vec<&Member> = pair.iter().collect();
        drive(&both, || {
            both.iter().all(|one| !one.assigned().is_empty())
                && both.iter().map(|one| one.count()).sum::<usize>() >= asked.total()
        })?;
        linger(&both, 200)?;
        asked.everything_once(&pair)
    })?;
    report.attempt("describe the live group", || {
        let want: BTreeSet<_> = pair.iter().map(Member::assigned).collect();
        let (state, got) = admin.group(group)?;
        same(
            &("Stable".to_owned(), want, pair.len()),
            &(state, got.iter().cloned().collect(), got.len()),
        )
    })?;
    report.attempt("delete the live group", || {
        refused(RDKafkaErrorCode::NonEmptyGroup, admin.delete_group(group))
    })?;
    report.attempt("commit and leave", || {
        pair.iter().try_for_each(Member::commit)?;
        pair.clear();
        same(&("Empty".to_owned(), Vec::new()), &admin.group(group)?)?;
        asked.offsets_are(group, &asked.ends)
    })?;
    report.attempt("list groups", || same(&true, &admin.group_names()?.contains(group)))?;
    report.attempt("the next member gets nothing old", || {
        let member = asked.member(group, None)?;
        drive(&[&member], || member.assigned().len() == asked.ends.len())?;
        linger(&[&member], 700)?;
        same(&0, &member.count())
    })?;
    report.attempt("offsets set back", || {
        set_committed(bootstrap, group, &asked.first, SET_BACK)?;
        let member = asked.member(group, None)?;
        let end = asked.ends.get(&asked.first).copied().ok_or("no first partition")?;
        let want: Vec<_> = (SET_BACK..end).map(|offset| (asked.first.clone(), offset)).collect();
        drive(&[&member], || member.count() >= want.len())?;
        linger(&[&member], 200)?;
        same(&want, &member.taken().into_iter().map(|one| (one.place, one.offset)).collect())?;
        drop(member);
        asked.offsets_are(group, &asked.left())
    })?;
    report.attempt("offsets of an unknown group", || asked.offsets_are(&none, &BTreeMap::new()))?;
    report.attempt("delete an unknown group", || {
        refused(RDKafkaErrorCode::GroupIdNotFound, admin.delete_group(&none))
    })?;
    report.attempt("delete an empty group", || {
        let other = format!("{group}-gone");
        set_committed(bootstrap, &other, &asked.first, 7)?;
        asked.offsets_are(&other, &BTreeMap::from([(asked.first.clone(), 7)]))?;
        admin.delete_group(&other)?;
        same(&false, &admin.group_names()?.contains(&other))?;
        asked.offsets_are(&other, &BTreeMap::new())
    })?;
    report.attempt("a static member comes back", || comes_back(&asked))
}

fn comes_back(asked: &Asked<'_>) -> Result<(), Fault> {
    let group = format!("{}-static", asked.group);
    let one = asked.member(&group, Some("instance-a"))?;
    let other = asked.member(&group, Some("instance-b"))?;
    drive(&[&one, &other], || {
        let (one, other) = (one.assigned().len(), other.assigned().len());
        one > 0 && other > 0 && one + other == asked.ends.len()
    })?;
    let had = one.assigned();
    let kept = (other.assigned(), other.assignments());
    drop(one);
    let again = asked.member(&group, Some("instance-a"))?;
    drive(&[&again, &other], || !again.assigned().is_empty())?;
    // Longer than the heartbeats by which a member learns of a rebalance.
    linger(&[&again, &other], 1000)?;
    same(&had, &again.assigned())?;
    same(&kept, &(other.assigned(), other.assignments()))
}

/// After the broker was killed: what [`all`] left is still there.
pub(crate) fn committed(
    bootstrap: &str,
    run: &str,
    base: i64,
    words: &[&str],
    report: &mut Report,
) -> Result<(), Fault> {
    let asked = Asked::parse(bootstrap, run, base, words)?;
    let admin = Admin::open(bootstrap)?;
    report.attempt("committed offsets", || asked.offsets_are(&asked.group, &asked.left()))?;
    report.attempt("the group is empty", || {
        same(&("Empty".to_owned(), Vec::new()), &admin.group(&asked.group)?)
    })
}
