package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Where the one partition that is set back is set back to.
const setBack = 40

// A partition of a topic.
type place struct {
	topic     string
	partition int32
}

// A member of a group: what it has, and what it was given since its last assignment.
type member struct {
	client *kgo.Client

	mutex       sync.Mutex
	assigned    map[place]bool
	assignments int
	taken       []*kgo.Record
	failed      error
}

func (c *client) join(group string, topics []string, instance string) (*member, error) {
	m := &member{assigned: map[place]bool{}}
	options := []kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.DisableAutoCommit(), kgo.Balancers(kgo.RangeBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6 * time.Second),
		kgo.HeartbeatInterval(300 * time.Millisecond), kgo.BlockRebalanceOnPoll(), kgo.FetchMaxPartitionBytes(10_000_000),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			// Nothing is committed before everything is read, so whoever gets a partition reads it from its start.
			m.assigned, m.taken = places(got), nil
			m.assignments++
		}),
		kgo.OnPartitionsRevoked(m.revoked), kgo.OnPartitionsLost(m.revoked),
	}
	if instance != "" {
		options = append(options, kgo.InstanceID(instance))
	}
	opened, err := c.open(options...)
	m.client = opened
	return m, err
}

func (m *member) revoked(context.Context, *kgo.Client, map[string][]int32) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.assigned, m.taken = map[place]bool{}, nil
}

func (m *member) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	fetches := m.client.PollFetches(ctx)
	m.mutex.Lock()
	fetches.EachError(func(topic string, partition int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			m.failed = fmt.Errorf("%s/%d: %w", topic, partition, err)
		}
	})
	fetches.EachRecord(func(one *kgo.Record) { m.taken = append(m.taken, one) })
	m.mutex.Unlock()
	m.client.AllowRebalance()
}

func (m *member) has() map[place]bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return maps.Clone(m.assigned)
}

func (m *member) count() (assignments, records int) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.assignments, len(m.taken)
}

func places(of map[string][]int32) map[place]bool {
	out := map[place]bool{}
	for topic, partitions := range of {
		for _, one := range partitions {
			out[place{topic, one}] = true
		}
	}
	return out
}

// drive lets the members poll until done says so, for at most 30 s.
func drive(ctx context.Context, done func() bool, members ...*member) error {
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			seen := ""
			for _, one := range members {
				assignments, records := one.count()
				seen += fmt.Sprintf(" (%d assignments, %d partitions, %d records)", assignments, len(one.has()), records)
			}
			return errors.New("not done in 30 s:" + seen)
		}
		for _, one := range members {
			one.poll(ctx)
			if one.failed != nil {
				return one.failed
			}
		}
	}
	return nil
}

// linger lets the members poll for a while: what should not come would come now.
func linger(ctx context.Context, span time.Duration, members ...*member) error {
	until := time.Now().Add(span)
	return drive(ctx, func() bool { return time.Now().After(until) }, members...)
}

// The streams of the group, out of WRITER:STREAM,... words.
type askedFor struct {
	topics  []string
	streams map[string][2]string
	ends    map[place]int64
	// What stays committed to the end of the run: one partition set back, the others at their ends.
	left  map[place]int64
	total int
}

func (c *client) asked(words []string) *askedFor {
	a := &askedFor{streams: map[string][2]string{}, ends: map[place]int64{}}
	for _, word := range words {
		writer, list, _ := strings.Cut(word, ":")
		for _, stream := range strings.Split(list, ",") {
			topic := c.run + "-" + writer + "-" + stream
			a.topics = append(a.topics, topic)
			a.streams[topic] = [2]string{writer, stream}
			for p := range partitions(stream) {
				a.ends[place{topic, int32(p)}] = int64(count(stream) / partitions(stream))
			}
			a.total += count(stream)
		}
	}
	a.left = maps.Clone(a.ends)
	a.left[place{a.topics[0], 0}] = setBack
	return a
}

