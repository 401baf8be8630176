//! The notation in which messages are declared.
//!
//! ```text
//! schema! {
//!     /// What it is.
//!     request SomeRequest<'a> for SomeApi {
//!         /// What it means.
//!         name: Type = default, versions, nullable versions, tag number;
//!     }
//!     /// What it is.
//!     part SomeStruct { ... }
//! }
//! ```
//!
//! `versions` is `3..` or `3..=7`. Default, `nullable` and `tag` may be left out: the default is then zero, empty or
//! `None`, an `Option` may be null in every version that has the field, and the field is not tagged. A field that its
//! version does not have keeps its default when read and is left out when written. `None` in a version without null is
//! written as empty text, and is an error for anything but text. The versions of a request or response
//! and where the flexible ones start stand in the table in `api.rs`; a `message` that is no API names them itself.

macro_rules! schema {
    () => {};

    (
        $(#[$meta:meta])* request $name:ident $(<$life:lifetime>)? for $api:ident { $($body:tt)* }
        $($rest:tt)*
    ) => {
        schema!(@struct [$(#[$meta])*] $name $(<$life>)? { $($body)* });
        schema!(@api Request $api $name $(<$life>)?);
        schema!($($rest)*);
    };

    (
        $(#[$meta:meta])* response $name:ident $(<$life:lifetime>)? for $api:ident { $($body:tt)* }
        $($rest:tt)*
    ) => {
        schema!(@struct [$(#[$meta])*] $name $(<$life>)? { $($body)* });
        schema!(@api Response $api $name $(<$life>)?);
        schema!($($rest)*);
    };

    (
        $(#[$meta:meta])* message $name:ident $(<$life:lifetime>)?
            versions $min:literal to $max:literal $(flexible $flexible:literal)? { $($body:tt)* }
        $($rest:tt)*
    ) => {
        schema!(@struct [$(#[$meta])*] $name $(<$life>)? { $($body)* });
        schema!(@message $name $(<$life>)?, $crate::VersionRange { min: $min, max: $max },
            schema!(@flexible $($flexible)?));
        schema!($($rest)*);
    };

    (
        $(#[$meta:meta])* part $name:ident $(<$life:lifetime>)? { $($body:tt)* }
        $($rest:tt)*
    ) => {
        schema!(@struct [$(#[$meta])*] $name $(<$life>)? { $($body)* });
        schema!($($rest)*);
    };

    (@flexible $flexible:literal) => { Some($flexible) };
    (@flexible) => { None };

    (@api $role:ident $api:ident $name:ident <$life:lifetime>) => {
        schema!(@message $name<$life>,
            $crate::ApiKey::$api.entry().versions, $crate::ApiKey::$api.entry().flexible_from);
        impl<$life> $crate::$role<$life> for $name<$life> {
            const KEY: $crate::ApiKey = $crate::ApiKey::$api;
        }
    };
    (@api $role:ident $api:ident $name:ident) => {
        schema!(@message $name,
            $crate::ApiKey::$api.entry().versions, $crate::ApiKey::$api.entry().flexible_from);
        impl<'a> $crate::$role<'a> for $name {
            const KEY: $crate::ApiKey = $crate::ApiKey::$api;
        }
    };

    (@message $name:ident <$life:lifetime>, $versions:expr, $flexible:expr) => {
        impl<$life> $crate::Message<$life> for $name<$life> {
            const NAME: &'static str = stringify!($name);
            const VERSIONS: $crate::VersionRange = $versions;
            const FLEXIBLE_FROM: Option<i16> = $flexible;
        }
    };
    (@message $name:ident, $versions:expr, $flexible:expr) => {
        impl<'a> $crate::Message<'a> for $name {
            const NAME: &'static str = stringify!($name);
            const VERSIONS: $crate::VersionRange = $versions;
            const FLEXIBLE_FROM: Option<i16> = $flexible;
        }
    };

    (@struct $meta:tt $name:ident <$life:lifetime> $body:tt) => {
        schema!(@define $meta $name $life [<$life>] $body);
    };
    (@struct $meta:tt $name:ident $body:tt) => {
        schema!(@define $meta $name 'a [] $body);
    };

    (@define [$($meta:tt)*] $name:ident $life:lifetime [$($generics:tt)*] { $(
        $(#[$doc:meta])*
        $field:ident : $type:ty $(= $default:expr)?, $versions:expr
            $(, nullable $nullable:expr)? $(, tag $tag:literal)?;
    )* }) => {
        $($meta)*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name $($generics)* { $(
            $(#[$doc])*
            #[doc = concat!("\nVersions `", stringify!($versions), "`"
                $(, ", null in `", stringify!($nullable), "`")? $(, ", tag ", stringify!($tag))?, ".")]
            pub $field: $type,
        )* }

        impl $($generics)* Default for $name $($generics)* {
            fn default() -> Self {
                Self { $($field: schema!(@default $type, $($default)?),)* }
            }
        }

        impl<$life> $crate::Field<$life> for $name $($generics)* {
            const SHAPE: $crate::schema::Shape =
                $crate::schema::Shape::Struct(&$crate::schema::StructShape {
                    name: stringify!($name),
                    fields: &[$($crate::schema::FieldShape {
                        name: stringify!($field),
                        shape: <$type as $crate::Field<$life>>::SHAPE,
                        versions: stringify!($versions),
                        nullable: concat!($(stringify!($nullable))?),
                        tag: schema!(@tag $($tag)?),
                        default: concat!($(stringify!($default))?),
                    },)*],
                });

            fn read(
                r: &mut $crate::Reader<$life>,
                form: $crate::Form,
            ) -> Result<Self, $crate::DecodeError> {
                let mut message = Self::default();
                $(schema!(@unless [$($tag)?]
                    if ($versions).contains(&form.version) {
                        let form = form.nullable(schema!(@nullable form, $($nullable)?));
                        message.$field = <$type as $crate::Field<$life>>::read(r, form)
                            .map_err(|error| error.in_field(stringify!($field)))?;
                    }
                );)*
                if form.flexible {
                    for _ in 0..r.unsigned_varint()? {
                        let tag = r.unsigned_varint()?;
                        let outer = r.enter_tag()?;
                        let known = $crate::field::Tagged::read_tag(&mut message, tag, r, form)?;
                        r.leave_tag(outer, known)?;
                    }
                }
                Ok(message)
            }

            fn write(
                &self,
                w: &mut $crate::Writer,
                form: $crate::Form,
            ) -> Result<(), $crate::EncodeError> {
                $(schema!(@unless [$($tag)?]
                    if ($versions).contains(&form.version) {
                        let form = form.nullable(schema!(@nullable form, $($nullable)?));
                        $crate::Field::write(&self.$field, w, form)
                            .map_err(|error| error.in_field(stringify!($field)))?;
                    }
                );)*
                if form.flexible {
                    // A tagged field travels only when it says something.
                    $(schema!(@when [$($tag)?]
                        let $field = ($versions).contains(&form.version)
                            && self.$field != schema!(@default $type, $($default)?);
                    );)*
                    w.unsigned_varint(0 $(+ schema!(@count [$($tag)?] u32::from($field)))*);
                    $(schema!(@when [$($tag)?]
                        if $field {
                            let form =
                                form.nullable(schema!(@nullable form, $($nullable)?)).tagged();
                            let start = w.open_tag($($tag)?);
                            $crate::Field::write(&self.$field, w, form)
                                .and_then(|()| w.close_tag(start))
                                .map_err(|error| error.in_field(stringify!($field)))?;
                        }
                    );)*
                }
                Ok(())
            }

            fn min_len(form: $crate::Form) -> usize {
                usize::from(form.flexible) $(+ schema!(@count [$($tag)?, none]
                    if ($versions).contains(&form.version) {
                        let form = form.nullable(schema!(@nullable form, $($nullable)?));
                        <$type as $crate::Field<$life>>::min_len(form)
                    } else {
                        0
                    }
                ))*
            }

            fn initial() -> Self {
                Self::default()
            }
        }

        impl<$life> $crate::field::Tagged<$life> for $name $($generics)* {
            fn read_tag(
                &mut self,
                tag: u32,
                r: &mut $crate::Reader<$life>,
                form: $crate::Form,
            ) -> Result<bool, $crate::DecodeError> {
                $(schema!(@when [$($tag)?]
                    if tag == $($tag)? && ($versions).contains(&form.version) {
                        let form =
                            form.nullable(schema!(@nullable form, $($nullable)?)).tagged();
                        self.$field = <$type as $crate::Field<$life>>::read(r, form)
                            .map_err(|error| error.in_field(stringify!($field)))?;
                        return Ok(true);
                    }
                );)*
                let _ = (tag, r, form);
                Ok(false)
            }
        }

        impl<$life> $crate::field::Nullable<$life> for $name $($generics)* {
            fn read_nullable(
                r: &mut $crate::Reader<$life>,
                form: $crate::Form,
            ) -> Result<Option<Self>, $crate::DecodeError> {
                // A struct that may be null starts with a byte of its own (KIP-893). Behind a tag that is a varint,
                // which has no -1: null is 0 there, and Kafka does write it.
                match r.i8()? {
                    -1 if !form.tagged => Ok(None),
                    0 if form.tagged => Ok(None),
                    1 => <Self as $crate::Field<$life>>::read(r, form).map(Some),
                    _ => Err(r.error($crate::Malformed::NullMarker)),
                }
            }

            fn write_nullable(
                value: Option<&Self>,
                w: &mut $crate::Writer,
                form: $crate::Form,
            ) -> Result<(), $crate::EncodeError> {
                match value {
                    None => $crate::Field::write(&(i8::from(form.tagged) - 1), w, form),
                    Some(value) => {
                        $crate::Field::write(&1_i8, w, form)?;
                        $crate::Field::write(value, w, form)
                    }
                }
            }

            fn min_len_nullable(_: $crate::Form) -> usize {
                1
            }
        }
    };

    (@unless [] $($tokens:tt)*) => { $($tokens)* };
    (@unless [$tag:literal] $($tokens:tt)*) => {};
    (@when [] $($tokens:tt)*) => {};
    (@when [$tag:literal] $($tokens:tt)*) => { $($tokens)* };

    (@count [] $value:expr) => { 0 };
    (@count [$tag:literal] $value:expr) => { $value };
    (@count [, none] $value:expr) => { $value };
    (@count [$tag:literal, none] $value:expr) => { 0 };

    (@nullable $form:ident,) => { true };
    (@nullable $form:ident, $nullable:expr) => { ($nullable).contains(&$form.version) };

    (@default $type:ty,) => { <$type as $crate::Field<'_>>::initial() };
    (@default $type:ty, $default:expr) => { $default };

    (@tag) => { None };
    (@tag $tag:literal) => { Some($tag) };
}
