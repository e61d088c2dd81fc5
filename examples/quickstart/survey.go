package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-0226adef/memo"
)

// patience is how long reading one folder may take.
const patience = 20 * time.Second

// A survey knows what is in the files of folders. Its fields are what memo makes
// of the ordinary functions below.
type survey struct {
	files    *memo.Group
	count    *memo.Func[string, tally]
	report   *memo.Func[string, report]
	checksum *memo.Func[string, string]
}

func newSurvey() *survey {
	s := new(survey)

	// What the functions of a group have in common is said once. Results are
	// kept for an hour, and at most 100,000 of each function.
	s.files = memo.NewGroup("files", memo.TTL(time.Hour), memo.Local(100_000), memo.LoadTimeout(patience))

	// New takes a function and returns it, remembered: s.count.Call has the type
	// of countFile. (Where only the call is needed, memo.Wrap returns that.)
	s.count = memo.New(countFile, s.files, memo.Name("count"))
	s.report = memo.New(s.reportFolder, s.files, memo.Name("report"))
	s.checksum = memo.New(checksumFile, s.files, memo.Name("checksum"))
	return s
}

// A tally is the result of countFile. Results are shared between callers, so
// nobody changes one; a type without pointers takes care of that by itself.
type tally struct {
	Files, Lines, Words int
}

func (t tally) plus(u tally) tally {
	return tally{t.Files + u.Files, t.Lines + u.Lines, t.Words + u.Words}
}

// countFile reads a file. It has no idea that it is memoized but for AddTags,
// which would do nothing if it were not: the tag says what the result was
// made from, and invalidating the tag invalidates the result.
func countFile(ctx context.Context, path string) (tally, error) {
	memo.AddTags(ctx, path)
	f, err := os.Open(path)
	if err != nil {
		return tally{}, err
	}
	defer f.Close()
	var c counter
	_, err = io.Copy(&c, f)
	return tally{Files: 1, Lines: c.lines, Words: c.words}, err
}

// A report is what reportFolder returns.
type report struct {
	Total      tally
	Folders    int
	Unreadable int              // files and folders that could not be read
	ByKind     map[string]tally // by file name extension
	Longest    string           // the file with the most lines
	LongestIs  tally
}

// reportFolder makes the report of a folder from those of its subfolders and the
// counts of its files. It calls them by way of memo and with the context that it
// was given. So each of them is remembered by itself, and the report takes over
// their tags: when a file's tag is invalidated, so are exactly the reports that
// the file is part of.
func (s *survey) reportFolder(ctx context.Context, folder string) (report, error) {
	memo.AddTags(ctx, folder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return report{}, err
	}
	r := report{Folders: 1, ByKind: map[string]tally{}}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		switch {
		case e.IsDir():
			inner, err := s.report.Call(ctx, path)
			r.addFolder(inner, err)
		case e.Type().IsRegular():
			t, err := s.count.Call(ctx, path)
			r.addFile(path, t, err)
		}
		if err := ctx.Err(); err != nil { // LoadTimeout, or nobody waits any more
			return report{}, err
		}
	}
	return r, nil
}

func (r *report) addFile(path string, t tally, err error) {
	if err != nil {
		r.Unreadable++
		return
	}
	kind := cmp.Or(filepath.Ext(path), "(none)")
	r.Total = r.Total.plus(t)
	r.ByKind[kind] = r.ByKind[kind].plus(t)
	r.addLongest(path, t)
}

func (r *report) addFolder(inner report, err error) {
	if err != nil {
		r.Unreadable++
		return
	}
	r.Total = r.Total.plus(inner.Total)
	r.Folders += inner.Folders
	r.Unreadable += inner.Unreadable
	for kind, t := range inner.ByKind {
		r.ByKind[kind] = r.ByKind[kind].plus(t)
	}
	r.addLongest(inner.Longest, inner.LongestIs)
}

func (r *report) addLongest(path string, t tally) {
	if path != "" && (r.Longest == "" || t.Lines > r.LongestIs.Lines) {
		r.Longest, r.LongestIs = path, t
	}
}

// checksumFile returns the SHA-256 of a file.
func checksumFile(ctx context.Context, path string) (string, error) {
	memo.AddTags(ctx, path)
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

// A counter counts the lines and words of what is written to it.
type counter struct {
	lines, words int
	inWord       bool
}

func (c *counter) Write(b []byte) (int, error) {
	c.lines += bytes.Count(b, []byte{'\n'})
	for _, ch := range b {
		isWord := ch > ' '
		if isWord && !c.inWord {
			c.words++
		}
		c.inWord = isWord
	}
	return len(b), nil
}
