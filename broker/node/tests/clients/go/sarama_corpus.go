package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// sarama writes and reads the corpus and administers topics, as CORPUS.md says.
type saramaClient struct {
	bootstrap, run string
	base           int64
}

// playSarama plays one verb to its end.
func playSarama(c *client, verb string, words []string) {
	s := &saramaClient{c.bootstrap, c.run, c.base}
	switch verb {
	case "write":
		s.write()
	case "read":
		s.read(words)
	case "admin":
		s.administer()
	default:
		panic("sarama has no verb " + verb)
	}
	print(map[string]any{"end": checks})
}

func (s *saramaClient) admin(action func(sarama.ClusterAdmin) error) error {
	admin, err := sarama.NewClusterAdmin([]string{s.bootstrap}, saramaConfig())
	if err != nil {
		return err
	}
	return errors.Join(action(admin), admin.Close())
}

func (s *saramaClient) create(topic string, parts int, configs map[string]string) error {
	return s.admin(func(admin sarama.ClusterAdmin) error {
		detail := &sarama.TopicDetail{NumPartitions: int32(parts), ReplicationFactor: 1, ConfigEntries: map[string]*string{}}
		for key, value := range configs {
			detail.ConfigEntries[key] = &value
		}
		return admin.CreateTopic(topic, detail, false)
	})
}

// ends are first and next offsets, asked with a client of its own, so that nothing comes from a cache.
func (s *saramaClient) ends(topic string) (string, error) {
	opened, err := sarama.NewClient([]string{s.bootstrap}, saramaConfig())
	if err != nil {
		return "", err
	}
	defer opened.Close()
	partitions, err := opened.Partitions(topic)
	var out []string
	for _, p := range partitions {
		first, failed := opened.GetOffset(topic, p, sarama.OffsetOldest)
		last, failedToo := opened.GetOffset(topic, p, sarama.OffsetNewest)
		err = errors.Join(err, failed, failedToo)
		out = append(out, fmt.Sprintf("%d-%d", first, last))
	}
	return strings.Join(out, " "), err
}

