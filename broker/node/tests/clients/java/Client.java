import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * kafka-clients: writes and reads the corpus of CORPUS.md, and administers topics.
 *
 * <pre>
 *     java Client write|admin BOOTSTRAP RUN BASE
 *     java Client read|group|committed BOOTSTRAP RUN BASE WRITER:STREAM,... ...
 * </pre>
 */
public final class Client {
    static final String NAME = "java";
    static final int DIGEST = 0xb5b84ce0;
    static final int BIG_BATCH_BYTES = 8_388_682;
    static final int BIG_VALUE_BYTES = 8_388_608;
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static final List<String> STREAMS = List.of("none", "gzip", "snappy", "lz4", "zstd", "acks1", "acks0", "big");

    // ---- the corpus

    record Head(String name, byte[] value) {}

    record Entry(byte[] key, byte[] value, List<Head> headers, Long timestamp) {}

    static int count(String stream) {
        return stream.equals("big") ? 1 : stream.startsWith("acks") ? 30 : 240;
    }

    static int partitions(String stream) {
        return stream.equals("big") ? 1 : 3;
    }

    static String profile(String writer) {
        return switch (writer) {
            case "kcat" -> "text";
            case "kafkajs", "kafkapython", "aiokafka" -> "filled";
            default -> "full";
        };
    }

    static int fnv(byte[] bytes) {
        int hash = 0x811c9dc5;
        for (byte one : bytes) {
            hash = (hash ^ (one & 0xff)) * 0x01000193;
        }
        return hash;
    }

    static int seed(String writer, String stream) {
        return fnv((writer + "/" + stream).getBytes(StandardCharsets.UTF_8));
    }

    static int mix(int x) {
        x ^= x >>> 16;
        x *= 0x85ebca6b;
        x ^= x >>> 13;
        x *= 0xc2b2ae35;
        return x ^ (x >>> 16);
    }

    static final class Random {
        private int state;
        private final boolean letters;

        Random(int seed, int i, boolean letters) {
            state = mix(seed ^ mix(i + 1));
            if (state == 0) {
                state = 0x9e3779b9;
            }
            this.letters = letters;
        }

        int next() {
            state ^= state << 13;
            state ^= state >>> 17;
            state ^= state << 5;
            return state;
        }

        int below(int bound) {
            return Integer.remainderUnsigned(next(), bound);
        }

        byte[] bytes(int count) {
            byte[] out = new byte[count];
            for (int k = 0; k < count; k++) {
                int drawn = next() >>> 24;
                out[k] = (byte) (letters ? 'a' + drawn % 26 : drawn);
            }
            return out;
        }

        byte[] repeated(int length, int period) {
            byte[] block = bytes(Math.min(length, period));
            byte[] out = new byte[length];
            for (int at = 0; at < length; at += block.length) {
                System.arraycopy(block, 0, out, at, Math.min(block.length, length - at));
            }
            return out;
        }
    }

    static Entry entry(int seed, int i, long base, String profile) {
        boolean text = profile.equals("text");
        Random random = new Random(seed, i, text);
        byte[] empty = text ? null : new byte[0];
        byte[] key = i % 5 == 0 ? null : i % 5 == 1 ? empty : random.bytes(1 + random.below(32));
        int length;
        if (i == 0) {
            length = 1;
        } else if (i % 80 == 50) {
            length = 1_000_000;
        } else if (i % 40 == 21) {
            length = 100_000;
        } else if (i % 7 == 3) {
            length = -1;
        } else if (i % 7 == 4) {
            length = 0;
        } else if (i % 8 == 5) {
            length = 1000 + random.below(9000);
        } else {
            length = 1 + random.below(200);
        }
        byte[] value = length < 0 ? null : length == 0 ? empty : random.repeated(length, i % 2 == 1 ? 251 : 65_521);
        if (profile.equals("filled") && key == null && value == null) {
            value = new byte[0];
        }
        List<Head> headers = new ArrayList<>();
        if (text) {
            headers.add(new Head("profile", "text".getBytes(StandardCharsets.UTF_8)));
        } else {
            for (int h = 0; h < i % 4; h++) {
                int kind = (i + h) % 6;
                byte[] of = kind == 5 && profile.equals("full") ? null
                        : kind >= 4 ? new byte[0]
                        : random.bytes(1 + random.below(20));
                headers.add(new Head(h == 2 ? "h\u00e9" : "h0", of));
            }
        }
        return new Entry(key, value, headers, text ? null : base + delta(i));
    }

