import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * kafka-clients as a member of the storm (STORM.md), with the classic protocol (cooperative) or the consumer protocol (KIP-848).
 *
 * <pre>
 *     java Storm classic|consumer BOOTSTRAP TOPIC GROUP
 * </pre>
 */
public final class Storm implements ConsumerRebalanceListener {
    private final TreeSet<Integer> has = new TreeSet<>();

    private void tell() {
        String all = has.stream().map(String::valueOf).collect(Collectors.joining(","));
        System.out.println("a " + System.currentTimeMillis() + " " + all);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> more) {
        more.forEach(one -> has.add(one.partition()));
        tell();
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> gone) {
        gone.forEach(one -> has.remove(one.partition()));
        tell();
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> config = new HashMap<>(Map.of(
                "group.protocol", arguments[0],
                "bootstrap.servers", arguments[1],
                "group.id", arguments[3],
                "enable.auto.commit", false,
                "auto.offset.reset", "earliest",
                "fetch.max.wait.ms", 200));
        if (arguments[0].equals("classic")) {
            config.put("partition.assignment.strategy", List.of(CooperativeStickyAssignor.class));
            config.put("session.timeout.ms", 6000);
            config.put("heartbeat.interval.ms", 500);
        }
        config.put("reconnect.backoff.max.ms", 500);
        config.put("key.deserializer", StringDeserializer.class);
        config.put("value.deserializer", ByteArrayDeserializer.class);
        var consumer = new KafkaConsumer<String, byte[]>(config);
        Thread ender = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    // Only the end counts.
                }
            } catch (java.io.IOException error) {
                System.out.println("e " + error);
            }
            consumer.wakeup();
        });
        ender.setDaemon(true);
        ender.start();
        try {
            consumer.subscribe(List.of(arguments[2]), new Storm());
            while (true) {
                step(consumer);
            }
        } catch (WakeupException end) {
            consumer.close();
        }
    }

    private static void step(KafkaConsumer<String, byte[]> consumer) {
        try {
            ConsumerRecords<String, byte[]> records = consumer.poll(Duration.ofMillis(300));
            Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
            var out = new StringBuilder();
            for (ConsumerRecord<String, byte[]> one : records) {
                out.append("r ").append(one.partition()).append(' ').append(one.offset()).append(' ')
                        .append(one.key()).append(' ').append(ByteBuffer.wrap(one.value()).getLong()).append('\n');
                next.put(new TopicPartition(one.topic(), one.partition()), new OffsetAndMetadata(one.offset() + 1));
            }
            if (!next.isEmpty()) {
                byte[] bytes = out.toString().getBytes(StandardCharsets.UTF_8);
                System.out.write(bytes, 0, bytes.length);
                System.out.flush();
                consumer.commitSync(next, Duration.ofSeconds(5));
                long now = System.currentTimeMillis();
                next.forEach((at, of) -> System.out.println("c " + now + " " + at.partition() + " " + of.offset()));
            }
        } catch (WakeupException end) {
            throw end;
        } catch (KafkaException error) {
            System.out.println("e " + error.getClass().getSimpleName());
        }
    }

    private Storm() {}
}
