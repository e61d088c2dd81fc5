package shared

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"
	"unsafe"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/values"
)

// An Args is an argument as the last part of a shared key.
type Args interface {
	// AppendArgs appends it. key is its canonical form.
	AppendArgs(b []byte, key string) []byte
}

// SharedKey returns the key under which a store has the result for args, whose
// canonical key is key. head is what all keys of the function begin with. A shared key reads
//
//	prefix:name:version:epoch:args
//
// The first four are escaped where they contain a colon, a percent sign or
// anything that does not print, so they can be told apart again whatever they
// hold. The arguments are legible where they are short and printable;
// otherwise they, and a name and version or a prefix that are too long, are
// replaced by "#" and their SHA-256, which no legible form contains.
//
// The epochs of results are kept in the entries and not in the key, so that who
// invalidates a key finds its entry whatever epochs it has seen. In the place of
// the epoch stands whose epochs they are, followed by "+" in the key that guards
// the refresh of an entry.
func SharedKey(head, key string, args Args) string {
	b := append(make([]byte, 0, len(head)+max(len(key), keys.MaxDigits)), head...)
	b = args.AppendArgs(b, key)
	return unsafe.String(unsafe.SliceData(b), len(b)) // nobody else has b
}

// CountExecution counts a run of fn that has ended with err.
func (f *Function) CountExecution(ctx context.Context, p *entry.Config, key string, took time.Duration, err error) {
	f.Count.Executions.Add(1)
	f.Count.ExecutionTime.Add(int64(took))
	if err != nil {
		f.Count.Failures.Add(1)
	}
	if p.Observe != nil {
		p.Observe(ctx, entry.EventExecution, key, took, err)
	}
}

// Survive, deferred, keeps a panic of an observer or a logger from ending the
// process: nobody who could recover it stands above an execution.
func (f *Function) Survive(p *entry.Config) {
	if v := recover(); v != nil {
		p.Log().Error("memo: an observer or logger panicked", "func", f.Label, "panic", v, "stack", string(debug.Stack()))
	}
}

// UsedUp returns why a result must not be given to more than one caller, nil if it
// may be. value is a *R.
func (f *Function) UsedUp(p *entry.Config, value any) error {
	if p.Cloned || !f.Types.Hides {
		return nil
	}
	left := values.MaxLooks
	if err := values.HeldOnce(reflect.ValueOf(value).Elem(), &left); err != nil {
		return errors.New("result " + values.Describe(err))
	}
	return nil
}

// RefuseUsedUp is UsedUp for what an execution came back with: the first time it is logged.
func (f *Function) RefuseUsedUp(p *entry.Config, value any) bool {
	err := f.UsedUp(p, value)
	if err != nil && !f.OnceReported.Swap(true) {
		p.Log().Warn("memo: a result can be used only once; it is not kept, and each caller executes", "func", f.Label, "error", err)
	}
	return err != nil
}

// ScopeText is the part of shared keys that says whose epochs the results depend on.
func (f *Function) ScopeText() string { return fleet.WhoseEpochs(f.Space.Path) }

// NeedsGroup logs, once, that the function's own tags are good for nothing if it is in
// no group: nothing invalidates them.
func (f *Function) NeedsGroup(p *entry.Config) {
	if f.Space.Path != "" || f.TagsReported.Swap(true) {
		return
	}
	defer f.Survive(p)
	p.Log().Warn("memo: a function has tags but belongs to no group, so nothing can invalidate them; give it a group (NewGroup)", "func", f.Label)
}

// NotSet is the error of a Set that did not reach the store. Unlike the deletion of
// what it was to replace, a Set is not repeated: by then it may be an old one.
func (f *Function) NotSet(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("memo: %s: Set has not reached the store, where what it was to replace is deleted as soon as that can be reached: %w", f.Label, err)
}

// NotReached is the error of what could not be told to the store yet.
func (f *Function) NotReached(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("memo: %s: %s has not reached the store yet, and is repeated until it does: %w", f.Label, what, err)
}

// ReportBackground logs a failure that no caller sees.
func (f *Function) ReportBackground(p *entry.Config, err error, panicked *entry.PanicError) {
	if panicked != nil {
		p.Log().Error("memo: background refresh panicked", "func", f.Label, "panic", panicked.Value, "stack", string(panicked.Stack))
		return
	}
	p.Log().Warn("memo: background refresh failed", "func", f.Label, "error", err)
}