    static long delta(int i) {
        return 100L * i - (i % 10 == 9 ? 450 : 0);
    }

    static Entry big(String writer, long base, int extra) {
        boolean text = profile(writer).equals("text");
        Random random = new Random(seed(writer, "big"), 0, text);
        return new Entry(null, random.repeated(BIG_VALUE_BYTES + extra, 65_521), List.of(), text ? null : base);
    }

    static Entry expected(String writer, String stream, int i, long base) {
        return stream.equals("big") ? big(writer, base, 0) : entry(seed(writer, stream), i, base, profile(writer));
    }

    static int digest() throws Exception {
        var bytes = new java.io.ByteArrayOutputStream();
        var out = new java.io.DataOutputStream(bytes);
        for (int i = 0; i < 60; i++) {
            Entry one = entry(1, i, 0, "full");
            put(out, one.key);
            put(out, one.value);
            out.writeInt(one.headers.size());
            for (Head head : one.headers) {
                put(out, head.name.getBytes(StandardCharsets.UTF_8));
                put(out, head.value);
            }
            out.writeLong(one.timestamp);
        }
        return fnv(bytes.toByteArray());
    }

    static void put(java.io.DataOutputStream out, byte[] bytes) throws java.io.IOException {
        out.writeInt(bytes == null ? -1 : bytes.length);
        if (bytes != null) {
            out.write(bytes);
        }
    }

    static String brief(byte[] bytes) {
        return bytes == null ? "null" : bytes.length + " bytes, fnv " + Integer.toHexString(fnv(bytes));
    }

    static String difference(Entry want, ConsumerRecord<byte[], byte[]> got) {
        if (!Arrays.equals(want.key, got.key())) {
            return "key: want " + brief(want.key) + ", got " + brief(got.key());
        }
        if (!Arrays.equals(want.value, got.value())) {
            return "value: want " + brief(want.value) + ", got " + brief(got.value());
        }
        Header[] headers = got.headers().toArray();
        boolean alike = headers.length == want.headers.size();
        for (int h = 0; alike && h < headers.length; h++) {
            Head head = want.headers.get(h);
            alike = head.name.equals(headers[h].key()) && Arrays.equals(head.value, headers[h].value());
        }
        if (!alike) {
            return "headers: want " + want.headers.size() + ", got " + Arrays.toString(headers);
        }
        if (want.timestamp != null && want.timestamp != got.timestamp()) {
            return "timestamp: want " + want.timestamp + ", got " + got.timestamp();
        }
        return null;
    }

    // ---- checks

    static int checks;

    static void attempt(String name, Callable<String> action) {
        String complaint;
        try {
            complaint = action.call();
        } catch (Exception error) {
            complaint = error + " at " + Arrays.toString(Arrays.copyOf(error.getStackTrace(), 4));
        }
        checks++;
        if (complaint == null) {
            System.out.println("{\"check\": " + quote(name) + ", \"ok\": true}");
        } else {
            String detail = complaint.substring(0, Math.min(600, complaint.length()));
            System.out.println("{\"check\": " + quote(name) + ", \"ok\": false, \"detail\": " + quote(detail) + "}");
        }
    }

