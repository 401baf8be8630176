"""What all three Python clients are asked to do; each of them is a `Client` with the methods used here.

    python CLIENT.py write|admin BOOTSTRAP RUN BASE
    python CLIENT.py read|group|committed BOOTSTRAP RUN BASE WRITER:STREAM,... ...
"""

import asyncio
import json
import sys
import time
import traceback

import corpus

TOPIC_ALREADY_EXISTS, INVALID_CONFIG, INVALID_PARTITIONS = 36, 40, 37
UNKNOWN_TOPIC_OR_PARTITION, MESSAGE_TOO_LARGE = 3, 10


class Refused(Exception):
    """The broker answered with an error code."""

    def __init__(self, code, text=""):
        super().__init__(f"error {code} {text}")
        self.code = code


class Report:
    def __init__(self):
        self.count = 0

    def check(self, name, ok, detail=""):
        self.count += 1
        line = {"check": name, "ok": bool(ok)}
        if not ok:
            line["detail"] = str(detail)[:600]
        print(json.dumps(line), flush=True)

    def end(self):
        print(json.dumps({"end": self.count}), flush=True)


async def attempt(report, name, action):
    """Runs one check; what it raises is its failure. It gives a complaint, or None."""
    started = time.monotonic()
    try:
        complaint = await action
    except Exception as error:  # noqa: BLE001: whatever a client library raises fails this check only
        complaint = f"{type(error).__name__}: {error} {traceback.format_exc(limit=-2)}"
    report.check(name, complaint is None, complaint)
    print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr)


async def refusal(action, code):
    """A complaint unless the broker refuses with this code."""
    try:
        await action
    except Refused as refused:
        return None if refused.code == code else f"want error {code}, got {refused}"
    return f"want error {code}, was accepted"


async def write(client, name, run, base, report):
    for stream in corpus.STREAMS:
        await attempt(report, f"write {stream}", write_stream(client, name, stream, run, base))
    await attempt(report, "one byte over max.message.bytes", write_too_big(client, name, run, base))


