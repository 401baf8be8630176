//! Topic names: which are legal, which collide, which are the broker's own.

use crate::{ErrorCode, Refusal};

/// Longest topic name in bytes: a file name of 255 less room for `-` and a partition number, as in Kafka.
pub const NAME_BYTES_MAX: usize = 249;

/// Committed offsets and group state.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// State of the transaction coordinator.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// The metadata log itself; never a topic in the image.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";
/// State of share groups (KIP-932).
pub const SHARE_GROUP_STATE: &str = "__share_group_state";

/// Whether Kafka's Metadata answers call the topic internal.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS | TRANSACTION_STATE | SHARE_GROUP_STATE)
}

/// Whether the broker itself depends on the topic, so that it is always fsync: the internal topics and the metadata log.
#[must_use]
pub fn is_always_fsync(name: &str) -> bool {
    is_internal(name) || name == CLUSTER_METADATA
}

/// Checks a topic name: 1 to 249 characters of `[a-zA-Z0-9._-]`, not `.` or `..`. Errors: INVALID_TOPIC_EXCEPTION.
pub fn check(name: &str) -> Result<(), Refusal> {
    let why = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        "'.' and '..' are not allowed".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("it has {} bytes, at most {NAME_BYTES_MAX} are allowed", name.len())
    } else if let Some(c) =
        name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
    {
        format!("{c:?} is not one of the characters a-z, A-Z, 0-9, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    // A hostile name may be as long as the frame; the answer quotes only its beginning.
    let quoted: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(Refusal::new(ErrorCode::InvalidTopic, format!("Topic name {quoted:?} is invalid: {why}.")))
}

/// The form in which colliding names are equal: metric names write `.` as `_`, so Kafka lets only one of `a.b` and `a_b` exist.
#[must_use]
pub fn collision_form(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_names() {
        for name in ["a", "A-b_c.9", "...", CONSUMER_OFFSETS, &"x".repeat(249)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn illegal_names_are_code_17() {
        for name in ["", ".", "..", "a b", "a/b", "é", "a\0", &"x".repeat(250)] {
            let refusal = check(name).unwrap_err();
            assert_eq!(refusal.code.wire(), 17, "{name}");
        }
    }

    #[test]
    fn the_answer_does_not_repeat_a_hostile_name_whole() {
        assert!(check(&"x".repeat(1 << 20)).unwrap_err().message.len() < 400);
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert_eq!(collision_form("a.b_c"), collision_form("a_b.c"));
        assert_ne!(collision_form("a-b"), collision_form("a_b"));
    }

    #[test]
    fn the_metadata_log_is_fsync_but_not_listed_as_internal() {
        assert!(is_always_fsync(CLUSTER_METADATA) && !is_internal(CLUSTER_METADATA));
        assert!(is_always_fsync(CONSUMER_OFFSETS) && is_internal(CONSUMER_OFFSETS));
        assert!(!is_always_fsync("orders"));
    }
}
