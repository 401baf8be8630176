//! DescribeCluster (KIP-700).

use super::{Asked, operations, read, reply};
use crate::broker::Broker;
use server::Reply;
use wire::api::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use wire::{DecodeError, ErrorCode, Reader};

/// Asks for brokers.
const BROKERS: i8 = 1;
/// Asks for controllers, which have listeners of their own in Kafka.
const CONTROLLERS: i8 = 2;

pub(super) fn describe(
    broker: &Broker,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: DescribeClusterRequest = read(reader, asked)?;
    if request.endpoint_type != BROKERS {
        let body = DescribeClusterResponse {
            error_code: if request.endpoint_type == CONTROLLERS {
                ErrorCode::MISMATCHED_ENDPOINT_TYPE
            } else {
                ErrorCode::UNSUPPORTED_ENDPOINT_TYPE
            },
            error_message: Some("this listener describes brokers only"),
            endpoint_type: BROKERS,
            ..DescribeClusterResponse::default()
        };
        return Ok(reply(asked, &body));
    }
    let image = broker.metadata.image();
    let brokers = image
        .brokers()
        .map(|b| DescribeClusterBroker {
            broker_id: b.id,
            host: b.endpoints.first().map_or("", |e| e.host.as_str()),
            port: b.endpoints.first().map_or(-1, |e| i32::from(e.port)),
            rack: b.rack.as_deref(),
            is_fenced: false,
        })
        .collect();
    let body = DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: image.cluster_id().unwrap_or(""),
        controller_id: broker.metadata.me,
        brokers,
        cluster_authorized_operations: operations::of_cluster(
            request.include_cluster_authorized_operations,
        ),
        ..DescribeClusterResponse::default()
    };
    Ok(reply(asked, &body))
}
