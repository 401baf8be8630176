"""Reads a topic from its beginning to its end, without a group: every partition is assigned by hand.

    pip install confluent-kafka
    python consumer.py 127.0.0.1:9092 orders
"""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

bootstrap, topic = sys.argv[1:]
consumer = Consumer({
    "bootstrap.servers": bootstrap,
    # The library asks for a name; a group is joined only by subscribe().
    "group.id": "example",
    "enable.auto.commit": False,
    # Says when a partition has no more records for now.
    "enable.partition.eof": True,
})
partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
left = set(partitions)
while left:
    message = consumer.poll(10)
    if message is None:
        sys.exit("nothing came for 10 s")
    if message.error() is None:
        json.loads(message.value())
        print(f"got {message.key().decode()} partition {message.partition()} offset {message.offset()}")
    elif message.error().code() == KafkaError._PARTITION_EOF:
        left.discard(message.partition())
    else:
        sys.exit(str(message.error()))
consumer.close()
