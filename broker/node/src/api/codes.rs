//! Refusals become error codes here, and nowhere else.

use crate::metadata_log::ProposeError;
use crate::shard::PartitionError;
use cluster::Refusal as Refused;
use log::{AppendError, SequenceError};
use record::{BatchError, DecompressError, Invalid};
use store::{ReadError, Refusal};
use wire::ErrorCode;

/// The code and, where it helps, the words for a produce that was refused. `version` is Produce's.
pub(super) fn of_partition(e: &PartitionError, version: i16) -> (ErrorCode, Option<String>) {
    // KAFKA_STORAGE_ERROR is known from Produce 4 on.
    let storage = if version >= 4 {
        ErrorCode::KAFKA_STORAGE_ERROR
    } else {
        ErrorCode::NOT_LEADER_OR_FOLLOWER
    };
    match e {
        PartitionError::NotLeader => (ErrorCode::NOT_LEADER_OR_FOLLOWER, None),
        PartitionError::FencedEpoch => (ErrorCode::FENCED_LEADER_EPOCH, None),
        PartitionError::UnknownEpoch => (ErrorCode::UNKNOWN_LEADER_EPOCH, None),
        PartitionError::NotEnoughReplicas { after_append: false } => {
            (ErrorCode::NOT_ENOUGH_REPLICAS, None)
        }
        PartitionError::NotEnoughReplicas { after_append: true } => {
            (ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, None)
        }
        PartitionError::TimedOut => (ErrorCode::REQUEST_TIMED_OUT, None),
        PartitionError::OffsetOutOfRange => (ErrorCode::OFFSET_OUT_OF_RANGE, None),
        PartitionError::PolicyViolation => (ErrorCode::POLICY_VIOLATION, None),
        PartitionError::Read(e) => (of_read(e, version), Some(e.to_string())),
        PartitionError::Refused(r) => match r {
            Refusal::UnknownPartition => (ErrorCode::NOT_LEADER_OR_FOLLOWER, None),
            Refusal::Append(e) => of_append(e),
            Refusal::TooLarge { .. } => (ErrorCode::MESSAGE_TOO_LARGE, Some(r.to_string())),
            Refusal::Incomplete(_) | Refusal::DiskFull { .. } => (storage, Some(r.to_string())),
        },
    }
}

fn of_append(e: &AppendError) -> (ErrorCode, Option<String>) {
    match e {
        AppendError::Sequence(SequenceError::StaleEpoch { current, got }) => (
            ErrorCode::INVALID_PRODUCER_EPOCH,
            Some(format!("the producer's epoch is {}, not {}", current.0, got.0)),
        ),
        AppendError::Sequence(SequenceError::OutOfOrder { expected, got }) => (
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            Some(format!("sequence {got} came where {expected} was expected")),
        ),
        AppendError::OpenTransaction => (ErrorCode::INVALID_TXN_STATE, None),
        AppendError::LargerThanSegment { max } => (
            ErrorCode::RECORD_LIST_TOO_LARGE,
            Some(format!("the batch is larger than segment.bytes, {max}")),
        ),
    }
}

/// The code for a read that failed. `version` is Fetch's; other APIs pass their highest.
pub(super) fn of_read(e: &ReadError, version: i16) -> ErrorCode {
    match e {
        ReadError::UnknownPartition => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ReadError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::Corrupt { .. } => ErrorCode::CORRUPT_MESSAGE,
        ReadError::Io(_) if version >= 6 => ErrorCode::KAFKA_STORAGE_ERROR,
        ReadError::Io(_) => ErrorCode::NOT_LEADER_OR_FOLLOWER,
    }
}

/// The code for a batch that did not pass.
pub(super) fn of_invalid(e: &Invalid) -> ErrorCode {
    match e {
        Invalid::Batch(BatchError::Magic(_)) => ErrorCode::INVALID_RECORD,
        Invalid::Batch(_) | Invalid::BytesLeft(_) => ErrorCode::CORRUPT_MESSAGE,
        Invalid::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        Invalid::Codec(_) => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
        Invalid::Decompress(DecompressError::TooLarge { .. }) => ErrorCode::MESSAGE_TOO_LARGE,
        Invalid::Decompress(_) => ErrorCode::CORRUPT_MESSAGE,
        Invalid::Timestamp { .. } | Invalid::LogAppendTime => ErrorCode::INVALID_TIMESTAMP,
        Invalid::NotOneBatch { .. }
        | Invalid::BaseOffset(_)
        | Invalid::Count { .. }
        | Invalid::Control
        | Invalid::Sequence { .. }
        | Invalid::Record { .. }
        | Invalid::OffsetDelta { .. }
        | Invalid::NoKey { .. }
        | Invalid::MaxTimestamp { .. } => ErrorCode::INVALID_RECORD,
    }
}

/// The code of a decision that the controller refused.
pub(super) fn of_refused(e: &Refused) -> ErrorCode {
    ErrorCode(e.code.wire())
}

/// The code of a proposal that did not come true.
pub(super) fn of_proposal(e: &ProposeError) -> (ErrorCode, String) {
    match e {
        ProposeError::Refused(e) => (of_refused(e), e.message.clone()),
        ProposeError::Log(e) => {
            let (code, text) = of_partition(e, i16::MAX);
            (code, text.unwrap_or_else(|| "the metadata log does not take it".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_may_not_say_about_time_is_one_code() {
        for invalid in [
            Invalid::LogAppendTime,
            Invalid::Timestamp { record: 0, timestamp: ids::Timestamp(-5) },
        ] {
            assert_eq!(of_invalid(&invalid), ErrorCode::INVALID_TIMESTAMP, "{invalid:?}");
        }
        assert_eq!(of_invalid(&Invalid::Control), ErrorCode::INVALID_RECORD);
    }
}
