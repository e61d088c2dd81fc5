package redisstore_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// absurd returns a client that is answered with the same bytes, whatever it asks for
// after its greetings.
func absurd(t *testing.T, answer string) *redis.Client {
	t.Helper()
	p := testserver.NewRedisProxy(t, testserver.Redis(t))
	p.Answer(func(command []string) string {
		if slices.Contains([]string{"HELLO", "CLIENT"}, strings.ToUpper(command[0])) {
			return ""
		}
		return answer
	})
	return clientOf(t, &redis.Options{Addr: p.Addr, MaxRetries: -1})
}

// The client panics when it is to make room for more than there can be, also in
// goroutines in which nobody above could recover.
func TestAnswerThatMakesTheClientPanicIsAnError(t *testing.T) {
	for _, answer := range []string{"$9223372036854775800\r\n", "*9223372036854775807\r\n"} {
		s := redisstore.New(absurd(t, answer), nil)
		for method, call := range calls(s) {
			for how, ctx := range map[string]context.Context{"can end": t.Context(), "cannot end": context.Background()} {
				if err := call(ctx); err == nil || !strings.HasPrefix(err.Error(), "memo: redisstore: ") {
					t.Errorf("%s with a context that %s and the answer %q = %v, want an error that begins with memo: redisstore:", method, how, answer, err)
				}
			}
		}
	}
}

func TestNotificationsSurviveAnAnswerThatMakesTheClientPanic(t *testing.T) {
	sink := &recorder{t: t}
	stop, err := redisstore.New(absurd(t, "*9223372036854775807\r\n"), nil).Notify(t.Context(), "", sink)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if sink.isUp() {
		t.Error("up, without an answer that makes sense")
	}
}
