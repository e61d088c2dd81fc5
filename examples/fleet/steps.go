package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A stage is what the steps are taken on.
type stage struct {
	out       io.Writer
	fleet     fleet
	redis     *redisServer
	priceList string
}

// findings are the numbers that the steps come to.
type findings struct {
	cold, warm, changed, alone, aloneAgain, back total
	knewAfter                                    time.Duration // that the price had changed, the slowest process
	backAfter                                    time.Duration // that Redis was
}

// tour sets the stage, takes the steps one after the other and tells of them on out.
func tour(ctx context.Context, out io.Writer) (f findings, err error) {
	redis.SetLogger(quiet{})
	out = &turnstile{to: out} // the processes log at any time
	folder, err := os.MkdirTemp("", "memo-fleet")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(folder)
	s := &stage{out: out, priceList: filepath.Join(folder, "prices")}
	if err := s.setPrice("19.99"); err != nil {
		return f, err
	}
	if s.redis, err = startRedis(ctx, ""); err != nil {
		return f, err
	}
	defer func() { s.redis.kill() }()
	s.fleet, err = startFleet(ctx, s.redis.addr, s.priceList, out, "A", "B", "C")
	defer func() { err = errors.Join(err, s.fleet.stop()) }()
	if err != nil {
		return f, err
	}

	fmt.Fprintf(out, "Three processes, A, B and C, share the Redis at %s. Each has %d callers,\n", s.redis.addr, callers)
	fmt.Fprintf(out, "who ask for the price of something at the same moment. The supplier who knows it\ntakes %v to answer.\n", supplierTakes)
	for _, step := range []func(context.Context, *findings) error{s.stampede, s.priceChange, s.outage, s.comeback} {
		if err := step(ctx, &f); err != nil {
			return f, err
		}
	}
	return f, nil
}

// stampede has everybody ask for tea, of which nobody knows the price, and then again.
func (s *stage) stampede(_ context.Context, f *findings) (err error) {
	s.heading("1. Nobody knows the price of tea")
	if f.cold, err = s.ask("tea"); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n%d callers, and the supplier was asked %s. Now they ask again:\n\n", len(s.fleet)*callers, times(f.cold.Executed))
	f.warm, err = s.ask("tea")
	return err
}

// priceChange has A tell the fleet that the price of tea has changed.
func (s *stage) priceChange(ctx context.Context, f *findings) error {
	s.heading("2. The price of tea changes, and A says so")
	if err := s.setPrice("17.49"); err != nil {
		return err
	}
	invalidated := time.Now()
	r, err := s.fleet[0].do(order{Invalidate: "tea"})
	if err != nil || r.Err != "" {
		return errors.Join(err, errors.New(r.Err))
	}
	// B and C have copies of the old price. Redis tells them that these are old.
	for {
		t, err := s.askQuietly("tea")
		if err != nil {
			return err
		}
		f.changed = f.changed.add(t)
		if t.knows("17.49") {
			f.knewAfter = time.Since(invalidated)
			break
		}
		if err := pause(ctx, invalidated); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "%v later all of them have the new price, and the supplier was asked %s.\n",
		f.knewAfter.Round(time.Millisecond), times(f.changed.Executed))
	return nil
}

// outage kills Redis.
func (s *stage) outage(_ context.Context, f *findings) (err error) {
	s.heading("3. Redis is killed")
	s.redis.kill()
	fmt.Fprintf(s.out, "They ask for coffee, cocoa, milk, mate and mocha, one after the other:\n\n")
	drinks := []string{"coffee", "cocoa", "milk", "mate", "mocha"}
	if f.alone, err = s.ask(drinks...); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nEvery process asks for itself, once for each. Not one call has failed, and each\nprocess has said once that its store is gone. What it has asked for it keeps:\n\n")
	f.aloneAgain, err = s.ask("mocha")
	return err
}

// comeback starts Redis again, empty as it is.
func (s *stage) comeback(ctx context.Context, f *findings) (err error) {
	s.heading("4. Redis is started again")
	server, err := startRedis(ctx, s.redis.addr)
	if err != nil {
		return err
	}
	s.redis = server
	started := time.Now()
	for i := 1; ; i++ {
		if f.back, err = s.askQuietly(fmt.Sprint("juice ", i)); err != nil {
			return err
		}
		if f.back.Executed == 1 {
			break
		}
		if err := pause(ctx, started); err != nil {
			return err
		}
	}
	f.backAfter = time.Since(started)
	fmt.Fprintf(s.out, "%v later a price that nobody knows costs the fleet one execution again:\n\n", f.backAfter.Round(10*time.Millisecond))
	f.back.print(s.out)
	return nil
}

// limit is how long a step may take that waits for something.
const limit = 5 * time.Second

func pause(ctx context.Context, since time.Time) error {
	if time.Since(since) > limit {
		return fmt.Errorf("that took longer than %v; is the machine very busy?", limit)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Millisecond):
		return nil
	}
}

// setPrice changes the supplier's price list.
func (s *stage) setPrice(price string) error {
	next := s.priceList + ".new"
	if err := os.WriteFile(next, []byte(price+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.priceList)
}

// ask has all callers ask for items and prints what became of that.
func (s *stage) ask(items ...string) (total, error) {
	t, err := s.askQuietly(items...)
	if err == nil {
		t.print(s.out)
	}
	return t, err
}

func (s *stage) askQuietly(items ...string) (total, error) {
	reports, err := s.fleet.do(order{Ask: items})
	t := total{Reports: map[string]report{}}
	for i, r := range reports {
		t.Reports[s.fleet[i].name] = r
		t.Executed += r.Executed
		t.Failed += r.Failed
	}
	return t, err
}

func (s *stage) heading(text string) {
	fmt.Fprintf(s.out, "\n%s\n%s\n\n", text, strings.Repeat("-", len(text)))
}
