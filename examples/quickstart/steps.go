package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-0226adef/memo"
)

var errNoFiles = errors.New("there are no files in it that can be read")

// findings are the numbers that a tour comes to.
type findings struct {
	report   report
	stampede stampede
	touch    touch
	old      old
}

// tour takes the steps one after the other and tells of them on out.
func tour(ctx context.Context, folder string, out io.Writer) (f findings, err error) {
	s := newSurvey()
	if f.report, err = s.remember(ctx, folder, out); err != nil {
		return f, err
	}
	if f.stampede, err = s.stampede(ctx, f.report.Longest, out); err != nil {
		return f, err
	}

	// The steps that change something do so in a copy.
	copied, file, err := copySome(folder)
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(copied)
	if f.touch, err = s.touch(ctx, copied, file, out); err != nil {
		return f, err
	}
	if f.old, err = s.serveOld(ctx, copied, f.report.Longest, out); err != nil {
		return f, err
	}
	s.printStats(out)
	return f, nil
}

// remember makes the report of the folder, and then asks for it again.
func (s *survey) remember(ctx context.Context, folder string, out io.Writer) (report, error) {
	fmt.Fprintf(out, "Reading every file of %s ...\n", folder)
	began := time.Now()
	r, err := s.report.Call(ctx, folder)
	cold := time.Since(began)
	if err != nil {
		return r, err
	}
	if r.Total.Files == 0 {
		return r, errNoFiles
	}
	warm, err := average(func() error { _, err := s.report.Call(ctx, folder); return err })

	heading(out, "1. A function, remembered")
	fmt.Fprintf(out, "There are %s in %s:\n\n", describe(r.Total), plural(r.Folders, "folder"))
	printKinds(out, r)
	fmt.Fprintf(out, "\nThe longest file is %s (%s).\n", r.Longest, plural(r.LongestIs.Lines, "line"))
	if r.Unreadable > 0 {
		fmt.Fprintf(out, "Files and folders that could not be read: %s.\n", number(r.Unreadable))
	}
	printTimes(out, "report of the folder", cold, warm)
	return r, err
}

type stampede struct {
	callers                  int
	executions, joined, hits uint64
}

// stampede lets a thousand goroutines ask for the checksum of one file, of which
// nobody has asked before, at the same moment.
func (s *survey) stampede(ctx context.Context, file string, out io.Writer) (stampede, error) {
	const callers = 1000
	var (
		wg    sync.WaitGroup
		start = make(chan struct{})
		errs  = make([]error, callers)
	)
	for i := range callers {
		wg.Go(func() {
			<-start
			_, errs[i] = s.checksum.Call(ctx, file)
		})
	}
	began := time.Now()
	close(start)
	wg.Wait()
	cold := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return stampede{}, err
	}
	warm, err := average(func() error { _, err := s.checksum.Call(ctx, file); return err })

	// The calls for the average have been hits as well.
	stats := s.checksum.Stats()
	r := stampede{callers, stats.Executions, stats.Joined, stats.Hits - repeats}
	heading(out, "2. A stampede, and one execution")
	fmt.Fprintf(out, "%s goroutines asked for the checksum of one file at the same moment.\n", number(callers))
	fmt.Fprintf(out, "Executions: %d. Of the others, %s waited for it, and %s came when it was done.\n",
		r.executions, number(r.joined), number(r.hits))
	printTimes(out, "checksum, for all of them", cold, warm)
	return r, err
}

type touch struct {
	files, folders                int    // in the copy
	before, unaware, after        int    // lines
	countsExecuted, reportsRemade uint64 // by the invalidation
}

// touch changes one file of the copied folder and invalidates its tag.
func (s *survey) touch(ctx context.Context, copied, file string, out io.Writer) (t touch, err error) {
	began := time.Now()
	before, err := s.report.Call(ctx, copied)
	cold := time.Since(began)
	if err != nil {
		return t, err
	}
	if err := appendLine(file); err != nil {
		return t, err
	}
	unaware, err := s.report.Call(ctx, copied) // memo cannot know that a file has changed
	if err != nil {
		return t, err
	}
	counts, reports := s.count.Stats().Executions, s.report.Stats().Executions

	// Whoever changes something says so. The next call sees the change; what
	// was not made from that file stays.
	if err := s.files.InvalidateTags(ctx, file); err != nil {
		return t, err
	}
	began = time.Now()
	after, err := s.report.Call(ctx, copied)
	again := time.Since(began)

	t = touch{
		files: before.Total.Files, folders: before.Folders,
		before: before.Total.Lines, unaware: unaware.Total.Lines, after: after.Total.Lines,
		countsExecuted: s.count.Stats().Executions - counts,
		reportsRemade:  s.report.Stats().Executions - reports,
	}
	heading(out, "3. One file changes")
	fmt.Fprintf(out, "A copy of %s in %s has %s. One line is added to one of the files.\n",
		plural(t.files, "file"), plural(t.folders, "folder"), plural(t.before, "line"))
	fmt.Fprintf(out, "Until anyone says so, the report has %s.\n", plural(t.unaware, "line"))
	fmt.Fprintf(out, "After InvalidateTags with the file's name it has %s. Executed again were\n", plural(t.after, "line"))
	fmt.Fprintf(out, "the counts of %d of %s and the reports of %d of %s, those that the file is in.\n",
		t.countsExecuted, plural(t.files, "file"), t.reportsRemade, plural(t.folders, "folder"))
	printTimes(out, "report: all of it, then the part", cold, again)
	return t, err
}

