//! FindCoordinator. Groups are not served yet: their coordinator is not available, which clients try again; transactions and
//! share groups are refused, which they do not.

use super::{Asked, read, reply};
use ids::BrokerId;
use server::Reply;
use wire::api::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use wire::{DecodeError, ErrorCode, Reader};

const GROUP: i8 = 0;

pub(super) fn answer(asked: &Asked<'_>, reader: &mut Reader<'_>) -> Result<Reply, DecodeError> {
    let request: FindCoordinatorRequest<'_> = read(reader, asked)?;
    let (code, message) = if request.key_type == GROUP {
        (ErrorCode::COORDINATOR_NOT_AVAILABLE, "consumer groups are not served yet")
    } else {
        (ErrorCode::INVALID_REQUEST, "only consumer groups have a coordinator here")
    };
    let none = BrokerId::NONE;
    let body = if asked.version >= 4 {
        let coordinators = request
            .coordinator_keys
            .iter()
            .map(|key| Coordinator {
                key,
                node_id: none,
                host: "",
                port: -1,
                error_code: code,
                error_message: Some(message),
            })
            .collect();
        FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
    } else {
        FindCoordinatorResponse {
            error_code: code,
            error_message: Some(message),
            node_id: none,
            host: "",
            port: -1,
            ..FindCoordinatorResponse::default()
        }
    };
    Ok(reply(asked, &body))
}
