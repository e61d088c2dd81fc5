package dynamostore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/dynamostore"
)

// operations are DynamoDB's, by the call of calls that needs them.
var operations = map[string]string{
	"Get": "GetItem", "GetMulti": "BatchGetItem", "Set": "PutItem", "Delete": "DeleteItem", "Delete many": "BatchWriteItem",
}

func TestThrottlingAndServerErrorsAreRetried(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	for name, f := range map[string]testserver.Fault{
		"throttled": testserver.Throttled, "broken": testserver.Broken, "lost": testserver.Lost, "unreachable": testserver.Unreachable,
	} {
		t.Run(name, func(t *testing.T) {
			for call, op := range operations {
				wire.Reset()
				check(t, s.Set(t.Context(), "k", newValue(), 0))
				wire.Reset()
				wire.Plan(op, f, f)
				err, want := calls(s)[call](t.Context()), 3
				if call == "Set" && (name == "broken" || name == "lost") {
					want = 1 // it may have taken place, and must not undo what followed it
				}
				if (err == nil) != (want == 3) {
					t.Errorf("%s = %v after %d attempts", call, err, wire.Count(op))
				}
				if got := wire.Count(op); got != want {
					t.Errorf("%s took %d attempts, want %d", call, got, want)
				}
			}
		})
	}
}

func TestPersistentFailureIsAnErrorWithItsCause(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	var throttling *types.ProvisionedThroughputExceededException
	var internal *types.InternalServerError
	for name, call := range calls(s) {
		t.Run(name, func(t *testing.T) {
			defer wire.Always(nil)
			wire.Always(testserver.Throttled)
			if err := call(t.Context()); !errors.As(err, &throttling) || !strings.HasPrefix(err.Error(), "memo: dynamostore: table ") {
				t.Errorf("error = %v, want one of ours wrapping a ProvisionedThroughputExceededException", err)
			}
			wire.Always(testserver.Broken)
			if err := call(t.Context()); !errors.As(err, &internal) {
				t.Errorf("error = %v, want one wrapping an InternalServerError", err)
			}
			wire.Always(testserver.Dropped)
			if err := call(t.Context()); !errors.Is(err, testserver.ErrCut) {
				t.Errorf("error = %v, want one wrapping that of the connection", err)
			}
			wire.Always(testserver.Torn) // which the SDK does not retry
			if err := call(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error = %v, want one wrapping io.ErrUnexpectedEOF", err)
			}
		})
	}
}

// A conditional write whose answer gets lost is sent again, and then fails on what
// it has written itself.
func TestConditionalWriteWhoseAnswerWasLostIsRecognizedAsDone(t *testing.T) {
	endpoint := testserver.Dynalite(t)
	for name, f := range map[string]testserver.Fault{"lost": testserver.Lost, "500 all the same": testserver.BrokenAfter} {
		for _, value := range [][]byte{newValue(), []byte("short")} {
			t.Run(fmt.Sprintf("%s/%d bytes", name, len(value)), func(t *testing.T) {
				client, wire := newClient(t, endpoint)
				s := dynamostore.New(client, newTable(t, client, nil), nil)

				wire.Plan("PutItem", f)
				if err := s.Add(t.Context(), "k", value, time.Minute); err != nil {
					t.Errorf("Add = %v, want nil", err)
				}
				wantValue(t, s, "k", value)

				old := newValue()
				token, _ := store.TokenOf(old)
				check(t, s.Set(t.Context(), "k", old, 0))
				wire.Plan("PutItem", f, testserver.Throttled, f)
				if err := s.Swap(t.Context(), "k", token, value, 0); err == nil {
					t.Error("Swap without any answer = nil, want an error")
				}
				check(t, s.Set(t.Context(), "k", old, 0))
				wire.Plan("PutItem", f, testserver.Throttled)
				if err := s.Swap(t.Context(), "k", token, value, 0); err != nil {
					t.Errorf("Swap = %v, want nil", err)
				}
				wantValue(t, s, "k", value)
			})
		}
	}
}

func TestConditionalWriteThatNeverArrivedIsMadeByTheNextAttempt(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	for _, f := range []testserver.Fault{testserver.Dropped, testserver.Broken, testserver.Throttled, testserver.Unreachable} {
		first, second := newValue(), newValue()
		token, _ := store.TokenOf(first)
		check(t, s.Delete(t.Context(), "k"))
		wire.Plan("PutItem", f)
		if err := s.Add(t.Context(), "k", first, 0); err != nil {
			t.Errorf("Add = %v, want nil", err)
		}
		wire.Plan("PutItem", f)
		if err := s.Swap(t.Context(), "k", token, second, 0); err != nil {
			t.Errorf("Swap = %v, want nil", err)
		}
		wantValue(t, s, "k", second)
	}
}

