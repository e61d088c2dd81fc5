package stored

import (
	"crypto/rand"
	"net/http"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// NewIndex returns an index for a resource whose responses vary by these fields.
func NewIndex(names []string) *Record {
	return &Record{Kind: Index, Names: names, Generation: rand.Text()}
}

// AppendVariant appends the key of the variant that an index has for a request.
// The zero byte is in no resource's key, so the two cannot be mistaken.
func AppendVariant(p *rules.Policy, b []byte, resource string, index *Record, r *http.Request, digest string) []byte {
	b = append(b, 0)
	b = append(b, resource...)
	b = append(b, 0)
	b = append(b, index.Generation...)
	if rules.Rewritten(r) {
		b = rules.AppendText(b, r.URL.RequestURI())
	}
	b = append(b, 0)
	b = rules.AppendText(b, digest)
	b = p.Extra.AppendTo(b, r)
	if !p.Shared {
		b = p.AppendPrincipal(b, r)
	}
	return rules.AppendSelecting(b, index.Names, r.Header)
}