func (s *saramaClient) send(topic, codec string, acks sarama.RequiredAcks, records []record, parts int) ([]int64, error) {
	codecOf := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}
	config := saramaConfig()
	config.Producer.RequiredAcks = acks
	config.Producer.Compression = codecOf[codec]
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Return.Successes = true
	config.Producer.Return.Errors = true
	config.Producer.Flush.Frequency = 2 * time.Millisecond
	config.Producer.MaxMessageBytes = 10_000_000
	// Batches stay below the default max.message.bytes: the largest record is 1,000,000 bytes.
	config.Producer.Flush.MaxMessages = 1
	if acks == sarama.WaitForAll {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer([]string{s.bootstrap}, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	all := make([]*sarama.ProducerMessage, len(records))
	for i, one := range records {
		all[i] = &sarama.ProducerMessage{Topic: topic, Partition: int32(i % parts), Timestamp: time.UnixMilli(one.stamp)}
		if one.key != nil {
			all[i].Key = sarama.ByteEncoder(one.key)
		}
		if one.value != nil {
			all[i].Value = sarama.ByteEncoder(one.value)
		}
		for _, header := range one.headers {
			all[i].Headers = append(all[i].Headers, sarama.RecordHeader{Key: []byte(header.name), Value: header.value})
		}
	}
	if err := producer.SendMessages(all); err != nil {
		var failed sarama.ProducerErrors
		if errors.As(err, &failed) && len(failed) > 0 {
			return nil, failed[0].Err
		}
		return nil, err
	}
	offsets := make([]int64, len(all))
	for i, one := range all {
		offsets[i] = one.Offset
	}
	return offsets, nil
}

func (s *saramaClient) write() {
	for _, stream := range streams {
		attempt("write "+stream, func(context.Context) error { return s.writeStream(stream) })
	}
	attempt("one byte over max.message.bytes", func(context.Context) error {
		_, err := s.send(s.run+"-"+name+"-big", "none", sarama.WaitForAll, []record{big(name, s.base, 1)}, 1)
		return saramaRefused(sarama.ErrMessageSizeTooLarge, err)
	})
}

func saramaRefused(want sarama.KError, err error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("want %v, got %v", want, err)
}

func (s *saramaClient) writeStream(stream string) error {
	topic, parts, records := s.run+"-"+name+"-"+stream, partitions(stream), count(stream)
	configs := map[string]string{"retention.ms": "-1"}
	if stream == "big" {
		configs["max.message.bytes"] = strconv.Itoa(bigBatchBytes)
	}
	if err := s.create(topic, parts, configs); err != nil {
		return err
	}
	// What acks=0 loses nobody reports, so each partition must have its leader before the first record.
	ask := func() (string, error) { return s.ends(topic) }
	if err := eventually(ends(parts, 0), ask); err != nil {
		return err
	}
	acks, codec := sarama.WaitForAll, "none"
	switch {
	case stream == "acks0":
		acks = sarama.NoResponse
	case stream == "acks1":
		acks = sarama.WaitForLocal
	case slices.Contains(codecs, stream):
		codec = stream
	}
	all := make([]record, records)
	for i := range all {
		all[i] = expected(name, stream, i, s.base)
	}
	offsets, err := s.send(topic, codec, acks, all, parts)
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

func saramaDifference(want record, got *sarama.ConsumerMessage) error {
	if !same(want.key, got.Key) {
		return fmt.Errorf("key: want %s, got %s", brief(want.key), brief(got.Key))
	}
	if !same(want.value, got.Value) {
		return fmt.Errorf("value: want %s, got %s", brief(want.value), brief(got.Value))
	}
	alike := func(a head, b *sarama.RecordHeader) bool { return a.name == string(b.Key) && same(a.value, b.Value) }
	if !slices.EqualFunc(want.headers, got.Headers, alike) {
		return fmt.Errorf("headers: want %v, got %v", want.headers, got.Headers)
	}
	if want.stamp != 0 && want.stamp != got.Timestamp.UnixMilli() {
		return fmt.Errorf("timestamp: want %d, got %d", want.stamp, got.Timestamp.UnixMilli())
	}
	return nil
}

func (s *saramaClient) read(writers []string) {
	for _, asked := range writers {
		writer, list, _ := strings.Cut(asked, ":")
		for _, stream := range strings.Split(list, ",") {
			attempt("read "+writer+" "+stream, func(ctx context.Context) error { return s.readStream(ctx, writer, stream) })
			if stream == "none" {
				attempt("offsets by time "+writer, func(context.Context) error { return s.byTime(writer) })
			}
		}
	}
}

func (s *saramaClient) readStream(ctx context.Context, writer, stream string) error {
	topic, parts, records := s.run+"-"+writer+"-"+stream, partitions(stream), count(stream)
	found, err := s.ends(topic)
	if want := ends(parts, records/parts); err != nil || found != want {
		return fmt.Errorf("want ends %s, got %s (%v)", want, found, err)
	}
	consumer, err := sarama.NewConsumer([]string{s.bootstrap}, saramaConfig())
	if err != nil {
		return err
	}
	defer consumer.Close()
	for p := range parts {
		reader, err := consumer.ConsumePartition(topic, int32(p), 0)
		if err != nil {
			return err
		}
		for next := range records / parts {
			select {
			case got := <-reader.Messages():
				if got.Offset != int64(next) {
					return fmt.Errorf("partition %d: want offset %d, got %d", p, next, got.Offset)
				}
				i := next*parts + p
				if err := saramaDifference(expected(writer, stream, i, s.base), got); err != nil {
					return fmt.Errorf("partition %d offset %d (record %d): %w", p, got.Offset, i, err)
				}
			case err := <-reader.Errors():
				return err
			case <-ctx.Done():
				return fmt.Errorf("partition %d: offset %d did not come", p, next)
			}
		}
		if err := reader.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (s *saramaClient) byTime(writer string) error {
	topic := s.run + "-" + writer + "-none"
	opened, err := sarama.NewClient([]string{s.bootstrap}, saramaConfig())
	if err != nil {
		return err
	}
	defer opened.Close()
	for p := range 3 {
		var of []int64
		for i := p; i < 240; i += 3 {
			of = append(of, s.base+delta(i))
		}
		asked := []int64{s.base, of[len(of)/3] + 1, of[2*(len(of)/3)] + 1, s.base + 10_000_000}
		if profile(writer) == "text" {
			// Its timestamps are the writer's clock: all lie between BASE and now.
			asked = asked[:1]
		}
		for _, stamp := range asked {
			want := int64(slices.IndexFunc(of, func(at int64) bool { return at >= stamp }))
			if got, err := opened.GetOffset(topic, int32(p), stamp); err != nil || got != want {
				return fmt.Errorf("partition %d at BASE + %d: want %d, got %d (%v)", p, stamp-s.base, want, got, err)
			}
		}
	}
	return nil
}

func (s *saramaClient) partitionsOf(topic string) (found string, err error) {
	err = s.admin(func(admin sarama.ClusterAdmin) error {
		topics, err := admin.ListTopics()
		found = "none"
		if detail, known := topics[topic]; known {
			found = strconv.Itoa(int(detail.NumPartitions))
		}
		return err
	})
	return found, err
}

func (s *saramaClient) administer() {
	topic := s.run + "-" + name + "-admin"
	configs := map[string]string{"max.message.bytes": "2000000", "retention.ms": "-1"}
	are := func(want string) error {
		return eventually(want, func() (string, error) { return s.partitionsOf(topic) })
	}
	attempt("create topic", func(context.Context) error { return errors.Join(s.create(topic, 3, configs), are("3")) })
	attempt("create it again", func(context.Context) error {
		return saramaRefused(sarama.ErrTopicAlreadyExists, s.create(topic, 3, nil))
	})
	attempt("create with an unknown config", func(context.Context) error {
		return saramaRefused(sarama.ErrInvalidConfig, s.create(topic+"-bad", 1, map[string]string{"no.such.config": "1"}))
	})
	attempt("create with 0 partitions", func(context.Context) error {
		return saramaRefused(sarama.ErrInvalidPartitions, s.create(topic+"-bad", 0, nil))
	})
	grow := func(set int32) error {
		return s.admin(func(admin sarama.ClusterAdmin) error { return admin.CreatePartitions(topic, set, nil, false) })
	}
	attempt("create partitions", func(context.Context) error { return errors.Join(grow(5), are("5")) })
	attempt("create fewer partitions", func(context.Context) error {
		return saramaRefused(sarama.ErrInvalidPartitions, grow(2))
	})
	attempt("describe configs", func(context.Context) error {
		return s.admin(func(admin sarama.ClusterAdmin) error {
			names := slices.Sorted(maps.Keys(configs))
			entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: names})
			found := map[string]string{}
			for _, one := range entries {
				found[one.Name] = one.Value
			}
			if err == nil && !maps.Equal(found, configs) {
				return fmt.Errorf("want %v, got %v", configs, found)
			}
			return err
		})
	})
	attempt("delete records", func(context.Context) error {
		records := make([]record, 10)
		for i := range records {
			records[i] = entry(9, i, s.base, "filled")
		}
		if _, err := s.send(topic, "none", sarama.WaitForAll, records, 1); err != nil {
			return err
		}
		err := s.admin(func(admin sarama.ClusterAdmin) error { return admin.DeleteRecords(topic, map[int32]int64{0: 4}) })
		return errors.Join(err, eventually("4-10 0-0 0-0 0-0 0-0", func() (string, error) { return s.ends(topic) }))
	})
	remove := func() error {
		return s.admin(func(admin sarama.ClusterAdmin) error { return admin.DeleteTopic(topic) })
	}
	attempt("delete topic", func(context.Context) error { return errors.Join(remove(), are("none")) })
	attempt("delete it again", func(context.Context) error { return saramaRefused(sarama.ErrUnknownTopicOrPartition, remove()) })
}
