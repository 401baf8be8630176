//! How each Rust type that stands in a message travels.

use crate::error_code::ErrorCode;
use crate::reader::{DecodeError, Malformed, Reader};
use crate::schema::Shape;
use crate::writer::{EncodeError, Unencodable, Writer};
use ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};

/// In which form a field travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    /// The version of the whole message.
    pub version: i16,
    /// Whether this version uses compact lengths and tagged fields (KIP-482).
    pub flexible: bool,
    /// Whether this field may be null in this version.
    pub nullable: bool,
    /// Whether the value is a tagged field itself; what is inside it is not.
    pub tagged: bool,
}

impl Form {
    /// The same form for an ordinary field that may, or may not, be null.
    #[must_use]
    pub fn nullable(self, nullable: bool) -> Self {
        Self { nullable, tagged: false, ..self }
    }

    /// The same form for a field behind a tag.
    #[must_use]
    pub fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }
}

/// A value that can stand in a message. `'a` is the frame's lifetime.
pub trait Field<'a>: Sized {
    /// What the value looks like to someone who walks the schema.
    const SHAPE: Shape;

    /// Reads the value.
    ///
    /// # Errors
    /// See [`Malformed`].
    fn read(r: &mut Reader<'a>, form: Form) -> Result<Self, DecodeError>;

    /// Writes the value.
    ///
    /// # Errors
    /// See [`Unencodable`].
    fn write(&self, w: &mut Writer, form: Form) -> Result<(), EncodeError>;

    /// The fewest bytes that any value takes in this form.
    fn min_len(form: Form) -> usize;

    /// The value of a field that its version does not have and that declares no default: zero, empty, or `None`.
    fn initial() -> Self;
}

/// A value that has a form for "null", so that `Option` of it can stand in a message.
pub trait Nullable<'a>: Field<'a> {
    /// Reads the value or null.
    ///
    /// # Errors
    /// See [`Malformed`].
    fn read_nullable(r: &mut Reader<'a>, form: Form) -> Result<Option<Self>, DecodeError>;

    /// Writes the value or null.
    ///
    /// # Errors
    /// See [`Unencodable`].
    fn write_nullable(value: Option<&Self>, w: &mut Writer, form: Form) -> Result<(), EncodeError>;

    /// Says "nothing" in a version that has no null. Text says it with no characters, as Kafka's own broker does for the
    /// protocol name of JoinGroup before version 7; for anything else an empty value would mean something different.
    ///
    /// # Errors
    /// [`Unencodable::NullNotAllowed`].
    fn write_nothing(w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        let _ = (w, form);
        Err(EncodeError::new(Unencodable::NullNotAllowed))
    }

    /// The fewest bytes that a value or null takes in this form.
    fn min_len_nullable(form: Form) -> usize;
}

/// A struct's tagged fields (KIP-482).
pub(crate) trait Tagged<'a> {
    /// Reads the tagged field, if this version has it; says whether it has.
    fn read_tag(&mut self, tag: u32, r: &mut Reader<'a>, form: Form) -> Result<bool, DecodeError>;
}

impl<'a, T: Nullable<'a>> Field<'a> for Option<T> {
    const SHAPE: Shape = Shape::Nullable(&T::SHAPE);

    fn read(r: &mut Reader<'a>, form: Form) -> Result<Self, DecodeError> {
        if form.nullable { T::read_nullable(r, form) } else { T::read(r, form).map(Some) }
    }

    fn write(&self, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        match self {
            _ if form.nullable => T::write_nullable(self.as_ref(), w, form),
            Some(value) => value.write(w, form),
            None => T::write_nothing(w, form),
        }
    }

    fn min_len(form: Form) -> usize {
        if form.nullable { T::min_len_nullable(form) } else { T::min_len(form) }
    }

    fn initial() -> Self {
        None
    }
}

macro_rules! numbers {
    ($($number:ty => $shape:ident;)*) => {$(
        impl<'a> Field<'a> for $number {
            const SHAPE: Shape = Shape::$shape;

            fn read(r: &mut Reader<'a>, _: Form) -> Result<Self, DecodeError> {
                r.array().map(<$number>::from_be_bytes)
            }

            fn write(&self, w: &mut Writer, _: Form) -> Result<(), EncodeError> {
                w.put(&self.to_be_bytes());
                Ok(())
            }

            fn min_len(_: Form) -> usize {
                size_of::<$number>()
            }

            fn initial() -> Self {
                Self::default()
            }
        }
    )*};
}

numbers! {
    i8 => I8;
    i16 => I16;
    u16 => U16;
    i32 => I32;
    i64 => I64;
    f64 => F64;
}

