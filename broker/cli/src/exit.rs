//! Exit codes, the same for every command.

/// It worked; also when the reader of the output went away.
pub const OK: u8 = 0;
/// It did not work.
pub const FAILED: u8 = 1;
/// The command line asks for what cannot be.
pub const USAGE: u8 = 2;
/// Something that was to hold does not.
pub const ASSERTION: u8 = 3;
/// No broker answers.
pub const UNREACHABLE: u8 = 4;
/// The cluster does not let this user do it.
pub const NOT_AUTHORISED: u8 = 5;
/// Some of it worked, and some did not.
pub const PARTIAL: u8 = 6;
/// What should exist does not, or what should not exist does.
pub const NOT_FOUND_OR_EXISTS: u8 = 7;
