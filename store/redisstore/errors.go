package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/beside"
	"github.com/seed-0226adef/memo/store"
)

// failed says what an operation of the store has come to under ctx.
func failed(ctx context.Context, op string, err error) error {
	if err = judged(op, err); errors.Is(err, store.ErrRefused) || errors.Is(err, store.ErrReadOnly) {
		return err
	}
	return beside.Failed(ctx, "redisstore", op, err)
}

// judged returns err, and wraps [store.ErrRefused] or [store.ErrReadOnly] if that is what
// a server's reply to op means.
func judged(op string, err error) error {
	var reply redis.Error
	if err == nil || errors.Is(err, store.ErrRefused) || !errors.As(err, &reply) {
		return err
	}
	if meaning := meaningOf(reply.Error(), writes[op]); meaning != nil {
		return fmt.Errorf("%w: redisstore: %s: %w", meaning, op, err)
	}
	return err
}

var writes = map[string]bool{"set": true, "add": true, "swap": true, "delete": true}

// meaningOf returns what an error reply says beyond that the server is ill, or nil.
// The others, as LOADING, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, BUSY and NOAUTH, concern every
// key, or everything about it, and every kind of command.
//
// Before Redis 7 the reply of a script has the reason inside, after "ERR Error running
// script"; what a user must not do in a script is an ERR as well.
func meaningOf(reply string, write bool) error {
	says := func(words ...string) bool {
		for _, word := range words {
			if !strings.Contains(reply, word) {
				return false
			}
		}
		return true
	}
	code, _, _ := strings.Cut(reply, " ")
	inScript := code == "ERR" && says("script")
	is := func(c string) bool { return code == c || inScript && says("-"+c+" ") || inScript && says(": "+c+" ") }
	denied := is("NOPERM") || inScript && says("The user executing the script")
	switch {
	case is("WRONGTYPE"),
		denied && says(" access ", " key"), // "… to access one of the keys used as arguments"
		code == "ERR" && (says("string exceeds maximum allowed size") || says("invalid bulk length")):
		return store.ErrRefused
	case write && (denied || is("OOM") || is("READONLY") || is("MISCONF") || is("NOREPLICAS")):
		return store.ErrReadOnly
	}
	return nil
}