async def write_stream(client, name, stream, run, base):
    topic = f"{run}-{name}-{stream}"
    configs = {"retention.ms": "-1"}
    if stream == "big":
        configs["max.message.bytes"] = str(corpus.BIG_BATCH_BYTES)
    parts = corpus.partitions(stream)
    await client.create(topic, parts, configs)
    codec = stream if stream in corpus.CODECS else "none"
    acks = {"acks0": 0, "acks1": 1}.get(stream, -1)
    records = [corpus.expected(name, stream, i, base) for i in range(corpus.records(stream))]
    placed = [(i % parts, record) for i, record in enumerate(records)]
    if acks == 0:
        # What acks=0 loses nobody reports, so each partition must have its leader before the first record.
        await wait_for_ends(client, topic, parts, 0)
    offsets = await client.write(topic, codec, acks, placed)
    if acks == 0:
        return await wait_for_ends(client, topic, parts, len(records) // parts)
    want = [i // parts for i in range(len(records))]
    return None if offsets == want else f"offsets: want dense ones, got {offsets[:50]}"


async def wait_for_ends(client, topic, parts, want):
    # acks=0 has no answer: the records are there when the ends say so.
    deadline = time.monotonic() + 20
    while True:
        ends = [(await client.ends(topic, p))[1] for p in range(parts)]
        if ends == [want] * parts:
            return None
        if time.monotonic() > deadline:
            return f"ends: want {want} each, got {ends}"
        await asyncio.sleep(0.1)


async def write_too_big(client, name, run, base):
    record = corpus.big(name, base, 1)
    return await refusal(client.write(f"{run}-{name}-big", "none", -1, [(0, record)]), MESSAGE_TOO_LARGE)


async def read(client, writers, run, base, report):
    for writer in writers:
        writer, _, streams = writer.partition(":")
        for stream in streams.split(","):
            await attempt(report, f"read {writer} {stream}", read_stream(client, writer, stream, run, base))
            if stream == "none":
                await attempt(report, f"offsets by time {writer}", by_time(client, writer, run, base))


async def read_stream(client, writer, stream, run, base):
    topic = f"{run}-{writer}-{stream}"
    parts = corpus.partitions(stream)
    for partition in range(parts):
        want = range(partition, corpus.records(stream), parts)
        ends = await client.ends(topic, partition)
        if ends != (0, len(want)):
            return f"partition {partition}: want ends (0, {len(want)}), got {ends}"
        got = await client.read(topic, partition, 0, len(want))
        offsets = [offset for offset, _ in got]
        if offsets != list(range(len(want))):
            return f"partition {partition}: want {len(want)} dense offsets, got {offsets[:100]}"
        for i, (offset, record) in zip(want, got):
            complaint = corpus.difference(corpus.expected(writer, stream, i, base), record)
            if complaint:
                return f"partition {partition} offset {offset} (record {i}): {complaint}"
    return None


async def by_time(client, writer, run, base):
    if corpus.profile(writer) == "text":
        # Its timestamps are the writer's clock: all lie between BASE and now.
        for partition in range(3):
            if await client.at(f"{run}-{writer}-none", partition, base) != 0:
                return f"partition {partition}: BASE is not before the first record"
        return None
    for partition in range(3):
        for timestamp, want in corpus.times(partition, base):
            got = await client.at(f"{run}-{writer}-none", partition, timestamp)
            if got != want:
                return f"partition {partition} at BASE + {timestamp - base}: want {want}, got {got}"
    return None


async def admin(client, name, run, base, report):
    topic = f"{run}-{name}-admin"
    configs = {"max.message.bytes": "2000000", "retention.ms": "-1"}

    async def create():
        await client.create(topic, 3, configs)
        found = await eventually(client, topic, lambda seen: seen == 3)
        return None if found == 3 else f"want 3 partitions, metadata says {found}"

    async def grow():
        await client.grow(topic, 5)
        found = await eventually(client, topic, lambda seen: seen == 5)
        return None if found == 5 else f"want 5 partitions, metadata says {found}"

    async def describe():
        found = await client.configs(topic)
        wrong = {k: found.get(k) for k, v in configs.items() if found.get(k) != v}
        return f"want {configs}, got {wrong}" if wrong else None

    async def trim():
        records = [(0, corpus.record(9, i, base, "filled")) for i in range(10)]
        await client.write(topic, "none", -1, records)
        await client.trim(topic, 0, 4)
        ends = await client.ends(topic, 0)
        if ends != (4, 10):
            return f"want ends (4, 10), got {ends}"
        offsets = [offset for offset, _ in await client.read(topic, 0, 4, 10)]
        return None if offsets == list(range(4, 10)) else f"want 4 to 9, got {offsets}"

    async def delete():
        await client.delete(topic)
        found = await eventually(client, topic, lambda seen: seen is None)
        return None if found is None else f"still there with {found} partitions"

    await attempt(report, "create topic", create())
    await attempt(report, "create it again", refusal(client.create(topic, 3, {}), TOPIC_ALREADY_EXISTS))
    bad = client.create(f"{topic}-bad", 1, {"no.such.config": "1"})
    await attempt(report, "create with an unknown config", refusal(bad, INVALID_CONFIG))
    none = client.create(f"{topic}-bad", 0, {})
    await attempt(report, "create with 0 partitions", refusal(none, INVALID_PARTITIONS))
    await attempt(report, "create partitions", grow())
    await attempt(report, "create fewer partitions", refusal(client.grow(topic, 2), INVALID_PARTITIONS))
    await attempt(report, "describe configs", describe())
    await attempt(report, "delete records", trim())
    await attempt(report, "delete topic", delete())
    again = refusal(client.delete(topic), UNKNOWN_TOPIC_OR_PARTITION)
    await attempt(report, "delete it again", again)


async def eventually(client, topic, done):
    """The number of partitions that metadata shows (None: no such topic), once it is as wanted, or after 20 s."""
    deadline = time.monotonic() + 20
    while True:
        found = await client.partitions(topic)
        if done(found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.1)


def main(name, client_type):
    import groups  # it uses this module

    async def run_all():
        verb, bootstrap, run, base, *writers = sys.argv[1:]
        base = int(base)
        report = Report()
        report.check("corpus digest", corpus.digest() == corpus.DIGEST, hex(corpus.digest()))
        client = client_type(bootstrap)
        await client.open()
        try:
            if verb == "write":
                await write(client, name, run, base, report)
            elif verb == "read":
                await read(client, writers, run, base, report)
            elif verb == "admin":
                await admin(client, name, run, base, report)
            elif verb == "group":
                await groups.play(client, name, writers, run, base, report)
            elif verb == "committed":
                await groups.committed(client, name, writers, run, base, report)
            else:
                raise SystemExit(f"no such verb: {verb}")
            for check, action in client.extra(verb, run, base):
                await attempt(report, check, action)
        finally:
            await client.close()
        report.end()

    asyncio.run(run_all())
