package testserver

import (
	"strings"
	"testing"
)

func TestMemcachedAnswersUntilItIsKilled(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...string) *MemcachedServer{"unix": Memcached, "tcp": MemcachedTCP} {
		t.Run(name, func(t *testing.T) {
			m := start(t, "-C") // without versions for cas
			if got, err := m.Do("version"); err != nil || !strings.HasPrefix(got, "VERSION ") {
				t.Errorf("version = %q, %v", got, err)
			}
			if got, err := m.Do("set k 0 0 1\r\nv"); err != nil || got != "STORED" {
				t.Fatalf("set = %q, %v, want STORED", got, err)
			}
			if got, err := m.Do("mg k c"); err != nil || got != "HD c0" {
				t.Errorf("mg = %q, %v, want no version, as the argument asks for", got, err)
			}

			m.Restart(t)
			if got, err := m.Do("mg k c"); err != nil || got != "EN" {
				t.Errorf("mg after a restart = %q, %v, want a miss", got, err)
			}

			m.Kill()
			if got, err := m.Do("version"); err == nil {
				t.Errorf("version of a killed server = %q, want an error", got)
			}
		})
	}
}
