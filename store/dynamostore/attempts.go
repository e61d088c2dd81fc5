package dynamostore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/seed-0226adef/memo/store"
)

// putIf carries out a conditional write. It returns conflict if the condition does
// not hold. old is the token that the condition asks for, or nil.
func (s *Store) putIf(ctx context.Context, key string, in *dynamodb.PutItemInput, conflict error, old *store.Token) error {
	var tries attempts
	_, err := s.client.PutItem(ctx, in, tries.watch)
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &failed):
		return s.failed(ctx, err)
	case tries.unanswered == nil:
		return conflict
	}
	return s.settle(ctx, key, in, tries.unanswered, conflict, old)
}

// settle says what became of a write whose condition failed only after an attempt
// that got no answer. It may be that attempt's own writing that the condition
// failed on, so settle looks at what is there now.
//
// ReturnValuesOnConditionCheckFailure would save the look, but then every ordinary
// conflict would transfer the value that is there.
func (s *Store) settle(ctx context.Context, key string, in *dynamodb.PutItemInput, unanswered, conflict error, old *store.Token) error {
	there, err := s.read(ctx, key)
	if err != nil {
		return err
	}
	_, ours, err := s.decode(in.Item)
	if err != nil {
		return err // which cannot be: it is what encode made
	}
	if there.there && there.expiry == ours.expiry && bytes.Equal(there.value, ours.value) {
		return nil
	}
	if t, ok := store.TokenOf(there.value); ok && old != nil && t == *old {
		return conflict // had ours been written, nobody could have brought back the old one
	}
	return s.failed(ctx, fmt.Errorf("the write may have taken place: an attempt got no answer, and another found what does not allow it: %w", unanswered))
}

// attempts watches what the SDK's attempts at one write come to.
type attempts struct {
	unanswered error // of an attempt that may have taken place
}

// watch makes an operation report its attempts. The SDK's loop runs them one after
// the other, in the goroutine of the caller.
func (a *attempts) watch(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		// Last in this step means inside the loop that retries.
		return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("MemoAttempts", a.handle), middleware.After)
	})
}

func (a *attempts) handle(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleFinalize(ctx, in)
	if err != nil && mayHaveTakenPlace(err) {
		a.unanswered = err
	}
	return out, metadata, err
}

// onceTaken makes an operation end with the first attempt that may have taken place.
func onceTaken(o *dynamodb.Options) {
	if o.Retryer != nil {
		o.Retryer = &unrepeated{o.Retryer}
	}
}

type unrepeated struct{ aws.Retryer }

func (u *unrepeated) IsErrorRetryable(err error) bool {
	return !mayHaveTakenPlace(err) && u.Retryer.IsErrorRetryable(err)
}

// GetAttemptToken makes unrepeated an [aws.RetryerV2] where the client's is one.
func (u *unrepeated) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if v2, ok := u.Retryer.(aws.RetryerV2); ok {
		return v2.GetAttemptToken(ctx)
	}
	return u.GetInitialToken(), nil
}

// mayHaveTakenPlace reports whether a write that ended in err may have been carried
// out. It was not if DynamoDB refused it, with a status of 400, throttling
// included, or if there was no connection to send it over. After a status of 500
// it may have been ("Error handling with DynamoDB" in its Developer Guide), or
// when the connection failed later.
func mayHaveTakenPlace(err error) bool {
	var response interface{ HTTPStatusCode() int }
	if errors.As(err, &response) && response.HTTPStatusCode() == http.StatusBadRequest {
		return false
	}
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}
