import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Consumer groups of the classic protocol: the part `group` of CORPUS.md. */
final class Groups {
    /** Where the one partition that is set back is set back to. */
    static final long SET_BACK = 40;

    /** A member: what it has, and what it was given since its last assignment. */
    static final class Member implements ConsumerRebalanceListener, Turns.Member {
        final KafkaConsumer<byte[], byte[]> consumer;
        Set<TopicPartition> assigned = Set.of();
        int assignments;
        List<ConsumerRecord<byte[], byte[]>> taken = new ArrayList<>();

        Member(String bootstrap, String group, Collection<String> topics, String instance) {
            Map<String, Object> config = new HashMap<>(Map.of(
                    "bootstrap.servers", bootstrap,
                    "group.id", group,
                    "group.protocol", "classic",
                    "partition.assignment.strategy", List.of(RangeAssignor.class),
                    "auto.offset.reset", "earliest",
                    "enable.auto.commit", false,
                    "session.timeout.ms", 6000,
                    "heartbeat.interval.ms", 300,
                    "key.deserializer", ByteArrayDeserializer.class,
                    "value.deserializer", ByteArrayDeserializer.class));
            config.put("max.partition.fetch.bytes", 10_000_000);
            if (instance != null) {
                config.put("group.instance.id", instance);
            }
            consumer = new KafkaConsumer<>(config);
            consumer.subscribe(topics, this);
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            // Nothing is committed before everything is read, so whoever gets a partition reads it from its start.
            assigned = new HashSet<>(partitions);
            assignments++;
            taken = new ArrayList<>();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            assigned = Set.of();
            taken = new ArrayList<>();
        }

        @Override
        public void poll() {
            var got = consumer.poll(Duration.ofMillis(50));
            got.forEach(taken::add);
        }

        @Override
        public String toString() {
            return assignments + " assignments, " + assigned.size() + " partitions, " + taken.size() + " records";
        }

        @Override
        public void close() {
            consumer.close();
        }
    }

    final Client client;
    final String group;
    final Map<String, String[]> streams = new LinkedHashMap<>();
    final Map<TopicPartition, Long> ends = new HashMap<>();
    /** What stays committed to the end of the run: one partition set back, the others at their ends. */
    final Map<TopicPartition, Long> left;
    final TopicPartition first;
    final long total;

    Groups(Client client, List<String> words) {
        this.client = client;
        group = client.run + "-" + Client.NAME + "-group";
        for (String word : words) {
            String writer = word.split(":")[0];
            for (String stream : word.split(":")[1].split(",")) {
                String topic = client.run + "-" + writer + "-" + stream;
                streams.put(topic, new String[] {writer, stream});
                int parts = Client.partitions(stream);
                for (int p = 0; p < parts; p++) {
                    ends.put(new TopicPartition(topic, p), (long) (Client.count(stream) / parts));
                }
            }
        }
        first = new TopicPartition(streams.keySet().iterator().next(), 0);
        left = new HashMap<>(ends);
        left.put(first, SET_BACK);
        total = ends.values().stream().mapToLong(Long::longValue).sum();
    }

    Member member(String of, String instance) {
        return new Member(client.bootstrap, of, streams.keySet(), instance);
    }

    String everythingOnce(List<Member> members) {
        Map<TopicPartition, Long> next = new HashMap<>();
        for (Member member : members) {
            for (var got : member.taken) {
                var place = new TopicPartition(got.topic(), got.partition());
                if (!member.assigned.contains(place)) {
                    return place + " came to a member that does not have it";
                }
                long want = next.merge(place, 1L, Long::sum) - 1;
                if (got.offset() != want) {
                    return place + ": want offset " + want + ", got " + got.offset();
                }
                String[] stream = streams.get(got.topic());
                int i = (int) got.offset() * Client.partitions(stream[1]) + got.partition();
                String complaint = Client.difference(Client.expected(stream[0], stream[1], i, client.base), got);
                if (complaint != null) {
                    return place + " offset " + got.offset() + ": " + complaint;
                }
            }
        }
        return next.equals(ends) ? null : "want ends " + ends + ", got " + next;
    }

    String groupIs(String of, String state, List<Member> members) throws Exception {
        var found = client.admin.describeConsumerGroups(List.of(of)).all().get().get(of);
        for (var one : found.members()) {
            String name = one.groupInstanceId().orElse(one.clientId());
            if (!one.consumerId().matches(Pattern.quote(name) + "-[0-9a-f-]{36}")) {
                return "the member id " + one.consumerId() + " is not " + name + " and a UUID";
            }
        }
        Set<Set<TopicPartition>> got = new HashSet<>();
        found.members().forEach(one -> got.add(one.assignment().topicPartitions()));
        Set<Set<TopicPartition>> want = new HashSet<>();
        members.forEach(one -> want.add(one.assigned));
        boolean good = found.groupState().toString().equals(state) && found.members().size() == members.size() && got.equals(want);
        return good ? null : "want " + state + " with " + want + ", got " + found;
    }

