//! Random messages, as bytes, made from the declared shape alone.

use wire::ApiKey;
use wire::schema::{FieldShape, Shape, StructShape};

/// A small generator of numbers; the same seed gives the same messages on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// In which form the message is made.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    pub(crate) version: i16,
    pub(crate) flexible: bool,
    /// Whether tagged fields that nobody knows are added.
    pub(crate) unknown_tags: bool,
    /// The number of elements of the outermost arrays, if it shall be large; everything inside is then as short as an
    /// honest sender makes it.
    pub(crate) many: Option<u64>,
    /// Inside such an array.
    pub(crate) lean: bool,
}

impl Made {
    pub(crate) fn new(key: ApiKey, version: i16) -> Self {
        let flexible = key.is_flexible(version);
        Self { version, flexible, unknown_tags: false, many: None, lean: false }
    }
}

/// A random body of this version.
pub(crate) fn body(key: ApiKey, shape: Shape, version: i16, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    value(shape, Made::new(key, version), false, false, random, &mut out);
    out
}

/// Whether a declared range such as `3..` or `3..=7` contains the version.
pub(crate) fn has(range: &str, version: i16) -> bool {
    let (from, to) = range.split_once("..").expect("a range");
    let from: i16 = from.trim().parse().expect("a number");
    let to = to.trim().trim_start_matches('=').trim();
    from <= version && (to.is_empty() || version <= to.parse().expect("a number"))
}

pub(crate) fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push((n & 0x7f | 0x80) as u8);
        n >>= 7;
    }
    out.push(n as u8);
}

/// `telling`: the value must differ from any default, because tagged fields that say nothing do not travel.
pub(crate) fn value(
    shape: Shape,
    made: Made,
    nullable: bool,
    telling: bool,
    random: &mut Random,
    out: &mut Vec<u8>,
) {
    let number = if telling { random.below(100) + 5 } else { random.next() };
    match shape {
        Shape::Bool => out.push(if telling { 1 } else { (number & 1) as u8 }),
        Shape::I8 => out.push(number as u8),
        Shape::I16 | Shape::U16 => out.extend((number as u16).to_be_bytes()),
        Shape::I32 => out.extend((number as u32).to_be_bytes()),
        Shape::I64 => out.extend(number.to_be_bytes()),
        Shape::F64 => out.extend((number as f64 / 8.0).to_be_bytes()),
        Shape::Uuid => out.extend([random.next(), number].iter().flat_map(|n| n.to_be_bytes())),
        Shape::String => {
            let len = if made.lean { 1 } else { random.below(12) as usize };
            let len = len + usize::from(telling);
            let text: String = (0..len)
                .map(|i| ['a', 'Z', '-', '_', '.', '7'][(number as usize ^ i) % 6])
                .collect();
            let text = if len > 8 { format!("{text}é中") } else { text };
            length(text.len() as u64, made, 2, out);
            out.extend(text.as_bytes());
        }
        Shape::Bytes | Shape::Records => {
            let len = if random.below(8) == 0 { 300 } else { random.below(20) };
            let len = len + u64::from(telling);
            length(len, made, 4, out);
            out.extend((0..len).map(|i| (number ^ i) as u8));
        }
        Shape::Array(of) => {
            let short = if made.lean { 0 } else { random.below(4) };
            let count = made.many.unwrap_or(short) + u64::from(telling);
            length(count, made, 4, out);
            let made = Made { many: None, lean: made.lean || made.many.is_some(), ..made };
            for _ in 0..count {
                value(*of, made, false, false, random, out);
            }
        }
        Shape::Nullable(of) => {
            let null = nullable && !telling && random.below(4) == 0;
            match (*of, null) {
                (Shape::Struct(_), true) => out.push(0xff),
                (Shape::Struct(_), false) if nullable => out.push(1),
                (_, true) if made.flexible => out.push(0),
                (Shape::String, true) => out.extend([0xff; 2]),
                (_, true) => out.extend([0xff; 4]),
                (_, false) => {}
            }
            if !null {
                value(*of, made, false, telling, random, out);
            }
        }
        Shape::Struct(of) => structure(of, made, telling, random, out),
    }
}

fn length(len: u64, made: Made, width: usize, out: &mut Vec<u8>) {
    if made.flexible {
        varint(len + 1, out);
    } else {
        out.extend(&len.to_be_bytes()[8 - width..]);
    }
}

fn structure(of: &StructShape, made: Made, telling: bool, random: &mut Random, out: &mut Vec<u8>) {
    let here = |field: &&FieldShape| has(field.versions, made.version);
    let nullable =
        |field: &FieldShape| field.nullable.is_empty() || has(field.nullable, made.version);
    for field in of.fields.iter().filter(here).filter(|field| field.tag.is_none()) {
        value(field.shape, made, nullable(field), telling, random, out);
    }
    if !made.flexible {
        return;
    }
    let mut tags = Vec::new();
    for field in of.fields.iter().filter(here) {
        if let Some(tag) = field.tag
            && random.below(2) == 0
        {
            let mut bytes = Vec::new();
            value(field.shape, made, nullable(field), true, random, &mut bytes);
            tags.push((u64::from(tag), bytes));
        }
    }
    if made.unknown_tags {
        tags.push((1000, vec![7; random.below(200) as usize]));
        tags.push((u64::from(u32::MAX), Vec::new()));
    }
    varint(tags.len() as u64, out);
    for (tag, bytes) in tags {
        varint(tag, out);
        varint(bytes.len() as u64, out);
        out.extend(bytes);
    }
}
