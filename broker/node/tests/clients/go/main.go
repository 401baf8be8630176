// franz-go: writes and reads the corpus of CORPUS.md, administers topics, and speaks the request versions of older Kafkas.
//
//	go run . write|admin BOOTSTRAP RUN BASE
//	go run . read|group|committed BOOTSTRAP RUN BASE WRITER:STREAM,... ...
//	go run . sarama write|admin|read ...  (the same with sarama, see sarama.go)
//	go run . audit BOOTSTRAP TOPIC        (see audit.go)
//	go run . storm BOOTSTRAP TOPIC GROUP [MEMBERS]           (see ../STORM.md)
//	go run . sarama-storm BOOTSTRAP TOPIC GROUP
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

const (
	goldenDigest  = 0xb5b84ce0
	bigBatchBytes = 8_388_682
	bigValueBytes = 8_388_608
)

// The writer's name in topic names: go is franz-go.
var name = "go"

var (
	codecs  = []string{"none", "gzip", "snappy", "lz4", "zstd"}
	streams = append(slices.Clone(codecs), "acks1", "acks0", "big")
)

// ---- the corpus

type head struct {
	name  string
	value []byte
}

// A record as a reader must see it; nil is null. stamp is 0 where the writer could not choose it.
type record struct {
	key, value []byte
	headers    []head
	stamp      int64
}

func count(stream string) int {
	switch stream {
	case "big":
		return 1
	case "acks0", "acks1":
		return 30
	}
	return 240
}

func partitions(stream string) int {
	if stream == "big" {
		return 1
	}
	return 3
}

func profile(writer string) string {
	switch writer {
	case "kcat":
		return "text"
	case "kafkajs", "kafkapython", "aiokafka":
		return "filled"
	}
	return "full"
}

func fnv(data []byte) uint32 {
	hash := uint32(0x811c9dc5)
	for _, one := range data {
		hash = (hash ^ uint32(one)) * 0x01000193
	}
	return hash
}

func seed(writer, stream string) uint32 { return fnv([]byte(writer + "/" + stream)) }

func mix(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x85ebca6b
	x ^= x >> 13
	x *= 0xc2b2ae35
	return x ^ x>>16
}

type random struct {
	state   uint32
	letters bool
}

func start(seed uint32, i int, letters bool) *random {
	state := mix(seed ^ mix(uint32(i)+1))
	if state == 0 {
		state = 0x9e3779b9
	}
	return &random{state, letters}
}

func (r *random) next() uint32 {
	r.state ^= r.state << 13
	r.state ^= r.state >> 17
	r.state ^= r.state << 5
	return r.state
}

func (r *random) below(bound uint32) int { return int(r.next() % bound) }

func (r *random) bytes(count int) []byte {
	out := make([]byte, count)
	for k := range out {
		out[k] = byte(r.next() >> 24)
		if r.letters {
			out[k] = 'a' + out[k]%26
		}
	}
	return out
}

func (r *random) repeated(length, period int) []byte {
	block := r.bytes(min(length, period))
	return bytes.Repeat(block, length/len(block)+1)[:length]
}

func delta(i int) int64 {
	if i%10 == 9 {
		return 100*int64(i) - 450
	}
	return 100 * int64(i)
}

func entry(seed uint32, i int, base int64, profile string) record {
	text := profile == "text"
	r := start(seed, i, text)
	empty := []byte{}
	if text {
		empty = nil
	}
	one := record{stamp: base + delta(i)}
	switch i % 5 {
	case 0:
	case 1:
		one.key = empty
	default:
		one.key = r.bytes(1 + r.below(32))
	}
	length := -1
	switch {
	case i == 0:
		length = 1
	case i%80 == 50:
		length = 1_000_000
	case i%40 == 21:
		length = 100_000
	case i%7 == 3:
	case i%7 == 4:
		length = 0
	case i%8 == 5:
		length = 1000 + r.below(9000)
	default:
		length = 1 + r.below(200)
	}
	period := 65_521
	if i%2 == 1 {
		period = 251
	}
	switch {
	case length > 0:
		one.value = r.repeated(length, period)
	case length == 0:
		one.value = empty
	case profile == "filled" && one.key == nil:
		one.value = []byte{}
	}
	if text {
		one.headers = []head{{"profile", []byte("text")}}
		one.stamp = 0
		return one
	}
	for h := range i % 4 {
		header := head{name: "h0"}
		if h == 2 {
			header.name = "h\u00e9"
		}
		kind := (i + h) % 6
		switch {
		case kind == 5 && profile == "full":
		case kind >= 4:
			header.value = []byte{}
		default:
			header.value = r.bytes(1 + r.below(20))
		}
		one.headers = append(one.headers, header)
	}
	return one
}

