package valuestest

import (
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"time"
	_ "time/tzdata" // zones with rules on every machine
)

// Standard are the types of the standard library that have methods for text or JSON,
// and others that are made of these.
func Standard() []Kind {
	return []Kind{
		kindOf(times),
		kindOf(locations),
		of[time.Duration](0, 1, -1, time.Hour),
		of(netip.Addr{}, netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("::ffff:1.2.3.4"), netip.MustParseAddr("::"),
			netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::1%eth0"), netip.IPv4Unspecified()),
		of(netip.AddrPort{}, netip.AddrPortFrom(netip.Addr{}, 80), netip.AddrPortFrom(netip.Addr{}, 443),
			netip.MustParseAddrPort("1.2.3.4:80"), netip.MustParseAddrPort("[::ffff:1.2.3.4]:80"), netip.MustParseAddrPort("[fe80::1%80]:80")),
		of(netip.Prefix{}, netip.PrefixFrom(netip.MustParseAddr("1.2.3.4"), -1), netip.PrefixFrom(netip.MustParseAddr("1.2.3.5"), -1), netip.MustParsePrefix("1.2.3.4/24"), netip.MustParsePrefix("1.2.3.4/32")),
		of(net.IP(nil), net.IP{}, net.IP{1, 2, 3, 4}, net.IP{1, 2, 3, 4}.To16(), net.IP{1, 2, 3}, net.IPv6zero, net.IPv4zero.To4()),
		of(net.IPMask(nil), net.CIDRMask(24, 32), net.CIDRMask(24, 128)),
		of(net.IPNet{}, net.IPNet{IP: net.IP{1, 2, 3, 4}, Mask: net.CIDRMask(24, 32)}, net.IPNet{IP: net.IP{1, 2, 3, 4}.To16(), Mask: net.CIDRMask(24, 32)}),
		of(net.HardwareAddr(nil), net.HardwareAddr{}, net.HardwareAddr{1, 2, 3, 4, 5, 6}),
		of[*net.TCPAddr](nil, &net.TCPAddr{}, &net.TCPAddr{Port: 80}, &net.TCPAddr{IP: net.IP{1, 2, 3, 4}, Port: 80}, &net.TCPAddr{IP: net.IP{1, 2, 3, 4}, Port: 80, Zone: "z"}),
		kindOf(ints),
		kindOf(rats),
		kindOf(floats),
		kindOf(func() []big.Int { return []big.Int{*big.NewInt(0), *big.NewInt(-7)} }),
		kindOf(func() []big.Float { return []big.Float{{}, *big.NewFloat(1), *new(big.Float).SetPrec(200).SetInt64(1)} }),
		kindOf(regexps),
		kindOf(oids),
		of(slog.LevelDebug, slog.LevelInfo, slog.LevelInfo+1, slog.LevelWarn-1, slog.Level(-1000)),
		kindOf(func() []*slog.LevelVar {
			levels := []*slog.LevelVar{nil, new(slog.LevelVar), new(slog.LevelVar)}
			levels[2].Set(slog.LevelError)
			return levels
		}),
		kindOf(slogValues),
		of(json.RawMessage(nil), json.RawMessage{}, json.RawMessage("null"), json.RawMessage(`{"a":1}`), json.RawMessage(`{ "a": 1 }`), json.RawMessage(`"<"`)),
		of[json.Number]("", "1", "1.0", "1e0", "12345678901234567890"),
		kindOf(urls),
		of(sql.NullString{}, sql.NullString{String: "a"}, sql.NullString{Valid: true}, sql.NullString{String: "a", Valid: true}),
		of(sql.NullInt64{}, sql.NullInt64{Int64: 1}, sql.NullInt64{Int64: 1, Valid: true}),
		of(sql.NullBool{}, sql.NullBool{Bool: true}, sql.NullBool{Valid: true}),
		of(sql.NullByte{}, sql.NullByte{Byte: 1}, sql.NullByte{Byte: 255, Valid: true}),
		of(sql.NullInt16{}, sql.NullInt16{Int16: 1}, sql.NullInt16{Int16: -1, Valid: true}),
		of(sql.NullInt32{}, sql.NullInt32{Int32: 1}, sql.NullInt32{Int32: -1, Valid: true}),
		of(sql.NullFloat64{}, sql.NullFloat64{Float64: 0.1}, sql.NullFloat64{Float64: 1e300, Valid: true}),
		kindOf(func() []sql.NullTime {
			var all []sql.NullTime
			for _, t := range times() {
				all = append(all, sql.NullTime{Time: t}, sql.NullTime{Time: t, Valid: true})
			}
			return all
		}),
		of(sql.Null[netip.AddrPort]{}, sql.Null[netip.AddrPort]{V: netip.AddrPortFrom(netip.Addr{}, 1)}, sql.Null[netip.AddrPort]{Valid: true}),
		of(time.January, time.December),
		of(time.Sunday, time.Saturday),
	}
}

// must panics if what a constructor for known-good input returns is an error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// location returns a location of that name whose rules are those of a place.
func location(name, rulesOf string) *time.Location {
	data := must(tzdata(rulesOf))
	return must(time.LoadLocationFromTZData(name, data))
}

func times() []time.Time {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 5, time.UTC)
	return []time.Time{
		{}, noon, noon.Add(1),
		noon.In(time.FixedZone("", 0)),
		noon.In(time.FixedZone("CET", 3600)), noon.In(time.FixedZone("WAT", 3600)), noon.In(time.FixedZone("CET", 3601)),
		noon.In(location("CET", "Europe/Paris")), noon.In(location("CET", "Africa/Lagos")), noon.In(location("CET", "Europe/Warsaw")),
		noon.In(location("Europe/Paris", "Europe/Paris")),
		noon.AddDate(0, 6, 0).In(location("CET", "Europe/Paris")),
	}
}

