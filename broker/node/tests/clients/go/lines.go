package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The reading half of `cargo xtask prove text`: writes the values of each partition, in the order in which they are read, to a file of
// its own, a line each. It ends when every partition is read to the end that it had at the start.
func lines(bootstrap, topic, folder string) {
	if err := writeLines(bootstrap, topic, folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writeLines(bootstrap, topic, folder string) error {
	c, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer c.Close()
	found, err := kadm.NewClient(c).ListEndOffsets(context.Background(), topic)
	if err != nil {
		return err
	}
	left := 0
	ends, files, next := map[int32]int64{}, map[int32]*bufio.Writer{}, map[int32]int64{}
	for partition, end := range found[topic] {
		if end.Err != nil {
			return end.Err
		}
		file, err := os.Create(filepath.Join(folder, fmt.Sprint(partition)))
		if err != nil {
			return err
		}
		defer file.Close()
		ends[partition], files[partition] = end.Offset, bufio.NewWriterSize(file, 1<<20)
		if end.Offset > 0 {
			left++
		}
	}
	records, started := 0, time.Now()
	for left > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		fetches := c.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil {
			return err
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			got := iter.Next()
			if got.Offset >= ends[got.Partition] {
				continue
			}
			if got.Offset != next[got.Partition] {
				return fmt.Errorf("partition %d: offset %d after %d", got.Partition, got.Offset, next[got.Partition]-1)
			}
			next[got.Partition]++
			records++
			// A failed write is told by Flush.
			files[got.Partition].Write(got.Value)
			files[got.Partition].WriteByte('\n')
			if next[got.Partition] == ends[got.Partition] {
				left--
			}
		}
	}
	for _, file := range files {
		if err := file.Flush(); err != nil {
			return err
		}
	}
	print(map[string]any{"records": records, "partitions": len(ends), "seconds": time.Since(started).Seconds()})
	return nil
}
