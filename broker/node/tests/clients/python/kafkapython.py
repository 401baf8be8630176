"""kafka-python."""

import asyncio
import time

import kafka.errors
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

import corpus
import driver
import groups


class refusing:
    """Turns the library's errors into the broker's code."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, KafkaError) and (getattr(error, "errno", None) or 0) > 0:
            raise driver.Refused(error.errno, str(error)) from error


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    def on_partitions_revoked(self, revoked):
        self.member.on_revoked()

    def on_partitions_assigned(self, assigned):
        self.member.on_assigned(assigned)


class Member(groups.Member):
    def __init__(self, bootstrap, group, topics, instance):
        super().__init__()
        self.consumer = KafkaConsumer(
            **bootstrap, group_id=group, group_instance_id=instance, enable_auto_commit=False,
            auto_offset_reset="earliest", partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=groups.SESSION_MS, heartbeat_interval_ms=groups.HEARTBEAT_MS,
            max_partition_fetch_bytes=10_000_000)
        self.consumer.subscribe(topics, listener=Listener(self))

    async def poll(self, seconds):
        # In a thread, and longer than a rebalance takes: where a poll ends before the broker has answered JoinGroup, the library
        # forgets that request and sends another one.
        found = await asyncio.to_thread(self.consumer.poll, 500)
        return [
            (place.topic, place.partition, message.offset, corpus.Record(
                message.key, message.value, list(message.headers), message.timestamp))
            for place, messages in found.items() for message in messages]

    async def commit(self):
        self.consumer.commit()

    async def close(self):
        self.consumer.close()


class Client:
    def __init__(self, bootstrap, api_version=None):
        self.bootstrap = {"bootstrap_servers": bootstrap, "api_version": api_version}

    async def open(self):
        self.admin = KafkaAdminClient(**self.bootstrap)
        self.consumer = KafkaConsumer(
            **self.bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="none",
            max_partition_fetch_bytes=10_000_000, check_crcs=True)

    async def close(self):
        self.consumer.close()
        self.admin.close()

    async def create(self, topic, partitions, configs):
        with refusing():
            self.admin.create_topics({topic: {
                "num_partitions": partitions, "replication_factor": 1, "configs": configs}})

    async def delete(self, topic):
        with refusing():
            self.admin.delete_topics([topic])

    async def grow(self, topic, partitions):
        with refusing():
            self.admin.create_partitions({topic: partitions})

    async def configs(self, topic):
        with refusing():
            found = self.admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return {name: entry["value"] for name, entry in found["topic"][topic].items()}

    async def trim(self, topic, partition, offset):
        with refusing():
            self.admin.delete_records({TopicPartition(topic, partition): offset})

    async def partitions(self, topic):
        if topic not in self.admin.list_topics():
            return None
        return len(self.admin.describe_topics([topic])[0]["partitions"])

    async def write(self, topic, codec, acks, placed):
        producer = KafkaProducer(
            **self.bootstrap, acks=acks, enable_idempotence=acks == -1, linger_ms=2, max_request_size=10_000_000,
            compression_type=None if codec == "none" else codec)
        try:
            futures = [
                producer.send(topic, value=record.value, key=record.key, headers=record.headers,
                              partition=partition, timestamp_ms=record.timestamp)
                for partition, record in placed]
            with refusing():
                return [future.get(60).offset for future in futures]
        finally:
            producer.close()

    async def ends(self, topic, partition):
        one = TopicPartition(topic, partition)
        return (self.consumer.beginning_offsets([one])[one], self.consumer.end_offsets([one])[one])

    async def at(self, topic, partition, timestamp):
        one = TopicPartition(topic, partition)
        found = self.consumer.offsets_for_times({one: timestamp})[one]
        return -1 if found is None else found.offset

    async def read(self, topic, partition, start, end):
        one = TopicPartition(topic, partition)
        self.consumer.assign([one])
        self.consumer.seek(one, start)
        got = []
        deadline = time.monotonic() + 60
        while (not got or got[-1][0] < end - 1) and time.monotonic() < deadline:
            for message in self.consumer.poll(500).get(one, []):
                got.append((message.offset, corpus.Record(
                    message.key, message.value, list(message.headers), message.timestamp)))
        return got

    async def member(self, group, topics, instance=None):
        return Member(self.bootstrap, group, topics, instance)

    async def group_state(self, group):
        found = self.admin.describe_groups([group])[group]
        if found["error"]:
            raise ValueError(found["error"])
        return found["group_state"], sorted(
            sorted((one["topic"], partition) for one in member["member_assignment"]["assigned_partitions"]
                   for partition in one["partitions"])
            for member in found["members"])

    async def group_names(self):
        return [one["group_id"] for one in self.admin.list_groups()]

    async def group_offsets(self, group):
        found = self.admin.list_group_offsets([group])[group]
        return {(place.topic, place.partition): one.offset for place, one in found.items()}

    async def set_offsets(self, group, offsets):
        places = {TopicPartition(*place): OffsetAndMetadata(offset, "", None) for place, offset in offsets.items()}
        for error in self.admin.alter_group_offsets(group, places).values():
            if error.errno:
                raise driver.Refused(error.errno, error.__name__)

    async def delete_group(self, group):
        # The library gives the name of the error.
        word = self.admin.delete_groups([group])[group]
        if word != "OK":
            raise driver.Refused(getattr(kafka.errors, word).errno, word)

    def extra(self, verb, run, base):
        if verb == "admin":
            # (0, 11): Produce 3 and Fetch 5, the oldest that carry today's batches.
            for version in [(0, 11), (1, 1), (2, 1), (2, 6)]:
                name = ".".join(map(str, version))
                yield f"request versions of Kafka {name}", self.old(version, f"{run}-kafkapython-v{name}", base)

    async def old(self, version, topic, base):
        await self.create(topic, 3, {"retention.ms": "-1"})
        # What such a client sends cannot ask for idempotence with five in flight; plain acks=all is what it did.
        client = Client(self.bootstrap["bootstrap_servers"], version)
        await client.open()
        try:
            records = [corpus.record(5, i, base, "filled") for i in range(30)]
            offsets = await client.write(topic, "gzip", 1, [(i % 3, r) for i, r in enumerate(records)])
            if offsets != [i // 3 for i in range(30)]:
                return f"offsets {offsets}"
            for partition in range(3):
                if await client.ends(topic, partition) != (0, 10):
                    return f"ends {await client.ends(topic, partition)}"
                got = [record for _, record in await client.read(topic, partition, 0, 10)]
                if got != records[partition::3]:
                    return f"partition {partition}: {len(got)} records, not those written"
        finally:
            await client.close()
        return None


driver.main("kafkapython", Client)