func locations() []*time.Location {
	return []*time.Location{
		nil, time.UTC, time.FixedZone("CET", 3600), time.FixedZone("CET", 7200), time.FixedZone("WAT", 3600),
		location("CET", "Europe/Paris"), location("CET", "Africa/Lagos"), location("Europe/Paris", "Europe/Paris"),
	}
}

func ints() []*big.Int {
	big1 := must2(new(big.Int).SetString("123456789012345678901234567890", 10))
	return []*big.Int{nil, new(big.Int).Sub(big1, big1), big.NewInt(1), big.NewInt(-1), big1, new(big.Int).Neg(big1)}
}

func must2[T any](v T, ok bool) T {
	if !ok {
		panic("not of this form")
	}
	return v
}

func rats() []*big.Rat {
	return []*big.Rat{nil, new(big.Rat), big.NewRat(2, 4), big.NewRat(-1, 2), big.NewRat(2, 1)}
}

func floats() []*big.Float {
	third := func(prec uint, mode big.RoundingMode) *big.Float {
		return new(big.Float).SetPrec(prec).SetMode(mode).Quo(big.NewFloat(1), big.NewFloat(3))
	}
	zero := new(big.Float)
	return []*big.Float{
		nil, zero, new(big.Float).Neg(zero), new(big.Float).SetInf(false), new(big.Float).SetInf(true),
		big.NewFloat(1), new(big.Float).SetPrec(24).SetInt64(1), new(big.Float).SetPrec(200).SetInt64(1),
		big.NewFloat(1).SetMode(big.ToZero),
		third(53, big.ToNearestEven), third(64, big.ToNearestEven), third(65, big.ToNearestEven), third(500, big.ToNearestEven),
		third(500, big.ToNegativeInf),
	}
}

func regexps() []*regexp.Regexp {
	longest := regexp.MustCompile("^a+|b$")
	longest.Longest()
	return []*regexp.Regexp{
		nil, regexp.MustCompile(""), regexp.MustCompile("^a+|b$"), regexp.MustCompilePOSIX("^a+|b$"), longest,
		regexp.MustCompile("(?P<n>a)"), regexp.MustCompile("(?P<m>a)"), regexp.MustCompile("(a)"),
	}
}

func oids() []x509.OID {
	return []x509.OID{{}, must(x509.ParseOID("1.2.3")), must(x509.ParseOID("1.2.840.113549.1.1.1"))}
}

func slogValues() []slog.Value {
	return []slog.Value{slog.StringValue("ab"), slog.StringValue("ac"), slog.IntValue(1), slog.AnyValue(times()[1])}
}

func urls() []*url.URL {
	all := []*url.URL{nil, {}}
	for _, s := range []string{
		"http://h", "http://h?", "http://h/", "http://h/%2f", "http://h//", "http://u@h", "http://u:@h", "http://h#f", "http://h/#f", "h:p",
	} {
		all = append(all, must(url.Parse(s)))
	}
	return all
}
