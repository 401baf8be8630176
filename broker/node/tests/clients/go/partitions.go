package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Both halves of `cargo xtask prove partitions`: `fill` writes the same number of records into each partition of a range, `first` reads
// them all back and tells after how long each partition had given a first correct record.

func complain(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(word string) int {
	n, err := strconv.Atoi(word)
	complain(err)
	return n
}

func valueOf(partition int32, i int64) string {
	return fmt.Sprintf("partition %d record %d of a partition that is one among many", partition, i)
}

func fill(bootstrap, topic string, from, to, records int) {
	c, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(100_000),
	)
	complain(err)
	defer c.Close()
	failed := make(chan error, 1)
	for i := 0; i < records; i++ {
		for p := from; p < to; p++ {
			record := &kgo.Record{Topic: topic, Partition: int32(p), Value: []byte(valueOf(int32(p), int64(i)))}
			c.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
		// One batch a partition and turn: many small batches, as many partitions have.
		complain(c.Flush(context.Background()))
	}
	select {
	case err := <-failed:
		complain(err)
	default:
	}
	print(map[string]any{"records": records * (to - from)})
}

func first(bootstrap, topic string, partitions, records int) {
	started := time.Now()
	offsets := map[int32]kgo.Offset{}
	for p := 0; p < partitions; p++ {
		offsets[int32(p)] = kgo.NewOffset().At(0)
	}
	c, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchMaxPartitionBytes(64<<10),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		// It is started before the broker serves; by default it would not ask for metadata again for 5 s after its first try.
		kgo.MetadataMinAge(20*time.Millisecond),
	)
	complain(err)
	defer c.Close()
	next := map[int32]int64{}
	begun, done := 0, 0
	var all time.Duration
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for done < partitions {
		fetches := c.PollFetches(limit)
		complain(limit.Err())
		for iter := fetches.RecordIter(); !iter.Done(); {
			got := iter.Next()
			if want := next[got.Partition]; got.Offset != want || string(got.Value) != valueOf(got.Partition, want) {
				complain(fmt.Errorf("partition %d: offset %d is %q, want offset %d", got.Partition, got.Offset, got.Value, want))
			}
			next[got.Partition]++
			if got.Offset == 0 {
				if begun++; begun == partitions {
					all = time.Since(started)
				}
			}
			if next[got.Partition] == int64(records) {
				done++
			}
		}
	}
	print(map[string]any{"first_ms": all.Milliseconds(), "all_ms": time.Since(started).Milliseconds(), "partitions": done})
}
