package testserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// ask sends the request for op with body and returns the answer.
func ask(ctx context.Context, w *Wire, url, op, body string) (status int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	resp, err := w.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestWireDoesToRequestsWhatIsPlanned(t *testing.T) {
	var arrived atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		_, _ = io.Copy(w, r.Body)
	}))
	defer server.Close()
	for _, test := range []struct {
		name    string
		fault   Fault
		arrives bool
		status  int
		answer  string // or what it contains
		err     error
	}{
		{"none", nil, true, 200, "body", nil},
		{"throttled", Throttled, false, 400, "#ProvisionedThroughputExceededException", nil},
		{"broken", Broken, false, 500, "#InternalServerError", nil},
		{"broken after", BrokenAfter, true, 500, "#InternalServerError", nil},
		{"lost", Lost, true, 0, "", ErrCut},
		{"torn", Torn, true, 200, "{", io.ErrUnexpectedEOF},
		{"dropped", Dropped, false, 0, "", ErrCut},
		{"late", Late(time.Millisecond), true, 200, "body", nil},
		{"too late", Late(time.Hour), false, 0, "", context.DeadlineExceeded},
		{"silent", Silent, false, 0, "", context.DeadlineExceeded},
		{"partly", Partly(1), true, 200, "body", nil}, // which is no batch
	} {
		t.Run(test.name, func(t *testing.T) {
			w := NewWire(t)
			w.Plan("GetItem", nil, test.fault)
			w.Always(Unreachable)
			if status, _, err := ask(t.Context(), w, server.URL, "GetItem", "body"); status != 200 || err != nil {
				t.Errorf("the request without a fault brings %d, %v", status, err)
			}

			arrived.Store(0)
			ctx := t.Context()
			if test.err == context.DeadlineExceeded {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 5*time.Millisecond)
				defer cancel()
			}
			status, answer, err := ask(ctx, w, server.URL, "GetItem", "body")
			if status != test.status || !strings.Contains(answer, test.answer) || !errors.Is(err, test.err) {
				t.Errorf("the answer is %d %q, %v, want %d %q, %v", status, answer, err, test.status, test.answer, test.err)
			}
			if got := arrived.Load(); (got == 1) != test.arrives {
				t.Errorf("%d requests arrived, want one: %t", got, test.arrives)
			}

			if _, _, err := ask(t.Context(), w, server.URL, "GetItem", "body"); err == nil {
				t.Error("a request after what was planned brings no error, want that of always")
			}
			w.Reset()
			w.Always(nil)
			if status, _, err := ask(t.Context(), w, server.URL, "PutItem", "body"); status != 200 || err != nil {
				t.Errorf("without faults the answer is %d, %v", status, err)
			}
			if seen := w.Seen(); len(seen) != 1 || seen["PutItem"] != 1 {
				t.Errorf("since Reset were seen %v, want one PutItem", seen)
			}
		})
	}
}

func TestWireLeavesPartsOfABatchUnprocessed(t *testing.T) {
	var sent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		sent = string(b)
		_, _ = io.WriteString(w, `{"Responses":{"t":["item"]}}`)
	}))
	defer server.Close()
	const (
		gets, twoGets, oneGet          = `{"Keys":[1,2,3]}`, `{"Keys":[1,2]}`, `{"Keys":[3]}`
		deletes, twoDeletes, oneDelete = `[1,2,3]`, `[1,2]`, `[3]`
	)
	for _, test := range []struct {
		op                string
		n                 int
		asked, sent, left string
		unprocessed       string
	}{
		{"BatchGetItem", 2, gets, twoGets, oneGet, "UnprocessedKeys"},
		{"BatchGetItem", 0, gets, "", gets, "UnprocessedKeys"},
		{"BatchWriteItem", 2, deletes, twoDeletes, oneDelete, "UnprocessedItems"},
		{"BatchWriteItem", 0, deletes, "", deletes, "UnprocessedItems"},
	} {
		w := NewWire(t)
		w.Always(Partly(test.n))
		sent = ""
		_, answer, err := ask(t.Context(), w, server.URL, test.op, `{"RequestItems":{"t":`+test.asked+`}}`)
		if want := `{"RequestItems":{"t":` + test.sent + `}}`; test.sent != "" && sent != want || test.sent == "" && sent != "" {
			t.Errorf("%s of %d parts sends %s, want %s", test.op, test.n, sent, want)
		}
		var got map[string]map[string]json.RawMessage
		if err := errors.Join(err, json.Unmarshal([]byte(answer), &got)); err != nil {
			t.Fatalf("%s brings %s, %v", test.op, answer, err)
		}
		if left := string(got[test.unprocessed]["t"]); left != test.left {
			t.Errorf("%s of %d parts leaves %s, want %s", test.op, test.n, left, test.left)
		}
		if got["Responses"] == nil && test.op == "BatchGetItem" {
			t.Errorf("%s brings %s, without Responses", test.op, answer)
		}
	}
}
