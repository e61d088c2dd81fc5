package dynamostore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store/dynamostore"
)

func TestCreateTableCreatesWhatTheStoreNeedsOnce(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	for range 2 {
		check(t, dynamostore.CreateTable(t.Context(), client, "cache", nil))
	}
	if n := wire.Count("CreateTable"); n != 1 {
		t.Errorf("two calls created %d tables, want 1", n)
	}
	s := dynamostore.New(client, "cache", nil)
	check(t, s.Set(t.Context(), "k", newValue(), 0))

	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("cache")})
	check(t, err)
	if got := out.Table.BillingModeSummary; got == nil || got.BillingMode != types.BillingModePayPerRequest {
		t.Errorf("the billing mode is %v, want PAY_PER_REQUEST", got)
	}
}

func TestConcurrentCreateTablesAllSucceed(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	// Both have seen that there is no table before either creates it.
	var both sync.WaitGroup
	both.Add(2)
	hold := before(func() { both.Done(); both.Wait() }, func(r *http.Request, send testserver.Send) (*http.Response, error) {
		return send(r)
	})
	wire.Plan("CreateTable", hold, hold)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := dynamostore.CreateTable(t.Context(), client, "cache", nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCreateTableRefusesATableOfAnotherShape(t *testing.T) {
	client, _ := newClient(t, testserver.Dynalite(t))
	for _, test := range []struct {
		table string
		key   []string // name, type, name, type
		o     *dynamostore.Options
		want  string
	}{
		{"number", []string{"key", "N"}, nil, "it exists with the key key (N HASH), and the store needs key (S HASH); use another table or Options.KeyAttribute"},
		{"name", []string{"id", "S"}, nil, "it exists with the key id (S HASH), and the store needs key (S HASH); use another table or Options.KeyAttribute"},
		{"sorted", []string{"key", "S", "sort", "B"}, nil,
			"it exists with the key key (S HASH), sort (B RANGE), and the store needs key (S HASH); use another table or Options.KeyAttribute"},
		{"named", []string{"id", "S"}, &dynamostore.Options{KeyAttribute: "id"}, ""},
	} {
		t.Run(test.table, func(t *testing.T) {
			in := &dynamodb.CreateTableInput{TableName: &test.table, BillingMode: types.BillingModePayPerRequest}
			for i, kind := 0, types.KeyTypeHash; i < len(test.key); i, kind = i+2, types.KeyTypeRange {
				in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &test.key[i], KeyType: kind})
				in.AttributeDefinitions = append(in.AttributeDefinitions,
					types.AttributeDefinition{AttributeName: &test.key[i], AttributeType: types.ScalarAttributeType(test.key[i+1])})
			}
			_, err := client.CreateTable(t.Context(), in)
			check(t, err)

			got := fmt.Sprint(dynamostore.CreateTable(t.Context(), client, test.table, test.o))
			want := fmt.Sprintf("memo: dynamostore: table %q: %s", test.table, test.want)
			if test.want == "" {
				want = "<nil>"
			}
			if got != want {
				t.Errorf("CreateTable = %s, want %s", got, want)
			}
		})
	}
}

