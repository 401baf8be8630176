"""Groups of the consumer protocol (KIP-848) as librdkafka speaks it: the part `group` of CORPUS.md for confluent-kafka."""

import time

from confluent_kafka import Consumer, Producer

PARTITIONS, RECORDS, MORE = 4, 100, 8


class Places:
    """The names and the members of one run."""

    def __init__(self, client, name, run):
        self.client = client
        self.group = f"{run}-{name}-consumers"
        self.first, self.later = f"{self.group}-a", f"{self.group}-b"
        self.taken = {}

    def member(self, topics, **more):
        extra = {name.replace("_", "."): value for name, value in more.items()}
        consumer = Consumer({
            **self.client.bootstrap, **extra,
            "group.id": self.group,
            "group.protocol": "consumer",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": 1000,
        })
        consumer.subscribe(topics)
        self.taken[id(consumer)] = []
        return consumer

    def got(self, consumer, topic=None):
        return [one for one in self.taken[id(consumer)] if topic in (None, one[0])]

    def drive(self, members, done, seconds=30):
        """Lets the members poll until `done` says so; a complaint if it never does."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                seen = [(len(one.assignment()), len(self.got(one))) for one in members]
                return f"not done in {seconds} s; partitions and records of the members: {seen}"
            for one in members:
                for message in one.consume(500, timeout=0.05):
                    if message.error():
                        return f"{message.error()}"
                    place = (message.topic(), message.partition(), message.offset())
                    self.taken[id(one)].append(place)
        return None

    def linger(self, members, seconds):
        end = time.monotonic() + seconds
        return self.drive(members, lambda: time.monotonic() > end, seconds + 5)

    def write(self, topic, records):
        producer = Producer({**self.client.bootstrap})
        failed = []
        for i in range(records):
            producer.produce(topic, value=str(i), partition=i % PARTITIONS,
                             on_delivery=lambda error, _: failed.append(error) if error else None)
        left = producer.flush(30)
        if left or failed:
            raise TimeoutError(f"{left} records without an answer, failed: {failed[:3]}")

    async def offsets(self):
        found = await self.client.group_offsets(self.group)
        return {partition: offset for (topic, partition), offset in found.items() if topic == self.first}


def play(client, name, run):
    """Checks and what they do, in order."""
    at = Places(client, name, run)
    members = []

    async def alone():
        await client.create(at.first, PARTITIONS, {})
        at.write(at.first, RECORDS)
        members.append(at.member([at.first], group_instance_id="instance-a"))
        late = at.drive(members, lambda: len(at.got(members[0])) >= RECORDS)
        if late:
            return late
        members[0].commit(asynchronous=False)
        found = await at.offsets()
        want = {p: RECORDS // PARTITIONS for p in range(PARTITIONS)}
        return None if found == want else f"committed {found}"

    async def shared():
        members.append(at.member([f"^{at.group}-[ab]"]))
        return at.drive(members, lambda: all(len(one.assignment()) == PARTITIONS // 2 for one in members))

    async def made_later():
        await client.create(at.later, PARTITIONS, {})
        at.write(at.later, RECORDS)
        return at.drive(members, lambda: len(at.got(members[1], at.later)) >= RECORDS)

    async def described():
        # A member hears of its assignment one heartbeat after the broker knows it.
        deadline = time.monotonic() + 20
        while True:
            late = at.linger(members, 0.1)
            state, found = await client.group_state(at.group)
            want = sorted(sorted((p.topic, p.partition) for p in one.assignment()) for one in members)
            if late or (state, found) == ("Stable", want):
                return late
            if time.monotonic() > deadline:
                return f"want Stable and {want}, got {state} and {found}"

    async def leaves():
        members.pop().close()
        return at.drive(members, lambda: len(members[0].assignment()) == PARTITIONS)

    async def comes_back():
        members.pop().close()
        members.append(at.member([at.first], group_instance_id="instance-a"))
        late = at.drive(members, lambda: len(members[0].assignment()) == PARTITIONS)
        late = late or at.linger(members, 0.7)
        old = at.got(members[0])
        return late or (f"{len(old)} old records" if old else None)

    async def end():
        members.pop().close()
        return None

    acts = [
        ("one member reads everything and commits", alone),
        ("a second member with a pattern shares", shared),
        ("a topic that is made later and matches is read", made_later),
        ("describe the live group", described),
        ("a member leaves and the other takes over", leaves),
        ("a static member is away and comes back", comes_back),
        ("the last one closes", end),
    ]
    return [(f"consumer protocol: {what}", act()) for what, act in acts]


def committed(client, name, run):
    """The same after the broker was killed."""
    at = Places(client, name, run)

    async def goes_on():
        at.write(at.first, MORE)
        # In the place of the one that was away when the broker was killed.
        member = at.member([at.first], group_instance_id="instance-a")
        try:
            late = at.drive([member], lambda: len(at.got(member)) >= MORE) or at.linger([member], 0.3)
            old = [one for one in at.got(member) if one[2] < RECORDS // PARTITIONS]
            if late or old:
                return late or f"old records: {old[:5]}"
            member.commit(asynchronous=False)
        finally:
            member.close()
        found = await at.offsets()
        want = {p: (RECORDS + MORE) // PARTITIONS for p in range(PARTITIONS)}
        return None if found == want else f"committed {found}"

    return [("consumer protocol: a member goes on from the committed offsets", goes_on())]
