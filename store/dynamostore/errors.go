package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/seed-0226adef/memo/store"
)

// failed wraps an error of the client's. If the context has ended, the error wraps
// that of the context, too; if it concerns one key only, [store.ErrRefused].
func (l *layout) failed(ctx context.Context, err error) error {
	if errors.Is(err, store.ErrRefused) {
		return err
	}
	if concernsKey(err) {
		return fmt.Errorf("%w: dynamostore: table %q: %w", store.ErrRefused, l.table, err)
	}
	switch done := ctx.Err(); {
	case done == nil:
	case errors.Is(err, done):
		err = done // beside which the SDK's account of it says nothing
	default:
		err = fmt.Errorf("%w; before that: %w", done, err)
	}
	return fmt.Errorf("memo: dynamostore: table %q: %w", l.table, err)
}

// concernsKey reports whether DynamoDB refuses this key or this value, and may accept
// others.
//
//   - An item, a key or a collection that is too large. The limits are checked before
//     anything is sent, but those of the service may be lower some day, and a table may
//     have local indexes.
//   - A permission that is missing. It may be given for leading keys only
//     (dynamodb:LeadingKeys), and the error does not tell.
//
// Throttling is not among them: a client that goes on makes it worse, whatever the key.
func concernsKey(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode() {
	case "ItemCollectionSizeLimitExceededException", "AccessDeniedException":
		return true
	case "ValidationException":
		text := strings.ToLower(api.ErrorMessage())
		return strings.Contains(text, "size") && strings.Contains(text, "exceeded")
	}
	return false
}

// single hides that a store can do several keys at once.
type single struct{ store.Store }
