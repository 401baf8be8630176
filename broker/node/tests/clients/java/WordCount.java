import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * A Kafka Streams word count, at least once, with a repartition and a changelog topic.
 *
 * <pre>
 *     java WordCount BOOTSTRAP APPLICATION INPUT OUTPUT STATE_FOLDER
 * </pre>
 *
 * Prints one JSON object for every change of its state, closes when its standard input ends, and then prints {"closed": true|false}.
 */
public final class WordCount {
    public static void main(String[] arguments) throws Exception {
        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 500);
        // A closed application leaves its members in the group until their sessions end.
        config.put("session.timeout.ms", 10_000);

        var strings = Serdes.String();
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(arguments[2], Consumed.with(strings, strings))
                .flatMapValues(line -> Arrays.asList(line.toLowerCase(Locale.ROOT).split(" ")))
                .groupBy((key, word) -> word, Grouped.with("words", strings, strings))
                .count(Materialized.as("counts"))
                .toStream()
                .to(arguments[3], Produced.with(strings, Serdes.Long()));

        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        streams.setStateListener((now, before) -> System.out.println("{\"state\": \"" + now + "\"}"));
        streams.setUncaughtExceptionHandler(fault -> {
            System.out.println("{\"fault\": \"" + fault.getClass().getName() + "\"}");
            fault.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        while (System.in.read() >= 0) {
            // Whatever it is told, only the end counts.
        }
        System.out.println("{\"closed\": " + streams.close(Duration.ofSeconds(60)) + "}");
    }

    private WordCount() {}
}
