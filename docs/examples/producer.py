"""Writes ten orders and waits until each one is on the broker's disk.

    pip install confluent-kafka
    python producer.py 127.0.0.1:9092 orders
"""

import json
import sys

from confluent_kafka import Producer

bootstrap, topic = sys.argv[1:]
producer = Producer({
    "bootstrap.servers": bootstrap,
    # The three lines that make a producer safe: no loss, no duplicates, no reordering.
    "acks": "all",
    "enable.idempotence": True,
    "delivery.timeout.ms": 120_000,
    "compression.type": "lz4",
})


def delivered(error, message):
    if error:
        sys.exit(f"not delivered: {error}")
    print(f"acknowledged {message.key().decode()} partition {message.partition()} offset {message.offset()}")


for number in range(10):
    order = {"order": number, "amount": 100 + number}
    producer.produce(topic, key=f"customer-{number % 3}", value=json.dumps(order), on_delivery=delivered)
    producer.poll(0)
if producer.flush(60):
    sys.exit("some orders have no answer after 60 s")
