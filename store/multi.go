package store

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A MultiGetter is a [Store] that reads many keys in fewer round trips than one
// each. Callers use [GetMulti].
type MultiGetter interface {
	Store

	// GetMulti returns what is under keys, as the function [GetMulti] says.
	// Servers' limits on the number of keys or bytes in one request are the
	// store's to respect: it asks several times.
	GetMulti(ctx context.Context, keys []string) (map[string][]byte, error)
}

// GetMulti returns the values under keys. Absent keys are absent from the map,
// and no error; a key given twice is asked for once.
//
// The map holds what could be read also if the error is not nil, which is then the
// error of some key that could not: where keys are spread over several servers and
// one is down, the values of the others can be used. With a [*KeysError] the keys that it names could not be
// read, and all others that are absent from the map are absent from the store. The map
// is never nil, and the caller owns it and the slices in it.
//
// The values need not be of one moment: a write that runs at the same time may
// show under one key and not yet under another.
//
// If s implements [MultiGetter], GetMulti calls s.GetMulti. Otherwise it calls
// s.Get for each key, at most 16 of them at a time, and returns when all of them
// have returned; a panic of one becomes a panic of GetMulti.
func GetMulti(ctx context.Context, s Store, keys []string) (map[string][]byte, error) {
	if s, ok := s.(MultiGetter); ok {
		return s.GetMulti(ctx, keys)
	}
	var (
		mu       sync.Mutex // guards found, errs and panicked
		found    = make(map[string][]byte, len(keys))
		errs     KeyErrors
		panicked any // what a Get panicked with; it is the caller's to deal with
		asked    = make(map[string]bool, len(keys))
		gets     errgroup.Group
	)
	gets.SetLimit(16)
	for _, key := range keys {
		if asked[key] {
			continue
		}
		asked[key] = true
		gets.Go(func() error {
			defer func() {
				if v := recover(); v != nil {
					mu.Lock()
					defer mu.Unlock()
					panicked = v
				}
			}()
			value, err := s.Get(ctx, key)
			mu.Lock()
			defer mu.Unlock()
			if errs.Add(key, err); err == nil {
				found[key] = value
			}
			return nil
		})
	}
	gets.Wait() // every error is in errs
	if panicked != nil {
		panic(panicked)
	}
	return found, errs.Err()
}