func big(writer string, base int64, extra int) record {
	text := profile(writer) == "text"
	if text {
		base = 0
	}
	return record{value: start(seed(writer, "big"), 0, text).repeated(bigValueBytes+extra, 65_521), stamp: base}
}

func expected(writer, stream string, i int, base int64) record {
	if stream == "big" {
		return big(writer, base, 0)
	}
	return entry(seed(writer, stream), i, base, profile(writer))
}

func digest() uint32 {
	var out []byte
	put := func(data []byte) {
		length := int32(len(data))
		if data == nil {
			length = -1
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(length)), data...)
	}
	for i := range 60 {
		one := entry(1, i, 0, "full")
		put(one.key)
		put(one.value)
		out = binary.BigEndian.AppendUint32(out, uint32(len(one.headers)))
		for _, header := range one.headers {
			put([]byte(header.name))
			put(header.value)
		}
		out = binary.BigEndian.AppendUint64(out, uint64(one.stamp))
	}
	return fnv(out)
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func brief(data []byte) string {
	if data == nil {
		return "null"
	}
	return fmt.Sprintf("%d bytes, fnv %08x", len(data), fnv(data))
}

func difference(want record, got *kgo.Record) error {
	if !same(want.key, got.Key) {
		return fmt.Errorf("key: want %s, got %s", brief(want.key), brief(got.Key))
	}
	if !same(want.value, got.Value) {
		return fmt.Errorf("value: want %s, got %s", brief(want.value), brief(got.Value))
	}
	alike := func(a head, b kgo.RecordHeader) bool { return a.name == b.Key && same(a.value, b.Value) }
	if !slices.EqualFunc(want.headers, got.Headers, alike) {
		return fmt.Errorf("headers: want %v, got %v", want.headers, got.Headers)
	}
	if want.stamp != 0 && want.stamp != got.Timestamp.UnixMilli() {
		return fmt.Errorf("timestamp: want %d, got %d", want.stamp, got.Timestamp.UnixMilli())
	}
	return nil
}

// ---- checks

var checks int

func attempt(check string, action func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	line := map[string]any{"check": check, "ok": true}
	if err := action(ctx); err != nil {
		detail := err.Error()
		line = map[string]any{"check": check, "ok": false, "detail": detail[:min(600, len(detail))]}
	}
	checks++
	print(line)
}

func print(line map[string]any) {
	out, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(out))
}

func refused(want *kerr.Error, err error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("want %s, got %v", want.Message, err)
}

