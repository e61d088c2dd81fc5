// Package dynamostore is a store in a DynamoDB table.
//
//	client := dynamodb.NewFromConfig(cfg)
//	s := dynamostore.New(client, "cache", nil)
//
// # The table
//
// The table has a partition key, a string, and no sort key; [CreateTable] makes
// one. Beside the key an item holds
//
//   - the value;
//   - its first 16 bytes once more, as an attribute of their own, so that Swap is
//     one conditional PutItem. A value shorter than that has no such attribute;
//   - its expiry, exact, in milliseconds since 1970, unless it has none;
//   - the same in seconds, rounded up, for DynamoDB's Time to Live, which then
//     removes the item at no charge.
//
// The store touches no other item and needs these permissions: GetItem, PutItem,
// DeleteItem, BatchGetItem and BatchWriteItem.
//
// # Expiry and clocks
//
// Time to Live deletes days late, and DynamoDB has no clock to compare with. So
// every read and every condition compares the exact expiry with the clock of the
// machine that asks. One whose clock is ahead by d sees values expire d too soon,
// and its Add may take the place of a lease d before its holder expects it; one
// that is behind sees them d longer. A Swap that takes long, because it is
// retried, may succeed that much after the expiry. None of this brings back what
// was deleted: Delete asks no clock, and Swap compares tokens.
//
// # Consistency
//
// All reads are strongly consistent, which costs twice the read units of others;
// there is no option against it, because leases rest on it. A global table
// keeps that promise if all processes use it in one Region, or if it is configured
// for multi-Region strong consistency. DAX does not keep it.
//
// # Retries
//
// The SDK makes three attempts unless told otherwise, and pauses up to two, then
// up to four seconds between them. A cache has an alternative to waiting. Give its
// client a retryer that gives up earlier:
//
//	client := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
//		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
//			o.MaxAttempts = 2
//			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) {
//				return 20 * time.Millisecond, nil
//			})
//		})
//	})
//
// A conditional write whose answer was lost, and which the SDK then sends again,
// fails because of what it has written itself. Add and Swap notice: they
// read the item, and where it is their own they report success. Where it is
// somebody else's nobody can tell whether the first attempt took place for a
// moment, and the error is then neither [store.ErrExists] nor
// [store.ErrConflict], which both mean that nothing was changed.
//
// A Set is not sent again after an attempt that may have taken place: its value may
// have been read and then deleted or replaced, and would come back under the same
// token. Attempts that DynamoDB refused, throttling included, are repeated.
//
// No client can call back a request that got no answer: DynamoDB may still carry it
// out after the next attempt, and even after a Delete that followed that one. A
// client that makes only one attempt narrows this to writes that returned an error.
//
// # Bubbles
//
// In a testing/synctest bubble the connections that net/http keeps open hold up the
// bubble's time and its end. Give the client of such a test an HTTPClient whose
// Transport has DisableKeepAlives, or use a memstore there.
package dynamostore

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/seed-0226adef/memo/internal/bubble"
	"github.com/seed-0226adef/memo/internal/refuse"
	"github.com/seed-0226adef/memo/store"
)

// Names of the attributes with the zero [Options].
const (
	DefaultKeyAttribute    = "key"
	DefaultValueAttribute  = "value"
	DefaultTokenAttribute  = "token"
	DefaultExpiryAttribute = "expiry"
	DefaultTTLAttribute    = "ttl"
)

// Options name the attributes of an item, for tables that exist already or that
// are shared. Every process that uses the table must name them alike.
//
// An empty name means the default. Two equal names panic in [New]. Names count
// towards the size of each item. Reserved words are allowed.
type Options struct {
	// KeyAttribute is the partition key of the table, of type S.
	// Empty means [DefaultKeyAttribute].
	KeyAttribute string

	// ValueAttribute holds the value, of type B.
	// Empty means [DefaultValueAttribute].
	ValueAttribute string

	// TokenAttribute holds the first 16 bytes of the value, of type B.
	// Empty means [DefaultTokenAttribute].
	TokenAttribute string

	// ExpiryAttribute holds the exact expiry in milliseconds since 1970, of type N.
	// Empty means [DefaultExpiryAttribute].
	ExpiryAttribute string

	// TTLAttribute holds the expiry in seconds since 1970, of type N. It is the
	// attribute to name in the table's Time to Live. Empty means [DefaultTTLAttribute].
	TTLAttribute string
}