func (c *client) everythingOnce(a *askedFor, members ...*member) error {
	next := map[place]int64{}
	for _, one := range members {
		for _, got := range one.taken {
			at := place{got.Topic, got.Partition}
			if !one.assigned[at] {
				return fmt.Errorf("%v came to a member that does not have it", at)
			}
			if got.Offset != next[at] {
				return fmt.Errorf("%v: want offset %d, got %d", at, next[at], got.Offset)
			}
			next[at]++
			stream := a.streams[got.Topic]
			i := int(got.Offset)*partitions(stream[1]) + int(got.Partition)
			if err := difference(expected(stream[0], stream[1], i, c.base), got); err != nil {
				return fmt.Errorf("%v offset %d: %w", at, got.Offset, err)
			}
		}
	}
	if !maps.Equal(next, a.ends) {
		return fmt.Errorf("want ends %v, got %v", a.ends, next)
	}
	return nil
}

func (c *client) offsetsAre(ctx context.Context, group string, want map[place]int64) error {
	return c.with(func(admin *kadm.Client) error {
		found, err := admin.FetchOffsets(ctx, group)
		if err = errors.Join(err, found.Error()); err != nil {
			return err
		}
		got := map[place]int64{}
		found.Each(func(one kadm.OffsetResponse) { got[place{one.Topic, one.Partition}] = one.At })
		if !maps.Equal(got, want) {
			return fmt.Errorf("want %v, got %v", want, got)
		}
		return nil
	})
}

func (c *client) groupIs(ctx context.Context, group, state string, members ...*member) error {
	return c.with(func(admin *kadm.Client) error {
		found, err := admin.DescribeGroups(ctx, group)
		if err = errors.Join(err, found.Error()); err != nil {
			return err
		}
		described := found[group]
		if described.State != state || len(described.Members) != len(members) {
			return fmt.Errorf("want %s with %d members, got %s with %d", state, len(members), described.State, len(described.Members))
		}
		for _, one := range described.Members {
			assigned, ok := one.Assigned.AsConsumer()
			if !ok {
				return errors.New("the assignment is not of the consumer protocol")
			}
			got := map[string][]int32{}
			for _, topic := range assigned.Topics {
				got[topic.Topic] = topic.Partitions
			}
			if !slices.ContainsFunc(members, func(m *member) bool { return maps.Equal(m.has(), places(got)) }) {
				return fmt.Errorf("no member has %v", got)
			}
		}
		return nil
	})
}

func (c *client) commitAt(ctx context.Context, group string, at place, offset int64) error {
	return c.with(func(admin *kadm.Client) error {
		offsets := kadm.Offsets{}
		offsets.AddOffset(at.topic, at.partition, offset, -1)
		return admin.CommitAllOffsets(ctx, group, offsets)
	})
}

func (c *client) deleteGroup(ctx context.Context, group string) error {
	return c.with(func(admin *kadm.Client) error {
		_, err := admin.DeleteGroup(ctx, group)
		return err
	})
}

func (c *client) listed(ctx context.Context, group string, want bool) error {
	return c.with(func(admin *kadm.Client) error {
		found, err := admin.ListGroups(ctx)
		if err != nil {
			return err
		}
		if _, got := found[group]; got != want {
			return fmt.Errorf("%s listed: want %v, got %v", group, want, got)
		}
		return nil
	})
}

