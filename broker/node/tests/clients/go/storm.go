package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// voice is the standard output that the members of a process share.
type voice struct {
	mutex sync.Mutex
	out   *bufio.Writer
}

// told writes the lines of STORM.md. Callbacks and the poll loop both write, each line whole.
type told struct {
	*voice
	// Who speaks, where the process has several members.
	prefix string
}

func newTold() *told { return &told{voice: &voice{out: bufio.NewWriterSize(os.Stdout, 1<<16)}} }

func (t *told) lines(lines ...string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, line := range lines {
		t.out.WriteString(t.prefix)
		t.out.WriteString(line)
		t.out.WriteByte('\n')
	}
	if err := t.out.Flush(); err != nil {
		// Whoever listened is gone.
		os.Exit(1)
	}
}

func (t *told) assigned(at time.Time, has map[int32]bool) {
	var words []string
	for _, one := range slices.Sorted(maps.Keys(has)) {
		words = append(words, fmt.Sprint(one))
	}
	t.lines(fmt.Sprintf("a %d %s", at.UnixMilli(), strings.Join(words, ",")))
}

func given(partition int32, offset int64, key, value []byte) string {
	number := int64(-1)
	if len(value) >= 8 {
		number = int64(binary.BigEndian.Uint64(value))
	}
	return fmt.Sprintf("r %d %d %s %d", partition, offset, key, number)
}

// untilInputEnds gives a context that ends with standard input.
func untilInputEnds() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		// Whatever comes, and however it ends: only the end counts.
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}

// storm is franz-go as so many members of the storm (STORM.md), cooperative.
func storm(bootstrap, topic, group string, members int) {
	ctx, first := untilInputEnds(), newTold()
	var all sync.WaitGroup
	for n := range members {
		own := first
		if members > 1 {
			own = &told{voice: first.voice, prefix: fmt.Sprintf("@%d ", n)}
		}
		all.Add(1)
		go func() {
			defer all.Done()
			stormMember(ctx, own, bootstrap, topic, group)
		}()
	}
	all.Wait()
}

func stormMember(ctx context.Context, told *told, bootstrap, topic, group string) {
	has, mutex := map[int32]bool{}, sync.Mutex{}
	change := func(add bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, of map[string][]int32) {
			mutex.Lock()
			defer mutex.Unlock()
			for _, one := range of[topic] {
				if add {
					has[one] = true
				} else {
					delete(has, one)
				}
			}
			told.assigned(time.Now(), has)
		}
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(500*time.Millisecond), kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
	if err != nil {
		panic(err)
	}
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		fetches := client.PollFetches(poll)
		cancel()
		fetches.EachError(func(_ string, _ int32, err error) {
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				told.lines("e " + strings.ReplaceAll(err.Error(), "\n", " "))
			}
		})
		var lines []string
		next := map[int32]int64{}
		records := fetches.Records()
		for _, one := range records {
			lines = append(lines, given(one.Partition, one.Offset, one.Key, one.Value))
			next[one.Partition] = max(next[one.Partition], one.Offset+1)
		}
		if len(records) > 0 {
			told.lines(lines...)
			commit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			err := client.CommitRecords(commit, records...)
			cancel()
			if err != nil {
				told.lines("e " + strings.ReplaceAll(err.Error(), "\n", " "))
			} else {
				now := time.Now().UnixMilli()
				for partition, offset := range next {
					told.lines(fmt.Sprintf("c %d %d %d", now, partition, offset))
				}
			}
		}
		client.AllowRebalance()
	}
	client.Close()
}
