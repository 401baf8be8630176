"""The corpus of CORPUS.md, in Python."""

from dataclasses import dataclass

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
STREAMS = CODECS + ["acks1", "acks0", "big"]
BIG_BATCH_BYTES = 8_388_682
BIG_VALUE_BYTES = 8_388_608
DIGEST = 0xB5B84CE0
MASK = 0xFFFFFFFF


@dataclass
class Record:
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int | None  # None: the writer could not choose it


def records(stream):
    return {"big": 1, "acks0": 30, "acks1": 30}.get(stream, 240)


def partitions(stream):
    return 1 if stream == "big" else 3


def profile(writer):
    return {"kcat": "text", "kafkajs": "filled", "kafkapython": "filled", "aiokafka": "filled"}.get(writer, "full")


def fnv(data):
    hashed = 0x811C9DC5
    for byte in data:
        hashed = ((hashed ^ byte) * 0x01000193) & MASK
    return hashed


def seed(writer, stream):
    return fnv(f"{writer}/{stream}".encode())


def mix(x):
    x ^= x >> 16
    x = (x * 0x85EBCA6B) & MASK
    x ^= x >> 13
    x = (x * 0xC2B2AE35) & MASK
    return x ^ (x >> 16)


class Random:
    def __init__(self, seed, i, letters):
        self.state = mix(seed ^ mix((i + 1) & MASK)) or 0x9E3779B9
        self.letters = letters

    def next(self):
        x = self.state
        x ^= (x << 13) & MASK
        x ^= x >> 17
        x ^= (x << 5) & MASK
        self.state = x
        return x

    def bytes(self, count):
        drawn = (self.next() >> 24 for _ in range(count))
        return bytes(97 + byte % 26 for byte in drawn) if self.letters else bytes(drawn)

    def repeated(self, length, period):
        block = self.bytes(min(length, period))
        return (block * (length // len(block) + 1))[:length]


def record(seed, i, base, profile):
    text = profile == "text"
    random = Random(seed, i, text)
    empty = None if text else b""
    if i % 5 == 0:
        key = None
    elif i % 5 == 1:
        key = empty
    else:
        key = random.bytes(1 + random.next() % 32)
    if i == 0:
        length = 1
    elif i % 80 == 50:
        length = 1_000_000
    elif i % 40 == 21:
        length = 100_000
    elif i % 7 == 3:
        length = None
    elif i % 7 == 4:
        length = 0
    elif i % 8 == 5:
        length = 1000 + random.next() % 9000
    else:
        length = 1 + random.next() % 200
    if length is None:
        value = None
    elif length == 0:
        value = empty
    else:
        value = random.repeated(length, 251 if i % 2 else 65_521)
    if profile == "filled" and key is None and value is None:
        value = b""
    if text:
        headers = [("profile", b"text")]
    else:
        headers = []
        for h in range(i % 4):
            name = "h\u00e9" if h == 2 else "h0"
            kind = (i + h) % 6
            if kind == 5 and profile == "full":
                headers.append((name, None))
            elif kind >= 4:
                headers.append((name, b""))
            else:
                headers.append((name, random.bytes(1 + random.next() % 20)))
    return Record(key, value, headers, None if text else base + timestamp_delta(i))


def timestamp_delta(i):
    return 100 * i - (450 if i % 10 == 9 else 0)


def big(writer, base, extra):
    text = profile(writer) == "text"
    random = Random(seed(writer, "big"), 0, text)
    return Record(None, random.repeated(BIG_VALUE_BYTES + extra, 65_521), [], None if text else base)


def expected(writer, stream, i, base):
    return big(writer, base, 0) if stream == "big" else record(seed(writer, stream), i, base, profile(writer))


def times(partition, base):
    """The look-ups by time on a partition of the stream `none`: (timestamp, offset or -1)."""
    of = [base + timestamp_delta(i) for i in range(partition, records("none"), 3)]
    third = len(of) // 3
    asked = [base, of[third] + 1, of[2 * third] + 1, base + 10_000_000]
    return [(t, next((n for n, at in enumerate(of) if at >= t), -1)) for t in asked]


def difference(want, got):
    def brief(data):
        return "null" if data is None else f"{len(data)} bytes, fnv {fnv(data):08x}"

    if want.key != got.key:
        return f"key: want {brief(want.key)}, got {brief(got.key)}"
    if want.value != got.value:
        return f"value: want {brief(want.value)}, got {brief(got.value)}"
    if want.headers != got.headers:
        return f"headers: want {want.headers}, got {got.headers}"
    if want.timestamp is not None and want.timestamp != got.timestamp:
        return f"timestamp: want {want.timestamp}, got {got.timestamp}"
    return None


def digest():
    out = bytearray()

    def put(data):
        out.extend((-1 if data is None else len(data)).to_bytes(4, "big", signed=True))
        out.extend(data or b"")

    for i in range(60):
        one = record(1, i, 0, "full")
        put(one.key)
        put(one.value)
        out.extend(len(one.headers).to_bytes(4, "big"))
        for name, value in one.headers:
            put(name.encode())
            put(value)
        out.extend(one.timestamp.to_bytes(8, "big", signed=True))
    return fnv(out)
