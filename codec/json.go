package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/trial"
)

// jsonCodec is encoding/json as it is. JSON has a guard in front of it.
type jsonCodec struct{}

func (jsonCodec) Name() string { return "json" }

var jsonRules = trial.Rules{
	Methods: []trial.Method{trial.JSON, trial.Text},
	Refuse:  func(t reflect.Type) string { return refuseUnreadable("json", t) },
	Time:    jsonInstant,
	Suspect: func(written []byte) bool { return bytes.Contains(written, replacement) },
}

// A jsonWriter keeps an encoder, whose settings and indirection cost more than
// writing a small value does.
type jsonWriter struct {
	appendTo
	enc *json.Encoder
}

var jsonWriters = sync.Pool{New: func() any {
	w := new(jsonWriter)
	w.enc = json.NewEncoder(w)
	// Escaping <, > and & protects pages that JSON is pasted into. These bytes
	// go to a store, where it would only make them longer.
	w.enc.SetEscapeHTML(false)
	return w
}}

// replacement is what encoding/json writes for bytes that are not UTF-8. (It
// writes U+FFFD itself unescaped, so a value without it has lost nothing.)
var replacement = []byte(`\ufffd`)

func (jsonCodec) Append(dst []byte, v any) ([]byte, error) {
	w := jsonWriters.Get().(*jsonWriter)
	w.b = dst
	if err := w.enc.Encode(v); err != nil {
		return dst, fmt.Errorf("memo: codec: json: %w", err)
	}
	out := w.b[:len(w.b)-1] // Encode ends with a newline
	w.b = nil
	jsonWriters.Put(w)
	return out, nil
}

func (jsonCodec) Decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("memo: codec: json: %w", err)
	}
	return nil
}

// jsonInstant refuses what RFC 3339 cannot say. Package time writes the local
// clock to the second and the offset to the minute, so an offset such as the
// +0:09:21 of Paris before 1911 moves the instant.
func jsonInstant(t time.Time) string {
	if _, offset := t.Zone(); offset%60 != 0 {
		return "is a time whose zone is not whole minutes from UTC, which JSON would move by the seconds; convert it to UTC"
	}
	return ""
}
