import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;
import org.apache.kafka.common.errors.UnsupportedAssignorException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Groups of the consumer protocol (KIP-848): the part `group` of CORPUS.md, for the clients that speak it. */
final class Consumers {
    static final int PARTITIONS = 4;
    static final int RECORDS = 100;
    static final int MORE = 8;

    /** A member, and what it was given. */
    static final class Member implements Turns.Member {
        final KafkaConsumer<byte[], byte[]> consumer;
        final List<ConsumerRecord<byte[], byte[]>> taken = new ArrayList<>();

        Member(Client client, String group, String... more) {
            Map<String, Object> config = new HashMap<>(Map.of(
                    "bootstrap.servers", client.bootstrap,
                    "group.id", group,
                    "group.protocol", "consumer",
                    "auto.offset.reset", "earliest",
                    "enable.auto.commit", false,
                    "metadata.max.age.ms", 1000,
                    "key.deserializer", ByteArrayDeserializer.class,
                    "value.deserializer", ByteArrayDeserializer.class));
            for (int i = 0; i < more.length; i += 2) {
                config.put(more[i], more[i + 1]);
            }
            consumer = new KafkaConsumer<>(config);
        }

        Member on(String... topics) {
            consumer.subscribe(List.of(topics));
            return this;
        }

        Member matching(String pattern) {
            consumer.subscribe(new SubscriptionPattern(pattern));
            return this;
        }

        Set<TopicPartition> assigned() {
            return consumer.assignment();
        }

        @Override
        public void poll() {
            consumer.poll(Duration.ofMillis(50)).forEach(taken::add);
        }

        @Override
        public String toString() {
            return assigned() + " and " + taken.size() + " records";
        }

        @Override
        public void close() {
            consumer.close();
        }
    }

    final Client client;
    final String group;
    final String first;
    final String later;

    Consumers(Client client) {
        this.client = client;
        group = client.run + "-" + Client.NAME + "-consumers";
        first = group + "-a";
        later = group + "-b";
    }

