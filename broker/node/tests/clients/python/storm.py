"""librdkafka (through confluent-kafka) and aiokafka as members of the storm (STORM.md).

    python storm.py confluent|confluent-consumer|aiokafka BOOTSTRAP TOPIC GROUP
"""

import asyncio
import sys
import threading
import time

over = threading.Event()


def tell(*lines):
    sys.stdout.write("".join(line + "\n" for line in lines))
    sys.stdout.flush()


def now():
    return time.time_ns() // 1_000_000


def assigned(partitions):
    tell(f"a {now()} {','.join(str(one) for one in sorted(partitions))}")


def given(partition, offset, key, value):
    return f"r {partition} {offset} {key.decode()} {int.from_bytes(value[:8], 'big')}"


def committed(offsets):
    at = now()
    tell(*(f"c {at} {partition} {offset}" for partition, offset in offsets.items()))


def failed(error):
    tell("e " + f"{type(error).__name__} {error}".replace("\n", " "))


def await_end():
    for _ in sys.stdin:
        pass
    over.set()


CLASSIC = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "partition.assignment.strategy": "cooperative-sticky"}


def confluent(protocol, bootstrap, topic, group):
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer = Consumer({
        **protocol, "bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "fetch.wait.max.ms": 200, "reconnect.backoff.max.ms": 500})
    has = set()

    def more(_, partitions):
        has.update(one.partition for one in partitions)
        assigned(has)

    def less(_, partitions):
        has.difference_update(one.partition for one in partitions)
        assigned(has)

    consumer.subscribe([topic], on_assign=more, on_revoke=less, on_lost=less)
    while not over.is_set():
        offsets, lines = {}, []
        for message in consumer.consume(500, timeout=0.3):
            if message.error():
                failed(KafkaException(message.error()))
                continue
            lines.append(given(message.partition(), message.offset(), message.key(), message.value()))
            offsets[message.partition()] = message.offset() + 1
        if not offsets:
            continue
        tell(*lines)
        try:
            answers = consumer.commit(
                offsets=[TopicPartition(topic, partition, offset) for partition, offset in offsets.items()], asynchronous=False)
            committed({one.partition: one.offset for one in answers if one.error is None})
        except KafkaException as error:
            failed(error)
    consumer.close()


async def aiokafka(bootstrap, topic, group):
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.errors import KafkaError

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            assigned([])

        def on_partitions_assigned(self, partitions):
            assigned([one.partition for one in partitions])

    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, session_timeout_ms=6000, heartbeat_interval_ms=500,
        enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=200,
        partition_assignment_strategy=[RangePartitionAssignor])
    consumer.subscribe([topic], listener=Listener())
    while not over.is_set():
        try:
            await consumer.start()
            break
        except KafkaError as error:
            failed(error)
            await asyncio.sleep(0.3)
    while not over.is_set():
        try:
            batches = await consumer.getmany(timeout_ms=300)
            offsets = {place.partition: messages[-1].offset + 1 for place, messages in batches.items() if messages}
            if not offsets:
                continue
            tell(*(given(place.partition, one.offset, one.key, one.value)
                   for place, messages in batches.items() for one in messages))
            await asyncio.wait_for(
                consumer.commit({TopicPartition(topic, partition): offset for partition, offset in offsets.items()}), 5)
            committed(offsets)
        except (KafkaError, asyncio.TimeoutError) as error:
            failed(error)
    await consumer.stop()


if __name__ == "__main__":
    threading.Thread(target=await_end, daemon=True).start()
    if sys.argv[1] == "confluent":
        confluent(CLASSIC, *sys.argv[2:])
    elif sys.argv[1] == "confluent-consumer":
        confluent({"group.protocol": "consumer"}, *sys.argv[2:])
    else:
        asyncio.run(aiokafka(*sys.argv[2:]))