    String offsetsAre(String of, Map<TopicPartition, Long> want) throws Exception {
        Map<TopicPartition, Long> got = new HashMap<>();
        client.admin.listConsumerGroupOffsets(of).partitionsToOffsetAndMetadata().get()
                .forEach((place, offset) -> got.put(place, offset == null ? -1 : offset.offset()));
        return got.equals(want) ? null : "want offsets " + want + ", got " + got;
    }

    void commit(String of, TopicPartition place, long offset) throws Exception {
        client.admin.alterConsumerGroupOffsets(of, Map.of(place, new OffsetAndMetadata(offset))).all().get();
    }

    boolean isListed(String of) throws Exception {
        return client.admin.listGroups().all().get().stream().anyMatch(one -> one.groupId().equals(of));
    }

    Object delete(String of) throws Exception {
        return client.admin.deleteConsumerGroups(List.of(of)).all().get();
    }

    void play() {
        List<Member> pair = new ArrayList<>();
        Client.attempt("two members read everything once", () -> {
            pair.add(member(group, null));
            pair.add(member(group, null));
            String late = Turns.drive(() -> pair.stream().noneMatch(one -> one.assigned.isEmpty())
                    && pair.stream().mapToLong(one -> one.taken.size()).sum() >= total, pair);
            if (late != null) {
                return late;
            }
            Turns.linger(200, pair);
            return everythingOnce(pair);
        });
        Client.attempt("describe the live group", () -> groupIs(group, "Stable", pair));
        Client.attempt("delete the live group", () -> Client.refused(Errors.NON_EMPTY_GROUP, () -> delete(group)));
        Client.attempt("commit and leave", () -> {
            try {
                pair.forEach(one -> one.consumer.commitSync());
            } finally {
                pair.forEach(Member::close);
            }
            String complaint = groupIs(group, "Empty", List.of());
            return complaint == null ? offsetsAre(group, ends) : complaint;
        });
        Client.attempt("list groups", () -> isListed(group) ? null : "it is not listed");
        Client.attempt("the next member gets nothing old", () -> {
            try (Member one = member(group, null)) {
                String late = Turns.drive(() -> one.assigned.size() == ends.size(), List.of(one));
                Turns.linger(700, List.of(one));
                return late != null || one.taken.isEmpty() ? late : one.taken.size() + " records";
            }
        });
        Client.attempt("offsets set back", () -> {
            commit(group, first, SET_BACK);
            try (Member one = member(group, null)) {
                long want = ends.get(first) - SET_BACK;
                String late = Turns.drive(() -> one.taken.size() >= want, List.of(one));
                if (late != null) {
                    return late;
                }
                Turns.linger(200, List.of(one));
                for (int n = 0; n < one.taken.size(); n++) {
                    var got = one.taken.get(n);
                    if (n >= want || got.offset() != SET_BACK + n || !got.topic().equals(first.topic()) || got.partition() != 0) {
                        return "record " + n + ": " + got.topic() + "/" + got.partition() + " offset " + got.offset();
                    }
                }
            }
            return offsetsAre(group, left);
        });
        Client.attempt("offsets of an unknown group", () -> offsetsAre(group + "-none", Map.of()));
        Client.attempt("delete an unknown group",
                () -> Client.refused(Errors.GROUP_ID_NOT_FOUND, () -> delete(group + "-none")));
        Client.attempt("delete an empty group", () -> {
            String other = group + "-gone";
            var place = new TopicPartition(first.topic(), 1);
            commit(other, place, 7);
            String complaint = offsetsAre(other, Map.of(place, 7L));
            if (complaint != null) {
                return complaint;
            }
            delete(other);
            return isListed(other) ? "it is still listed" : offsetsAre(other, Map.of());
        });
        Client.attempt("a static member comes back", () -> comesBack(group + "-static"));
    }

    String comesBack(String of) {
        try (Member other = member(of, "instance-b")) {
            Set<TopicPartition> had;
            Set<TopicPartition> kept;
            int before;
            try (Member one = member(of, "instance-a")) {
                String late = Turns.drive(() -> !one.assigned.isEmpty() && !other.assigned.isEmpty()
                        && one.assigned.size() + other.assigned.size() == ends.size(), List.of(one, other));
                if (late != null) {
                    return late;
                }
                had = one.assigned;
                kept = other.assigned;
                before = other.assignments;
            }
            try (Member again = member(of, "instance-a")) {
                String late = Turns.drive(() -> !again.assigned.isEmpty(), List.of(again, other));
                if (late != null) {
                    return late;
                }
                // Longer than the heartbeats by which a member learns of a rebalance.
                Turns.linger(1000, List.of(again, other));
                if (!again.assigned.equals(had)) {
                    return "had " + had + ", has " + again.assigned;
                }
                boolean still = other.assignments == before && other.assigned.equals(kept);
                return still ? null : "the other member was rebalanced: " + (other.assignments - before) + " assignments";
            }
        }
    }

    /** After the broker was killed: what {@link #play} left is still there. */
    void committed() {
        Client.attempt("committed offsets", () -> offsetsAre(group, left));
        Client.attempt("the group is empty", () -> groupIs(group, "Empty", List.of()));
    }
}