// Store is a [store.Store] in a DynamoDB table. It also implements
// [store.MultiGetter]. It does not notify.
//
// Create one with [New]. All methods are safe for concurrent use. There is nothing
// to close; the client belongs to whoever made it.
//
// Errors of the client come wrapped. Those that concern one key wrap [store.ErrRefused]:
// a size that DynamoDB does not take, an item that another program wrote, and a permission
// that is missing, which may be given for leading keys only.
type Store struct {
	client *dynamodb.Client
	layout

	// The expressions' names, which are never modified. DynamoDB refuses names
	// that an expression does not use.
	readNames, absentNames, sameNames map[string]string

	bubbled sync.Once // a bubble's owner was told
}

const (
	readAttributes = "#key, #value, #expiry"
	// isAbsent and isSame are true of what is under the key.
	isAbsent = "attribute_not_exists(#key) OR #expiry <= :now"
	isSame   = "#token = :old AND (attribute_not_exists(#expiry) OR #expiry > :now)"
)

// New returns a store in table, which is a name or an ARN. A nil o means the zero
// Options. New asks nothing of DynamoDB, and so does not notice if there is no such
// table.
//
// New panics if client is nil, if table is empty, or if o names two attributes
// alike.
func New(client *dynamodb.Client, table string, o *Options) *Store {
	l := newLayout("New", client, table, o)
	return &Store{
		client:      client,
		layout:      l,
		readNames:   map[string]string{"#key": l.key, "#value": l.value, "#expiry": l.expiry},
		absentNames: map[string]string{"#key": l.key, "#expiry": l.expiry},
		sameNames:   map[string]string{"#token": l.token, "#expiry": l.expiry},
	}
}

// Get implements [store.Store]. It reads consistently.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := cmp.Or(s.checkContext(ctx), checkKey(key)); err != nil {
		return nil, err
	}
	it, err := s.read(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case !it.live(time.Now()):
		return nil, store.ErrNotFound
	}
	return it.value, nil
}

// Set implements [store.Store].
//
// A Set that is refused leaves the old value.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	in, err := s.put(ctx, key, value, ttl, time.Now())
	if err != nil {
		return err
	}
	if _, err := s.client.PutItem(ctx, in, onceTaken); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

// Add implements [store.Store].
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	now := time.Now()
	in, err := s.put(ctx, key, value, ttl, now)
	if err != nil {
		return err
	}
	in.ConditionExpression = aws.String(isAbsent)
	in.ExpressionAttributeNames = s.absentNames
	in.ExpressionAttributeValues = map[string]types.AttributeValue{":now": number(now.UnixMilli())}
	return s.putIf(ctx, key, in, store.ErrExists, nil)
}

// Swap implements [store.Store].
func (s *Store) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	now := time.Now()
	in, err := s.put(ctx, key, value, ttl, now)
	if err != nil {
		return err
	}
	in.ConditionExpression = aws.String(isSame)
	in.ExpressionAttributeNames = s.sameNames
	in.ExpressionAttributeValues = map[string]types.AttributeValue{
		":old": &types.AttributeValueMemberB{Value: old[:]},
		":now": number(now.UnixMilli()),
	}
	return s.putIf(ctx, key, in, store.ErrConflict, &old)
}

// put returns the request that writes value under key at now, or why it is refused.
func (s *Store) put(ctx context.Context, key string, value []byte, ttl time.Duration, now time.Time) (*dynamodb.PutItemInput, error) {
	if err := cmp.Or(s.checkContext(ctx), checkKey(key), refuse.TTL(ttl), s.checkValue(key, value)); err != nil {
		return nil, err
	}
	return &dynamodb.PutItemInput{
		TableName: &s.table,
		Item:      s.encode(key, item{there: true, value: value, expiry: expiry(now, ttl)}),
	}, nil
}

// read returns the item under key, expired or not.
func (s *Store) read(ctx context.Context, key string) (item, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:                &s.table,
		Key:                      s.keyOnly(key),
		ConsistentRead:           aws.Bool(true),
		ProjectionExpression:     aws.String(readAttributes),
		ExpressionAttributeNames: s.readNames,
	})
	if err != nil {
		return item{}, s.failed(ctx, err)
	}
	_, it, err := s.decode(out.Item)
	return it, err
}

// checkContext returns an error if ctx has ended. The first operation in a bubble tells
// what to do about connections that would keep the bubble from ending.
func (s *Store) checkContext(ctx context.Context) error {
	if bubble.Inside() {
		s.bubbled.Do(func() {
			slog.Warn("memo: dynamostore: a testing/synctest bubble does not end while net/http keeps a connection open: set DisableKeepAlives on the Transport of the client's HTTPClient, or use a memstore", "table", s.table)
		})
	}
	if err := ctx.Err(); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

// Punctual implements an interface of package memo's own.
func (s *Store) Punctual() store.Store { return s }
