//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use super::{Asked, codes, once, read, reply};
use crate::broker::Broker;
use cluster::config::{DescribedConfig, Source, ValueType};
use cluster::controller::{
    AlterConfigs, AlterConfigsResource, AlterConfigsResult, IncrementalAlterConfigs,
    IncrementalResource,
};
use cluster::{ErrorCode as Refusals, Refusal, ResourceKind};
use server::Reply;
use std::rc::Rc;
use wire::api::{alter_configs, describe_configs, incremental_alter_configs};
use wire::{DecodeError, ErrorCode, Reader};

pub(super) fn describe(
    broker: &Broker,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    use describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
    let mut request: DescribeConfigsRequest<'_> = read(reader, asked)?;
    once(&mut request.resources, |r| (r.resource_type, r.resource_name));
    let described: Vec<Result<Vec<DescribedConfig>, Refusal>> =
        request.resources.iter().map(|r| look_up(broker, r)).collect();
    let results = request
        .resources
        .iter()
        .zip(&described)
        .map(|(r, d)| phrase(r, d, request.include_synonyms, request.include_documentation))
        .collect();
    Ok(reply(asked, &DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }))
}

fn look_up(
    broker: &Broker,
    r: &describe_configs::DescribeConfigsResource<'_>,
) -> Result<Vec<DescribedConfig>, Refusal> {
    let keys: Option<Vec<String>> =
        r.configuration_keys.as_ref().map(|k| k.iter().map(|k| (*k).to_owned()).collect());
    let image = broker.metadata.image();
    let layers = broker.metadata.layers(&image);
    match ResourceKind::from_wire(r.resource_type) {
        Some(ResourceKind::Topic) => layers.describe_topic(r.resource_name, keys.as_deref()),
        Some(ResourceKind::Broker) => {
            let mut configs = layers.describe_broker(r.resource_name, keys.as_deref())?;
            if !r.resource_name.is_empty() {
                let backend = broker.rt.features().backend;
                configs.extend(facts(backend).into_iter().filter(|fact| {
                    let named = keys.as_ref().filter(|keys| !keys.is_empty());
                    named.is_none_or(|keys| keys.contains(&fact.name))
                }));
                configs.sort_by(|a, b| a.name.cmp(&b.name));
            }
            Ok(configs)
        }
        Some(ResourceKind::Group) => layers.describe_group(r.resource_name, keys.as_deref()),
        _ => Err(Refusal::new(
            Refusals::InvalidRequest,
            format!("configs of resource type {} are not served", r.resource_type),
        )),
    }
}

/// What this broker is, in the form of settings that nobody can change: whoever measures it can say what he has measured.
fn facts(backend: &str) -> [DescribedConfig; 3] {
    let fact = |name: &str, value: &str, doc| DescribedConfig {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source: Source::Default,
        read_only: true,
        sensitive: false,
        value_type: ValueType::String,
        synonyms: Vec::new(),
        doc: Some(doc),
    };
    [
        fact("ringwood.backend", backend, "How this broker asks the kernel: uring, or portable."),
        fact(
            "ringwood.revision",
            &perf::run::revision(),
            "The revision of the source that this broker was built from.",
        ),
        fact("ringwood.version", env!("CARGO_PKG_VERSION"), "The version of this broker."),
    ]
}

