//! UpdateFeatures 0 to 2: sets the finalized levels of cluster features (KIP-584, KIP-1022).
//!
//! Every feature here has one level, which is finalized from the first start on. So there is nothing to write: the level that a
//! feature has is granted, and any other is refused with the range that there is.

use super::api_versions::FEATURES;
use super::{Asked, read, reply};
use crate::broker::Broker;
use server::Reply;
use wire::api::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use wire::{DecodeError, ErrorCode, Reader};

/// The upgrade types of the protocol: upgrade, safe downgrade, unsafe downgrade.
const UPGRADE_TYPES: std::ops::RangeInclusive<i8> = 1..=3;

pub(super) fn answer(
    _broker: &Broker,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: UpdateFeaturesRequest<'_> = read(reader, asked)?;
    let updates = &request.feature_updates;
    let refusals: Vec<Option<String>> =
        updates.iter().map(|update| refusal(update, asked.version)).collect();
    let results = updates.iter().zip(&refusals).map(|(update, refusal)| UpdatableFeatureResult {
        feature: update.feature,
        error_code: code(refusal.as_ref()),
        error_message: refusal.as_deref(),
    });
    // From version 2 on the first refusal stands for all: nothing is changed if one thing cannot be.
    let first = refusals.iter().flatten().next().filter(|_| asked.version >= 2);
    let body = UpdateFeaturesResponse {
        error_code: code(first),
        error_message: first.map(String::as_str),
        results: if asked.version < 2 { results.collect() } else { Vec::new() },
        ..UpdateFeaturesResponse::default()
    };
    Ok(reply(asked, &body))
}

fn code(refusal: Option<&String>) -> ErrorCode {
    refusal.map_or(ErrorCode::NONE, |_| ErrorCode::INVALID_UPDATE_VERSION)
}

/// Why an update is refused, if it is.
fn refusal(update: &FeatureUpdateKey<'_>, version: i16) -> Option<String> {
    let (name, level) = (update.feature, update.max_version_level);
    // Version 0 has a flag instead.
    if version > 0 && !UPGRADE_TYPES.contains(&update.upgrade_type) {
        return Some(format!("{name}: there is no upgrade type {}", update.upgrade_type));
    }
    let Some((_, only)) = FEATURES.iter().find(|(known, _)| *known == name) else {
        return Some(format!("{name} is no feature of this broker"));
    };
    (level != *only).then(|| format!("{name} has level {only} and no other: not {level}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(feature: &str, max_version_level: i16, upgrade_type: i8) -> FeatureUpdateKey<'_> {
        FeatureUpdateKey { feature, max_version_level, upgrade_type, ..FeatureUpdateKey::default() }
    }

    #[test]
    fn the_level_that_a_feature_has_is_granted_and_no_other() {
        for upgrade_type in UPGRADE_TYPES {
            assert_eq!(refusal(&update("group.version", 1, upgrade_type), 2), None);
        }
        for level in [-1, 0, 2] {
            let why = refusal(&update("group.version", level, 3), 2).expect("a refusal");
            assert!(why.contains("level 1") && why.contains(&level.to_string()), "{why}");
        }
    }

    #[test]
    fn unknown_features_and_upgrade_types_are_refused_by_name() {
        let why = refusal(&update("metadata.version", 25, 1), 2).expect("a refusal");
        assert!(why.contains("metadata.version"), "{why}");
        let why = refusal(&update("group.version", 1, 7), 1).expect("a refusal");
        assert!(why.contains("upgrade type 7"), "{why}");
        // Which version 0 does not have.
        assert_eq!(refusal(&update("group.version", 1, 0), 0), None);
    }
}
