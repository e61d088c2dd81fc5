package dynamostore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/seed-0226adef/memo/store/dynamostore"
)

// A wire carries requests to the server, and does to them what a test has planned.
type wire struct {
	transport *http.Transport

	mu    sync.Mutex
	plans map[string][]fault // by operation, for one request each
	all   fault              // for requests without a plan, or nil
	seen  map[string]int     // requests by operation
}

// A fault stands between a request and the server. It calls send, or not.
type fault func(r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error)

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	w.seen[op]++
	f := w.all
	if plan := w.plans[op]; len(plan) > 0 {
		f, w.plans[op] = plan[0], plan[1:]
	}
	w.mu.Unlock()
	if f == nil {
		return w.transport.RoundTrip(r)
	}
	return f(r, w.transport.RoundTrip)
}

// plan makes the next requests for op meet faults, one each. A nil fault is none.
func (w *wire) plan(op string, faults ...fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plans[op] = append(w.plans[op], faults...)
}

func (w *wire) always(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = f
}

// count returns the number of requests for op since the last reset.
func (w *wire) count(op string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[op]
}

// reset forgets what was planned and what was seen.
func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.plans)
	clear(w.seen)
}

var errCut = errors.New("the connection was cut")

// lost carries the request out and loses the answer.
func lost(r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	resp, err := send(r)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return nil, &net.OpError{Op: "read", Net: "tcp", Err: errCut}
}

// torn carries the request out and loses half of the answer's body.
func torn(r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	resp, err := send(r)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(&cutReader{strings.NewReader(`{"Attr`)})
	return resp, nil
}

type cutReader struct{ io.Reader }

func (c *cutReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// dropped loses the request.
func dropped(*http.Request, func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	return nil, &net.OpError{Op: "write", Net: "tcp", Err: errCut}
}

// unreachable finds nobody to send the request to.
func unreachable(*http.Request, func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

// silent never answers.
func silent(r *http.Request, _ func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// throttled refuses the request as DynamoDB does under load.
func throttled(r *http.Request, _ func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	return answer(r, 400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"), nil
}

// broken does not carry the request out, and answers 500.
func broken(r *http.Request, _ func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	return answer(r, 500, "com.amazonaws.dynamodb.v20120810#InternalServerError"), nil
}

// brokenAfter carries the request out, and answers 500.
func brokenAfter(r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	resp, err := send(r)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return answer(r, 500, "com.amazonaws.dynamodb.v20120810#InternalServerError"), nil
}

func after(do func(), f fault) fault {
	return func(r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		resp, err := f(r, send)
		do()
		return resp, err
	}
}

func before(do func(), f fault) fault {
	return func(r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		do()
		return f(r, send)
	}
}

func answer(r *http.Request, status int, kind string) *http.Response {
	body := fmt.Sprintf(`{"__type":%q,"message":"made up by the test"}`, kind)
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amzn-Requestid": {"fake"}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// partly carries out the first n parts of a batch and leaves the rest unprocessed.
func partly(n int) fault {
	return func(r *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		var in struct{ RequestItems map[string]json.RawMessage }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, err
		}
		r.Body.Close()
		left := map[string]any{}
		for table, raw := range in.RequestItems {
			head, tail, err := split(raw, n)
			if err != nil {
				return nil, err
			}
			in.RequestItems[table], left[table] = head, tail
		}
		out := map[string]any{"Responses": map[string]any{}}
		if n > 0 {
			body, _ := json.Marshal(in)
			r = r.Clone(r.Context())
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			resp, err := send(r)
			if err != nil || resp.StatusCode != 200 {
				return resp, err
			}
			err = json.NewDecoder(resp.Body).Decode(&out)
			resp.Body.Close()
			if err != nil {
				return nil, err
			}
		}
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".BatchGetItem") {
			out["UnprocessedKeys"] = left
		} else {
			delete(out, "Responses")
			out["UnprocessedItems"] = left
		}
		resp := answer(r, 200, "")
		body, _ := json.Marshal(out)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return resp, nil
	}
}

// split divides what a batch asks of a table after n: a list for BatchWriteItem, an
// object with a list of Keys for BatchGetItem.
func split(raw json.RawMessage, n int) (head, tail json.RawMessage, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err == nil {
		n = min(n, len(list))
		head, _ = json.Marshal(list[:n])
		tail, _ = json.Marshal(list[n:])
		return head, tail, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, nil, err
	}
	keysHead, keysTail, err := split(object["Keys"], n)
	if err != nil {
		return nil, nil, err
	}
	object["Keys"] = keysHead
	head, _ = json.Marshal(object)
	object["Keys"] = keysTail
	tail, _ = json.Marshal(object)
	return head, tail, nil
}

// newClient returns a client of the server at endpoint and what carries its
// requests. It retries as the SDK does by default, without the pauses.
func newClient(t *testing.T, endpoint string) (*dynamodb.Client, *wire) {
	t.Helper()
	w := &wire{
		transport: http.DefaultTransport.(*http.Transport).Clone(),
		plans:     map[string][]fault{},
		seen:      map[string]int{},
	}
	w.transport.MaxIdleConnsPerHost = 32
	t.Cleanup(w.transport.CloseIdleConnections)
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