    void write(String topic, int records) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", client.bootstrap);
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < records; i++) {
                producer.send(new ProducerRecord<>(topic, i % PARTITIONS, null, ("" + i).getBytes()));
            }
            producer.flush();
        }
    }

    ConsumerGroupDescription describe(String of) throws Exception {
        return client.admin.describeConsumerGroups(List.of(of)).all().get().get(of);
    }

    /** A complaint unless the group is a stable one of the consumer protocol with these members. */
    String isStable(List<Member> members) throws Exception {
        return Client.eventually(null, () -> {
            members.forEach(Member::poll);
            var found = describe(group);
            Set<Set<TopicPartition>> want = new HashSet<>();
            members.forEach(one -> want.add(one.assigned()));
            Set<Set<TopicPartition>> got = new HashSet<>();
            Set<Set<TopicPartition>> target = new HashSet<>();
            boolean epochs = found.groupEpoch().isPresent() && found.groupEpoch().equals(found.targetAssignmentEpoch());
            for (MemberDescription one : found.members()) {
                got.add(one.assignment().topicPartitions());
                target.add(one.targetAssignment().map(t -> t.topicPartitions()).orElse(Set.of()));
                epochs &= one.memberEpoch().equals(found.groupEpoch()) && one.upgraded().equals(Optional.of(true));
            }
            boolean good = found.type() == GroupType.CONSUMER && found.groupState().toString().equals("Stable")
                    && found.members().size() == members.size() && epochs && got.equals(want) && target.equals(want)
                    && found.partitionAssignor().equals("uniform");
            return good ? null : "want " + want + ", got " + found;
        });
    }

    boolean isListed(GroupType type) throws Exception {
        var options = new ListGroupsOptions().withTypes(Set.of(type));
        return client.admin.listGroups(options).all().get().stream().anyMatch(one -> one.groupId().equals(group));
    }

    Map<Integer, Long> offsets() throws Exception {
        Map<Integer, Long> found = new HashMap<>();
        client.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach((place, offset) -> {
            if (offset != null && place.topic().equals(first)) {
                found.put(place.partition(), offset.offset());
            }
        });
        return found;
    }

    Map<Integer, Long> each(long offset) {
        Map<Integer, Long> all = new HashMap<>();
        for (int p = 0; p < PARTITIONS; p++) {
            all.put(p, offset);
        }
        return all;
    }

    /** A complaint unless polling throws this. */
    static String throwsThis(Class<? extends Exception> want, Member member) {
        try (member) {
            String late = Turns.drive(() -> false, List.of(member));
            return "want " + want.getSimpleName() + ", " + late;
        } catch (Exception error) {
            return want.isInstance(error) ? null : "want " + want.getSimpleName() + ", got " + error;
        }
    }

    void play() {
        List<Member> members = new ArrayList<>();
        Client.attempt("consumer protocol: one member reads everything and commits", () -> {
            client.admin.createTopics(List.of(new NewTopic(first, PARTITIONS, (short) 1))).all().get();
            write(first, RECORDS);
            members.add(new Member(client, group, "group.instance.id", "instance-a").on(first));
            String late = Turns.drive(() -> members.get(0).taken.size() >= RECORDS, members);
            if (late != null) {
                return late;
            }
            members.get(0).consumer.commitSync();
            var found = offsets();
            return found.equals(each(RECORDS / PARTITIONS)) ? isStable(members) : "committed " + found;
        });
        Client.attempt("consumer protocol: a second member with a pattern shares", () -> {
            members.add(new Member(client, group).matching(group + "-[ab]"));
            String late = Turns.drive(() -> members.stream().allMatch(one -> one.assigned().size() == PARTITIONS / 2), members);
            return late == null ? isStable(members) : late;
        });
        Client.attempt("consumer protocol: a topic that is made later and matches is read", () -> {
            client.admin.createTopics(List.of(new NewTopic(later, PARTITIONS, (short) 1))).all().get();
            write(later, RECORDS);
            Member two = members.get(1);
            String late = Turns.drive(() -> two.taken.stream().filter(one -> one.topic().equals(later)).count() == RECORDS, members);
            return late == null ? isStable(members) : late;
        });
        Client.attempt("consumer protocol: what is refused", () -> {
            String complaint = throwsThis(UnreleasedInstanceIdException.class,
                    new Member(client, group, "group.instance.id", "instance-a").on(first));
            if (complaint == null) {
                complaint = throwsThis(UnsupportedAssignorException.class,
                        new Member(client, group, "group.remote.assignor", "none").on(first));
            }
            if (complaint == null) {
                complaint = throwsThis(InvalidRegularExpression.class, new Member(client, group).matching("("));
            }
            if (complaint == null) {
                complaint = Client.refused(Errors.NON_EMPTY_GROUP,
                        () -> client.admin.deleteConsumerGroups(List.of(group)).all().get());
            }
            return complaint;
        });
        Client.attempt("consumer protocol: listed by its type", () ->
                isListed(GroupType.CONSUMER) && !isListed(GroupType.CLASSIC) ? null : "it is not");
        Client.attempt("consumer protocol: a member leaves and the other takes over", () -> {
            members.remove(1).close();
            Member one = members.get(0);
            String late = Turns.drive(() -> one.assigned().size() == PARTITIONS, members);
            return late == null ? isStable(members) : late;
        });
        Client.attempt("consumer protocol: a static member is away and comes back", () -> {
            members.get(0).close();
            members.clear();
            // Away, it keeps its place; a member that comes meanwhile is shared with.
            String complaint = Client.eventually(1, () -> describe(group).members().size());
            if (complaint != null) {
                return complaint;
            }
            var epoch = describe(group).groupEpoch();
            Member again = new Member(client, group, "group.instance.id", "instance-a").on(first);
            members.add(again);
            String late = Turns.drive(() -> again.assigned().size() == PARTITIONS, members);
            Turns.linger(700, members);
            if (late != null || !again.taken.isEmpty()) {
                return late != null ? late : "it got " + again.taken.size() + " old records";
            }
            var now = describe(group).groupEpoch();
            return now.equals(epoch) ? isStable(members) : "the epoch was " + epoch + " and is " + now;
        });
        Client.attempt("consumer protocol: rolled from classic and back under load, no gap and no restart", () -> {
            try (Rolled rolled = new Rolled()) {
                return rolled.play();
            }
        });
        Client.attempt("consumer protocol: the group is empty when all have left", () -> {
            members.forEach(Member::close);
            // A static member that closes is away; an administrator lets it go.
            client.admin.removeMembersFromConsumerGroup(group,
                    new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("instance-a")))).all().get();
            var found = describe(group);
            boolean good = found.groupState().toString().equals("Empty") && found.members().isEmpty();
            return good ? null : "got " + found;
        });
    }

    /** A group that is rolled from the classic to the consumer protocol and back, member by member, while records come. */
    final class Rolled implements AutoCloseable {
        static final String[] CLASSIC = {"group.protocol", "classic", "session.timeout.ms", "6000", "heartbeat.interval.ms", "300"};
        final String topic = group + "-rolled";
        final Map<TopicPartition, Long> committed = new HashMap<>();
        final Map<TopicPartition, Set<Long>> seen = new HashMap<>();
        final List<Member> members = new ArrayList<>();
        final KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", client.bootstrap, "linger.ms", 0), new ByteArraySerializer(), new ByteArraySerializer());
        long sent;
        boolean writing = true;
        String complaint;

        Member member(boolean classic) {
            return new Member(client, group + "-rolled", classic ? CLASSIC : new String[0]).on(topic);
        }

        /** One turn: a few records are sent, every member polls and commits. */
        void step() {
            for (int n = 0; writing && n < 4; n++, sent++) {
                producer.send(new ProducerRecord<>(topic, (int) (sent % PARTITIONS), null, ("" + sent).getBytes()));
            }
            for (Member one : members) {
                one.poll();
                Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
                for (var got : one.taken) {
                    var place = new TopicPartition(got.topic(), got.partition());
                    if (got.offset() < committed.getOrDefault(place, 0L)) {
                        complaint = place + " offset " + got.offset() + " came again, committed was " + committed.get(place);
                    }
                    seen.computeIfAbsent(place, p -> new HashSet<>()).add(got.offset());
                    next.put(place, new OffsetAndMetadata(got.offset() + 1));
                }
                one.taken.clear();
                try {
                    one.consumer.commitSync(next);
                    next.forEach((place, offset) -> committed.merge(place, offset.offset(), Math::max));
                } catch (CommitFailedException | RebalanceInProgressException lost) {
                    // Its partitions are another's now, who reads on from what was committed.
                    continue;
                }
            }
        }

        String until(String what, Callable<Boolean> done) throws Exception {
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
            while (complaint == null && !done.call()) {
                step();
                if (System.nanoTime() > deadline) {
                    complaint = what + " is not done in 30 s: " + members;
                }
            }
            return complaint;
        }

        /** Each member in turn is closed and comes back with the other protocol. */
        String roll(boolean classic) throws Exception {
            String name = classic ? "classic" : "consumer";
            for (int n = 0; n < 2; n++) {
                members.remove(0).close();
                members.add(member(classic));
                until("rolling member " + n + " to " + name,
                        () -> members.stream().allMatch(one -> one.assigned().size() == PARTITIONS / 2));
                long before = sent;
                until("reading", () -> sent > before + 200);
            }
            GroupType want = classic ? GroupType.CLASSIC : GroupType.CONSUMER;
            return complaint != null ? complaint
                    : Client.eventually(want.toString() + " Stable", () -> {
                        step();
                        var found = describe(group + "-rolled");
                        return found.type() + " " + found.groupState();
                    });
        }

        String play() throws Exception {
            client.admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
            members.add(member(true));
            members.add(member(true));
            until("the classic group", () -> members.stream().allMatch(one -> one.assigned().size() == PARTITIONS / 2));
            for (boolean classic : new boolean[] {false, true}) {
                String wrong = complaint != null ? complaint : roll(classic);
                if (wrong != null) {
                    return wrong;
                }
            }
            producer.flush();
            writing = false;
            until("reading everything", () -> seen.values().stream().mapToInt(Set::size).sum() >= sent);
            return complaint;
        }

        @Override
        public void close() {
            members.forEach(Member::close);
            producer.close();
        }
    }

    /** After the broker was killed: the group goes on where it was. */
    void committed() {
        Client.attempt("consumer protocol: committed offsets", () -> {
            var found = offsets();
            return found.equals(each(RECORDS / PARTITIONS)) ? null : "got " + found;
        });
        Client.attempt("consumer protocol: a member goes on from the committed offsets", () -> {
            write(first, MORE);
            try (Member one = new Member(client, group).on(first)) {
                String late = Turns.drive(() -> one.taken.size() >= MORE, List.of(one));
                Turns.linger(300, List.of(one));
                if (late != null) {
                    return late;
                }
                for (var got : one.taken) {
                    if (got.offset() < RECORDS / PARTITIONS) {
                        return "an old record: " + got;
                    }
                }
                one.consumer.commitSync();
            }
            var found = offsets();
            return found.equals(each((RECORDS + MORE) / PARTITIONS)) ? null : "got " + found;
        });
    }
}
