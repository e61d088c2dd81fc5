package keys

import (
	"errors"
	"strings"
)

// A PathError error has been raised below the named part of an argument.
type PathError struct {
	Path string
	Err  error
}

func (e *PathError) Error() string { return e.Path + " " + e.Err.Error() }
func (e *PathError) Unwrap() error { return e.Err }

// WithStep puts one more step in front of an error's path.
func WithStep(step string, err error) error {
	var below *PathError
	if !errors.As(err, &below) {
		return &PathError{step, err}
	}
	rest := below.Path
	if len(rest) > 100 { // a cycle's path says nothing new
		rest = strings.ToValidUTF8(rest[:100], "") + "…"
	}
	return &PathError{JoinPath(step, rest), below.Err}
}

func JoinPath(step, rest string) string {
	if step == "" || rest == "" || rest[0] == '[' {
		return step + rest
	}
	return step + "." + rest
}
