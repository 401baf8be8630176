//! Groups in the words of Kafka's tools.

pub(super) use crate::groups::*;

use super::end::End;
use wire::ErrorCode;

pub(super) fn said(code: ErrorCode) -> End {
    End::Error(java(code))
}

/// The refusals of groups that scripts look for have Java's words; the others have ours.
pub(super) fn java(code: ErrorCode) -> String {
    let of = |class: &str, words: &str| format!("org.apache.kafka.common.errors.{class}: {words}");
    match code {
        ErrorCode::GROUP_ID_NOT_FOUND => {
            of("GroupIdNotFoundException", "The group id does not exist.")
        }
        ErrorCode::NON_EMPTY_GROUP => of("GroupNotEmptyException", "The group is not empty."),
        code => format!("{code}: {}", code.message()),
    }
}
