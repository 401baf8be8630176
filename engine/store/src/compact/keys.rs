//! The dirty part of a log: the newest offset of each of its keys, and how its transactions ended.

use super::source::Source;
use super::transactions::Outcomes;
use super::{CompactFailure, EndedEarly, Pass};
use ids::Offset;
use log::{Candidate, KeyMap, Segment, SegmentName};
use record::{BatchHeader, BatchView, ControlRecord, DECOMPRESSED_BYTES_MAX, EndTxn};

/// What the dirty part says.
pub(super) struct Mapped {
    pub(super) keys: KeyMap,
    /// None if no transaction was met.
    pub(super) outcomes: Option<Outcomes>,
    /// Where the dirty part begins, and how far it was mapped.
    pub(super) from: Offset,
    pub(super) end: Offset,
}

impl Mapped {
    /// Whether the records of a batch count: they are not those of an aborted transaction.
    pub(super) fn counts(&self, h: &BatchHeader) -> bool {
        if h.attributes.is_control() {
            return false;
        }
        // What is left of a transaction in the compacted part was committed.
        if !h.attributes.is_transactional() || h.last_offset() < self.from {
            return true;
        }
        let end = self.outcomes.as_ref().and_then(|o| o.of(h.producer_id, h.base_offset));
        end != Some(EndTxn::Abort)
    }
}

impl Pass<'_> {
    /// Reads the dirty part: the newest offsets of its keys, and how far they reach.
    pub(super) async fn map(
        &mut self,
        found: &Candidate,
        map_bytes: usize,
    ) -> Result<Mapped, CompactFailure> {
        let rt = &self.inner().rt;
        let secret = (rt.random(), rt.random());
        let records = u64::try_from(found.end - found.from).unwrap_or(u64::MAX);
        // The first turn of the pass, which the first read ends.
        self.pace.waited();
        let keys = KeyMap::new(map_bytes, records, secret);
        self.pace.worked(0);
        let bytes = keys.bytes() as u64;
        self.inner().count(|c| c.compact_map_bytes = bytes);
        let mut map = Mapped { keys, outcomes: None, from: found.from, end: found.end };
        let names = self.segments_within(found.from, found.end);
        for (n, name) in names.iter().enumerate() {
            let Some(mut source) = Source::open(self.store, &self.p, *name, found.from) else {
                return Ok(self.interrupted(map));
            };
            while let Some(bytes) = self.next(&mut source).await? {
                let batch = source.view(&bytes)?;
                let h = *batch.header();
                if h.last_offset() >= found.from {
                    let transaction = h.attributes.is_transactional() || h.attributes.is_control();
                    if transaction && map.outcomes.is_none() {
                        let ahead = names.get(n..).unwrap_or(&[]);
                        let max = (map_bytes / 32).max(1_024);
                        let (outcomes, end) = self.outcomes(ahead, found, max).await?;
                        map.outcomes = Some(outcomes);
                        if end < map.end {
                            map.end = end;
                            self.report.ended_early = Some(EndedEarly::Transaction);
                        }
                    }
                    if h.base_offset >= map.end {
                        return Ok(map);
                    }
                    if map.counts(&h)
                        && let Some(full) = self.note_keys(&source, &batch, &mut map)?
                    {
                        self.report.ended_early = Some(EndedEarly::MapFull);
                        map.end = full;
                        return Ok(map);
                    }
                }
                self.pace.worked(bytes.len());
                self.pace.after(bytes.len() as u64).await;
                if self.is_over() {
                    return Ok(self.interrupted(map));
                }
            }
            if self.is_gone(&source) {
                return Ok(self.interrupted(map));
            }
        }
        Ok(map)
    }

    /// The segments with a dirty part.
    fn segments_within(&self, from: Offset, end: Offset) -> Vec<SegmentName> {
        let p = self.p.borrow();
        let dirty = |s: &&Segment| s.end > from && s.end <= end;
        p.log.segments().iter().filter(dirty).map(|s| s.name).collect()
    }

    fn interrupted(&mut self, map: Mapped) -> Mapped {
        self.report.ended_early = Some(EndedEarly::Interrupted);
        Mapped { end: map.from, ..map }
    }

    /// The offset of the first record whose key has no room; none if all have.
    fn note_keys(
        &mut self,
        source: &Source<'_>,
        batch: &BatchView<'_>,
        map: &mut Mapped,
    ) -> Result<Option<Offset>, CompactFailure> {
        let (from, end, mut full) = (map.from, map.end, None);
        let keys = &mut map.keys;
        let noted = |offset, key: Option<&[u8]>| {
            if let Some(key) = key.filter(|_| offset >= from && offset < end && full.is_none())
                && keys.note(key, offset) == log::Mapped::Full
            {
                full = Some(offset);
            }
        };
        let max = DECOMPRESSED_BYTES_MAX;
        record::each_key(batch, &mut self.decompressor, max, noted)
            .map_err(|e| source.damaged(e.to_string()))?;
        Ok(full)
    }

    /// How the transactions of the dirty part from the first of `names` on ended, and the end of the part in which that is
    /// known of all.
    async fn outcomes(
        &mut self,
        names: &[SegmentName],
        found: &Candidate,
        max: usize,
    ) -> Result<(Outcomes, Offset), CompactFailure> {
        let mut outcomes = Outcomes::new(max);
        let mut end = found.end;
        'segments: for name in names {
            let Some(mut source) = Source::open(self.store, &self.p, *name, found.from) else {
                end = found.from;
                break;
            };
            while let Some(bytes) = self.next(&mut source).await? {
                let batch = source.view(&bytes)?;
                let h = *batch.header();
                let (producer, epoch, at) = (h.producer_id, h.producer_epoch, h.base_offset);
                let noted = if h.last_offset() < found.from {
                    Ok(())
                } else if h.attributes.is_control() {
                    match end_of_transaction(&batch).map_err(|why| source.damaged(why))? {
                        Some(end) => outcomes.marker(producer, epoch, at, end),
                        None => Ok(()),
                    }
                } else if h.attributes.is_transactional() && h.count > 0 {
                    // What is left of one without a record was ended long ago, perhaps by a marker that has gone.
                    outcomes.data(producer, epoch, at)
                } else {
                    Ok(())
                };
                if noted.is_err() {
                    end = at.max(found.from);
                    break 'segments;
                }
                self.pace.worked(bytes.len());
                self.pace.after(bytes.len() as u64).await;
                if self.is_over() {
                    end = found.from;
                    break 'segments;
                }
            }
            if self.is_gone(&source) {
                end = found.from;
                break;
            }
        }
        let open = outcomes.first_open().unwrap_or(end);
        Ok((outcomes, end.min(open.max(found.from))))
    }
}

/// How the transaction ended that this control batch marks the end of; none if it marks none.
pub(crate) fn end_of_transaction(batch: &BatchView<'_>) -> Result<Option<EndTxn>, &'static str> {
    let mut records = batch.records().map_err(|_| "a control batch that is compressed")?;
    let Some(record) = records.next() else { return Ok(None) };
    let record = record.map_err(|_| "a control record that cannot be read")?;
    match ControlRecord::read(&record) {
        Some(ControlRecord::EndTxn { end, .. }) => Ok(Some(end)),
        Some(ControlRecord::Other(_)) => Ok(None),
        None => Err("a control record that says nothing"),
    }
}
