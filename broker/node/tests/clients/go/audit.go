package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The reading half of `cargo xtask prove kill`. For each line on standard input it reads every partition from where it stopped to its
// end, and prints what it has seen so far: how many records of each producer and partition, and everything that must never happen.
type auditor struct {
	next    map[int32]int64             // partition: offset expected next
	seen    map[string]map[int32]uint64 // producer, partition: number expected next
	missing map[string]map[int32]map[uint64]bool
	owners  map[int64]string // producer id: who uses it
	touched map[string]bool  // producers seen since the last report

	Records    uint64   `json:"records"`
	Duplicated uint64   `json:"duplicated"`
	OutOfOrder uint64   `json:"out_of_order"`
	Holes      uint64   `json:"holes"`
	Reused     uint64   `json:"producer_id_reused"`
	Malformed  uint64   `json:"malformed"`
	Missing    uint64   `json:"missing"`
	Ids        int      `json:"producer_ids"`
	Examples   []string `json:"examples"`
}

func (a *auditor) example(text string) {
	if len(a.Examples) < 20 {
		a.Examples = append(a.Examples, text)
	}
}

func (a *auditor) record(got *kgo.Record) {
	where := strconv.Itoa(int(got.Partition)) + "@" + strconv.FormatInt(got.Offset, 10)
	a.Records++
	if want := a.next[got.Partition]; got.Offset != want {
		a.Holes++
		a.example("hole: " + where + ", want " + strconv.FormatInt(want, 10))
	}
	a.next[got.Partition] = got.Offset + 1
	producer := string(got.Key)
	if len(got.Value) < 8 || producer == "" {
		a.Malformed++
		a.example("malformed: " + where)
		return
	}
	a.touched[producer] = true
	if owner, known := a.owners[got.ProducerID]; known && owner != producer {
		a.Reused++
		a.example("producer id reused: " + where + " by " + producer + " after " + owner)
	}
	a.owners[got.ProducerID] = producer
	if a.seen[producer] == nil {
		a.seen[producer] = map[int32]uint64{}
		a.missing[producer] = map[int32]map[uint64]bool{}
	}
	number, want := binary.BigEndian.Uint64(got.Value), a.seen[producer][got.Partition]
	switch {
	case number == want:
		a.seen[producer][got.Partition] = number + 1
	case number > want:
		if a.missing[producer][got.Partition] == nil {
			a.missing[producer][got.Partition] = map[uint64]bool{}
		}
		for gone := want; gone < number && gone < want+100_000; gone++ {
			a.missing[producer][got.Partition][gone] = true
			a.Missing++
		}
		a.seen[producer][got.Partition] = number + 1
		a.example("missing before " + where + ": " + producer + " wrote " + strconv.FormatUint(number, 10) + ", want " + strconv.FormatUint(want, 10))
	case a.missing[producer][got.Partition][number]:
		delete(a.missing[producer][got.Partition], number)
		a.Missing--
		a.OutOfOrder++
		a.example("out of order: " + where + ": " + producer + " " + strconv.FormatUint(number, 10))
	default:
		a.Duplicated++
		a.example("duplicated: " + where + ": " + producer + " " + strconv.FormatUint(number, 10))
	}
}

// read takes every partition to its end.
func (a *auditor) read(bootstrap, topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	asking, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return err
	}
	defer asking.Close()
	ends, err := kadm.NewClient(asking).ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	for partition, end := range ends[topic] {
		if end.Err != nil {
			return end.Err
		}
		if end.Offset < a.next[partition] {
			a.Holes++
			a.example("partition " + strconv.Itoa(int(partition)) + " ends at " + strconv.FormatInt(end.Offset, 10) + ", was read up to " + strconv.FormatInt(a.next[partition], 10))
		}
		if end.Offset > a.next[partition] {
			from[partition] = kgo.NewOffset().At(a.next[partition])
			left[partition] = end.Offset
		}
	}
	if len(left) == 0 {
		return nil
	}
	reading, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return err
	}
	defer reading.Close()
	for len(left) > 0 {
		fetches := reading.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(got *kgo.Record) {
			a.record(got)
			if got.Offset+1 >= left[got.Partition] {
				delete(left, got.Partition)
			}
		})
	}
	return nil
}

func audit(bootstrap, topic string) {
	a := &auditor{
		next: map[int32]int64{}, seen: map[string]map[int32]uint64{}, missing: map[string]map[int32]map[uint64]bool{},
		owners: map[int64]string{}, touched: map[string]bool{}, Examples: []string{},
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		line := map[string]any{}
		if err := a.read(bootstrap, topic); err != nil {
			line["error"] = err.Error()
		}
		a.Ids = len(a.owners)
		seen := map[string]map[int32]uint64{}
		for producer := range a.touched {
			seen[producer] = a.seen[producer]
		}
		a.touched = map[string]bool{}
		line["totals"], line["seen"] = a, seen
		print(line)
	}
}