type old struct {
	first, stale, refreshed int // lines
	staleHits               uint64
}

// serveOld shows a result that is past its TTL and yet costs nobody any time:
// the first call to notice gets the old one and has it replaced in the
// background.
func (s *survey) serveOld(ctx context.Context, copied, longest string, out io.Writer) (o old, err error) {
	file := filepath.Join(copied, "longest")
	if err := copyFile(longest, file); err != nil {
		return o, err
	}
	const ttl = 20 * time.Millisecond
	count := memo.New(countFile, s.files, memo.Name("count, old results allowed"),
		memo.TTL(ttl), memo.StaleWhileRevalidate(time.Minute)) // stronger than the group's TTL

	began := time.Now()
	first, err := count.Call(ctx, file)
	cold := time.Since(began)
	if err != nil {
		return o, err
	}
	if err := appendLine(file); err != nil {
		return o, err
	}
	time.Sleep(2 * ttl)

	began = time.Now()
	stale, err := count.Call(ctx, file)
	warm := time.Since(began)
	if err != nil {
		return o, err
	}
	refreshed, err := awaitChange(ctx, count, file, stale)

	o = old{first.Lines, stale.Lines, refreshed.Lines, count.Stats().StaleHits}
	heading(out, "4. Old results while new ones are made")
	fmt.Fprintf(out, "A file of %s gets one more, and the TTL of its count, %v, ends.\n", plural(o.first, "line"), ttl)
	fmt.Fprintf(out, "The next call returns the old count at once: %s. In the background the file is\n", plural(o.stale, "line"))
	fmt.Fprintf(out, "read again, and from then on it is %s.\n", plural(o.refreshed, "line"))
	printTimes(out, "count: first, then past its TTL", cold, warm)
	return o, err
}

// awaitChange waits until a result that differs from was is held. Peek looks at
// what is held and causes nothing.
func awaitChange(ctx context.Context, f *memo.Func[string, tally], file string, was tally) (tally, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		e, err := f.Peek(ctx, file)
		if err != nil && !errors.Is(err, memo.ErrMiss) || err == nil && e.Value != was {
			return e.Value, err
		}
		select {
		case <-ctx.Done():
			return tally{}, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// copySome copies files from all over a folder, and of each at most its first
// megabytes, to a temporary folder. It also returns the copy that lies deepest.
func copySome(folder string) (copied, deepest string, err error) {
	all := filesIn(folder)
	if copied, err = os.MkdirTemp("", "memo-quickstart"); err != nil {
		return "", "", err
	}
	for i := 0; i < len(all); i += 1 + len(all)/60 {
		to := filepath.Join(copied, all[i])
		if copyFile(filepath.Join(folder, all[i]), to) != nil {
			continue // unreadable files are left out
		}
		if deepest == "" || depth(to) > depth(deepest) {
			deepest = to
		}
	}
	if deepest == "" {
		os.RemoveAll(copied)
		return "", "", errNoFiles
	}
	return copied, deepest, nil
}

// filesIn returns the files of a folder, relative to it.
func filesIn(folder string) (files []string) {
	filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if rel, err := filepath.Rel(folder, path); err == nil {
			files = append(files, rel)
		}
		return nil
	})
	return files
}

func depth(path string) int { return strings.Count(path, string(filepath.Separator)) }

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, io.LimitReader(src, 16<<20))
	return errors.Join(err, dst.Close())
}

func appendLine(file string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("one more line\n")
	return errors.Join(err, f.Close())
}

// repeats is how many calls average makes.
const repeats = 1000

// average returns how long a call takes on average.
func average(call func() error) (time.Duration, error) {
	began := time.Now()
	for range repeats {
		if err := call(); err != nil {
			return 0, err
		}
	}
	return time.Since(began) / repeats, nil
}

// mostLines returns the kinds with the most lines, the longest first.
func mostLines(r report, n int) []string {
	kinds := slices.SortedFunc(maps.Keys(r.ByKind), func(a, b string) int {
		if d := r.ByKind[b].Lines - r.ByKind[a].Lines; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return kinds[:min(n, len(kinds))]
}
