//! Which keys stand in a full list (DescribeConfigs with no keys named).
//!
//! As in Kafka 4.3: all that it has, whether or not they do something here, but neither those that it calls internal nor those of
//! a past Kafka, which it no longer knows. A key that is not listed is described where somebody has set it or asks for it by name.

/// Whether a key is in a full list though nobody has set it.
pub(in crate::config) fn is_listed(name: &str) -> bool {
    UNLISTED.binary_search(&name).is_err()
}

/// The others, by name.
const UNLISTED: &[&str] = &[
    "advertised.host.name",
    "advertised.port",
    "allow.everyone.if.no.acl.found",
    "authorizer.zookeeper.connection.timeout.ms",
    "authorizer.zookeeper.max.in.flight.requests",
    "authorizer.zookeeper.session.timeout.ms",
    "authorizer.zookeeper.set.acl",
    "authorizer.zookeeper.url",
    "auto.create.topics",
    "auto.include.jmx.reporter",
    "broker.id.generation.enable",
    "brokerid",
    "control.plane.listener.name",
    "controlled.shutdown.max.retries",
    "controlled.shutdown.retry.backoff.ms",
    "controller.message.queue.size",
    "controller.performance.always.log.threshold.ms",
    "controller.performance.sample.period.ms",
    "delegation.token.master.key",
    "eligible.leader.replicas.enable",
    "enable.zookeeper",
    "follower.replication.throttled.rate",
    "group.consumer.regex.refresh.interval.ms",
    "group.coordinator.new.enable",
    "group.share.enable",
    "group.share.initialize.retry.interval.ms",
    "group.share.max.groups",
    "group.share.persister.class.name",
    "host.name",
    "hostname",
    "inter.broker.protocol.version",
    "internal.metadata.delete.delay.millis",
    "internal.metadata.log.segment.bytes",
    "internal.metadata.max.batch.size.in.bytes",
    "internal.metadata.max.fetch.size.in.bytes",
    "kafka.csv.metrics.dir",
    "kafka.csv.metrics.reporter.enabled",
    "leader.imbalance.per.broker.percentage",
    "leader.replication.throttled.rate",
    "log.cleanup.interval.mins",
    "log.default.flush.interval.ms",
    "log.default.flush.scheduler.interval.ms",
    "log.file.size",
    "log.flush.interval",
    "log.initial.task.delay.ms",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "log.retention.cleanup.interval.mins",
    "log.retention.size",
    "log.roll.index.interval",
    "max.id.map.snapshots",
    "max.message.size",
    "max.socket.request.bytes",
    "metadata.log.segment.min.bytes",
    "metadata.version",
    "num.threads",
    "offsets.commit.required.acks",
    "password.encoder.cipher.algorithm",
    "password.encoder.iterations",
    "password.encoder.key.length",
    "password.encoder.keyfactory.algorithm",
    "password.encoder.old.secret",
    "password.encoder.secret",
    "port",
    "producer.id.expiration.check.interval.ms",
    "quota.consumer.default",
    "quota.producer.default",
    "remote.log.index.file.cache.ttl.ms",
    "remote.log.manager.task.retry.backoff.max.ms",
    "remote.log.manager.task.retry.backoff.ms",
    "remote.log.manager.task.retry.jitter",
    "remote.log.metadata.topic.min.isr",
    "remote.log.metadata.topic.num.partitions",
    "remote.log.metadata.topic.replication.factor",
    "remote.log.metadata.topic.retention.ms",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "replica.lag.max.messages",
    "reserved.broker.max.id",
    "sasl.oauthbearer.header.urlencode",
    "server.max.startup.time.ms",
    "share.coordinator.cold.partition.snapshot.interval.ms",
    "share.coordinator.state.topic.prune.interval.ms",
    "share.fetch.max.fetch.records",
    "socket.receive.buffer",
    "socket.send.buffer",
    "super.users",
    "unclean.leader.election.interval.ms",
    "unstable.api.versions.enable",
    "unstable.feature.versions.enable",
    "zk.connect",
    "zk.connectiontimeout.ms",
    "zk.sessiontimeout.ms",
    "zk.synctime.ms",
    "zookeeper.clientCnxnSocket",
    "zookeeper.connect",
    "zookeeper.connection.timeout.ms",
    "zookeeper.max.in.flight.requests",
    "zookeeper.metadata.migration.enable",
    "zookeeper.metadata.migration.min.batch.size",
    "zookeeper.session.timeout.ms",
    "zookeeper.set.acl",
    "zookeeper.ssl.cipher.suites",
    "zookeeper.ssl.client.enable",
    "zookeeper.ssl.crl.enable",
    "zookeeper.ssl.enabled.protocols",
    "zookeeper.ssl.endpoint.identification.algorithm",
    "zookeeper.ssl.keystore.location",
    "zookeeper.ssl.keystore.password",
    "zookeeper.ssl.keystore.type",
    "zookeeper.ssl.ocsp.enable",
    "zookeeper.ssl.protocol",
    "zookeeper.ssl.truststore.location",
    "zookeeper.ssl.truststore.password",
    "zookeeper.ssl.truststore.type",
    "zookeeper.sync.time.ms",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::broker_keys::{BROKER_KEYS, INERT_BROKER_KEYS};

    #[test]
    fn what_is_not_listed_is_known_and_without_effect() {
        assert!(UNLISTED.is_sorted());
        for name in UNLISTED {
            assert!(INERT_BROKER_KEYS.iter().any(|key| key.name == *name), "{name}");
        }
        assert!(BROKER_KEYS.iter().all(|key| is_listed(key.name)));
        assert!(is_listed("num.io.threads") && !is_listed("zookeeper.connect"));
    }
}
