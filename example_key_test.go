package memo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-0226adef/memo"
)

func ExampleKeyFunc() {
	lookUp := memo.Wrap(func(_ context.Context, host string) (string, error) {
		fmt.Println("asking for", host)
		return "93.184.215.14", nil
	}, memo.KeyFunc(strings.ToLower)) // names of hosts do not have a case

	ctx := context.Background()
	lookUp(ctx, "example.com")
	lookUp(ctx, "Example.COM")
	// Output: asking for example.com
}

// A Session is represented in keys by its user, whoever the token was made for.
type Session struct {
	UserID int
	Token  string
}

func (s *Session) MemoKey() string { return fmt.Sprint(s.UserID) }

func ExampleKeyer() {
	inbox := memo.Wrap(func(_ context.Context, s *Session) (int, error) {
		fmt.Println("counting the mail of user", s.UserID)
		return 3, nil
	})

	ctx := context.Background()
	fmt.Println(inbox(ctx, &Session{42, "token of monday"}))
	fmt.Println(inbox(ctx, &Session{42, "token of tuesday"}))
	// Output:
	// counting the mail of user 42
	// 3 <nil>
	// 3 <nil>
}

// What hides in an interface is found out by the call.
func ExampleKeyError() {
	type filter struct{ Value any }
	search := memo.Wrap(func(_ context.Context, f filter) ([]string, error) { return nil, nil }, memo.Name("search"))

	_, err := search(context.Background(), filter{Value: func() {}})
	var unkeyed *memo.KeyError
	if errors.As(err, &unkeyed) {
		fmt.Println(unkeyed.Func, unkeyed.Path)
	}
	fmt.Println(err)
	// Output:
	// search Value
	// memo: search: argument Value: (func()) cannot be part of a key
}

type celsius struct{ degrees float64 }

var errTooCold = errors.New("below absolute zero")

func (c celsius) MarshalText() ([]byte, error) {
	if c.degrees < -273.15 {
		return nil, errTooCold
	}
	return fmt.Append(nil, c.degrees), nil
}

func ExampleKeyError_Unwrap() {
	pressure := memo.Wrap(func(_ context.Context, c celsius) (float64, error) { return 1013, nil })

	_, err := pressure(context.Background(), celsius{-300})
	fmt.Println(errors.Is(err, errTooCold))
	// Output: true
}

func ExampleName() {
	users := memo.New(loadUser, memo.Name("users.byID"), memo.Version("1"))
	fmt.Println(users.Key(42))
	// Output: :users.byID:1:-:42 <nil>
}

// Two programs, or two environments, share a store.
func ExamplePrefix() {
	for _, environment := range []string{"staging", "production"} {
		users := memo.New(loadUser, memo.Prefix(environment), memo.Name("users.byID"), memo.Version("1"))
		fmt.Println(users.Key(42))
	}
	// Output:
	// staging:users.byID:1:-:42 <nil>
	// production:users.byID:1:-:42 <nil>
}

// The score is calculated in another way now, though it is still an int.
func ExampleVersion() {
	score := func(_ context.Context, user int) (int, error) { return 7, nil }
	before := memo.New(score, memo.Name("score"), memo.Version("1"))
	after := memo.New(score, memo.Name("score"), memo.Version("2"))
	fmt.Println(before.Key(42))
	fmt.Println(after.Key(42))
	// Output:
	// :score:1:-:42 <nil>
	// :score:2:-:42 <nil>
}
