//! Who is in the cluster.

use crate::client::{Client, To};
use crate::error::ClientError;
use crate::metadata::BrokerAddress;
use ids::BrokerId;
use wire::ErrorCode;
use wire::api::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id, if the broker tells.
    pub id: Option<String>,
    /// The broker to which admin requests go.
    pub controller: Option<BrokerId>,
    /// Its brokers by id, and whether each is fenced (alive, and not allowed to lead yet).
    pub brokers: Vec<(BrokerAddress, bool)>,
}

impl Client {
    /// Describes the cluster; from the metadata, where the broker does not know DescribeCluster (KIP-700).
    ///
    /// # Errors
    /// The broker's refusal, or no answer.
    pub fn describe_cluster(&mut self) -> Result<ClusterDescription, ClientError> {
        let request = DescribeClusterRequest {
            endpoint_type: 1,
            include_fenced_brokers: true,
            ..Default::default()
        };
        let deadline = self.deadline();
        let reply = self.retrying(deadline, |c| c.call(To::Any, i16::MAX, &request));
        let reply = match reply {
            Err(ClientError::Unsupported { .. }) => return self.cluster_by_metadata(),
            reply => reply?,
        };
        let response: DescribeClusterResponse<'_> = self.decode(&reply)?;
        if response.error_code != ErrorCode::NONE {
            let (code, message) = (response.error_code, response.error_message);
            return Err(ClientError::refused("describe the cluster", code, message));
        }
        let mut brokers: Vec<_> = response
            .brokers
            .iter()
            .map(|b| {
                let address = BrokerAddress {
                    id: b.broker_id,
                    host: b.host.to_owned(),
                    port: b.port,
                    rack: b.rack.map(str::to_owned),
                };
                (address, b.is_fenced)
            })
            .collect();
        brokers.sort_by_key(|(b, _)| b.id);
        Ok(ClusterDescription {
            id: Some(response.cluster_id.to_owned()),
            controller: Some(response.controller_id).filter(|id| *id != BrokerId::NONE),
            brokers,
        })
    }

    fn cluster_by_metadata(&mut self) -> Result<ClusterDescription, ClientError> {
        self.refresh_brokers()?;
        let view = self.metadata();
        Ok(ClusterDescription {
            id: view.cluster_id.clone(),
            controller: view.controller,
            brokers: view.brokers.values().map(|b| (b.clone(), false)).collect(),
        })
    }
}