fn phrase<'a>(
    r: &describe_configs::DescribeConfigsResource<'a>,
    described: &'a Result<Vec<DescribedConfig>, Refusal>,
    synonyms: bool,
    documentation: bool,
) -> describe_configs::DescribeConfigsResult<'a> {
    use describe_configs::{
        DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
    };
    let mut out = DescribeConfigsResult {
        resource_type: r.resource_type,
        resource_name: r.resource_name,
        ..DescribeConfigsResult::default()
    };
    match described {
        Err(e) => {
            out.error_code = codes::of_refused(e);
            out.error_message = Some(&e.message);
        }
        Ok(configs) => {
            out.configs = configs
                .iter()
                .map(|c| DescribeConfigsResourceResult {
                    name: &c.name,
                    value: c.value.as_deref(),
                    read_only: c.read_only,
                    config_source: c.source.wire(),
                    is_sensitive: c.sensitive,
                    synonyms: if synonyms {
                        c.synonyms
                            .iter()
                            .map(|s| DescribeConfigsSynonym {
                                name: &s.name,
                                value: s.value.as_deref(),
                                source: s.source.wire(),
                            })
                            .collect()
                    } else {
                        Vec::new()
                    },
                    config_type: c.value_type.wire(),
                    documentation: if documentation { c.doc } else { None },
                })
                .collect();
        }
    }
    out
}

pub(super) async fn alter(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    use alter_configs::{AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse};
    let request: AlterConfigsRequest<'_> = read(reader, asked)?;
    let resources = request
        .resources
        .iter()
        .map(|r| AlterConfigsResource {
            kind: r.resource_type,
            name: r.resource_name.to_owned(),
            configs: r
                .configs
                .iter()
                .map(|c| (c.name.to_owned(), c.value.map(str::to_owned)))
                .collect(),
        })
        .collect();
    let wanted = AlterConfigs { resources, validate_only: request.validate_only };
    let results = broker.propose(|c| c.alter_configs(&wanted)).await;
    let results = results.map_err(|e| codes::of_proposal(&e));
    let named = request.resources.iter().map(|r| (r.resource_type, r.resource_name));
    let responses = told(&results, named)
        .map(|((error_code, error_message), (resource_type, resource_name))| {
            AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name }
        })
        .collect();
    Ok(reply(asked, &AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }))
}

pub(super) async fn alter_incrementally(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    use incremental_alter_configs::{
        AlterConfigsResourceResponse, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
    };
    let request: IncrementalAlterConfigsRequest<'_> = read(reader, asked)?;
    let resources = request
        .resources
        .iter()
        .map(|r| IncrementalResource {
            kind: r.resource_type,
            name: r.resource_name.to_owned(),
            configs: r
                .configs
                .iter()
                .map(|c| (c.name.to_owned(), c.config_operation, c.value.map(str::to_owned)))
                .collect(),
        })
        .collect();
    let wanted = IncrementalAlterConfigs { resources, validate_only: request.validate_only };
    let results = broker.propose(|c| c.incremental_alter_configs(&wanted)).await;
    let results = results.map_err(|e| codes::of_proposal(&e));
    let named = request.resources.iter().map(|r| (r.resource_type, r.resource_name));
    let responses = told(&results, named)
        .map(|((error_code, error_message), (resource_type, resource_name))| {
            AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name }
        })
        .collect();
    let body =
        IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() };
    Ok(reply(asked, &body))
}

/// A resource as its kind and name.
type Named<'a> = (i8, &'a str);

/// What is said of each resource: what was decided about it, or of all those that were `named` why nothing was.
fn told<'a>(
    results: &'a Result<Vec<AlterConfigsResult>, (ErrorCode, String)>,
    named: impl Iterator<Item = Named<'a>>,
) -> impl Iterator<Item = ((ErrorCode, Option<&'a str>), Named<'a>)> {
    let (decided, refused) = match results {
        Ok(decided) => (decided.as_slice(), None),
        Err((code, message)) => (&[][..], Some((*code, Some(message.as_str())))),
    };
    let decided = decided.iter().map(|r| (outcome(r), (r.kind, r.name.as_str())));
    decided.chain(named.filter_map(move |named| Some((refused?, named))))
}

fn outcome(r: &AlterConfigsResult) -> (ErrorCode, Option<&str>) {
    match &r.result {
        Ok(()) => (ErrorCode::NONE, None),
        Err(e) => (codes::of_refused(e), Some(&e.message)),
    }
}
