package testserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Wire is an http.RoundTripper that carries requests to DynamoDB, and does to them
// what a test has planned. All methods are safe for concurrent use.
type Wire struct {
	transport *http.Transport

	mu    sync.Mutex
	plans map[string][]Fault // by operation, for one request each
	all   Fault              // for requests without a plan, or nil
	seen  map[string]int     // requests by operation
}

// NewWire returns a wire without faults. Its connections end with the test.
func NewWire(t testing.TB) *Wire {
	w := &Wire{transport: http.DefaultTransport.(*http.Transport).Clone(), plans: map[string][]Fault{}, seen: map[string]int{}}
	w.transport.MaxIdleConnsPerHost = 32
	t.Cleanup(w.transport.CloseIdleConnections)
	return w
}

// RoundTrip implements http.RoundTripper.
func (w *Wire) RoundTrip(r *http.Request) (*http.Response, error) {
	op := operation(r)
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

func operation(r *http.Request) string {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return op
}

// Plan makes the next requests for op, such as GetItem, meet faults, one each. A nil
// fault is none.
func (w *Wire) Plan(op string, faults ...Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plans[op] = append(w.plans[op], faults...)
}

// Always makes all requests that no plan is for meet f, from now on. Nil ends that.
func (w *Wire) Always(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = f
}

// Count returns the number of requests for op since the last Reset.
func (w *Wire) Count(op string) int { return w.Seen()[op] }

// Seen returns the number of requests since the last Reset, by operation.
func (w *Wire) Seen() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.seen)
}

// Reset forgets what was planned and what was seen, and not what is always.
func (w *Wire) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.plans)
	clear(w.seen)
}

// A Fault stands between a request and the server. It calls send, or not.
type Fault func(r *http.Request, send Send) (*http.Response, error)

// Send carries a request to the server.
type Send = func(*http.Request) (*http.Response, error)

// ErrCut is the cause where a fault cuts the connection.
var ErrCut = errors.New("the connection was cut")

// Lost carries the request out and loses the answer.
func Lost(r *http.Request, send Send) (*http.Response, error) {
	resp, err := send(r)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return nil, &net.OpError{Op: "read", Net: "tcp", Err: ErrCut}
}

// Torn carries the request out and loses most of the answer's body.
func Torn(r *http.Request, send Send) (*http.Response, error) {
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

// Dropped loses the request.
func Dropped(*http.Request, Send) (*http.Response, error) {
	return nil, &net.OpError{Op: "write", Net: "tcp", Err: ErrCut}
}

// Unreachable finds nobody to send the request to.
func Unreachable(*http.Request, Send) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

// Silent never answers.
func Silent(r *http.Request, _ Send) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// Late answers after d.
func Late(d time.Duration) Fault {
	return func(r *http.Request, send Send) (*http.Response, error) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return send(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// Throttled refuses the request as DynamoDB does under load.
func Throttled(r *http.Request, _ Send) (*http.Response, error) {
	return refuse(r, 400, "ProvisionedThroughputExceededException"), nil
}

// Broken does not carry the request out, and answers 500.
func Broken(r *http.Request, _ Send) (*http.Response, error) {
	return refuse(r, 500, "InternalServerError"), nil
}

// BrokenAfter carries the request out, and answers 500.
func BrokenAfter(r *http.Request, send Send) (*http.Response, error) {
	resp, err := send(r)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return Broken(r, send)
}

func refuse(r *http.Request, status int, kind string) *http.Response {
	return Respond(r, status, fmt.Appendf(nil, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"made up by the test"}`, kind))
}

// Respond returns an answer to r that is no server's.
func Respond(r *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amzn-Requestid": {"fake"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// Partly carries out the first n parts of a batch and leaves the rest unprocessed.
// Requests that are no batch pass.
func Partly(n int) Fault {
	return func(r *http.Request, send Send) (*http.Response, error) {
		op := operation(r)
		left, done := map[string]string{"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}[op], map[string]any{}
		if left == "" {
			return send(r)
		}
		head, tail, err := divide(r, n)
		if err != nil {
			return nil, err
		}
		if op == "BatchGetItem" {
			done["Responses"] = map[string]any{}
		}
		if n > 0 {
			resp, err := send(head)
			if err != nil || resp.StatusCode != http.StatusOK {
				return resp, err
			}
			err = json.NewDecoder(resp.Body).Decode(&done)
			resp.Body.Close()
			if err != nil {
				return nil, err
			}
		}
		done[left] = tail
		body, err := json.Marshal(done)
		return Respond(r, http.StatusOK, body), err
	}
}

// divide returns a request for the first n parts of the batch of r, which it reads,
// and what is asked of each table beyond them.
func divide(r *http.Request, n int) (head *http.Request, tail map[string]json.RawMessage, err error) {
	var in struct{ RequestItems map[string]json.RawMessage }
	err = json.NewDecoder(r.Body).Decode(&in)
	r.Body.Close()
	if err != nil {
		return nil, nil, err
	}
	tail = map[string]json.RawMessage{}
	for table, raw := range in.RequestItems {
		if in.RequestItems[table], tail[table], err = split(raw, n); err != nil {
			return nil, nil, err
		}
	}
	body, err := json.Marshal(in)
	head = r.Clone(r.Context())
	head.Body, head.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return head, tail, err
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