macro_rules! named_numbers {
    ($($name:ident($number:ty);)*) => {$(
        impl<'a> Field<'a> for $name {
            const SHAPE: Shape = <$number as Field<'a>>::SHAPE;

            fn read(r: &mut Reader<'a>, form: Form) -> Result<Self, DecodeError> {
                <$number>::read(r, form).map($name)
            }

            fn write(&self, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
                self.0.write(w, form)
            }

            fn min_len(form: Form) -> usize {
                <$number as Field<'a>>::min_len(form)
            }

            fn initial() -> Self {
                $name(<$number as Field<'a>>::initial())
            }
        }
    )*};
}

named_numbers! {
    BrokerId(i32);
    LeaderEpoch(i32);
    Offset(i64);
    PartitionIndex(i32);
    ProducerEpoch(i16);
    ProducerId(i64);
    TopicId([u8; 16]);
}

impl<'a> Field<'a> for ErrorCode {
    const SHAPE: Shape = Shape::I16;

    fn read(r: &mut Reader<'a>, form: Form) -> Result<Self, DecodeError> {
        i16::read(r, form).map(ErrorCode)
    }

    fn write(&self, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        w.note(*self);
        self.0.write(w, form)
    }

    fn min_len(form: Form) -> usize {
        i16::min_len(form)
    }

    fn initial() -> Self {
        ErrorCode(0)
    }
}

impl<'a> Field<'a> for [u8; 16] {
    const SHAPE: Shape = Shape::Uuid;

    fn read(r: &mut Reader<'a>, _: Form) -> Result<Self, DecodeError> {
        r.array()
    }

    fn write(&self, w: &mut Writer, _: Form) -> Result<(), EncodeError> {
        w.put(self);
        Ok(())
    }

    fn min_len(_: Form) -> usize {
        16
    }

    fn initial() -> Self {
        [0; 16]
    }
}

impl<'a> Field<'a> for bool {
    const SHAPE: Shape = Shape::Bool;

    fn read(r: &mut Reader<'a>, _: Form) -> Result<Self, DecodeError> {
        // Anything but zero is true, as in Kafka.
        r.i8().map(|byte| byte != 0)
    }

    fn write(&self, w: &mut Writer, _: Form) -> Result<(), EncodeError> {
        w.put(&[u8::from(*self)]);
        Ok(())
    }

    fn min_len(_: Form) -> usize {
        1
    }

    fn initial() -> Self {
        false
    }
}

impl<'a> Field<'a> for &'a str {
    const SHAPE: Shape = Shape::String;

    fn read(r: &mut Reader<'a>, form: Form) -> Result<Self, DecodeError> {
        let text = r.nullable_str(form.flexible)?;
        text.ok_or_else(|| r.error(Malformed::UnexpectedNull))
    }

    fn write(&self, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        w.nullable_str(Some(self), form.flexible)
    }

    fn min_len(form: Form) -> usize {
        if form.flexible { 1 } else { 2 }
    }

    fn initial() -> Self {
        ""
    }
}

impl<'a> Nullable<'a> for &'a str {
    fn read_nullable(r: &mut Reader<'a>, form: Form) -> Result<Option<Self>, DecodeError> {
        r.nullable_str(form.flexible)
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        w.nullable_str(value.copied(), form.flexible)
    }

    fn write_nothing(w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        w.nullable_str(Some(""), form.flexible)
    }

    fn min_len_nullable(form: Form) -> usize {
        Self::min_len(form)
    }
}

impl<'a> Field<'a> for &'a [u8] {
    const SHAPE: Shape = Shape::Bytes;

    fn read(r: &mut Reader<'a>, form: Form) -> Result<Self, DecodeError> {
        let bytes = r.nullable_bytes(form.flexible)?;
        bytes.ok_or_else(|| r.error(Malformed::UnexpectedNull))
    }

    fn write(&self, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        w.nullable_bytes(Some(self), form.flexible)
    }

    fn min_len(form: Form) -> usize {
        if form.flexible { 1 } else { 4 }
    }

    fn initial() -> Self {
        &[]
    }
}

impl<'a> Nullable<'a> for &'a [u8] {
    fn read_nullable(r: &mut Reader<'a>, form: Form) -> Result<Option<Self>, DecodeError> {
        r.nullable_bytes(form.flexible)
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        w.nullable_bytes(value.copied(), form.flexible)
    }

    fn min_len_nullable(form: Form) -> usize {
        Self::min_len(form)
    }
}

impl<'a, T: Field<'a>> Field<'a> for Vec<T> {
    const SHAPE: Shape = Shape::Array(&T::SHAPE);

    fn read(r: &mut Reader<'a>, form: Form) -> Result<Self, DecodeError> {
        let elements = Self::read_nullable(r, form)?;
        elements.ok_or_else(|| r.error(Malformed::UnexpectedNull))
    }

    fn write(&self, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        Self::write_nullable(Some(self), w, form)
    }

    fn min_len(form: Form) -> usize {
        if form.flexible { 1 } else { 4 }
    }

    fn initial() -> Self {
        Self::new()
    }
}

impl<'a, T: Field<'a>> Nullable<'a> for Vec<T> {
    fn read_nullable(r: &mut Reader<'a>, form: Form) -> Result<Option<Self>, DecodeError> {
        let Some(count) = r.long_len(form.flexible)? else { return Ok(None) };
        // An element is never null, whatever the array is.
        let form = form.nullable(false);
        let mut elements = r.room_for(count, T::min_len(form))?;
        for _ in 0..count {
            elements.push(T::read(r, form)?);
        }
        Ok(Some(elements))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        w.long_len(value.map(Vec::len), form.flexible)?;
        let form = form.nullable(false);
        for element in value.into_iter().flatten() {
            element.write(w, form)?;
        }
        Ok(())
    }

    fn min_len_nullable(form: Form) -> usize {
        Self::min_len(form)
    }
}