func TestCreateTableWaitsUntilTheTableIsActive(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	creating := edited(func(reply map[string]any) { reply["Table"].(map[string]any)["TableStatus"] = "CREATING" })
	notFound := func(r *http.Request, _ testserver.Send) (*http.Response, error) {
		return testserver.Respond(r, 400, []byte(`{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}`)), nil
	}
	wire.Plan("DescribeTable", nil, notFound, creating, creating)
	check(t, dynamostore.CreateTable(t.Context(), client, "cache", nil))
	if n := wire.Count("DescribeTable"); n != 5 {
		t.Errorf("the table was described %d times, want 5", n)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wire.Plan("DescribeTable", creating, creating, after(cancel, creating))
	if err := dynamostore.CreateTable(ctx, client, "cache", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("CreateTable = %v, want an error wrapping context.Canceled", err)
	}

	deleting := edited(func(reply map[string]any) { reply["Table"].(map[string]any)["TableStatus"] = "DELETING" })
	wire.Plan("DescribeTable", deleting, deleting)
	err := dynamostore.CreateTable(t.Context(), client, "cache", nil)
	if err == nil || !strings.Contains(err.Error(), "DELETING") {
		t.Errorf("CreateTable = %v, want an error that names the status", err)
	}
}

// The emulator does not know UpdateTimeToLive, so the answers are made up.
func TestCreateTableEnablesTimeToLive(t *testing.T) {
	endpoint := testserver.Dynalite(t)
	ok := func(ttl string) testserver.Fault { return replied(`{"TimeToLiveDescription":` + ttl + `}`) }
	refused := func(r *http.Request, _ testserver.Send) (*http.Response, error) {
		return testserver.Respond(r, 400, []byte(`{"__type":"com.amazon.coral.validate#ValidationException"}`)), nil
	}
	const off = `{"TimeToLiveStatus":"DISABLED"}`
	const on = `{"TimeToLiveStatus":"ENABLED","AttributeName":"ttl"}`
	const soon = `{"TimeToLiveStatus":"ENABLING","AttributeName":"ttl"}`
	const other = `{"TimeToLiveStatus":"ENABLED","AttributeName":"deleteAt"}`
	for _, test := range []struct {
		name     string
		describe []testserver.Fault
		update   []testserver.Fault
		updates  int
		want     string
	}{
		{"off", []testserver.Fault{ok(off)}, []testserver.Fault{replied(`{}`)}, 1, ""},
		{"on", []testserver.Fault{ok(on)}, nil, 0, ""},
		{"soon on", []testserver.Fault{ok(soon)}, nil, 0, ""},
		{"on for another attribute", []testserver.Fault{ok(other)}, nil, 0,
			`its Time to Live is the attribute "deleteAt", and the store has it in "ttl"; change one of them (Options.TTLAttribute)`},
		{"turned on meanwhile", []testserver.Fault{ok(off), ok(on)}, []testserver.Fault{refused}, 1, ""},
		{"refused", []testserver.Fault{ok(off), ok(off)}, []testserver.Fault{refused}, 1, "ValidationException"},
		{"unknown", nil, nil, 1, ""}, // what dynalite does
	} {
		t.Run(test.name, func(t *testing.T) {
			client, wire := newClient(t, endpoint)
			wire.Plan("DescribeTimeToLive", test.describe...)
			wire.Plan("UpdateTimeToLive", test.update...)
			err := dynamostore.CreateTable(t.Context(), client, "cache", nil)
			if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
				t.Errorf("CreateTable = %s, want %q", got, test.want)
			}
			if n := wire.Count("UpdateTimeToLive"); n != test.updates {
				t.Errorf("Time to Live was updated %d times, want %d", n, test.updates)
			}
		})
	}
}

func TestCreateTableWithADoneContextAsksNothing(t *testing.T) {
	client, wire := newClient(t, testserver.Dynalite(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := dynamostore.CreateTable(ctx, client, "cache", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("CreateTable = %v, want an error wrapping context.Canceled", err)
	}
	if len(wire.Seen()) > 0 {
		t.Errorf("it sent %v, want nothing", wire.Seen())
	}
}

// replied answers with body.
func replied(body string) testserver.Fault {
	return func(r *http.Request, _ testserver.Send) (*http.Response, error) {
		return testserver.Respond(r, http.StatusOK, []byte(body)), nil
	}
}

// edited changes the server's answer.
func edited(edit func(reply map[string]any)) testserver.Fault {
	return func(r *http.Request, send testserver.Send) (*http.Response, error) {
		resp, err := send(r)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		var reply map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
			return nil, err
		}
		edit(reply)
		body, err := json.Marshal(reply)
		return testserver.Respond(r, http.StatusOK, body), err
	}
}
