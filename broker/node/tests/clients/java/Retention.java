import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Where partition 0 of a topic begins, as kafka-clients sees it.
 *
 * <pre>
 *     java Retention BOOTSTRAP create TOPIC NAME=VALUE,...   makes it, with one partition
 *     java Retention BOOTSTRAP write TOPIC RECORDS BYTES     prints {"first": OFFSET, "last": OFFSET}
 *     java Retention BOOTSTRAP delete TOPIC OFFSET           deletes below; -1 deletes all; prints {"low": OFFSET}
 *     java Retention BOOTSTRAP look TOPIC                    prints {"earliest", "latest", "first", "below", "size"}
 * </pre>
 *
 * "first" is the offset of the first record that a consumer is given, -1 without one; "below" is what it is told one offset below
 * the earliest one: "refused", "served", or "none" where there is none below; "size" is that of DescribeLogDirs.
 */
public final class Retention {
    private final Map<String, Object> to;
    private final String topic;
    private final TopicPartition place;

    private Retention(String bootstrap, String topic) {
        this.to = Map.of("bootstrap.servers", bootstrap);
        this.topic = topic;
        this.place = new TopicPartition(topic, 0);
    }

    private void create(String configs) throws Exception {
        Map<String, String> all = new java.util.HashMap<>();
        for (String config : configs.split(",")) {
            String[] parts = config.split("=", 2);
            all.put(parts[0], parts[1]);
        }
        try (Admin admin = Admin.create(to)) {
            var one = new org.apache.kafka.clients.admin.NewTopic(topic, 1, (short) 1).configs(all);
            admin.createTopics(List.of(one)).all().get();
        }
    }

    private void write(int records, int bytes) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(to, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < records; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, 0, null, new byte[bytes])));
            }
        }
        long first = sent.get(0).get().offset();
        System.out.printf("{\"first\": %d, \"last\": %d}%n", first, sent.get(records - 1).get().offset());
    }

    private void delete(long offset) throws Exception {
        try (Admin admin = Admin.create(to)) {
            var result = admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(offset)));
            System.out.printf("{\"low\": %d}%n", result.lowWatermarks().get(place).get().lowWatermark());
        }
    }

    /** Asks every API. Where the log begins may change between two of them, and then all are asked again. */
    private void look() throws Exception {
        while (true) {
            long earliest = offset(OffsetSpec.earliest());
            long latest = offset(OffsetSpec.latest());
            long size = size();
            String below = earliest == 0 ? "none" : below(earliest - 1);
            long first = first(earliest < latest);
            if (offset(OffsetSpec.earliest()) == earliest) {
                System.out.printf(
                        "{\"earliest\": %d, \"latest\": %d, \"first\": %d, \"below\": \"%s\", \"size\": %d}%n",
                        earliest, latest, first, below, size);
                return;
            }
        }
    }

    private long offset(OffsetSpec spec) throws Exception {
        try (Admin admin = Admin.create(to)) {
            return admin.listOffsets(Map.of(place, spec)).partitionResult(place).get().offset();
        }
    }

    private long size() throws Exception {
        try (Admin admin = Admin.create(to)) {
            int node = admin.describeCluster().controller().get().id();
            return admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node).values().stream()
                    .filter(dir -> dir.replicaInfos().containsKey(place))
                    .mapToLong(dir -> dir.replicaInfos().get(place).size())
                    .sum();
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Map<String, Object> config = new java.util.HashMap<>(to);
        config.put("auto.offset.reset", "none");
        var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.assign(List.of(place));
        return consumer;
    }

    private String below(long offset) {
        try (var consumer = consumer()) {
            consumer.seek(place, offset);
            for (int turn = 0; turn < 10; turn++) {
                if (!consumer.poll(Duration.ofMillis(500)).isEmpty()) {
                    return "served";
                }
            }
            return "nothing";
        } catch (OffsetOutOfRangeException refused) {
            return "refused";
        }
    }

    private long first(boolean any) {
        try (var consumer = consumer()) {
            consumer.seekToBeginning(List.of(place));
            for (int turn = 0; turn < (any ? 20 : 2); turn++) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    return record.offset();
                }
            }
            return -1;
        } catch (OffsetOutOfRangeException moved) {
            // The beginning that it was told is none any more.
            return -1;
        }
    }

    public static void main(String[] arguments) throws Exception {
        var retention = new Retention(arguments[0], arguments[2]);
        switch (arguments[1]) {
            case "create" -> retention.create(arguments[3]);
            case "write" -> retention.write(Integer.parseInt(arguments[3]), Integer.parseInt(arguments[4]));
            case "delete" -> retention.delete(Long.parseLong(arguments[3]));
            case "look" -> retention.look();
            default -> throw new IllegalArgumentException(arguments[1]);
        }
    }
}
