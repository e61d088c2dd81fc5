package dynamostore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/dynamostore"
	"github.com/seed-0226adef/memo/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStoreKeepsTheContract(t *testing.T) {
	client, _ := newClient(t, testserver.Dynalite(t))
	var tables sync.Map // by store
	storetest.Run(t, func(t *testing.T) store.Store {
		table := newTable(t, client, nil)
		s := dynamostore.New(client, table, nil)
		tables.Store(s, table)
		return s
	}, storetest.TTLGranularity(dynamostore.TTLGranularity), storetest.MaxValue(dynamostore.MaxValue),
		storetest.ForeignValue(func(t testing.TB, s store.Store, key string) {
			table, _ := tables.Load(s)
			put(t, client, table.(string), map[string]types.AttributeValue{
				"key": &types.AttributeValueMemberS{Value: key}, "value": &types.AttributeValueMemberS{Value: "text"},
			})
		}))
}

// Reserved words, and names that no expression could spell.
func TestStoreKeepsTheContractUnderOtherNames(t *testing.T) {
	client, _ := newClient(t, testserver.Dynalite(t))
	o := &dynamostore.Options{
		KeyAttribute: "hash", ValueAttribute: "a value", TokenAttribute: "#t", ExpiryAttribute: "to.live", TTLAttribute: ":ttl",
	}
	storetest.Run(t, func(t *testing.T) store.Store {
		return dynamostore.New(client, newTable(t, client, o), o)
	}, storetest.TTLGranularity(dynamostore.TTLGranularity))
}

func TestItemHoldsWhatThePackageSays(t *testing.T) {
	client, _ := newClient(t, testserver.Dynalite(t))
	table := newTable(t, client, nil)
	s := dynamostore.New(client, table, nil)
	token := store.NewToken()
	value := append(token[:], "payload"...)

	before := time.Now()
	check(t, s.Set(t.Context(), "expires", value, time.Minute))
	after := time.Now()
	check(t, s.Set(t.Context(), "short", value[:store.TokenSize-1], 0))
	check(t, s.Set(t.Context(), "nil", nil, 0))
	check(t, s.Set(t.Context(), "stays", value, time.Minute))
	check(t, s.Swap(t.Context(), "stays", token, value, 0)) // removes the expiry

	got := rawItem(t, client, table, "expires")
	ms := intAttribute(t, got, "expiry")
	if ms < before.Add(time.Minute).UnixMilli() || ms > after.Add(time.Minute).UnixMilli()+1 {
		t.Errorf("the expiry is %d, want a minute after the Set", ms)
	}
	want := map[string]types.AttributeValue{
		"key":    &types.AttributeValueMemberS{Value: "expires"},
		"value":  &types.AttributeValueMemberB{Value: value},
		"token":  &types.AttributeValueMemberB{Value: token[:]},
		"expiry": &types.AttributeValueMemberN{Value: fmt.Sprint(ms)},
		"ttl":    &types.AttributeValueMemberN{Value: fmt.Sprint(int64(math.Ceil(float64(ms) / 1000)))},
	}
	wantItem(t, got, want)
	wantItem(t, rawItem(t, client, table, "stays"), map[string]types.AttributeValue{
		"key": &types.AttributeValueMemberS{Value: "stays"}, "value": want["value"], "token": want["token"],
	})
	wantItem(t, rawItem(t, client, table, "short"), map[string]types.AttributeValue{
		"key": &types.AttributeValueMemberS{Value: "short"}, "value": &types.AttributeValueMemberB{Value: value[:store.TokenSize-1]},
	})
	wantItem(t, rawItem(t, client, table, "nil"), map[string]types.AttributeValue{
		"key": &types.AttributeValueMemberS{Value: "nil"}, "value": &types.AttributeValueMemberB{Value: []byte{}},
	})
}

// Time to Live deletes days late.
func TestExpiredItemThatIsStillThereIsAbsentForEveryMethod(t *testing.T) {
	client, _ := newClient(t, testserver.Dynalite(t))
	table := newTable(t, client, nil)
	s := dynamostore.New(client, table, nil)
	token := store.NewToken()
	late := map[string]types.AttributeValue{
		"key":    &types.AttributeValueMemberS{Value: "k"},
		"value":  &types.AttributeValueMemberB{Value: token[:]},
		"token":  &types.AttributeValueMemberB{Value: token[:]},
		"expiry": &types.AttributeValueMemberN{Value: fmt.Sprint(time.Now().Add(-time.Second).UnixMilli())},
		"ttl":    &types.AttributeValueMemberN{Value: fmt.Sprint(time.Now().Unix())},
	}
	put(t, client, table, late)
	next := newValue()

	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound", err)
	}
	if got, err := s.GetMulti(t.Context(), []string{"k"}); len(got) > 0 || err != nil {
		t.Errorf("GetMulti = %v, %v, want an empty map", got, err)
	}
	if err := s.Swap(t.Context(), "k", token, next, time.Minute); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Swap = %v, want ErrConflict", err)
	}
	wantItem(t, rawItem(t, client, table, "k"), late)
	if err := s.Add(t.Context(), "k", next, time.Minute); err != nil {
		t.Errorf("Add = %v, want nil", err)
	}
	wantValue(t, s, "k", next)

	put(t, client, table, late)
	check(t, s.Delete(t.Context(), "k"))
	if got := rawItem(t, client, table, "k"); len(got) > 0 {
		t.Errorf("after Delete there is still %v", got)
	}
}

