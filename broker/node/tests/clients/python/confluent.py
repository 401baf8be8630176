"""confluent-kafka: librdkafka as most Python programs meet it."""

import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

import corpus
import driver

LIMITS = {"message.max.bytes": 10_000_000}


def answer(futures):
    for future in futures.values():
        try:
            return future.result(30)
        except KafkaException as error:
            raise driver.Refused(error.args[0].code(), error.args[0].str()) from error


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = {"bootstrap.servers": bootstrap}

    async def open(self):
        self.admin = AdminClient(self.bootstrap)
        self.consumer = Consumer({
            **self.bootstrap,
            # The library wants a name; nothing is subscribed, so no group is joined.
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.message.max.bytes": 10_000_000,
            "receive.message.max.bytes": 100_000_000,
        })

    async def close(self):
        self.consumer.close()

    async def create(self, topic, partitions, configs):
        answer(self.admin.create_topics([NewTopic(topic, partitions, 1, config=configs)]))

    async def delete(self, topic):
        answer(self.admin.delete_topics([topic]))

    async def grow(self, topic, partitions):
        answer(self.admin.create_partitions([NewPartitions(topic, partitions)]))

    async def configs(self, topic):
        found = answer(self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
        return {name: entry.value for name, entry in found.items()}

    async def trim(self, topic, partition, offset):
        answer(self.admin.delete_records([TopicPartition(topic, partition, offset)]))

    async def partitions(self, topic):
        found = self.admin.list_topics(timeout=10).topics.get(topic)
        return len(found.partitions) if found else None

    async def write(self, topic, codec, acks, placed):
        producer = Producer({
            **self.bootstrap, **LIMITS,
            "compression.type": codec, "acks": acks, "enable.idempotence": acks == -1,
            "linger.ms": 2, "max.in.flight.requests.per.connection": 5,
        })
        offsets = [None] * len(placed)
        errors = []

        def delivered(slot):
            def done(error, message):
                if error:
                    errors.append(error)
                else:
                    offsets[slot] = message.offset()
            return done

        for slot, (partition, record) in enumerate(placed):
            extra = {} if record.timestamp is None else {"timestamp": record.timestamp}
            producer.produce(topic, value=record.value, key=record.key, partition=partition,
                             headers=record.headers, on_delivery=delivered(slot), **extra)
            producer.poll(0)
        left = producer.flush(60)
        if errors:
            raise driver.Refused(errors[0].code(), errors[0].str())
        if left:
            raise TimeoutError(f"{left} records without an answer")
        return offsets

    async def ends(self, topic, partition):
        return self.consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)

    async def at(self, topic, partition, timestamp):
        found = self.consumer.offsets_for_times([TopicPartition(topic, partition, timestamp)], timeout=20)[0]
        if found.error:
            raise driver.Refused(found.error.code())
        # The library says "end" (-1) where there is none.
        return found.offset

    async def read(self, topic, partition, start, end):
        self.consumer.assign([TopicPartition(topic, partition, start)])
        got = []
        deadline = time.monotonic() + 60
        while (not got or got[-1][0] < end - 1) and time.monotonic() < deadline:
            for message in self.consumer.consume(min(500, end - start - len(got)), timeout=0.5):
                if message.error():
                    raise driver.Refused(message.error().code(), message.error().str())
                got.append((message.offset(), corpus.Record(
                    message.key(), message.value(), message.headers() or [], message.timestamp()[1])))
        self.consumer.unassign()
        return got

    def extra(self, verb, run, base):
        return []


driver.main("confluent", Client)
