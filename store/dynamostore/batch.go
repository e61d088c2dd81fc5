package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/seed-0226adef/memo/internal/refuse"
	"github.com/seed-0226adef/memo/store"
)

// What one request takes ("Quotas in Amazon DynamoDB").
const (
	maxGet    = 100
	maxDelete = 25
)

// DynamoDB may answer a batch in part, because of its size or of the load, and asks
// to wait before the rest. A round that got on with it makes the pauses
// start afresh; without any of it done, that many rounds are enough.
const (
	firstPause = 10 * time.Millisecond
	maxPause   = time.Second
	maxIdle    = 8
)

// GetMulti implements [store.MultiGetter]. It asks for 100 keys at a time, one
// request after the other, and for what a request left out again. It reads
// consistently, and returns at the first request that fails. If one is denied, which
// a single key may be the reason for, its keys are asked for one by one.
func (s *Store) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	found := make(map[string][]byte, len(keys))
	if err := s.checkContext(ctx); err != nil {
		return found, err
	}
	passed, errs := refuse.Keys(keys, checkKey)
	for some := range slices.Chunk(passed, maxGet) {
		asked := make([]map[string]types.AttributeValue, len(some))
		for i, key := range some {
			asked[i] = s.keyOnly(key)
		}
		err := drain(ctx, asked, func(chunk []map[string]types.AttributeValue) ([]map[string]types.AttributeValue, error) {
			items, left, err := s.getSome(ctx, chunk)
			for _, attributes := range items {
				key, it, err := s.decode(attributes)
				if errs.Add(key, err); err == nil && it.live(time.Now()) {
					found[key] = it.value
				}
			}
			return left, err
		})
		switch {
		case concernsKey(err):
			one, err := store.GetMulti(ctx, single{s}, some)
			maps.Copy(found, one)
			errs.Add("", err)
		case err != nil:
			errs.Fail(s.failed(ctx, err))
			return found, errs.Err()
		}
	}
	return found, errs.Err()
}

// getSome asks for keys once. It returns the items that are there and the keys that
// DynamoDB did not look for.
func (s *Store) getSome(ctx context.Context, keys []map[string]types.AttributeValue) (items, left []map[string]types.AttributeValue, err error) {
	out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
		RequestItems: map[string]types.KeysAndAttributes{s.table: {
			Keys:                     keys,
			ConsistentRead:           aws.Bool(true),
			ProjectionExpression:     aws.String(readAttributes),
			ExpressionAttributeNames: s.readNames,
		}},
	})
	if err != nil {
		return nil, nil, err
	}
	for _, answers := range out.Responses { // of the one table
		items = append(items, answers...)
	}
	for _, unprocessed := range out.UnprocessedKeys {
		left = append(left, unprocessed.Keys...)
	}
	return items, left, nil
}

// Delete implements [store.Store]. A single key is a DeleteItem; more are deleted
// 25 at a time, one request after the other, and what a request left out again.
//
// If the store itself refuses one of keys, none is deleted. If a request is denied, its
// keys are deleted one by one.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if err := s.checkContext(ctx); err != nil {
		return err
	}
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	keys, _ = refuse.Keys(keys, checkKey) // DynamoDB refuses repetitions
	if len(keys) == 1 {
		if _, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.table, Key: s.keyOnly(keys[0])}); err != nil {
			return s.failed(ctx, err)
		}
		return nil
	}
	var errs store.KeyErrors
	for some := range slices.Chunk(keys, maxDelete) {
		requests := make([]types.WriteRequest, len(some))
		for i, key := range some {
			requests[i].DeleteRequest = &types.DeleteRequest{Key: s.keyOnly(key)}
		}
		err := drain(ctx, requests, func(chunk []types.WriteRequest) ([]types.WriteRequest, error) {
			return s.deleteSome(ctx, chunk)
		})
		switch {
		case concernsKey(err):
			for _, key := range some {
				errs.Add(key, s.Delete(ctx, key))
			}
		case err != nil:
			return s.failed(ctx, err)
		}
	}
	return errs.Err()
}

// deleteSome sends requests once, and returns those that DynamoDB did not carry out.
func (s *Store) deleteSome(ctx context.Context, requests []types.WriteRequest) (left []types.WriteRequest, err error) {
	out, err := s.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
		RequestItems: map[string][]types.WriteRequest{s.table: requests},
	})
	if err != nil {
		return nil, err
	}
	for _, unprocessed := range out.UnprocessedItems { // of the one table
		left = append(left, unprocessed...)
	}
	return left, nil
}

// drain calls send with batch, then with what send returned of it, until nothing is
// left. It pauses before each call but the first.
func drain[T any](ctx context.Context, batch []T, send func([]T) ([]T, error)) error {
	for idle := 0; ; {
		left, err := send(batch)
		switch {
		case err != nil:
			return err
		case len(left) == 0:
			return nil
		case len(left) < len(batch):
			idle = 0
		default:
			idle++
		}
		if idle == maxIdle {
			return fmt.Errorf("%w: %d of them, %d times in a row", errUnprocessed, len(left), maxIdle)
		}
		if err := pause(ctx, min(firstPause<<idle, maxPause)); err != nil {
			return err
		}
		batch = left
	}
}

var errUnprocessed = errors.New("DynamoDB leaves all keys of a batch unprocessed")

// pause waits for half of d and a random part of the other half.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