// Reads and conditions must agree on the very millisecond that an item expires in.
func TestItemIsAbsentFromTheMillisecondOfItsExpiry(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	table := newTable(t, client, nil)
	s := dynamostore.New(client, table, nil)
	other, _ := newClient(t, *client.Options().BaseEndpoint)
	token := store.NewToken()
	// expiring puts an item there that expires late milliseconds after the :now of the
	// request that is on its way.
	expiring := func(late int64) testserver.Fault {
		return func(r *http.Request, send testserver.Send) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			var in struct {
				ExpressionAttributeValues map[string]struct {
					N int64 `json:",string"`
				}
			}
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, err
			}
			put(t, other, table, map[string]types.AttributeValue{
				"key":    &types.AttributeValueMemberS{Value: "k"},
				"value":  &types.AttributeValueMemberB{Value: token[:]},
				"token":  &types.AttributeValueMemberB{Value: token[:]},
				"expiry": &types.AttributeValueMemberN{Value: fmt.Sprint(in.ExpressionAttributeValues[":now"].N + late)},
			})
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
			return send(r)
		}
	}
	for _, test := range []struct {
		late      int64
		add, swap error
	}{
		{-1, nil, store.ErrConflict},
		{0, nil, store.ErrConflict},
		{1, store.ErrExists, nil},
	} {
		wire.Plan("PutItem", expiring(test.late), expiring(test.late))
		if err := s.Add(t.Context(), "k", newValue(), 0); !errors.Is(err, test.add) {
			t.Errorf("Add %d ms before the expiry = %v, want %v", test.late, err, test.add)
		}
		if err := s.Swap(t.Context(), "k", token, newValue(), 0); !errors.Is(err, test.swap) {
			t.Errorf("Swap %d ms before the expiry = %v, want %v", test.late, err, test.swap)
		}
	}
}