func eventually(want string, ask func() (string, error)) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		found, err := ask()
		if err == nil && found == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("want %s, got %s (%v)", want, found, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

type client struct {
	bootstrap, run string
	base           int64
	options        []kgo.Opt
}

func (c *client) open(options ...kgo.Opt) (*kgo.Client, error) {
	all := append([]kgo.Opt{kgo.SeedBrokers(c.bootstrap)}, c.options...)
	return kgo.NewClient(append(all, options...)...)
}

// with runs an action with an admin client of its own, so that no cached metadata hides what the broker says.
func (c *client) with(action func(*kadm.Client) error) error {
	opened, err := c.open()
	if err != nil {
		return err
	}
	defer opened.Close()
	return action(kadm.NewClient(opened))
}

func (c *client) create(ctx context.Context, topic string, parts int, configs map[string]string) error {
	return c.with(func(admin *kadm.Client) error {
		values := map[string]*string{}
		for key, value := range configs {
			values[key] = kadm.StringPtr(value)
		}
		_, err := admin.CreateTopic(ctx, int32(parts), 1, values, topic)
		return err
	})
}

func (c *client) send(ctx context.Context, topic, codec string, acks kgo.Acks, records []record, parts int) ([]int64, error) {
	codecOf := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	options := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(acks),
		kgo.ProducerBatchCompression(codecOf[codec]), kgo.ProducerLinger(2 * time.Millisecond),
	}
	if strings.HasSuffix(topic, "-big") {
		options = append(options, kgo.ProducerBatchMaxBytes(10_000_000))
	} else {
		options = append(options, kgo.ProducerBatchMaxBytes(1_048_588))
	}
	if acks != kgo.AllISRAcks() {
		options = append(options, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	producer, err := c.open(options...)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	all := make([]*kgo.Record, len(records))
	for i, one := range records {
		all[i] = &kgo.Record{Topic: topic, Partition: int32(i % parts), Key: one.key, Value: one.value}
		if one.stamp != 0 {
			all[i].Timestamp = time.UnixMilli(one.stamp)
		}
		for _, header := range one.headers {
			all[i].Headers = append(all[i].Headers, kgo.RecordHeader{Key: header.name, Value: header.value})
		}
	}
	if err := producer.ProduceSync(ctx, all...).FirstErr(); err != nil {
		return nil, err
	}
	offsets := make([]int64, len(all))
	for i, one := range all {
		offsets[i] = one.Offset
	}
	return offsets, nil
}

func (c *client) ends(ctx context.Context, topic string) (string, error) {
	var out []string
	err := c.with(func(admin *kadm.Client) error {
		first, err := admin.ListStartOffsets(ctx, topic)
		if err != nil {
			return err
		}
		last, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		for p := range int32(len(last[topic])) {
			if err := errors.Join(first[topic][p].Err, last[topic][p].Err); err != nil {
				return err
			}
			out = append(out, fmt.Sprintf("%d-%d", first[topic][p].Offset, last[topic][p].Offset))
		}
		return nil
	})
	return strings.Join(out, " "), err
}

func ends(parts, end int) string {
	return strings.TrimSpace(strings.Repeat(fmt.Sprintf("0-%d ", end), parts))
}

func (c *client) write() {
	for _, stream := range streams {
		attempt("write "+stream, func(ctx context.Context) error {
			return c.writeStream(ctx, c.run+"-"+name+"-"+stream, stream)
		})
	}
	attempt("one byte over max.message.bytes", func(ctx context.Context) error {
		_, err := c.send(ctx, c.run+"-"+name+"-big", "none", kgo.AllISRAcks(), []record{big(name, c.base, 1)}, 1)
		return refused(kerr.MessageTooLarge, err)
	})
}

func (c *client) writeStream(ctx context.Context, topic, stream string) error {
	parts, records := partitions(stream), count(stream)
	configs := map[string]string{"retention.ms": "-1"}
	if stream == "big" {
		configs["max.message.bytes"] = strconv.Itoa(bigBatchBytes)
	}
	if err := c.create(ctx, topic, parts, configs); err != nil {
		return err
	}
	// What acks=0 loses nobody reports, so each partition must have its leader before the first record.
	ask := func() (string, error) { return c.ends(ctx, topic) }
	if err := eventually(ends(parts, 0), ask); err != nil {
		return err
	}
	acks, codec := kgo.AllISRAcks(), "none"
	switch {
	case stream == "acks0":
		acks = kgo.NoAck()
	case stream == "acks1":
		acks = kgo.LeaderAck()
	case slices.Contains(codecs, stream):
		codec = stream
	}
	all := make([]record, records)
	for i := range all {
		all[i] = expected(name, stream, i, c.base)
	}
	offsets, err := c.send(ctx, topic, codec, acks, all, parts)
	if err != nil {
		return err
	}
	for i, offset := range offsets {
		if stream != "acks0" && offset != int64(i/parts) {
			return fmt.Errorf("offsets: want dense ones, got %v", offsets)
		}
	}
	return eventually(ends(parts, records/parts), ask)
}

func (c *client) read(writers []string) {
	for _, asked := range writers {
		writer, list, _ := strings.Cut(asked, ":")
		for _, stream := range strings.Split(list, ",") {
			attempt("read "+writer+" "+stream, func(ctx context.Context) error {
				topic := c.run + "-" + writer + "-" + stream
				parts, records := partitions(stream), count(stream)
				found, err := c.ends(ctx, topic)
				if want := ends(parts, records/parts); err != nil || found != want {
					return fmt.Errorf("want ends %s, got %s (%v)", want, found, err)
				}
				return c.consume(ctx, topic, parts, records, func(i int) record { return expected(writer, stream, i, c.base) })
			})
			if stream == "none" {
				attempt("offsets by time "+writer, func(ctx context.Context) error { return c.byTime(ctx, writer) })
			}
		}
	}
}

func (c *client) consume(ctx context.Context, topic string, parts, records int, want func(int) record) error {
	from := map[int32]kgo.Offset{}
	for p := range parts {
		from[int32(p)] = kgo.NewOffset().At(0)
	}
	consumer, err := c.open(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxPartitionBytes(10_000_000), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return err
	}
	defer consumer.Close()
	next := make([]int, parts)
	for left := records; left > 0; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("%d records did not come: %w", left, err)
		}
		var failed error
		fetches.EachError(func(_ string, partition int32, err error) { failed = fmt.Errorf("partition %d: %w", partition, err) })
		fetches.EachRecord(func(got *kgo.Record) {
			p := int(got.Partition)
			if failed == nil && got.Offset != int64(next[p]) {
				failed = fmt.Errorf("partition %d: want offset %d, got %d", p, next[p], got.Offset)
			}
			if i := next[p]*parts + p; failed == nil {
				if err := difference(want(i), got); err != nil {
					failed = fmt.Errorf("partition %d offset %d (record %d): %w", p, got.Offset, i, err)
				}
			}
			next[p]++
			left--
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

func (c *client) byTime(ctx context.Context, writer string) error {
	topic := c.run + "-" + writer + "-none"
	return c.with(func(admin *kadm.Client) error {
		for p := range 3 {
			var of []int64
			for i := p; i < 240; i += 3 {
				of = append(of, c.base+delta(i))
			}
			asked := []int64{c.base, of[len(of)/3] + 1, of[2*(len(of)/3)] + 1, c.base + 10_000_000}
			if profile(writer) == "text" {
				// Its timestamps are the writer's clock: all lie between BASE and now.
				asked = asked[:1]
			}
			for _, stamp := range asked {
				want := int64(slices.IndexFunc(of, func(at int64) bool { return at >= stamp }))
				found, err := admin.ListOffsetsAfterMilli(ctx, stamp, topic)
				if err != nil {
					return err
				}
				got := found[topic][int32(p)]
				if want == -1 {
					// The library replaces "none" by the end.
					want = int64(len(of))
				}
				if got.Err != nil || got.Offset != want {
					return fmt.Errorf("partition %d at BASE + %d: want %d, got %d (%v)", p, stamp-c.base, want, got.Offset, got.Err)
				}
			}
		}
		return nil
	})
}

func (c *client) partitionsOf(ctx context.Context, topic string) (found string, err error) {
	err = c.with(func(admin *kadm.Client) error {
		topics, err := admin.ListTopics(ctx)
		found = "none"
		if detail, known := topics[topic]; known {
			found = strconv.Itoa(len(detail.Partitions))
		}
		return err
	})
	return found, err
}

func (c *client) administer() {
	topic := c.run + "-" + name + "-admin"
	configs := map[string]string{"max.message.bytes": "2000000", "retention.ms": "-1"}
	partitions := func(ctx context.Context, want string) error {
		return eventually(want, func() (string, error) { return c.partitionsOf(ctx, topic) })
	}
	attempt("create topic", func(ctx context.Context) error {
		if err := c.create(ctx, topic, 3, configs); err != nil {
			return err
		}
		return partitions(ctx, "3")
	})
	attempt("create it again", func(ctx context.Context) error {
		return refused(kerr.TopicAlreadyExists, c.create(ctx, topic, 3, nil))
	})
	attempt("create with an unknown config", func(ctx context.Context) error {
		return refused(kerr.InvalidConfig, c.create(ctx, topic+"-bad", 1, map[string]string{"no.such.config": "1"}))
	})
	attempt("create with 0 partitions", func(ctx context.Context) error {
		return refused(kerr.InvalidPartitions, c.create(ctx, topic+"-bad", 0, nil))
	})
	grow := func(ctx context.Context, set int) error {
		return c.with(func(admin *kadm.Client) error {
			answers, err := admin.UpdatePartitions(ctx, set, topic)
			return errors.Join(err, answers.Error())
		})
	}
	attempt("create partitions", func(ctx context.Context) error {
		if err := grow(ctx, 5); err != nil {
			return err
		}
		return partitions(ctx, "5")
	})
	attempt("create fewer partitions", func(ctx context.Context) error {
		return refused(kerr.InvalidPartitions, grow(ctx, 2))
	})
	attempt("describe configs", func(ctx context.Context) error {
		return c.with(func(admin *kadm.Client) error {
			answers, err := admin.DescribeTopicConfigs(ctx, topic)
			if err != nil {
				return err
			}
			found := map[string]string{}
			for _, one := range answers[0].Configs {
				found[one.Key] = one.MaybeValue()
			}
			for key, value := range configs {
				if found[key] != value {
					return fmt.Errorf("%s: want %s, got %s", key, value, found[key])
				}
			}
			return answers[0].Err
		})
	})
	attempt("delete records", func(ctx context.Context) error {
		records := make([]record, 10)
		for i := range records {
			records[i] = entry(9, i, c.base, "filled")
		}
		if _, err := c.send(ctx, topic, "none", kgo.AllISRAcks(), records, 1); err != nil {
			return err
		}
		err := c.with(func(admin *kadm.Client) error {
			before := kadm.Offsets{}
			before.Add(kadm.Offset{Topic: topic, Partition: 0, At: 4})
			answers, err := admin.DeleteRecords(ctx, before)
			return errors.Join(err, answers.Error())
		})
		if err != nil {
			return err
		}
		return eventually("4-10 0-0 0-0 0-0 0-0", func() (string, error) { return c.ends(ctx, topic) })
	})
	attempt("delete topic", func(ctx context.Context) error {
		if err := c.remove(ctx, topic); err != nil {
			return err
		}
		return partitions(ctx, "none")
	})
	attempt("delete it again", func(ctx context.Context) error {
		return refused(kerr.UnknownTopicOrPartition, c.remove(ctx, topic))
	})
	olds := []struct {
		name     string
		versions *kversion.Versions
	}{
		{"0.11", kversion.V0_11_0()}, {"1.1", kversion.V1_1_0()}, {"2.1", kversion.V2_1_0()}, {"2.4", kversion.V2_4_0()},
		{"2.8", kversion.V2_8_0()}, {"3.5", kversion.V3_5_0()}, {"3.9", kversion.V3_9_0()},
	}
	for _, old := range olds {
		attempt("request versions of Kafka "+old.name, func(ctx context.Context) error {
			aged := &client{c.bootstrap, c.run, c.base, []kgo.Opt{kgo.MaxVersions(old.versions)}}
			return aged.roundTrip(ctx, c.run+"-go-v"+old.name)
		})
	}
}

func (c *client) remove(ctx context.Context, topic string) error {
	return c.with(func(admin *kadm.Client) error {
		answers, err := admin.DeleteTopics(ctx, topic)
		return errors.Join(err, answers.Error())
	})
}

func (c *client) roundTrip(ctx context.Context, topic string) error {
	if err := c.create(ctx, topic, 3, map[string]string{"retention.ms": "-1"}); err != nil {
		return err
	}
	want := func(i int) record { return entry(5, i, c.base, "full") }
	records := make([]record, 30)
	for i := range records {
		records[i] = want(i)
	}
	if _, err := c.send(ctx, topic, "gzip", kgo.AllISRAcks(), records, 3); err != nil {
		return err
	}
	return c.consume(ctx, topic, 3, 30, want)
}

func main() {
	if os.Args[1] == "audit" {
		audit(os.Args[2], os.Args[3])
		return
	}
	if os.Args[1] == "lines" {
		lines(os.Args[2], os.Args[3], os.Args[4])
		return
	}
	if os.Args[1] == "fill" {
		fill(os.Args[2], os.Args[3], number(os.Args[4]), number(os.Args[5]), number(os.Args[6]))
		return
	}
	if os.Args[1] == "first" {
		first(os.Args[2], os.Args[3], number(os.Args[4]), number(os.Args[5]))
		return
	}
	if os.Args[1] == "table" {
		n := func(i int) int { return number(os.Args[i]) }
		table(os.Args[2], os.Args[3], n(4), n(5), n(6), n(7), os.Args[8])
		return
	}
	if os.Args[1] == "storm" {
		members := 1
		if len(os.Args) > 5 {
			members = number(os.Args[5])
		}
		storm(os.Args[2], os.Args[3], os.Args[4], members)
		return
	}
	if os.Args[1] == "sarama-storm" {
		stormOfSarama(os.Args[2], os.Args[3], os.Args[4])
		return
	}
	if os.Args[1] == "sarama" {
		name = "sarama"
		os.Args = os.Args[1:]
	}
	base, err := strconv.ParseInt(os.Args[4], 10, 64)
	if err != nil {
		panic(err)
	}
	attempt("corpus digest", func(context.Context) error {
		if got := digest(); got != goldenDigest {
			return fmt.Errorf("%08x", got)
		}
		return nil
	})
	c := &client{bootstrap: os.Args[2], run: os.Args[3], base: base}
	if name == "sarama" {
		playSarama(c, os.Args[1], os.Args[5:])
		return
	}
	switch os.Args[1] {
	case "write":
		c.write()
	case "read":
		c.read(os.Args[5:])
	case "admin":
		c.administer()
	case "group":
		c.group(os.Args[5:])
	case "committed":
		c.committed(os.Args[5:])
	default:
		panic("no such verb: " + os.Args[1])
	}
	print(map[string]any{"end": checks})
}