// ErrExists and ErrConflict mean that nothing was changed, which nobody knows here:
// what the lost attempt wrote may have been replaced since.
func TestConflictAfterALostAnswerIsNoAnswer(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	table := newTable(t, client, nil)
	s := dynamostore.New(client, table, nil)
	other, _ := newClient(t, *client.Options().BaseEndpoint)
	others := dynamostore.New(other, table, nil)
	old, theirs := newValue(), newValue()
	token, _ := store.TokenOf(old)
	replace := func() { check(t, others.Set(context.Background(), "k", theirs, 0)) }
	remove := func() { check(t, others.Delete(context.Background(), "k")) }

	for _, test := range []struct {
		name  string
		write func() error
		fault testserver.Fault
		left  []byte
	}{
		{"Add, then replaced", func() error { return s.Add(t.Context(), "k", newValue(), 0) }, after(replace, testserver.Lost), theirs},
		{"Add, other value first", func() error { return s.Add(t.Context(), "k", newValue(), 0) }, before(replace, testserver.Lost), theirs},
		// What would pass for ours, had it our expiry.
		{"Add, same value first", func() error { return s.Add(t.Context(), "k", theirs, time.Hour) }, before(replace, testserver.Lost), theirs},
		{"Swap, then replaced", func() error { return s.Swap(t.Context(), "k", token, newValue(), 0) }, after(replace, testserver.Lost), theirs},
		{"Swap, then deleted", func() error { return s.Swap(t.Context(), "k", token, newValue(), 0) }, after(remove, testserver.Lost), nil},
		{"Swap, other value first", func() error { return s.Swap(t.Context(), "k", token, newValue(), 0) }, before(replace, testserver.BrokenAfter), theirs},
	} {
		t.Run(test.name, func(t *testing.T) {
			check(t, s.Delete(t.Context(), "k"))
			if strings.HasPrefix(test.name, "Swap") {
				check(t, s.Set(t.Context(), "k", old, 0))
			}
			wire.Plan("PutItem", test.fault)
			err := test.write()
			if err == nil || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
				t.Errorf("error = %v, want one that leaves open whether the write took place", err)
			}
			if !strings.Contains(fmt.Sprint(err), "may have taken place") {
				t.Errorf("error %q does not say that the write may have taken place", err)
			}
			got, _ := s.Get(t.Context(), "k")
			if !bytes.Equal(got, test.left) {
				t.Errorf("under the key is %q, want %q", got, test.left)
			}
		})
	}
}

func TestConflictAfterARefusedAttemptIsAnAnswer(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	value := newValue()
	check(t, s.Set(t.Context(), "k", value, 0))
	for _, f := range []testserver.Fault{testserver.Throttled, testserver.Unreachable} {
		wire.Reset()
		wire.Plan("PutItem", f)
		// The very value that is there, so that it would pass for ours.
		if err := s.Add(t.Context(), "k", value, 0); !errors.Is(err, store.ErrExists) {
			t.Errorf("Add = %v, want ErrExists", err)
		}
		wire.Plan("PutItem", f)
		if err := s.Swap(t.Context(), "k", store.NewToken(), value, 0); !errors.Is(err, store.ErrConflict) {
			t.Errorf("Swap = %v, want ErrConflict", err)
		}
		if n := wire.Count("GetItem"); n > 0 {
			t.Errorf("the item was read %d times, want none", n)
		}
	}
}

func TestSwapThatFindsItsOldTokenExpiredIsAConflictHoweverItWasSent(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	table := newTable(t, client, nil)
	s := dynamostore.New(client, table, nil)
	token := store.NewToken()
	put(t, client, table, map[string]types.AttributeValue{
		"key":    &types.AttributeValueMemberS{Value: "k"},
		"value":  &types.AttributeValueMemberB{Value: token[:]},
		"token":  &types.AttributeValueMemberB{Value: token[:]},
		"expiry": &types.AttributeValueMemberN{Value: "1000"},
	})
	wire.Plan("PutItem", testserver.Lost)
	if err := s.Swap(t.Context(), "k", token, newValue(), 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Swap = %v, want ErrConflict", err)
	}
}