func (c *client) group(words []string) {
	a := c.asked(words)
	group := c.run + "-" + name + "-group"
	first := place{a.topics[0], 0}
	var pair []*member
	attempt("two members read everything once", func(ctx context.Context) error {
		for range 2 {
			one, err := c.join(group, a.topics, "")
			if err != nil {
				return err
			}
			pair = append(pair, one)
		}
		err := drive(ctx, func() bool {
			_, one := pair[0].count()
			_, other := pair[1].count()
			return len(pair[0].has()) > 0 && len(pair[1].has()) > 0 && one+other >= a.total
		}, pair...)
		if err != nil {
			return err
		}
		if err := linger(ctx, 200*time.Millisecond, pair...); err != nil {
			return err
		}
		return c.everythingOnce(a, pair...)
	})
	attempt("describe the live group", func(ctx context.Context) error { return c.groupIs(ctx, group, "Stable", pair...) })
	attempt("delete the live group", func(ctx context.Context) error {
		return refused(kerr.NonEmptyGroup, c.deleteGroup(ctx, group))
	})
	attempt("commit and leave", func(ctx context.Context) error {
		var failed error
		for _, one := range pair {
			failed = errors.Join(failed, one.client.CommitUncommittedOffsets(ctx))
		}
		for _, one := range pair {
			one.client.Close()
		}
		if failed != nil {
			return failed
		}
		return errors.Join(c.groupIs(ctx, group, "Empty"), c.offsetsAre(ctx, group, a.ends))
	})
	attempt("list groups", func(ctx context.Context) error { return c.listed(ctx, group, true) })
	attempt("the next member gets nothing old", func(ctx context.Context) error {
		one, err := c.join(group, a.topics, "")
		if err != nil {
			return err
		}
		defer one.client.Close()
		if err := drive(ctx, func() bool { return len(one.has()) == len(a.ends) }, one); err != nil {
			return err
		}
		if err := linger(ctx, 700*time.Millisecond, one); err != nil {
			return err
		}
		if _, records := one.count(); records != 0 {
			return fmt.Errorf("%d records", records)
		}
		return nil
	})
	attempt("offsets set back", func(ctx context.Context) error {
		if err := c.commitAt(ctx, group, first, setBack); err != nil {
			return err
		}
		one, err := c.join(group, a.topics, "")
		if err != nil {
			return err
		}
		var want, got []int64
		for offset := int64(setBack); offset < a.ends[first]; offset++ {
			want = append(want, offset)
		}
		err = drive(ctx, func() bool {
			_, records := one.count()
			return records >= len(want)
		}, one)
		err = errors.Join(err, linger(ctx, 200*time.Millisecond, one))
		// Closing revokes, which forgets them.
		taken := one.taken
		one.client.Close()
		if err != nil {
			return err
		}
		return errors.Join(c.offsetsAre(ctx, group, a.left), func() error {
			for _, record := range taken {
				if (place{record.Topic, record.Partition}) != first {
					return fmt.Errorf("got %s/%d", record.Topic, record.Partition)
				}
				got = append(got, record.Offset)
			}
			if !slices.Equal(want, got) {
				return fmt.Errorf("want %d and on, got %v", setBack, got)
			}
			return nil
		}())
	})
	attempt("offsets of an unknown group", func(ctx context.Context) error { return c.offsetsAre(ctx, group+"-none", nil) })
	attempt("delete an unknown group", func(ctx context.Context) error {
		return refused(kerr.GroupIDNotFound, c.deleteGroup(ctx, group+"-none"))
	})
	attempt("delete an empty group", func(ctx context.Context) error {
		other := group + "-gone"
		at := place{a.topics[0], 1}
		if err := errors.Join(c.commitAt(ctx, other, at, 7), c.offsetsAre(ctx, other, map[place]int64{at: 7})); err != nil {
			return err
		}
		return errors.Join(c.deleteGroup(ctx, other), c.listed(ctx, other, false), c.offsetsAre(ctx, other, nil))
	})
	attempt("a static member comes back", func(ctx context.Context) error { return c.static(ctx, group+"-static", a) })
}

func (c *client) static(ctx context.Context, group string, a *askedFor) error {
	one, err := c.join(group, a.topics, "instance-a")
	if err != nil {
		return err
	}
	other, err := c.join(group, a.topics, "instance-b")
	if err != nil {
		one.client.Close()
		return err
	}
	defer other.client.Close()
	err = drive(ctx, func() bool {
		return len(one.has()) > 0 && len(other.has()) > 0 && len(one.has())+len(other.has()) == len(a.ends)
	}, one, other)
	had, kept := one.has(), other.has()
	before, _ := other.count()
	one.client.Close()
	if err != nil {
		return err
	}
	again, err := c.join(group, a.topics, "instance-a")
	if err != nil {
		return err
	}
	defer again.client.Close()
	if err := drive(ctx, func() bool { return len(again.has()) > 0 }, again, other); err != nil {
		return err
	}
	// Longer than the heartbeats by which a member learns of a rebalance.
	if err := linger(ctx, time.Second, again, other); err != nil {
		return err
	}
	if !maps.Equal(again.has(), had) {
		return fmt.Errorf("had %v, has %v", had, again.has())
	}
	if after, _ := other.count(); after != before || !maps.Equal(other.has(), kept) {
		return fmt.Errorf("the other member was rebalanced: %d assignments", after-before)
	}
	return nil
}

// committed is asked after the broker was killed: what group left is still there.
func (c *client) committed(words []string) {
	a := c.asked(words)
	group := c.run + "-" + name + "-group"
	attempt("committed offsets", func(ctx context.Context) error { return c.offsetsAre(ctx, group, a.left) })
	attempt("the group is empty", func(ctx context.Context) error { return c.groupIs(ctx, group, "Empty") })
}
