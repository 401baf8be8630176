"""kafka-python."""

import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

import corpus
import driver


class refusing:
    """Turns the library's errors into the broker's code."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, KafkaError) and (getattr(error, "errno", None) or 0) > 0:
            raise driver.Refused(error.errno, str(error)) from error


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
