//! DeleteTopics (key 20): deletes topics, by name or, from version 6, by id (KIP-516).

use crate::ErrorCode;
use ids::TopicId;

schema! {
    /// What the caller asks.
    request DeleteTopicsRequest<'a> for DeleteTopics {
        /// The topics.
        topics: Vec<DeleteTopicState<'a>>, 6..;
        /// The topics.
        topic_names: Vec<&'a str>, 0..=5;
        /// How long the broker may take.
        timeout_ms: i32, 0..;
    }

    /// A topic, by name or by id.
    part DeleteTopicState<'a> {
        /// The topic.
        name: Option<&'a str>, 6..;
        /// The topic's id.
        topic_id: TopicId, 6..;
    }

    /// The answer.
    response DeleteTopicsResponse<'a> for DeleteTopics {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One answer for each thing asked.
        responses: Vec<DeletableTopicResult<'a>>, 0..;
    }

    /// What became of one topic.
    part DeletableTopicResult<'a> {
        /// The topic.
        name: Option<&'a str>, 0.., nullable 6..;
        /// The topic's id.
        topic_id: TopicId, 6..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 5..;
    }
}