func TestLostAnswerThatCannotBeLookedUpIsAnError(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	wire.Plan("PutItem", testserver.Lost)
	wire.Plan("GetItem", testserver.Broken, testserver.Broken, testserver.Broken)
	var internal *types.InternalServerError
	if err := s.Add(t.Context(), "k", newValue(), 0); !errors.As(err, &internal) {
		t.Errorf("Add = %v, want an error wrapping an InternalServerError", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wire.Plan("PutItem", testserver.Lost)
	wire.Plan("GetItem", before(cancel, testserver.Silent))
	if err := s.Add(ctx, "other", newValue(), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Add = %v, want an error wrapping context.Canceled", err)
	}
}

// What the answers of many concurrent writers say must agree with what is there,
// whichever requests and answers get lost.
func TestAnswersAgreeWithTheStoreWhateverGetsLost(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	wire.Always(func(r *http.Request, send testserver.Send) (*http.Response, error) {
		pass := func(r *http.Request, send testserver.Send) (*http.Response, error) {
			return send(r)
		}
		faults := []testserver.Fault{pass, pass, pass, testserver.Lost, testserver.Torn, testserver.Dropped, testserver.Broken, testserver.BrokenAfter, testserver.Throttled}
		return faults[rand.IntN(len(faults))](r, send)
	})
	const writers = 8
	for round := range 30 {
		key := fmt.Sprint(round)
		answers := map[string]error{} // by the value written
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				value := newValue()
				err := s.Add(context.Background(), key, value, time.Hour)
				mu.Lock()
				defer mu.Unlock()
				answers[string(value)] = err
			})
		}
		wg.Wait()

		var there []byte
		for err := errors.New("not yet read"); err != nil; {
			if there, err = s.Get(t.Context(), key); errors.Is(err, store.ErrNotFound) {
				break
			}
		}
		for value, err := range answers {
			switch {
			case err == nil && value != string(there):
				t.Errorf("Add of %q = nil, and there is %q", value, there)
			case errors.Is(err, store.ErrExists) && value == string(there):
				t.Errorf("Add of %q = ErrExists, and it is there", value)
			case errors.Is(err, store.ErrExists) && there == nil:
				t.Errorf("Add = ErrExists, and there is nothing")
			}
		}
	}
}

func TestGetMultiAsksAgainForWhatIsLeftUnprocessed(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	want := map[string][]byte{}
	keys := []string{"absent"}
	for i := range 150 {
		key := fmt.Sprint("k", i)
		keys, want[key] = append(keys, key), newValue()
		check(t, s.Set(t.Context(), key, want[key], 0))
	}
	wire.Reset()
	// The first hundred in 40, 0, 40 and 20, the rest at once.
	wire.Plan("BatchGetItem", testserver.Partly(40), testserver.Partly(0), testserver.Partly(40), nil)
	got, err := s.GetMulti(t.Context(), keys)
	check(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if n := wire.Count("BatchGetItem"); n != 5 {
		t.Errorf("%d requests were sent, want 5", n)
	}
}

// DynamoDB answers with 16 MB at most, dynalite with less.
func TestGetMultiReadsMoreThanFitsInOneAnswer(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprint(i))
		check(t, s.Set(t.Context(), keys[i], bytes.Repeat([]byte{byte(i)}, 200<<10), 0))
	}
	got, err := s.GetMulti(t.Context(), keys)
	check(t, err)
	for i, key := range keys {
		if v := got[key]; len(v) != 200<<10 || v[0] != byte(i) {
			t.Errorf("under %s are %d bytes, want %d", key, len(v), 200<<10)
		}
	}
	if n := wire.Count("BatchGetItem"); n < 2 {
		t.Errorf("%d requests were sent; this checks nothing", n)
	}
}

