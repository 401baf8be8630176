//! UpdateFeatures (key 57): raises or lowers the finalized level of cluster features (KIP-584, KIP-1022).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request UpdateFeaturesRequest<'a> for UpdateFeatures {
        /// How long the broker may take.
        timeout_ms: i32 = 60000, 0..;
        /// The features to change.
        feature_updates: Vec<FeatureUpdateKey<'a>>, 0..;
        /// Whether to check everything and change nothing.
        validate_only: bool, 1..;
    }

    /// A feature to change.
    part FeatureUpdateKey<'a> {
        /// The feature's name.
        feature: &'a str, 0..;
        /// The highest level.
        max_version_level: i16, 0..;
        /// Whether the level may go down.
        allow_downgrade: bool, 0..=0;
        /// 1 upgrade, 2 safe downgrade, 3 unsafe downgrade.
        upgrade_type: i8 = 1, 1..;
    }

    /// The answer.
    response UpdateFeaturesResponse<'a> for UpdateFeatures {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// One answer for each thing asked.
        results: Vec<UpdatableFeatureResult<'a>>, 0..=1;
    }

    /// What became of one feature.
    part UpdatableFeatureResult<'a> {
        /// The feature's name.
        feature: &'a str, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
    }
}
