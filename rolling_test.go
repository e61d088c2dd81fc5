package memo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// While a new program takes the place of an old one, processes of both use the store.
func TestProcessesWithDifferentShapesRunSideBySide(t *testing.T) {
	s := memstore.New(nil)
	type oldUser struct{ Name string }
	type newUser struct {
		Name  string
		Email string
	}
	type renamed struct {
		Title string `json:"Name"` // the same bytes in JSON
	}
	var runs [4]atomic.Int64
	olds := memo.New(func(_ context.Context, id int) (oldUser, error) {
		runs[0].Add(1)
		return oldUser{fmt.Sprint("old", id)}, nil
	}, memo.Store(faultstore.New(s)), memo.Name("user"))
	news := memo.New(func(_ context.Context, id int) (newUser, error) {
		runs[1].Add(1)
		return newUser{fmt.Sprint("new", id), "mail"}, nil
	}, memo.Store(faultstore.New(s)), memo.Name("user"))
	renames := memo.New(func(_ context.Context, id int) (renamed, error) {
		runs[2].Add(1)
		return renamed{fmt.Sprint("renamed", id)}, nil
	}, memo.Store(faultstore.New(s)), memo.Name("user"))
	byText := memo.New(func(_ context.Context, id string) (oldUser, error) {
		runs[3].Add(1)
		return oldUser{"text" + id}, nil
	}, memo.Store(faultstore.New(s)), memo.Name("user"), memo.KeyFunc(func(id string) string { return id }))

	const users = 5
	for range 4 {
		for id := range users {
			a, errA := olds.With(memo.LocalTTL(0)).Call(t.Context(), id)
			b, errB := news.With(memo.LocalTTL(0)).Call(t.Context(), id)
			c, errC := renames.With(memo.LocalTTL(0)).Call(t.Context(), id)
			d, errD := byText.With(memo.LocalTTL(0)).Call(t.Context(), fmt.Sprint(id))
			got := []any{a, b, c, d, errA, errB, errC, errD}
			want := []any{
				oldUser{fmt.Sprint("old", id)}, newUser{fmt.Sprint("new", id), "mail"},
				renamed{fmt.Sprint("renamed", id)}, oldUser{fmt.Sprint("text", id)}, nil, nil, nil, nil,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("user %d (-want +got):\n%s", id, diff)
			}
		}
	}
	for i := range runs {
		if got := runs[i].Load(); got != users {
			t.Errorf("program %d executed %d times, want %d: its results do not last beside the others", i, got, users)
		}
	}
}

func TestProcessesWithDifferentCodecsReadAllResults(t *testing.T) {
	type user struct {
		Name  string
		Roles map[string][]int
	}
	codecs := []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob}
	for _, writer := range codecs {
		for _, reader := range codecs {
			t.Run(writer.Name()+" read by "+reader.Name(), func(t *testing.T) {
				s := memstore.New(nil)
				var runs atomic.Int64
				load := func(_ context.Context, id int) (user, error) {
					runs.Add(1)
					return user{fmt.Sprint("u", id), map[string][]int{"admin": {id}}}, nil
				}
				w := memo.New(load, memo.Store(faultstore.New(s)), memo.Name("user"), memo.Codec(writer))
				r := memo.New(load, memo.Store(faultstore.New(s)), memo.Name("user"), memo.Codec(reader))
				want, _ := w.Call(t.Context(), 7)
				got, err := r.Call(t.Context(), 7)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("got %v (-want +got):\n%s", err, diff)
				}
				if got := runs.Load(); got != 1 {
					t.Errorf("%d executions, want 1", got)
				}
			})
		}
	}
}

// A hush is a codec that only some processes know.
type hush struct{ codec.Codec }

func (hush) Name() string { return "hush" }

func (hush) Append(b []byte, v any) ([]byte, error) {
	j, err := json.Marshal(v)
	return append(append(b, "hush:"...), j...), err
}

func TestResultInACodecThatNobodyKnowsHereIsAMiss(t *testing.T) {
	s := memstore.New(nil)
	var runs atomic.Int64
	double := func(_ context.Context, n int) (int, error) { runs.Add(1); return 2 * n, nil }
	w := memo.New(double, memo.Store(faultstore.New(s)), memo.Name("double"), memo.Codec(hush{codec.JSON}))
	r := memo.New(double, memo.Store(faultstore.New(s)), memo.Name("double"))
	for _, f := range []*memo.Func[int, int]{w, r} {
		if got, err := f.Call(t.Context(), 21); got != 42 || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if got := runs.Load(); got != 2 {
		t.Errorf("%d executions, want one in each process", got)
	}
	if got := r.Stats().StoreErrors; got == 0 {
		t.Error("it was not counted")
	}
}
