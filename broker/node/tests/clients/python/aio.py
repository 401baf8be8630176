"""aiokafka."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import DeleteGroupsRequest

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


def check_codes(topics):
    for topic in topics:
        if topic[1]:
            raise driver.Refused(topic[1], str(topic))


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
        self.consumer = AIOKafkaConsumer(
            **bootstrap, group_id=group, group_instance_id=instance, enable_auto_commit=False,
            auto_offset_reset="earliest", partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=groups.SESSION_MS, heartbeat_interval_ms=groups.HEARTBEAT_MS,
            max_partition_fetch_bytes=10_000_000)
        self.consumer.subscribe(topics, listener=Listener(self))

    async def poll(self, seconds):
        return [
            (place.topic, place.partition, message.offset, corpus.Record(
                message.key, message.value, list(message.headers), message.timestamp))
            for place, messages in (await self.consumer.getmany(timeout_ms=int(seconds * 1000))).items()
            for message in messages]

    async def commit(self):
        await self.consumer.commit()

    async def close(self):
        await self.consumer.stop()


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = {"bootstrap_servers": bootstrap}

    async def open(self):
        self.admin = AIOKafkaAdminClient(**self.bootstrap)
        await self.admin.start()
        self.consumer = AIOKafkaConsumer(
            **self.bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="none",
            max_partition_fetch_bytes=10_000_000, check_crcs=True)
        await self.consumer.start()

    async def close(self):
        await self.consumer.stop()
        await self.admin.close()

    async def create(self, topic, partitions, configs):
        found = await self.admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        check_codes(found.topic_errors)

    async def delete(self, topic):
        # A consumer that is still assigned asks for the topic's metadata, and the broker would create it again.
        self.consumer.unsubscribe()
        check_codes((await self.admin.delete_topics([topic])).topic_error_codes)

    async def grow(self, topic, partitions):
        with refusing():
            await self.admin.create_partitions({topic: NewPartitions(partitions)})

    async def configs(self, topic):
        found = (await self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))[0]
        code, message, _, _, entries = found.resources[0][:5]
        if code:
            raise driver.Refused(code, message)
        return {entry[0]: entry[1] for entry in entries}

    async def trim(self, topic, partition, offset):
        with refusing():
            await self.admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(offset)})

    async def partitions(self, topic):
        if topic not in await self.admin.list_topics():
            return None
        return len((await self.admin.describe_topics([topic]))[0]["partitions"])

    async def write(self, topic, codec, acks, placed):
        producer = AIOKafkaProducer(
            **self.bootstrap, acks="all" if acks == -1 else acks, enable_idempotence=acks == -1, linger_ms=2,
            max_request_size=10_000_000, compression_type=None if codec == "none" else codec)
        await producer.start()
        try:
            futures = [
                await producer.send(topic, value=record.value, key=record.key, headers=record.headers,
                                    partition=partition, timestamp_ms=record.timestamp)
                for partition, record in placed]
            with refusing():
                answers = await asyncio.wait_for(asyncio.gather(*futures), 60)
            return [None if answer is None else answer.offset for answer in answers]
        finally:
            await producer.stop()

    async def ends(self, topic, partition):
        one = TopicPartition(topic, partition)
        self.consumer.assign([one])
        first = await self.consumer.beginning_offsets([one])
        return (first[one], (await self.consumer.end_offsets([one]))[one])

    async def at(self, topic, partition, timestamp):
        one = TopicPartition(topic, partition)
        self.consumer.assign([one])
        found = (await self.consumer.offsets_for_times({one: timestamp}))[one]
        return -1 if found is None else found.offset

    async def read(self, topic, partition, start, end):
        one = TopicPartition(topic, partition)
        self.consumer.assign([one])
        self.consumer.seek(one, start)
        got = []
        deadline = time.monotonic() + 60
        while (not got or got[-1][0] < end - 1) and time.monotonic() < deadline:
            for message in (await self.consumer.getmany(one, timeout_ms=500)).get(one, []):
                got.append((message.offset, corpus.Record(
                    message.key, message.value, list(message.headers), message.timestamp)))
        return got

    async def member(self, group, topics, instance=None):
        member = Member(self.bootstrap, group, topics, instance)
        await member.consumer.start()
        return member

    async def group_state(self, group):
        found = (await self.admin.describe_consumer_groups([group]))[0].groups[0]
        code, _, state, _, _, members = found[:6]
        if code:
            raise driver.Refused(code, group)
        assigned = [ConsumerProtocolMemberAssignment.decode(member[-1]).assignment for member in members]
        return state, sorted(
            sorted((topic, partition) for topic, partitions in one for partition in partitions) for one in assigned)

    async def group_names(self):
        return [one[0] for one in await self.admin.list_consumer_groups()]

    async def group_offsets(self, group):
        found = await self.admin.list_consumer_group_offsets(group)
        return {(place.topic, place.partition): one.offset for place, one in found.items()}

    async def set_offsets(self, group, offsets):
        # Its admin client cannot, so a consumer without a membership commits.
        consumer = AIOKafkaConsumer(**self.bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            places = {TopicPartition(*place): offset for place, offset in offsets.items()}
            consumer.assign(list(places))
            with refusing():
                await consumer.commit(places)
        finally:
            await consumer.stop()

    async def delete_group(self, group):
        # Its admin client has no method for this; its protocol has the request.
        node = await self.admin.find_coordinator(group)
        found = await self.admin._send_request(DeleteGroupsRequest([group]), node)
        for _, code in found.results:
            if code:
                raise driver.Refused(code, group)

    def extra(self, verb, run, base):
        return []


driver.main("aiokafka", Client)
