"""confluent-kafka: librdkafka as most Python programs meet it."""

import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

import consumers
import corpus
import driver
import groups

LIMITS = {"message.max.bytes": 10_000_000}


def answer(futures):
    for future in futures.values():
        try:
            return future.result(30)
        except KafkaException as error:
            raise driver.Refused(error.args[0].code(), error.args[0].str()) from error


class Member(groups.Member):
    def __init__(self, bootstrap, group, topics, instance):
        super().__init__()
        extra = {"group.instance.id": instance} if instance else {}
        self.consumer = Consumer({
            **bootstrap, **extra,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": groups.SESSION_MS,
            "heartbeat.interval.ms": groups.HEARTBEAT_MS,
            "fetch.message.max.bytes": 10_000_000,
        })
        self.consumer.subscribe(
            topics, on_assign=lambda _, partitions: self.on_assigned(partitions),
            on_revoke=lambda *_: self.on_revoked())

    async def poll(self, seconds):
        got = []
        for message in self.consumer.consume(500, timeout=seconds):
            if message.error():
                raise driver.Refused(message.error().code(), message.error().str())
            got.append((message.topic(), message.partition(), message.offset(), corpus.Record(
                message.key(), message.value(), message.headers() or [], message.timestamp()[1])))
        return got

    async def commit(self):
        for one in self.consumer.commit(asynchronous=False):
            if one.error:
                raise driver.Refused(one.error.code(), one.error.str())

    async def close(self):
        self.consumer.close()


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

    async def member(self, group, topics, instance=None):
        return Member(self.bootstrap, group, topics, instance)

    async def group_state(self, group):
        found = answer(self.admin.describe_consumer_groups([group]))
        state = found.state.name.title().replace("_", "")
        return state, sorted(
            sorted((one.topic, one.partition) for one in member.assignment.topic_partitions)
            for member in found.members)

    async def group_names(self):
        found = self.admin.list_consumer_groups().result(30)
        if found.errors:
            raise driver.Refused(found.errors[0].args[0].code(), str(found.errors[0]))
        return [one.group_id for one in found.valid]

    async def group_offsets(self, group):
        found = answer(self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return {(one.topic, one.partition): one.offset for one in found.topic_partitions}

    async def set_offsets(self, group, offsets):
        places = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        found = answer(self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]))
        for one in found.topic_partitions:
            if one.error:
                raise driver.Refused(one.error.code(), one.error.str())

    async def delete_group(self, group):
        answer(self.admin.delete_consumer_groups([group]))

    def extra(self, verb, run, base):
        if verb == "group":
            return consumers.play(self, "confluent", run)
        return consumers.committed(self, "confluent", run) if verb == "committed" else []


driver.main("confluent", Client)
