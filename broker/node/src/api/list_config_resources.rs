//! ListConfigResources 0 to 1: names of what can have a configuration (KIP-714, KIP-1142).

use super::{Asked, read, reply};
use crate::broker::Broker;
use cluster::{ClusterImage, ResourceKind};
use server::Reply;
use wire::api::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use wire::{DecodeError, ErrorCode, Reader};

/// The kinds of version 1, as the protocol numbers them. Version 0 knows only client metrics.
const KINDS: [ResourceKind; 5] = [
    ResourceKind::Topic,
    ResourceKind::Broker,
    ResourceKind::BrokerLogger,
    ResourceKind::ClientMetrics,
    ResourceKind::Group,
];

pub(super) fn answer(
    broker: &Broker,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: ListConfigResourcesRequest = read(reader, asked)?;
    let wanted: Option<Vec<ResourceKind>> = match (asked.version, &request.resource_types[..]) {
        (0, _) => Some(vec![ResourceKind::ClientMetrics]),
        (_, []) => Some(KINDS.to_vec()),
        (_, some) => some.iter().map(|n| ResourceKind::from_wire(*n)).collect(),
    };
    let Some(wanted) = wanted else {
        let error_code = ErrorCode::UNSUPPORTED_VERSION;
        let body =
            ListConfigResourcesResponse { error_code, ..ListConfigResourcesResponse::default() };
        return Ok(reply(asked, &body));
    };
    let image = broker.metadata.image();
    let brokers: Vec<String> = image.brokers().map(|b| b.id.to_string()).collect();
    let config_resources = KINDS
        .into_iter()
        .filter(|kind| wanted.contains(kind))
        .flat_map(|kind| {
            let names = names(&image, &brokers, kind);
            names.into_iter().map(move |resource_name| ConfigResource {
                resource_name,
                resource_type: kind.wire(),
            })
        })
        .collect();
    let body =
        ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() };
    Ok(reply(asked, &body))
}

/// All topics and brokers; of groups and client metrics those that have values of their own.
fn names<'a>(image: &'a ClusterImage, brokers: &'a [String], kind: ResourceKind) -> Vec<&'a str> {
    match kind {
        ResourceKind::Topic => image.topics().map(|t| &*t.name).collect(),
        ResourceKind::Broker | ResourceKind::BrokerLogger => {
            brokers.iter().map(String::as_str).collect()
        }
        ResourceKind::Group | ResourceKind::ClientMetrics => {
            image.resources_with_overrides(kind).collect()
        }
    }
}
