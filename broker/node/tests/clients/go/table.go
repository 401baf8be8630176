package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The writing half of `cargo xtask prove compaction`: updates of a table, each numbered; a hundredth of them deletes its key.
// The first updates are of each key once, in no order that a reader would know, those after them of any.
// Written to a file: every key that lives at the end with its last value, in the order of the keys.
//
//	client table BOOTSTRAP TOPIC PARTITIONS UPDATES KEYS RATE FILE
//
// RATE is in updates a second; 0 is as fast as they go.

// What a value has behind its number: it must not be what compresses best.
func padding(r *random) []byte { return r.bytes(40 + r.below(80)) }

// A prime above all numbers of keys: its multiples are all different for each number of keys.
const scatter = 4_294_967_291

func table(bootstrap, topic string, partitions, updates, keys, rate int, file string) {
	c, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.MaxBufferedRecords(100_000),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
	)
	complain(err)
	defer c.Close()
	failed := make(chan error, 1)
	last := make(map[string]string, keys)
	choice := start(uint32(updates), 1, false)
	filling := start(uint32(keys), 2, true)
	tombstones, bytes := 0, 0
	begun := time.Now()
	for i := range updates {
		if rate > 0 && i%100 == 0 {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		}
		k := choice.below(uint32(keys))
		if i < keys {
			k = int(uint64(i) * scatter % uint64(keys))
		}
		key := fmt.Sprintf("key-%08d", k)
		record := &kgo.Record{Topic: topic, Partition: int32(k % partitions), Key: []byte(key)}
		if choice.below(100) == 0 {
			tombstones++
			delete(last, key)
		} else {
			value := fmt.Sprintf("%010d %s", i, padding(filling))
			last[key] = value
			record.Value = []byte(value)
		}
		bytes += len(record.Key) + len(record.Value)
		c.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	complain(c.Flush(context.Background()))
	select {
	case err := <-failed:
		complain(err)
	default:
	}
	took := time.Since(begun)
	order := make([]string, 0, len(last))
	for key := range last {
		order = append(order, key)
	}
	slices.Sort(order)
	out, err := os.Create(file)
	complain(err)
	to := bufio.NewWriter(out)
	for _, key := range order {
		_, err := fmt.Fprintf(to, "%s\t%s\n", key, last[key])
		complain(err)
	}
	complain(to.Flush())
	complain(out.Close())
	print(map[string]any{"updates": updates, "tombstones": tombstones, "alive": len(order), "bytes": bytes, "milliseconds": took.Milliseconds()})
}