    static String quote(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char one : text.toCharArray()) {
            if (one == '"' || one == '\\') {
                out.append('\\').append(one);
            } else if (one < ' ') {
                out.append(String.format("\\u%04x", (int) one));
            } else {
                out.append(one);
            }
        }
        return out.append('"').toString();
    }

    static String refused(Errors want, Callable<?> action) throws Exception {
        try {
            action.call();
        } catch (ExecutionException error) {
            Errors got = Errors.forException(error.getCause());
            return got == want ? null : "want " + want + ", got " + error.getCause();
        }
        return "want " + want + ", was accepted";
    }

    static <T> String eventually(T want, Callable<T> ask) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (true) {
            T found = ask.call();
            if (Objects.equals(found, want)) {
                return null;
            }
            if (System.nanoTime() > deadline) {
                return "want " + want + ", got " + found;
            }
            Thread.sleep(100);
        }
    }

    final String bootstrap;
    final String run;
    final long base;
    final Admin admin;

    Client(String bootstrap, String run, long base) {
        this.bootstrap = bootstrap;
        this.run = run;
        this.base = base;
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    KafkaConsumer<byte[], byte[]> consumer() {
        return new KafkaConsumer<>(Map.of(
                "bootstrap.servers", bootstrap,
                "auto.offset.reset", "none",
                "enable.auto.commit", false,
                "max.partition.fetch.bytes", 10_000_000,
                "key.deserializer", ByteArrayDeserializer.class,
                "value.deserializer", ByteArrayDeserializer.class));
    }

    void create(String topic, int parts, Map<String, String> configs) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, parts, (short) 1).configs(configs))).all().get();
    }

    List<Long> send(String topic, String codec, String acks, List<Entry> entries, int parts) throws Exception {
        Map<String, Object> config = new HashMap<>(Map.of(
                "bootstrap.servers", bootstrap,
                "acks", acks,
                "enable.idempotence", acks.equals("all"),
                "compression.type", codec,
                "linger.ms", 2,
                "max.request.size", 10_000_000,
                "buffer.memory", 64_000_000,
                "max.in.flight.requests.per.connection", 5,
                "key.serializer", ByteArraySerializer.class,
                "value.serializer", ByteArraySerializer.class));
        List<Long> offsets = new ArrayList<>();
        try (var producer = new KafkaProducer<byte[], byte[]>(config)) {
            List<Future<RecordMetadata>> answers = new ArrayList<>();
            for (int i = 0; i < entries.size(); i++) {
                Entry one = entries.get(i);
                List<Header> headers = new ArrayList<>();
                for (Head head : one.headers) {
                    headers.add(new RecordHeader(head.name, head.value));
                }
                answers.add(producer.send(
                        new ProducerRecord<>(topic, i % parts, one.timestamp, one.key, one.value, headers)));
            }
            for (Future<RecordMetadata> answer : answers) {
                offsets.add(answer.get(60, TimeUnit.SECONDS).offset());
            }
        }
        return offsets;
    }

    void write() {
        for (String stream : STREAMS) {
            attempt("write " + stream, () -> writeStream(stream));
        }
        attempt("one byte over max.message.bytes", () -> refused(Errors.MESSAGE_TOO_LARGE,
                () -> send(run + "-" + NAME + "-big", "none", "all", List.of(big(NAME, base, 1)), 1)));
    }

    String writeStream(String stream) throws Exception {
        String topic = run + "-" + NAME + "-" + stream;
        int parts = partitions(stream);
        Map<String, String> configs = new HashMap<>(Map.of("retention.ms", "-1"));
        if (stream.equals("big")) {
            configs.put("max.message.bytes", String.valueOf(BIG_BATCH_BYTES));
        }
        create(topic, parts, configs);
        try (var consumer = consumer()) {
            // What acks=0 loses nobody reports, so each partition must have its leader before the first record.
            String complaint = eventually(ends(parts, 0), () -> ends(consumer, topic, parts));
            if (complaint != null) {
                return complaint;
            }
            List<Entry> entries = new ArrayList<>();
            List<Long> want = new ArrayList<>();
            for (int i = 0; i < count(stream); i++) {
                entries.add(expected(NAME, stream, i, base));
                want.add((long) (i / parts));
            }
            String acks = stream.equals("acks0") ? "0" : stream.equals("acks1") ? "1" : "all";
            List<Long> offsets = send(topic, CODECS.contains(stream) ? stream : "none", acks, entries, parts);
            if (!acks.equals("0") && !offsets.equals(want)) {
                return "offsets: want dense ones, got " + offsets;
            }
            return eventually(ends(parts, entries.size() / parts), () -> ends(consumer, topic, parts));
        }
    }

    static List<String> ends(int parts, long end) {
        List<String> out = new ArrayList<>();
        for (int partition = 0; partition < parts; partition++) {
            out.add("0-" + end);
        }
        return out;
    }

    static List<String> ends(KafkaConsumer<byte[], byte[]> consumer, String topic, int parts) {
        List<TopicPartition> all = new ArrayList<>();
        for (int partition = 0; partition < parts; partition++) {
            all.add(new TopicPartition(topic, partition));
        }
        var first = consumer.beginningOffsets(all);
        var last = consumer.endOffsets(all);
        List<String> out = new ArrayList<>();
        for (TopicPartition one : all) {
            out.add(first.get(one) + "-" + last.get(one));
        }
        return out;
    }

    void read(List<String> writers) {
        try (var consumer = consumer()) {
            for (String asked : writers) {
                String writer = asked.split(":")[0];
                for (String stream : asked.split(":")[1].split(",")) {
                    attempt("read " + writer + " " + stream, () -> readStream(consumer, writer, stream));
                    if (stream.equals("none")) {
                        attempt("offsets by time " + writer, () -> byTime(consumer, writer));
                    }
                }
            }
        }
    }

    String readStream(KafkaConsumer<byte[], byte[]> consumer, String writer, String stream) {
        String topic = run + "-" + writer + "-" + stream;
        int parts = partitions(stream);
        List<String> want = ends(parts, count(stream) / parts);
        if (!ends(consumer, topic, parts).equals(want)) {
            return "want ends " + want + ", got " + ends(consumer, topic, parts);
        }
        List<TopicPartition> all = new ArrayList<>();
        for (int partition = 0; partition < parts; partition++) {
            all.add(new TopicPartition(topic, partition));
        }
        consumer.assign(all);
        all.forEach(one -> consumer.seek(one, 0));
        int[] next = new int[parts];
        int left = count(stream);
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (left > 0 && System.nanoTime() < deadline) {
            for (ConsumerRecord<byte[], byte[]> got : consumer.poll(Duration.ofMillis(500))) {
                int partition = got.partition();
                if (got.offset() != next[partition]) {
                    return "partition " + partition + ": want offset " + next[partition] + ", got " + got.offset();
                }
                int i = next[partition] * parts + partition;
                String complaint = difference(expected(writer, stream, i, base), got);
                if (complaint != null) {
                    return "partition " + partition + " offset " + got.offset() + " (record " + i + "): " + complaint;
                }
                next[partition]++;
                left--;
            }
        }
        return left == 0 ? null : left + " records did not come";
    }

    String byTime(KafkaConsumer<byte[], byte[]> consumer, String writer) {
        for (int partition = 0; partition < 3; partition++) {
            var one = new TopicPartition(run + "-" + writer + "-none", partition);
            List<Long> of = new ArrayList<>();
            for (int i = partition; i < 240; i += 3) {
                of.add(base + delta(i));
            }
            int third = of.size() / 3;
            // The timestamps of the text profile are the writer's clock: all lie between BASE and now.
            List<Long> asked = profile(writer).equals("text")
                    ? List.of(base)
                    : List.of(base, of.get(third) + 1, of.get(2 * third) + 1, base + 10_000_000);
            for (long timestamp : asked) {
                long want = -1;
                for (int n = of.size() - 1; n >= 0; n--) {
                    want = of.get(n) >= timestamp ? n : want;
                }
                var found = consumer.offsetsForTimes(Map.of(one, timestamp)).get(one);
                long got = found == null ? -1 : found.offset();
                if (got != want) {
                    return "partition " + partition + " at BASE + " + (timestamp - base) + ": want " + want + ", got " + got;
                }
            }
        }
        return null;
    }

    Integer partitionsOf(String topic) throws Exception {
        return admin.listTopics().names().get().contains(topic)
                ? (Integer) admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size()
                : null;
    }

    String configOf(String topic, String name) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name).value();
    }

    void administer() {
        String topic = run + "-" + NAME + "-admin";
        Map<String, String> configs = Map.of("max.message.bytes", "2000000", "retention.ms", "-1");
        attempt("describe cluster", () -> {
            var cluster = admin.describeCluster();
            int nodes = cluster.nodes().get().size();
            return nodes == 1 && cluster.controller().get() != null && !cluster.clusterId().get().isEmpty()
                    ? null
                    : nodes + " nodes, controller " + cluster.controller().get();
        });
        attempt("create topic", () -> {
            create(topic, 3, configs);
            return eventually(3, () -> partitionsOf(topic));
        });
        attempt("create it again", () -> refused(Errors.TOPIC_ALREADY_EXISTS, () -> {
            create(topic, 3, Map.of());
            return null;
        }));
        attempt("create with an unknown config", () -> refused(Errors.INVALID_CONFIG, () -> {
            create(topic + "-bad", 1, Map.of("no.such.config", "1"));
            return null;
        }));
        attempt("create with 0 partitions", () -> refused(Errors.INVALID_PARTITIONS, () -> {
            create(topic + "-bad", 0, Map.of());
            return null;
        }));
        attempt("create partitions", () -> {
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
            return eventually(5, () -> partitionsOf(topic));
        });
        attempt("create fewer partitions", () -> refused(Errors.INVALID_PARTITIONS,
                () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get()));
        attempt("describe configs", () -> {
            for (var one : configs.entrySet()) {
                String found = configOf(topic, one.getKey());
                if (!one.getValue().equals(found)) {
                    return one.getKey() + ": want " + one.getValue() + ", got " + found;
                }
            }
            return null;
        });
        attempt("delete records", () -> {
            List<Entry> entries = new ArrayList<>();
            for (int i = 0; i < 10; i++) {
                entries.add(entry(9, i, base, "filled"));
            }
            send(topic, "none", "all", entries, 1);
            var one = new TopicPartition(topic, 0);
            admin.deleteRecords(Map.of(one, RecordsToDelete.beforeOffset(4))).all().get();
            try (var consumer = consumer()) {
                String complaint = eventually(List.of("4-10"), () -> ends(consumer, topic, 1));
                if (complaint != null) {
                    return complaint;
                }
                consumer.assign(List.of(one));
                consumer.seekToBeginning(List.of(one));
                List<Long> offsets = new ArrayList<>();
                for (int turn = 0; turn < 20 && offsets.size() < 6; turn++) {
                    consumer.poll(Duration.ofMillis(500)).forEach(got -> offsets.add(got.offset()));
                }
                return offsets.equals(List.of(4L, 5L, 6L, 7L, 8L, 9L)) ? null : "want 4 to 9, got " + offsets;
            }
        });
        attempt("delete topic", () -> {
            admin.deleteTopics(List.of(topic)).all().get();
            return eventually(null, () -> partitionsOf(topic));
        });
        attempt("delete it again", () -> refused(Errors.UNKNOWN_TOPIC_OR_PARTITION,
                () -> admin.deleteTopics(List.of(topic)).all().get()));
    }

    public static void main(String[] args) throws Exception {
        attempt("corpus digest", () -> digest() == DIGEST ? null : Integer.toHexString(digest()));
        Client client = new Client(args[1], args[2], Long.parseLong(args[3]));
        switch (args[0]) {
            case "write" -> client.write();
            case "read" -> client.read(Arrays.asList(args).subList(4, args.length));
            case "admin" -> client.administer();
            case "group" -> {
                new Groups(client, Arrays.asList(args).subList(4, args.length)).play();
                new Consumers(client).play();
            }
            case "committed" -> {
                new Groups(client, Arrays.asList(args).subList(4, args.length)).committed();
                new Consumers(client).committed();
            }
            default -> throw new IllegalArgumentException("no such verb: " + args[0]);
        }
        client.admin.close();
        System.out.println("{\"end\": " + checks + "}");
    }
}
