//! Reads every byte that counts, and says what is not as it was written.

use super::gap::is_gap;
use super::walk::{Step, Walk};
use super::{Inspector, Looked};
use crate::data_dir::LayoutCopy;
use crate::partition::Shared;
use crate::scan::Link;
use crate::txn_index;
use ids::{Offset, PartitionId, Timestamp};
use log::{IndexEntry, Log, Segment, SegmentName};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// What was written cannot be read.
    Damage,
    /// What a power cut or a kill may leave, which the next start mends; or a loss that a person has accepted.
    Note,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Whose records, if it is known.
    pub partition: Option<PartitionId>,
    /// Which file or part.
    pub place: String,
    /// The byte, where there is one.
    pub position: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Commits of the rings.
    pub commits: u64,
    /// Partitions.
    pub partitions: u64,
    /// Segments.
    pub segments: u64,
    /// Batches of segments.
    pub batches: u64,
    /// Bytes of segments.
    pub bytes: u64,
    /// Things found that are damage.
    pub damaged: u64,
}

impl Inspector {
    /// Reads layout, manifests, rings, rest logs and every segment; tells `on_finding` what is wrong as soon as it is known,
    /// and `on_partition` before each partition.
    pub async fn verify(
        &self,
        mut on_partition: impl FnMut(PartitionId),
        mut on_finding: impl FnMut(Finding),
    ) -> Verified {
        let mut verified = Verified::default();
        let mut tell = |damaged: &mut u64, f: Finding| {
            *damaged += u64::from(f.severity == Severity::Damage);
            on_finding(f);
        };
        let damaged = &mut verified.damaged;
        for f in self.layout_findings() {
            tell(damaged, f);
        }
        for (n, core) in self.cores.iter().enumerate() {
            let found = match core {
                Ok(c) => core_findings(c),
                Err(e) => vec![damage(None, format!("core {n}"), None, e.to_string())],
            };
            for f in found {
                tell(damaged, f);
            }
        }
        for c in self.looked() {
            verified.commits += c.report.commits;
            for id in c.store.partitions() {
                let Ok(p) = c.store.partition(id) else { continue };
                on_partition(id);
                verified.partitions += 1;
                let names: Vec<_> = p.borrow().log.segments().iter().map(|s| s.name).collect();
                for name in names {
                    verified.segments += 1;
                    let (index, problem) = index_of(c, &p, name).await;
                    let mut check = Check::new(&p, name, index);
                    let mut walk = Walk::new(&c.store, p.clone(), name);
                    loop {
                        let step = walk.next().await;
                        if let Step::Batch(b) = &step {
                            verified.batches += 1;
                            verified.bytes += u64::from(b.bytes);
                            if is_gap(&b.header, check.segment.compacted) {
                                let mut told = note(
                                    format!("segment {name}"),
                                    format!(
                                        "the records of offsets {} to {} are lost, and the loss was accepted",
                                        b.header.base_offset,
                                        b.header.last_offset()
                                    ),
                                );
                                told.partition = Some(id);
                                told.position = Some(u64::from(b.position));
                                tell(&mut verified.damaged, told);
                            }
                        }
                        let ends = !matches!(step, Step::Batch(_));
                        for (position, what) in check.step(&p.borrow().log, step) {
                            let place = format!("segment {name}");
                            tell(
                                &mut verified.damaged,
                                damage(Some(id), place, Some(u64::from(position)), what),
                            );
                        }
                        if ends {
                            break;
                        }
                    }
                    for (at, what) in problem.into_iter().chain(check.index_problem()) {
                        let place = format!("index of segment {name}");
                        tell(&mut verified.damaged, damage(Some(id), place, Some(at), what));
                    }
                    if let Err(e) = txn_index::each(&c.store, &p, name, |_| true).await {
                        let place = format!("transaction index of segment {name}");
                        let what = format!(
                            "{e}; the first reader that needs it makes it good from the log"
                        );
                        tell(&mut verified.damaged, damage(Some(id), place, None, what));
                    }
                }
            }
        }
        verified
    }

    fn layout_findings(&self) -> Vec<Finding> {
        let paths = self.paths.layouts();
        let mut findings = Vec::new();
        for (copy, path) in self.copies.iter().zip(&paths) {
            let place = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match copy {
                LayoutCopy::Unreadable => findings.push(damage(
                    None,
                    place,
                    None,
                    "it cannot be read; the other copy can, and the next start writes it anew".into(),
                )),
                LayoutCopy::Missing => findings.push(note(
                    place,
                    "it is missing; the next start writes it anew".into(),
                )),
                LayoutCopy::Whole(l) if *l != self.layout => findings.push(note(
                    place,
                    format!(
                        "it says generation {}, the other says {}: a change of the layout was cut short",
                        l.generation, self.layout.generation
                    ),
                )),
                LayoutCopy::Whole(_) => {}
            }
        }
        findings
    }
}

/// The entries of the index file, or why they cannot be read.
async fn index_of(
    c: &Looked,
    p: &Shared,
    name: SegmentName,
) -> (Vec<IndexEntry>, Option<(u64, String)>) {
    match c.store.index_entries(p, name).await {
        Ok(entries) => (entries, None),
        Err(e) => (Vec::new(), Some((0, e.to_string()))),
    }
}