func TestForeignItemsAreErrorsThatSayWhatIsWrong(t *testing.T) {
	client, _ := newClient(t, testserver.Dynalite(t))
	table := newTable(t, client, nil)
	s := dynamostore.New(client, table, nil)
	value := newValue()
	check(t, s.Set(t.Context(), "ours", value, 0))
	for _, test := range []struct {
		name       string
		attributes map[string]types.AttributeValue
		want       string
	}{
		{"no value", nil, `has no binary value in its attribute "value"`},
		{"text", map[string]types.AttributeValue{"value": &types.AttributeValueMemberS{Value: "text"}}, `has no binary value in its attribute "value"`},
		{"date", map[string]types.AttributeValue{
			"value":  &types.AttributeValueMemberB{Value: value},
			"expiry": &types.AttributeValueMemberS{Value: "2030-01-01"},
		}, `has no number in its attribute "expiry"`},
		{"fraction", map[string]types.AttributeValue{
			"value":  &types.AttributeValueMemberB{Value: value},
			"expiry": &types.AttributeValueMemberN{Value: "1.5"},
		}, `has no whole number in its attribute "expiry"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			foreign := map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "k"}}
			for name, a := range test.attributes {
				foreign[name] = a
			}
			put(t, client, table, foreign)
			want := fmt.Sprintf(`memo: store: refused: dynamostore: table %q: the item "k" %s; another program, or other Options, wrote it`, table, test.want)
			if _, err := s.Get(t.Context(), "k"); err == nil || err.Error() != want {
				t.Errorf("Get = %v, want %q", err, want)
			}
			got, err := s.GetMulti(t.Context(), []string{"k", "ours"})
			if want := want + ` (key "k")`; err == nil || err.Error() != want {
				t.Errorf("GetMulti = %v, want %q", err, want)
			}
			if diff := cmp.Diff(map[string][]byte{"ours": value}, got); diff != "" {
				t.Errorf("GetMulti beside the error (-want +got):\n%s", diff)
			}
			check(t, s.Set(t.Context(), "k", value, 0))
			wantValue(t, s, "k", value)
		})
	}
}

func TestLimitsAreRefusedBeforeTheWire(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	table := newTable(t, client, nil)
	s := dynamostore.New(client, table, nil)
	longest := strings.Repeat("k", dynamostore.MaxKeyLen)
	// The longest key takes from the value what it is longer.
	fits := make([]byte, dynamostore.MaxValue-(dynamostore.MaxKeyLen-store.MaxKeyLen))
	check(t, s.Set(t.Context(), longest, fits, time.Hour))
	wantValue(t, s, longest, fits)
	wire.Reset()

	for _, test := range []struct {
		name, key string
		value     []byte
		ttl       time.Duration
		want      string
	}{
		{"empty key", "", nil, 0, "memo: store: refused: the key is empty, which DynamoDB does not allow"},
		{"long key", longest + "k", nil, 0, "memo: store: refused: the key is 2049 bytes long, and DynamoDB takes 2048"},
		{"no UTF-8", "caf\xe9", nil, 0, `memo: store: refused: the key "caf\xe9" is not UTF-8, which DynamoDB's strings are`},
		{"long value", longest, append(fits, 0), 0, fmt.Sprintf("memo: store: refused: a value of %d bytes makes an item of 409601, and DynamoDB takes 409600", len(fits)+1)},
		{"negative ttl", "k", nil, -time.Second, "memo: store: refused: a ttl of -1s is negative; 0 means no expiry"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for method, err := range map[string]error{
				"Set":  s.Set(t.Context(), test.key, test.value, test.ttl),
				"Add":  s.Add(t.Context(), test.key, test.value, test.ttl),
				"Swap": s.Swap(t.Context(), test.key, store.Token{}, test.value, test.ttl),
			} {
				if err == nil || err.Error() != test.want || !errors.Is(err, store.ErrRefused) {
					t.Errorf("%s = %v, want %q", method, err, test.want)
				}
			}
			if strings.Contains(test.name, "value") || strings.Contains(test.name, "ttl") {
				return
			}
			if _, err := s.Get(t.Context(), test.key); err == nil || err.Error() != test.want {
				t.Errorf("Get = %v, want %q", err, test.want)
			}
			if err := s.Delete(t.Context(), "other", test.key); err == nil || err.Error() != test.want {
				t.Errorf("Delete = %v, want %q", err, test.want)
			}
		})
	}
	for _, op := range []string{"PutItem", "GetItem", "DeleteItem", "BatchWriteItem"} {
		if n := wire.Count(op); n > 0 {
			t.Errorf("%d requests for %s were sent, want none", n, op)
		}
	}
}

func TestGetMultiReadsTheOtherKeysBesideOneThatIsRefused(t *testing.T) {
	client, _ := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	value := newValue()
	check(t, s.Set(t.Context(), "k", value, 0))
	got, err := s.GetMulti(t.Context(), []string{"", "k"})
	if !errors.Is(err, store.ErrRefused) {
		t.Errorf("error = %v, want one wrapping ErrRefused", err)
	}
	if diff := cmp.Diff(map[string][]byte{"k": value}, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestLongerNamesTakeFromTheValue(t *testing.T) {
	client, _ := newClient(t, testserver.Dynalite(t))
	o := &dynamostore.Options{ValueAttribute: strings.Repeat("v", 5+100)}
	s := dynamostore.New(client, newTable(t, client, o), o)
	key := strings.Repeat("k", store.MaxKeyLen)
	check(t, s.Set(t.Context(), key, make([]byte, dynamostore.MaxValue-100), math.MaxInt64))
	if err := s.Set(t.Context(), key, make([]byte, dynamostore.MaxValue-99), 0); !errors.Is(err, store.ErrRefused) {
		t.Errorf("Set = %v, want an error wrapping ErrRefused", err)
	}
}

func TestProgrammerErrorsPanicWithASentence(t *testing.T) {
	client := dynamodb.New(dynamodb.Options{})
	for _, test := range []struct {
		client *dynamodb.Client
		table  string
		o      *dynamostore.Options
		want   string
	}{
		{nil, "t", nil, "memo: dynamostore: %s was given a nil client; give it the one that dynamodb.NewFromConfig returns"},
		{client, "", nil, "memo: dynamostore: %s was given no table; give it the name of one"},
		{client, "t", &dynamostore.Options{TTLAttribute: "expiry"},
			`memo: dynamostore: Options.ExpiryAttribute and Options.TTLAttribute are both "expiry"; give each attribute a name of its own`},
	} {
		for name, call := range map[string]func(){
			"New":         func() { dynamostore.New(test.client, test.table, test.o) },
			"CreateTable": func() { _ = dynamostore.CreateTable(t.Context(), test.client, test.table, test.o) },
		} {
			want := strings.ReplaceAll(test.want, "%s", name)
			t.Run(want, func(t *testing.T) {
				defer func() {
					if got := recover(); got != want {
						t.Errorf("%s panicked with %v, want %q", name, got, want)
					}
				}()
				call()
			})
		}
	}
}

func TestContextThatEndsDuringACallEndsIt(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	for name, call := range calls(s) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			wire.Always(before(cancel, testserver.Silent))
			defer wire.Always(nil)
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("with a silent server, error = %v, want one wrapping context.Canceled", err)
			}

			ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			wire.Always(testserver.Silent)
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with a silent server, error = %v, want one wrapping context.DeadlineExceeded", err)
			}

			ctx, cancel = context.WithCancel(t.Context())
			defer cancel()
			wire.Always(before(cancel, testserver.Throttled)) // the context ends before the retry
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("with a busy server, error = %v, want one wrapping context.Canceled", err)
			}
		})
	}
}

