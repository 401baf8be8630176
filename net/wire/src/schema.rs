//! The declared shape of every message, as data, for tests and tools that walk it.

/// The shape of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One byte, zero or not.
    Bool,
    /// A signed byte.
    I8,
    /// A big-endian 16-bit number.
    I16,
    /// A big-endian unsigned 16-bit number.
    U16,
    /// A big-endian 32-bit number.
    I32,
    /// A big-endian 64-bit number.
    I64,
    /// A big-endian 64-bit floating-point number.
    F64,
    /// 16 bytes.
    Uuid,
    /// UTF-8 text.
    String,
    /// Opaque bytes.
    Bytes,
    /// Record batches.
    Records,
    /// The value, or null.
    Nullable(&'static Self),
    /// Any number of these.
    Array(&'static Self),
    /// Fields one after the other.
    Struct(&'static StructShape),
}

/// The shape of a struct.
#[derive(Clone, Copy, Debug)]
pub struct StructShape {
    /// The struct's name.
    pub name: &'static str,
    /// The fields in the order in which they travel; tagged ones travel last.
    pub fields: &'static [FieldShape],
}

/// The shape of one field. Version ranges are written as in the declaration: `0..` or `3..=7`.
#[derive(Clone, Copy, Debug)]
pub struct FieldShape {
    /// The field's name.
    pub name: &'static str,
    /// The value.
    pub shape: Shape,
    /// The versions that have the field.
    pub versions: &'static str,
    /// The versions in which a nullable value may be null; empty: all that have the field.
    pub nullable: &'static str,
    /// The tag, of a tagged field (KIP-482).
    pub tag: Option<u32>,
    /// The declared default; empty: zero, empty or `None`.
    pub default: &'static str,
}
