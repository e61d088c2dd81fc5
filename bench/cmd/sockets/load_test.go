package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestEveryHandlerServesTheBodyThatIsCounted(t *testing.T) {
	for _, name := range names {
		h, err := handlerNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(h)
		rate, err := load(strings.TrimPrefix(server.URL, "http://"), 2, 20*time.Millisecond)
		server.Close()
		if err != nil || rate <= 0 {
			t.Errorf("%s: %v responses per second, error %v", name, rate, err)
		}
	}
}

func TestWhatIsNotTheBodyIsAnError(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if rate, err := load(strings.TrimPrefix(server.URL, "http://"), 1, time.Millisecond); err == nil {
		t.Errorf("a server without the page counted as %v responses per second", rate)
	}
}