func TestDoneContextIsAnErrorAlsoWhereThereIsNothingToDo(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, newTable(t, client, nil), nil)
	wire.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := s.GetMulti(ctx, nil); !errors.Is(err, context.Canceled) || found == nil {
		t.Errorf("GetMulti of nothing = %v, %v, want a map and an error wrapping context.Canceled", found, err)
	}
	if err := s.Delete(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete of nothing = %v, want an error wrapping context.Canceled", err)
	}
	for name, call := range calls(s) {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s = %v, want an error wrapping context.Canceled", name, err)
		}
	}
	if len(wire.Seen()) > 0 {
		t.Errorf("requests were sent: %v", wire.Seen())
	}
}

func TestErrorsNameTheTableAndWrapTheCause(t *testing.T) {
	client, _ := newClient(t, testserver.Dynalite(t))
	s := dynamostore.New(client, "no-such-table", nil)
	for name, call := range calls(s) {
		t.Run(name, func(t *testing.T) {
			err := call(t.Context())
			if want := `memo: dynamostore: table "no-such-table": `; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error = %v, want one that begins with %q", err, want)
			}
			var absent *types.ResourceNotFoundException
			if !errors.As(err, &absent) {
				t.Errorf("error = %v, want one wrapping a ResourceNotFoundException", err)
			}
		})
	}
}

// calls returns a call of every method.
func calls(s *dynamostore.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get":         func(ctx context.Context) error { _, err := s.Get(ctx, "k"); return err },
		"GetMulti":    func(ctx context.Context) error { _, err := s.GetMulti(ctx, []string{"k", "l"}); return err },
		"Set":         func(ctx context.Context) error { return s.Set(ctx, "k", newValue(), 0) },
		"Add":         func(ctx context.Context) error { return s.Add(ctx, "k", newValue(), 0) },
		"Swap":        func(ctx context.Context) error { return s.Swap(ctx, "k", store.Token{}, newValue(), 0) },
		"Delete":      func(ctx context.Context) error { return s.Delete(ctx, "k") },
		"Delete many": func(ctx context.Context) error { return s.Delete(ctx, "k", "l") },
		"Ping":        func(ctx context.Context) error { return store.Ping(ctx, s) },
	}
}

// newValue returns a value with a token of its own.
func newValue() []byte {
	token := store.NewToken()
	return append(token[:], "value"...)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s *dynamostore.Store, key string, want []byte) {
	t.Helper()
	if got, err := s.Get(t.Context(), key); err != nil || !bytes.Equal(got, want) {
		t.Errorf("Get(%.20q) = %.40q, %v, want %.40q", key, got, err, want)
	}
}

func rawItem(t *testing.T, client *dynamodb.Client, table, key string) map[string]types.AttributeValue {
	t.Helper()
	out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &table, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: key}},
	})
	check(t, err)
	return out.Item
}

func put(t testing.TB, client *dynamodb.Client, table string, item map[string]types.AttributeValue) {
	t.Helper()
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item})
	check(t, err)
}

func wantItem(t *testing.T, got, want map[string]types.AttributeValue) {
	t.Helper()
	plain := func(item map[string]types.AttributeValue) map[string]any {
		m := map[string]any{}
		for name, a := range item {
			switch a := a.(type) {
			case *types.AttributeValueMemberS:
				m[name] = "S " + a.Value
			case *types.AttributeValueMemberN:
				m[name] = "N " + a.Value
			case *types.AttributeValueMemberB:
				m[name] = "B " + string(a.Value)
			default:
				m[name] = a
			}
		}
		return m
	}
	if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
		t.Errorf("the item (-want +got):\n%s", diff)
	}
}

func intAttribute(t *testing.T, item map[string]types.AttributeValue, name string) (n int64) {
	t.Helper()
	a, ok := item[name].(*types.AttributeValueMemberN)
	if !ok {
		t.Fatalf("the attribute %q is %v, want a number", name, item[name])
	}
	if _, err := fmt.Sscan(a.Value, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