fn core_findings(c: &Looked) -> Vec<Finding> {
    let core = c.core.0;
    let mut findings = Vec::new();
    let [a, b] = c.manifests;
    if a != b {
        let (behind, place) = if a < b { (a, "manifest-a") } else { (b, "manifest-b") };
        let ahead = a.max(b);
        let place = format!("{place} of core {core}");
        if behind + 1 == ahead {
            findings.push(note(
                place,
                format!("it lacks batch {ahead}, which the other copy has: a checkpoint was cut short, or the batch is damaged"),
            ));
        } else {
            findings.push(damage(
                None,
                place,
                None,
                format!("it can be read up to batch {behind}, the other copy up to {ahead}"),
            ));
        }
    }
    for link in &c.chain.links {
        let Link::Hole(hole) = link else { continue };
        let whose = match &hole.partitions {
            Some(victims) => format!("it held records of {} partitions", victims.len()),
            None => "which partitions it held is not known".into(),
        };
        findings.push(damage(
            None,
            format!("ring of core {core}"),
            None,
            format!("what was flushed after commit {} is damaged; {whose}", hole.after),
        ));
    }
    for (id, why) in &c.report.incomplete {
        findings.push(damage(
            Some(*id),
            "partition".into(),
            None,
            format!("acknowledged records are missing: {why}"),
        ));
    }
    findings
}

/// The checks of one segment, batch by batch.
pub(super) struct Check {
    segment: Segment,
    incomplete: bool,
    /// The offset that the next batch must begin with.
    expected: Offset,
    /// Entries of the index file: each must name a batch. An index is no data, reads do without one that is wrong.
    index: Vec<IndexEntry>,
    met: usize,
    wrong_entry: Option<usize>,
    lost: bool,
}

impl Check {
    pub(super) fn new(p: &Shared, name: SegmentName, index: Vec<IndexEntry>) -> Self {
        let p = p.borrow();
        let none = || Segment::new(name, Timestamp::NONE);
        let segment = p.log.segment(name).cloned().unwrap_or_else(none);
        Self {
            segment,
            incomplete: p.incomplete.is_some(),
            expected: name.base,
            index,
            met: 0,
            wrong_entry: None,
            lost: false,
        }
    }

    /// The first entry of the index that names no batch, once the segment has been walked through.
    fn index_problem(&self) -> Option<(u64, String)> {
        let unmet = (self.met < self.index.len() && !self.lost).then_some(self.met);
        let n = self.wrong_entry.or(unmet)?;
        let position = self.index.get(n)?.position;
        let at = n as u64 * IndexEntry::LEN as u64;
        Some((at, format!("entry {n} names byte {position}, where no such batch begins")))
    }

    fn meet_index(&mut self, position: u32, base: Offset) {
        while let Some(e) = self.index.get(self.met).filter(|e| e.position <= position) {
            let right =
                e.position == position && self.segment.name.base + i64::from(e.offset) == base;
            if !right {
                self.wrong_entry.get_or_insert(self.met);
            }
            self.met += 1;
        }
    }

    /// What is wrong with this step: positions and words.
    pub(super) fn step(&mut self, log: &Log, step: Step) -> Vec<(u32, String)> {
        let mut wrong = Vec::new();
        match step {
            Step::Batch(b) => {
                let h = &b.header;
                if !b.crc_ok {
                    wrong.push((b.position, "the batch's checksum does not match".into()));
                }
                let gap = self.segment.compacted && h.base_offset > self.expected;
                if h.base_offset != self.expected && !gap {
                    let what = format!(
                        "the batch begins with offset {}, not {}",
                        h.base_offset, self.expected
                    );
                    wrong.push((b.position, what));
                } else if h.base_offset >= log.start()
                    && log.epochs().at(h.base_offset) != Some(h.leader_epoch)
                {
                    let what =
                        format!("leader epoch {} is not the one of this offset", h.leader_epoch.0);
                    wrong.push((b.position, what));
                }
                if h.last_offset() >= self.segment.end {
                    let what = format!(
                        "the batch ends with offset {}, behind the segment",
                        h.last_offset()
                    );
                    wrong.push((b.position, what));
                }
                self.meet_index(b.position, h.base_offset);
                // Resynchronised, so that one damaged field is told once.
                self.expected = h.next_offset();
            }
            Step::Lost { position, why, .. } => {
                self.lost = true;
                let more =
                    if self.incomplete { " (the partition is marked incomplete)" } else { "" };
                wrong.push((
                    position,
                    format!("{why}; {} bytes cannot be read{more}", self.segment.len - position),
                ));
            }
            Step::End => {
                if !self.lost && self.expected != self.segment.end {
                    let what =
                        format!("it ends with offset {}, not {}", self.expected, self.segment.end);
                    wrong.push((self.segment.len, what));
                }
            }
        }
        wrong
    }
}

fn damage(
    partition: Option<PartitionId>,
    place: String,
    position: Option<u64>,
    what: String,
) -> Finding {
    Finding { severity: Severity::Damage, partition, place, position, what }
}

fn note(place: String, what: String) -> Finding {
    Finding { severity: Severity::Note, partition: None, place, position: None, what }
}
