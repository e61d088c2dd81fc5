package memo

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/internal/keys"
)

// wantApart checks that no two of values share a key, and that a copy of each has the
// key of the original.
func wantApart[A any](t *testing.T, values func() []A) {
	t.Helper()
	f := memoized[A]()
	seen := map[string]int{}
	twins := values()
	for i, v := range values() {
		key, shared := keyFor(t, v), sharedKeyOf(t, f, v)
		if keyFor(t, twins[i]) != key || sharedKeyOf(t, f, twins[i]) != shared {
			t.Errorf("%T: equal values (%d) have different keys", v, i)
		}
		for _, k := range []string{"here " + key, "in a store " + shared} {
			if j, taken := seen[k]; taken {
				t.Errorf("%T: values %d and %d share a key: %s", v, j, i, k)
			}
			seen[k] = i
		}
	}
}

// The text of each of these, and of many like them, is the same for different values.
// All go by their fields, or by a rule.
func TestTextThatSaysNotEverythingIsNoKey(t *testing.T) {
	wantApart(t, func() []netip.AddrPort {
		return []netip.AddrPort{{}, netip.AddrPortFrom(netip.Addr{}, 80), netip.AddrPortFrom(netip.Addr{}, 443), netip.MustParseAddrPort("[::1]:80")}
	})
	wantApart(t, func() []netip.Prefix {
		return []netip.Prefix{
			{}, netip.PrefixFrom(netip.MustParseAddr("::1"), -1), netip.PrefixFrom(netip.MustParseAddr("::2"), -1), netip.MustParsePrefix("::1/3"),
		}
	})
	wantApart(t, func() []net.IP { return []net.IP{nil, {}, {1, 2, 3, 4}, net.IP{1, 2, 3, 4}.To16(), {1}, {1, 2, 3}} })
	wantApart(t, func() []*regexp.Regexp {
		longest := regexp.MustCompile("^a|ab$")
		longest.Longest()
		return []*regexp.Regexp{nil, regexp.MustCompile("^a|ab$"), regexp.MustCompilePOSIX("^a|ab$"), longest}
	})
	wantApart(t, func() []*big.Float {
		third := new(big.Float).SetPrec(500).Quo(big.NewFloat(1), big.NewFloat(3))
		zero := new(big.Float)
		return []*big.Float{
			nil, zero, new(big.Float).Neg(zero), big.NewFloat(1), new(big.Float).SetPrec(24).SetInt64(1), big.NewFloat(1).SetMode(big.ToZero),
			third, new(big.Float).SetPrec(501).Set(third), new(big.Float).SetInf(true), new(big.Float).SetInf(false),
		}
	})
	wantApart(t, func() []x509.OID { return []x509.OID{{}, mustOID("1.2.3"), mustOID("1.2.4")} })
	wantApart(t, func() []slog.Level { return []slog.Level{slog.LevelInfo, slog.LevelInfo + 1, slog.LevelWarn - 1} })
}

func mustOID(s string) x509.OID {
	oid, err := x509.ParseOID(s)
	if err != nil {
		panic(err)
	}
	return oid
}

// Equal numbers can have different fields: a difference of zero keeps its memory.
func TestNumbersThatAreEqualShareAKeyHoweverTheyWereMade(t *testing.T) {
	n := big.NewInt(7)
	if keyFor(t, new(big.Int).Sub(n, n)) != keyFor(t, new(big.Int)) {
		t.Error("zero has two keys")
	}
	wide := new(big.Float).SetPrec(200)
	if keyFor(t, wide.Quo(wide.SetInt64(6), big.NewFloat(2))) != keyFor(t, new(big.Float).SetPrec(200).SetInt64(3)) {
		t.Error("three has two keys")
	}
}

// 12:00 in CET is the same in both, and a day later it may not be.
func TestZonesOfOneNameWithDifferentRulesDiffer(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	wantApart(t, func() []time.Time {
		return []time.Time{
			noon.In(time.FixedZone("A", 3600)), noon.In(ruled("A", "A-1B,M3.2.0,M11.1.0")), noon.In(ruled("A", "A-1B,M4.2.0,M11.1.0")),
			noon.In(ruled("B", "A-1B,M4.2.0,M11.1.0")),
		}
	})
	wantApart(t, func() []*time.Location {
		return []*time.Location{nil, time.UTC, time.FixedZone("A", 3600), ruled("A", "A-1B,M3.2.0,M11.1.0"), ruled("A", "A-1B,M4.2.0,M11.1.0")}
	})
}

// The sums of the locations that were met last are remembered by their addresses.
func TestLocationsThatAreMadeAnewEachTimeShareAKey(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	want := keyFor(t, noon.In(ruled("A", "A-1B,M3.2.0,M11.1.0")))
	for i := range 10 * len(keys.LocationSums) {
		if keyFor(t, noon.In(ruled("A", "A-1B,M3.2.0,M11.1.0"))) != want {
			t.Fatal("another key than the first time")
		}
		if other := fmt.Sprintf("A-1B,M3.2.0/%d,M11.1.0", i%24); i%24 != 2 && keyFor(t, noon.In(ruled("A", other))) == want {
			t.Fatalf("the key of another rule: %s", other)
		}
	}
}

// A location remembers which zone was in force when it was made.
func TestLocationsThatWereMadeInDifferentYearsShareAKey(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	made := func() *time.Location { return ruled("A", "A-1B,M3.2.0,M11.1.0") }
	now, then := made(), made()
	// A location remembers the part of its rules that it was made in.
	remembered := reflect.ValueOf(then).Elem().FieldByName("cacheStart")
	if !remembered.IsValid() {
		t.Fatal("package time has no cacheStart any more; look at what it has in its place")
	}
	*(*int64)(remembered.Addr().UnsafePointer()) -= 1 << 25
	if keyFor(t, noon.In(then)) != keyFor(t, noon.In(now)) || keyFor(t, then) != keyFor(t, now) {
		t.Error("the key depends on when the location was made")
	}
}

func TestAHitWithATimeInAZoneWithRulesAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops buffers at random, and the next one is allocated")
	}
	at := time.Now().In(ruled("A", "A-1B,M3.2.0,M11.1.0"))
	f := Wrap(func(context.Context, time.Time) (string, error) { return "result", nil })
	if got := hits(func() error { _, err := f(t.Context(), at); return err }); got != 0 {
		t.Errorf("%v allocations per hit, want 0", got)
	}
}

func TestOnlyTextsOfTheProgramsOwnModuleAreTrusted(t *testing.T) {
	main := keys.MainModule()
	for path, want := range map[string]bool{
		"main": true, main: true, main + "_test": true, main + "/users": true, "command-line-arguments": true,
		main + "x": false, "net/netip": false, "github.com/google/uuid": false, "": false,
	} {
		if got := keys.OwnPackage(path); got != want {
			t.Errorf("ownPackage(%q) = %v, want %v", path, got, want)
		}
	}
}