func TestGetMultiReturnsWhatItHasReadBesideTheError(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	first, second := newValue(), newValue()
	check(t, s.Set(t.Context(), "first", first, 0))
	check(t, s.Set(t.Context(), "second", second, 0))
	for name, f := range map[string]testserver.Fault{"throttled": testserver.Throttled, "dropped": testserver.Dropped} {
		t.Run(name, func(t *testing.T) {
			wire.Plan("BatchGetItem", testserver.Partly(1), f, f, f)
			got, err := s.GetMulti(t.Context(), []string{"first", "second"})
			if err == nil {
				t.Error("error = nil, want that of the second request")
			}
			if diff := cmp.Diff(map[string][]byte{"first": first}, got); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeleteAsksAgainForWhatIsLeftUnprocessed(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	var keys []string
	for i := range 30 {
		keys = append(keys, fmt.Sprint(i))
		check(t, s.Set(t.Context(), keys[i], newValue(), 0))
	}
	wire.Reset()
	// The first 25 in 10, 0, 10 and 5, the rest at once.
	wire.Plan("BatchWriteItem", testserver.Partly(10), testserver.Partly(0), testserver.Partly(10), nil)
	check(t, s.Delete(t.Context(), keys...))
	if got, err := s.GetMulti(t.Context(), keys); len(got) > 0 || err != nil {
		t.Errorf("after Delete there are %d values, %v, want none", len(got), err)
	}
	if n := wire.Count("BatchWriteItem"); n != 5 {
		t.Errorf("%d requests were sent, want 5", n)
	}
}

func TestErrorAfterTheEndOfTheContextSaysWhatWasBefore(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wire.Plan("GetItem", testserver.Throttled, testserver.Throttled, before(cancel, testserver.Throttled)) // which the SDK does not retry
	_, err := s.Get(ctx, "k")
	var throttling *types.ProvisionedThroughputExceededException
	if !errors.Is(err, context.Canceled) || !errors.As(err, &throttling) {
		t.Errorf("Get = %v, want an error wrapping context.Canceled and a ProvisionedThroughputExceededException", err)
	}
}

func TestContextEndsTheWaitForWhatIsLeftUnprocessed(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	for _, name := range []string{"GetMulti", "Delete many"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			wire.Reset()
			wire.Plan(operations[name], testserver.Partly(0), testserver.Partly(0), after(cancel, testserver.Partly(0)))
			if err := calls(s)[name](ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error = %v, want one wrapping context.Canceled", err)
			}
			if n := wire.Count(operations[name]); n != 3 {
				t.Errorf("%d requests were sent, want 3", n)
			}
		})
	}
}

// Leases rest on it, and the emulator has no other reads to show the difference.
func TestEveryReadIsConsistent(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	var reads []string
	look := func(next testserver.Fault) testserver.Fault {
		return func(r *http.Request, send testserver.Send) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			reads = append(reads, string(body))
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
			return next(r, send)
		}
	}
	pass := func(r *http.Request, send testserver.Send) (*http.Response, error) {
		return send(r)
	}
	wire.Plan("GetItem", look(pass))
	wire.Plan("BatchGetItem", look(testserver.Partly(1)), look(pass))
	for _, call := range []string{"Get", "GetMulti"} {
		if err := calls(s)[call](t.Context()); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	wire.Plan("PutItem", testserver.Lost) // what became of it is read
	wire.Plan("GetItem", look(pass))
	check(t, s.Add(t.Context(), "k", newValue(), 0))

	if len(reads) != 4 {
		t.Errorf("%d reads were seen, want 4", len(reads))
	}
	for _, read := range reads {
		if !strings.Contains(read, `"ConsistentRead":true`) {
			t.Errorf("a read is not consistent: %s", read)
		}
	}
}

func TestRequestsAreAsFewAsTheServerAllows(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	keys := []string{"k0"}
	for i := range 101 {
		keys = append(keys, fmt.Sprint("k", i))
	}
	for _, test := range []struct {
		name string
		call func() error
		want map[string]int
	}{
		{"Get", func() error { _, err := s.Get(t.Context(), "k"); return err }, map[string]int{"GetItem": 1}},
		{"Set", func() error { return s.Set(t.Context(), "k", newValue(), 0) }, map[string]int{"PutItem": 1}},
		{"Add", func() error { return s.Add(t.Context(), "k", newValue(), 0) }, map[string]int{"PutItem": 1}},
		{"Swap", func() error { return s.Swap(t.Context(), "k", store.Token{}, newValue(), 0) }, map[string]int{"PutItem": 1}},
		{"GetMulti", func() error { _, err := s.GetMulti(t.Context(), keys); return err }, map[string]int{"BatchGetItem": 2}},
		{"GetMulti of nothing", func() error { _, err := s.GetMulti(t.Context(), nil); return err }, map[string]int{}},
		{"Delete", func() error { return s.Delete(t.Context(), "k", "k") }, map[string]int{"DeleteItem": 1}},
		{"Delete of many", func() error { return s.Delete(t.Context(), keys...) }, map[string]int{"BatchWriteItem": 5}},
		{"Delete of nothing", func() error { return s.Delete(t.Context()) }, map[string]int{}},
	} {
		wire.Reset()
		_ = test.call()
		if diff := cmp.Diff(test.want, wire.Seen()); diff != "" {
			t.Errorf("%s sent (-want +got):\n%s", test.name, diff)
		}
	}
}
