// Package memo remembers what functions return.
//
// It takes a function and returns the same function with a cache in front.
// Results are kept in the process; for each argument there is one execution at a
// time, however many callers want its result; and what has been invalidated is
// never returned again.
//
// # Remembering a function
//
// [Wrap] returns a function of the very type that it was given, so nothing
// changes where it is called:
//
//	forecast := memo.Wrap(fetchForecast, memo.TTL(10*time.Minute))
//
//	text, err := forecast(ctx, "Oslo") // runs fetchForecast
//	text, err = forecast(ctx, "Oslo")  // returns what it returned
//
// [Wrap0], [Wrap2] and [Wrap3] are for other numbers of arguments, and [Pure] is
// for a function that has no context and no error. [New] returns a [Func], the
// handle for doing more than calling:
//
//	users := memo.New(loadUser)
//
//	u, err := users.Call(ctx, 42)   // as Wrap(loadUser) would
//	e, err := users.Peek(ctx, 42)   // what is held, without running loadUser
//	err = users.Set(ctx, 42, anna)  // held from now on, without running loadUser
//	u, err = users.Refresh(ctx, 42) // runs loadUser now, and keeps the result
//	err = users.Invalidate(ctx, 42) // drops what is held
//
// # Keys
//
// Two calls are the same call when their arguments are deeply equal by value.
// Pointers are followed, slices and maps compared by what is in them, and
// unexported fields count. What must not count is marked:
//
//	type query struct {
//		City  string
//		Days  int
//		Trace string `memo:"-"` // no part of the key
//	}
//
// A type says itself what tells its values apart with a method MemoKey ([Keyer]),
// and a type of the program's own module with MarshalText too. [KeyFunc] says so for
// one function:
//
//	capital := memo.New(lookUpCapital, memo.KeyFunc(strings.ToLower))
//
// Types of other modules go by their fields even if they have a MarshalText, which is
// made to be read: the text of a netip.AddrPort without an address has no port. Numbers
// of package math/big are the same when they are equal and calculate alike, and a time
// is another in every zone, also if two zones of one name have different rules.
//
// Different arguments never share a key by accident: in the process a key is the
// argument itself in another form, not a hash of it. Functions, channels, contexts
// and locks cannot be part of a key, nor what acts and is no data: readers, writers,
// connections, handlers, loggers. New panics and names the field. What only shows in
// a value, such as a cycle, is a [*KeyError] of that call.
//
// # One execution
//
// Concurrent calls with one key share one execution:
//
//	for range 1000 {
//		wg.Go(func() { forecast.Call(ctx, "Oslo") })
//	}
//	wg.Wait()
//	fmt.Println(forecast.Stats().Executions) // 1
//
// The execution belongs to none of the callers. It runs in a goroutine of its
// own, under the values of the first caller's context but not under its
// cancellation. Everyone waits under their own context and may leave alone; when
// the last one has left, or after [LoadTimeout], the execution's context ends.
//
// A context that its owner uses again, as web frameworks do with those that they pool
// (gin's *gin.Context is one), is no good for that: the execution would read the values
// of another request. [ContextFrom] takes the values that are needed out of it, in the
// caller's goroutine. And the function's own context ends when the function returns: a
// result that keeps it, or was made with it and still needs it, such as a response's
// body or rows of a database, is of no use to anybody.
//
// The function can also still be running when a call has returned, and gets a copy of
// the argument that the caller can no longer change, as far as the key goes: a buffer
// may be used again as soon as the call is back. What no key looks into is handed on
// as it is: what a [Keyer] holds, what is tagged memo:"-", an argument that a KeyFunc
// is for (unless it is a string), a protobuf message, and a type with a MarshalText
// of its own that holds pointers. A caller must not change those any more. Nothing
// is copied for a result that is held.
//
// A panic of the function reaches everyone who waits as a panic with a
// [*PanicError], and the next call runs the function again. A function that
// calls itself with its own argument and context gets [ErrRecursive] instead of
// a deadlock.
//
// # Freshness and failure
//
// A result is fresh for its [TTL], one minute unless given. What may be done with
// it after that is said by windows that begin when the TTL ends:
//
//	forecast := memo.New(fetchForecast,
//		memo.TTL(10*time.Minute),
//		memo.StaleWhileRevalidate(time.Minute), // return the old one at once, refresh it in the background
//		memo.StaleIfError(24*time.Hour),        // return the old one if fetchForecast fails
//		memo.SoftTimeout(2*time.Second),        // or if it takes longer than this
//	)
//
// A refresh that fails costs nothing the first time. From the second failure in
// a row on, the next attempt waits, from 250 ms up to 30 s. [EarlyRefresh] begins
// before the TTL has ended, and [Jitter] keeps results that were made together
// from expiring together.
//
// The function can say how long its result is good for, or that it is not to be
// kept, through its context. Where it is called directly, that does nothing:
//
//	fetchToken := func(ctx context.Context, scope string) (string, error) {
//		token, lifetime, err := requestToken(ctx, scope)
//		memo.SetTTL(ctx, lifetime-time.Minute)
//		return token, err
//	}
//
// # Errors
//
// Errors of the function reach callers as they are, and are not remembered.
// [CacheErrors] remembers some, for a time of their own:
//
//	users := memo.New(loadUser,
//		memo.CacheErrors(5*time.Second, func(err error) bool { return errors.Is(err, errNoUser) }))
//
// [CacheIf] decides which results are kept. Errors of memo's own begin with
// "memo: ": [ErrMiss], [ErrRecursive], [ErrGoexit], [*KeyError], and one that
// matches [context.DeadlineExceeded] for a function that outlasts its
// LoadTimeout.
//
// # Invalidation
//
// Once one of these has returned, no call that begins later returns a result
// whose execution began before it. That includes executions which are under way:
// those who wait for one get its result, nobody else does.
//
//	err := users.Invalidate(ctx, 42)              // one result
//	err = users.Clear(ctx)                        // all results of a function
//	err = accounts.InvalidateTags(ctx, "team:7")  // those with a tag, in all functions of a group
//	err = memo.InvalidateTags(ctx, "team:7")      // those with a tag, in all groups
//	err = accounts.Clear(ctx)                     // all results of a group
//
// What need not be dropped can be expired, by [Func.Expire], [Group.ExpireTags] and [Group.Expire]: it
// counts as past its TTL from then on, in every process, and is returned as long as the stale
// windows allow, while a new result is made. What has no stale window is invalidated.
//
// Other processes may return what they hold for a moment. Where whoever has changed something must
// see that at once, in whichever process answers next, [Func.InvalidateToken] and the like return a
// token for [WithToken]; [CollectToken], and Tokens of package httpcache, make one for a request.
//
// A [Group] is a set of functions that share settings and tags. Results get tags
// by [Tags] or, one by one, by [AddTags] from within the function. Each takes
// the same time however many results are held.
//
// # Results made of results
//
// A memoized function that calls another one, with the context that it was
// given, takes over the tags of that result. So whatever was made from something
// is found by that something's tag:
//
//	users := memo.New(func(ctx context.Context, id int) (string, error) {
//		memo.AddTags(ctx, fmt.Sprint("user:", id))
//		return names[id], nil
//	}, accounts)
//
//	greeting := memo.New(func(ctx context.Context, id int) (string, error) {
//		name, err := users.Call(ctx, id)
//		return "Hello, " + name, err
//	}, accounts)
//
//	names[42] = "Anna"
//	err = accounts.InvalidateTags(ctx, "user:42") // the user, and the greeting
//
// It is tags that go from result to result: Invalidate and Clear of the inner
// function do not reach the outer one's results. With [InheritTTL] a result is
// fresh no longer than those it was made from, and [Detached] leaves a call out of
// all this.
//
// # Sharing results
//
// All callers get the same result, so they must not change what it leads to. If
// they have to, [Clone] gives each a copy of their own:
//
//	settings := memo.New(loadSettings, memo.Clone(maps.Clone[map[string]string]))
//
// # The tier in this process
//
// A function holds 10,000 results unless [Local], [LocalBytes] or [NoLocal] says
// otherwise. Which ones stay is decided by W-TinyLFU: by how often and how
// recently each was asked for, so a scan over many keys does not push out what is
// in use. Nothing is dropped just for being old; it is dropped when it is in the
// way, or when it is asked for and cannot be used.
//
//	thumbnails := memo.New(makeThumbnail, memo.LocalBytes(64<<20), memo.TTL(memo.Forever))
//
// # One cache for a fleet
//
// With a [Store] results are shared by all processes that use the same one: Redis,
// memcached or DynamoDB by the packages under store, or what implements
// [github.com/seed-0226adef/memo/store.Store]. The function needs a [Name] that
// stays the same when the code is moved:
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
//	shared := redisstore.New(client, nil)
//	users := memo.New(loadUser, memo.Store(shared), memo.Name("users.byID"), memo.Prefix("shop"))
//
// A name belongs to one function: a second New with the same store, prefix and name
// panics, since each of the two would return the other's results. Two receivers of
// one method, such as a service for each tenant, are two functions, and need a prefix
// each: Prefix(tenant). [SharedName] is for functions that compute the same.
//
// Of all processes that miss a result one executes the function, by a lease in
// the store, and the others wait for what it stores. What was invalidated in one
// process is not returned in another: Invalidate takes the lease away together
// with the result, so that an execution under way has nowhere to put its own;
// Clear and tags change an epoch that every result records. No clocks are
// compared for that.
//
// A process keeps a copy of what it has read for [LocalTTL]. Where the store tells
// of changes, copies are dropped when they change; while that connection is lost
// they are not used. A Clear or InvalidateTags of another process is seen
// within one second in any case. Where the store cannot tell, processes tell each
// other, by a [Bus].
//
// A store that fails never fails a call. It costs one [StoreTimeout] until
// it is found out, and then nothing until it is back. An invalidation that it
// could not be told is returned as an error, and repeated until it has been; this
// process acts on it at once.
//
// What is wrong with one key only, such as a value of another type in Redis, concerns
// that key: its results stay in the process. A store that refuses writes and answers
// reads, because it is full or a replica, is read on. Both are logged.
//
// Results are written with a [Codec], JSON unless given, that is named in what is
// written, so codecs may differ from process to process and from call to call.
// [New] tries the codec with sample values of R, also a codec of a program's own,
// and panics if one comes back changed, naming the field. What is behind interfaces is tried when it is first written. Protobuf
// messages have a codec, and keys, in the module contrib/proto.
// A program whose types have changed has other keys, and runs beside the old one.
//
// # Many keys at once
//
// [NewBatch] memoizes a function of many keys, such as a query with IN. Each key
// has a result of its own, and only those that nobody holds are asked for:
//
//	names := memo.NewBatch(selectNames, memo.MaxBatch(500), memo.CacheMissing(time.Minute))
//	found, err := names.Call(ctx, []int{1, 2, 3})
//
// # Looking inside
//
// [Func.Stats] counts what calls met, and [Func.Peek] shows a single result. An
// [Observer] is told of every event, for metrics and traces; [Logger] gets what no
// caller sees, such as a refresh in the background that failed.
//
//	s := forecast.Stats()
//	fmt.Println(s.Hits, s.Misses, s.Joined, s.Executions)
//
// [Funcs] lists all functions of the process, and [Group.Funcs] those of a group, with the
// options in force and their counters: for a page that shows them, or a collector of
// metrics.
//
//	for _, f := range accounts.Funcs() {
//		fmt.Println(f.Name, f.Options, f.Stats.Hits)
//	}
//
// # Policies by level
//
// Options may be given for the process, for a group, for a function and for
// single calls. Each level overrides what the ones before it said, and leaves
// alone what it does not name:
//
//	memo.SetDefault(memo.LoadTimeout(5 * time.Second))
//	accounts := memo.NewGroup("accounts", memo.TTL(5*time.Minute))
//	users := memo.New(loadUser, accounts, memo.Local(1000))
//	u, err := users.With(memo.TTL(10*time.Second)).Call(ctx, 42) // nothing older than ten seconds
//
// [Options] gives a list of options a name:
//
//	patient := memo.Options{memo.TTL(time.Hour), memo.StaleIfError(24 * time.Hour)}
//	forecast := memo.New(fetchForecast, patient, memo.Jitter(0.1))
//
// # Options by purpose
//
//   - Freshness: [TTL], [Jitter], [StaleWhileRevalidate], [EarlyRefresh], [MaxAge], [InheritTTL].
//   - Failure: [StaleIfError], [SoftTimeout], [LoadTimeout], [CacheErrors], [CacheIf].
//   - This process: [Local], [LocalBytes], [NoLocal], [Clone], [ContextFrom], [Disabled].
//   - The store: [Store], [StoreTimeout], [LocalTTL], [Bus], [Codec].
//   - Keys and identity: [Name], [SharedName], [Prefix], [Version], [KeyFunc], [Tags], and a
//     [Group].
//   - Batches: [MaxBatch], [CacheMissing].
//   - Looking inside: [Observe], [Logger].
//
// # Testing
//
// Inside of a [testing/synctest] bubble, memo goes by the bubble's clock, so a test
// of what happens after an hour takes no time:
//
//	func TestForecastIsFetchedAgainAfterAnHour(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			fetched := 0
//			forecast := memo.Wrap(func(context.Context, string) (string, error) {
//				fetched++
//				return "rain", nil
//			}, memo.TTL(time.Hour))
//
//			forecast(t.Context(), "Oslo")
//			time.Sleep(time.Hour)
//			forecast(t.Context(), "Oslo")
//			if fetched != 2 {
//				t.Errorf("fetched %d times, want 2", fetched)
//			}
//		})
//	}
//
// A store in memory works there, and so do Redis and memcached, without notifications:
// what waits for the network would keep the bubble's time from going on. The client
// is made outside of the bubble. For DynamoDB see [store/dynamostore].
//
// Package [memotest] makes functions as new in each test, and stores fail on command.
//
// Tests that are better off without a cache turn it off for the whole process:
//
//	memo.SetDefault(memo.Disabled(true))
//
// One request can be sent past all caches, whatever functions it goes through, to see
// what is there now:
//
//	u, err := users.Call(memo.WithBypass(ctx), 42)
//
// Or it can say how old what it is told may be, by [WithMaxAge]: zero is for what the store
// confirms now.
//
// # What it costs
//
// A hit on a fresh result allocates nothing where the argument is a number, a
// string or a struct of those. [Clone] and [Observe] take hits off the shortest
// path. A miss costs a goroutine, and what it takes to hold the result: its key,
// its value and about 256 bytes.
//
// A Func needs no Close. While results are looked up more than a thousand times a
// second, one goroutine for the process tells the time; it ends by itself, as
// executions do.
//
// What is promised, by which means, and which test would notice a breach is
// listed in docs/guarantees.md, and the reasons for how it is built are in
// docs/design.md.
package memo
