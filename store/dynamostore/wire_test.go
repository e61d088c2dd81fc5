package dynamostore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store/dynamostore"
)

func after(do func(), f testserver.Fault) testserver.Fault {
	return func(r *http.Request, send testserver.Send) (*http.Response, error) {
		resp, err := f(r, send)
		do()
		return resp, err
	}
}

func before(do func(), f testserver.Fault) testserver.Fault {
	return func(r *http.Request, send testserver.Send) (*http.Response, error) {
		do()
		return f(r, send)
	}
}

// newClient returns a client of the server at endpoint and what carries its
// requests. It retries as the SDK does by default, without the pauses.
func newClient(t *testing.T, endpoint string) (*dynamodb.Client, *testserver.Wire) {
	t.Helper()
	w := testserver.NewWire(t)
	return dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient:   &http.Client{Transport: w},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	}), w
}

// newTable returns the name of a new table.
func newTable(t *testing.T, client *dynamodb.Client, o *dynamostore.Options) string {
	t.Helper()
	name := fmt.Sprintf("table-%016x", rand.Uint64())
	if err := dynamostore.CreateTable(context.Background(), client, name, o); err != nil {
		t.Fatal(err)
	}
	return name
}
