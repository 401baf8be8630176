//! The drawings of docs/formats against the bytes that the store writes.
//!
//! A table marked `<!-- layout: NAME -->` says at which byte each field lies. A header whose every field has a value of its own
//! is written by the real code, and each field's bytes must lie where the table says. Above the table stands its drawing, made
//! from it by [`drawing`].

use crate::table::rows;
use crate::tree::section;
use crate::{Complaints, named, none, tree};
use ids::{LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerId, Timestamp, TopicId};
use log::{AbortedTxn, IndexEntry, Place, SegmentName};
use store::format::layout::Layout;
use store::format::{commit, manifest, record, rest};

/// A field of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    at: usize,
    size: usize,
    name: String,
}

/// What the code wrote, and the bytes of each field that are expected somewhere in it.
struct Written {
    layout: &'static str,
    bytes: Vec<u8>,
    fields: Vec<(&'static str, Vec<u8>)>,
}

const UNUSED: &str = "unused";

fn fields(document: &str, layout: &str) -> Vec<Field> {
    let marker = format!("<!-- layout: {layout} -->");
    let after = document.split_once(&marker).unwrap_or_else(|| panic!("no {marker}")).1;
    let number =
        |text: &str| text.parse().unwrap_or_else(|_| panic!("{layout}: {text} is no number"));
    rows(after)
        .iter()
        .map(|row| Field { at: number(&row[0]), size: number(&row[1]), name: row[2].clone() })
        .collect()
}

fn check(fields: &[Field], written: &Written) -> Complaints {
    let mut complaints = Complaints::new();
    let mut end = 0;
    for f in fields {
        if f.at != end {
            complaints.push(format!("{} begins at {}, not at {end}", f.name, f.at));
        }
        end = f.at + f.size;
        let bytes = written.bytes.get(f.at..end).unwrap_or(&[]);
        let expected = written.fields.iter().find(|(name, _)| *name == f.name);
        match expected {
            Some((_, expected)) if bytes == expected => {}
            Some((name, expected)) => {
                complaints.push(format!("{name}: {bytes:02x?} at {}, not {expected:02x?}", f.at));
            }
            None if f.name == UNUSED && !bytes.is_empty() && bytes.iter().all(|b| *b == 0) => {}
            None => complaints.push(format!("{} is not a field of ours, or not unused", f.name)),
        }
    }
    if end != written.bytes.len() {
        complaints.push(format!("{end} bytes are described of {}", written.bytes.len()));
    }
    for (name, _) in &written.fields {
        if !fields.iter().any(|f| f.name == *name) {
            complaints.push(format!("{name} is missing"));
        }
    }
    complaints
}

/// Sixteen bytes a row, four columns a byte. A field that goes on in the next row is named in each.
fn drawing(fields: &[Field]) -> String {
    const ROW: usize = 16;
    let end = fields.last().map_or(0, |f| f.at + f.size);
    let width = |row: usize| end.saturating_sub(row).min(ROW);
    let is_edge = |at: usize| at == end || fields.iter().any(|f| f.at == at);
    // The line above a row, with the edges of that row and of the one before.
    let rule = |row: usize| -> String {
        let before = if row == 0 { 0 } else { width(row - ROW) };
        let columns = (1..=before.max(width(row))).map(|c| {
            let below = c <= width(row) && (c == width(row) || is_edge(row + c));
            let above = c <= before && (c == before || is_edge(row - ROW + c));
            if above || below { "---+" } else { "----" }
        });
        format!("     +{}\n", columns.collect::<String>())
    };
    let mut out =
        String::from("byte 0       2       4       6       8       10      12      14      16\n");
    let mut row = 0;
    while row < end {
        out.push_str(&rule(row));
        out.push_str(&format!("{row:>4} |"));
        let to = row + width(row);
        for f in fields.iter().filter(|f| f.at < to && f.at + f.size > row) {
            let columns = ((f.at + f.size).min(to) - f.at.max(row)) * 4 - 1;
            let name: String = f.name.chars().take(columns).collect();
            out.push_str(&format!("{name:^columns$}|"));
        }
        out.push('\n');
        row += ROW;
    }
    out + &rule(row)
}

fn segment() -> SegmentName {
    SegmentName { base: Offset(0x0102_0304_0506_0708), creation: 0x1112_1314 }
}

fn partition() -> PartitionId {
    PartitionId { topic: TopicId([0x77; 16]), index: PartitionIndex(0x2122_2324) }
}

fn le32(n: u32) -> Vec<u8> {
    n.to_le_bytes().to_vec()
}

fn le64(n: u64) -> Vec<u8> {
    n.to_le_bytes().to_vec()
}

fn the_commit() -> Written {
    let header = commit::Header {
        kind: commit::Kind::Skip,
        length: 0x3000,
        used: 0x2468,
        records: 0x31,
        ring: [0x55; 16],
        sequence: 0x41_4243,
        position: 0x51_5253,
        next: 0x61_6263,
        previous_sequence: 0x71_7273,
        previous_crc: 0x8182_8384,
        flushed_through: 0x91_9293,
        sealed_at: 0xa1_a2a3,
    };
    let (bytes, crc) = header.sealed(&[]);
    Written {
        layout: "commit-header",
        bytes: bytes.to_vec(),
        fields: vec![
            ("magic", b"RWCM".to_vec()),
            ("crc", le32(crc)),
            ("version", vec![1, 0]),
            ("kind", vec![1, 0]),
            ("length", le32(0x3000)),
            ("used", le32(0x2468)),
            ("records", le32(0x31)),
            ("ring", vec![0x55; 16]),
            ("sequence", le64(0x41_4243)),
            ("position", le64(0x51_5253)),
            ("next", le64(0x61_6263)),
            ("previous_sequence", le64(0x71_7273)),
            ("previous_crc", le32(0x8182_8384)),
            ("flushed_through", le64(0x91_9293)),
            ("sealed_at", le64(0xa1_a2a3)),
        ],
    }
}

fn the_record() -> Written {
    let header = record::Header {
        kind: record::Type::Data,
        length: 0x3132,
        partition: partition(),
        generation: 0x4142,
        previous: 0x5152,
        offset: Offset(0x6162),
        epoch: LeaderEpoch(0x7172),
        place: Place { segment: segment(), position: 0x8182 },
        at: Timestamp(0x9192),
    };
    Written {
        layout: "record-header",
        bytes: header.to_bytes().to_vec(),
        fields: vec![
            ("type", vec![2]),
            ("length", le32(0x3132)),
            ("partition", partition().to_bytes().to_vec()),
            ("generation", le32(0x4142)),
            ("previous", le64(0x5152)),
            ("offset", le64(0x6162)),
            ("epoch", le32(0x7172)),
            ("creation", le32(0x1112_1314)),
            ("base", le64(0x0102_0304_0506_0708)),
            ("place", le32(0x8182)),
            ("at", le64(0x9192)),
        ],
    }
}

fn the_manifest() -> Written {
    let footer = manifest::Footer {
        sequence: 0x31_3233,
        crc: 0x41_4243,
        position: 0x51_5253,
        rest_file: 0x61_6263,
        rest_len: 0x71_7273,
        unaccounted: 0xa1_a2a3,
    };
    let empty = manifest::BatchBuilder::default();
    let (mut bytes, crc) = empty.seal(true, [0x55; 16], 0x81_8283, 0x91_9293, footer).unwrap();
    bytes.truncate(manifest::HEADER);
    Written {
        layout: "manifest-header",
        bytes,
        fields: vec![
            ("magic", b"RWMF".to_vec()),
            ("crc", le32(crc)),
            ("version", vec![1, 0]),
            ("whole", vec![1, 0]),
            ("length", le32(4096)),
            ("used", le32(u32::try_from(manifest::HEADER).unwrap())),
            ("entries", le32(0)),
            ("ring", vec![0x55; 16]),
            ("number", le64(0x81_8283)),
            ("previous_crc", le32(0x91_9293)),
            ("sequence", le64(0x31_3233)),
            ("position", le64(0x51_5253)),
            ("commit_crc", le32(0x41_4243)),
            ("rest_file", le32(0x61_6263)),
            ("rest_len", le64(0x71_7273)),
            ("unaccounted", le64(0xa1_a2a3)),
        ],
    }
}

fn the_rest_piece() -> Written {
    let header = rest::Header {
        partition: partition(),
        segment: segment(),
        position: 0x3132,
        length: 0x4142,
        crc: 0x5152_5354,
    };
    Written {
        layout: "rest-header",
        bytes: header.to_bytes().to_vec(),
        fields: vec![
            ("magic", b"RWRP".to_vec()),
            ("length", le32(0x4142)),
            ("partition", partition().to_bytes().to_vec()),
            ("creation", le32(0x1112_1314)),
            ("base", le64(0x0102_0304_0506_0708)),
            ("position", le32(0x3132)),
            ("crc", le32(0x5152_5354)),
        ],
    }
}

fn the_index_entry() -> Written {
    let entry =
        IndexEntry { offset: 0x3132, position: 0x4142, max_timestamp_before: Timestamp(0x5152) };
    Written {
        layout: "index-entry",
        bytes: entry.to_bytes().to_vec(),
        fields: vec![
            ("offset", le32(0x3132)),
            ("position", le32(0x4142)),
            ("max_timestamp_before", le64(0x5152)),
        ],
    }
}

fn the_aborted_transaction() -> Written {
    let txn = AbortedTxn {
        producer_id: ProducerId(0x0102_0304),
        first: Offset(0x2122),
        last: Offset(0x1_0000 + 0x3132),
        last_stable: Offset(0x2324),
    };
    Written {
        layout: "aborted-transaction",
        bytes: txn.to_bytes(Offset(0x1_0000)).to_vec(),
        fields: vec![
            ("crc", le32(0xf2ef_ba98)),
            ("last_offset", le32(0x3132)),
            ("producer_id", le64(0x0102_0304)),
            ("first_offset", le64(0x2122)),
            ("last_stable_offset", le64(0x2324)),
        ],
    }
}

#[test]
fn every_header_lies_as_it_is_drawn() {
    for (document, written) in [
        ("journal", the_commit()),
        ("journal", the_record()),
        ("manifest", the_manifest()),
        ("rest-log", the_rest_piece()),
        ("segments", the_index_entry()),
        ("segments", the_aborted_transaction()),
    ] {
        let text = tree::read(&format!("docs/formats/{document}.md"));
        let fields = fields(&text, written.layout);
        none(&check(&fields, &written));
        let drawing = drawing(&fields);
        assert!(text.contains(&drawing), "{}: its drawing is\n{drawing}", written.layout);
    }
}

#[test]
fn the_layout_that_is_shown_is_one() {
    let text = tree::read("docs/formats/layout.md");
    let at = text.find("ringwood layout 1").unwrap();
    let shown = text[at..].split_once("```").unwrap().0;
    let layout = Layout::parse(shown).expect("the example's checksum does not hold");
    assert_eq!(layout.to_text(), shown);
}

#[test]
fn the_journal_records_are_those_that_are_written() {
    use record::Type;
    let text = tree::read("docs/formats/journal.md");
    let table = text.split_once("| type | name |").unwrap().1;
    for kind in [
        Type::Start,
        Type::Data,
        Type::Truncate,
        Type::LogStart,
        Type::Delete,
        Type::CleanShutdown,
        Type::Directory,
    ] {
        let line = format!("| {} | {kind:?} |", kind as u8);
        assert!(table.contains(&line), "no {line}");
    }
}

#[test]
fn the_metadata_records_have_the_numbers_that_are_written() {
    let source = tree::read("replication/cluster/src/record/codec.rs");
    let text = tree::read("docs/formats/metadata.md");
    let rows = rows(section(&text, "metadata records"));
    let upper = |name: &str| {
        let mut out = String::new();
        for c in name.chars() {
            if c.is_uppercase() && !out.is_empty() {
                out.push('_');
            }
            out.push(c.to_ascii_uppercase());
        }
        out
    };
    assert_eq!(rows.len(), source.matches("pub(super) const ").count(), "one row for each type");
    for row in &rows {
        let line = format!("const {}: u8 = {};", upper(&row[1]), row[0]);
        assert!(source.contains(&line), "no {line}");
    }
}

#[test]
fn a_wrong_table_is_named() {
    let text = "<!-- layout: index-entry -->\n| byte | size | field | m |\n|--:|--:|---|---|
| 0 | 4 | position | |\n| 5 | 3 | unused | |\n| 8 | 4 | max_timestamp_before | |\n| 12 | 1 | color | |\n";
    let complaints = check(&fields(text, "index-entry"), &the_index_entry());
    named(
        &complaints,
        &[
            "position: ",
            "unused begins at 5",
            "unused is not a field",
            "max_timestamp_before: ",
            "color is not",
            "13 bytes are described of 16",
            "offset is missing",
        ],
    );
}

#[test]
fn a_drawing_has_sixteen_bytes_a_row() {
    let field = |at, size, name: &str| Field { at, size, name: name.to_owned() };
    let fields = [field(0, 4, "a"), field(4, 2, "b"), field(6, 14, "long")];
    let expected = "\
byte 0       2       4       6       8       10      12      14      16
     +---------------+-------+---------------------------------------+
   0 |       a       |   b   |                 long                  |
     +---------------+-------+---------------------------------------+
  16 |     long      |
     +---------------+
";
    assert_eq!(drawing(&fields), expected);
}
