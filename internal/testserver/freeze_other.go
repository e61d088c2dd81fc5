//go:build !unix

package testserver

import "errors"

// Freeze returns an error: there is nothing like it here.
func (p *Process) Freeze() error { return errors.ErrUnsupported }

// Thaw does nothing.
func (p *Process) Thaw() error { return nil }
