package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V4_0_0_0
	config.ClientID = "sarama"
	config.ApiVersionsRequest = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.MaxWaitTime = 200 * time.Millisecond
	config.Consumer.Return.Errors = true
	config.Metadata.Retry.Max = 20
	config.Metadata.Retry.Backoff = 250 * time.Millisecond
	return config
}

// saramaStorm is sarama as a member of the storm (STORM.md).
type saramaStorm struct {
	told  *told
	topic string
	// When the member began to join: it asks for committed offsets before it tells anyone what it was given.
	joining time.Time
}

func (s *saramaStorm) Setup(session sarama.ConsumerGroupSession) error {
	has := map[int32]bool{}
	for _, one := range session.Claims()[s.topic] {
		has[one] = true
	}
	s.told.assigned(s.joining, has)
	return nil
}

func (s *saramaStorm) Cleanup(sarama.ConsumerGroupSession) error {
	s.told.assigned(time.Now(), nil)
	return nil
}

func (s *saramaStorm) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case one, open := <-claim.Messages():
			if !open {
				return nil
			}
			s.told.lines(given(one.Partition, one.Offset, one.Key, one.Value))
			// The library commits in the background and does not say when it has: see commits.
			session.MarkMessage(one, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func stormOfSarama(bootstrap, topic, group string) {
	config := saramaConfig()
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Offsets.AutoCommit.Enable = true
	config.Consumer.Offsets.AutoCommit.Interval = 300 * time.Millisecond
	ctx := untilInputEnds()
	s := &saramaStorm{told: newTold(), topic: topic}
	var client sarama.Client
	var err error
	for client == nil && ctx.Err() == nil {
		if client, err = sarama.NewClient([]string{bootstrap}, config); err != nil {
			s.told.lines("e " + err.Error())
			time.Sleep(300 * time.Millisecond)
		}
	}
	if client == nil {
		return
	}
	consumer, err := sarama.NewConsumerGroupFromClient(group, client)
	if err != nil {
		panic(err)
	}
	go func() {
		for err := range consumer.Errors() {
			s.told.lines("e " + strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}()
	go s.commits(ctx, client, group)
	for ctx.Err() == nil {
		s.joining = time.Now()
		if err := consumer.Consume(ctx, []string{topic}, s); err != nil && ctx.Err() == nil {
			s.told.lines("e " + strings.ReplaceAll(err.Error(), "\n", " "))
			time.Sleep(300 * time.Millisecond)
		}
	}
	if err := consumer.Close(); err != nil {
		s.told.lines("e " + err.Error())
	}
}

// commits asks the broker what the group has committed, every second, and tells that: it was committed before the answer came.
func (s *saramaStorm) commits(ctx context.Context, client sarama.Client, group string) {
	for ctx.Err() == nil {
		time.Sleep(time.Second)
		coordinator, err := client.Coordinator(group)
		if err != nil {
			continue
		}
		partitions, err := client.Partitions(s.topic)
		if err != nil {
			continue
		}
		ask := sarama.NewOffsetFetchRequest(sarama.V2_0_0_0, group, map[string][]int32{s.topic: partitions})
		found, err := coordinator.FetchOffset(ask)
		if err != nil {
			s.told.lines("e " + strings.ReplaceAll(err.Error(), "\n", " "))
			_ = client.RefreshCoordinator(group)
			continue
		}
		now := time.Now().UnixMilli()
		for partition, one := range found.Blocks[s.topic] {
			if one.Err == sarama.ErrNoError && one.Offset >= 0 {
				s.told.lines(fmt.Sprintf("c %d %d %s", now, partition, strconv.FormatInt(one.Offset, 10)))
			}
		}
	}
}
