package entry

import "fmt"

// A PanicError is a panic of fn, or of a function that judges its result, as an error.
// It is memo.PanicError.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("memo: fn panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A BatchPanic is a panic of fn on its way to one of those who wait for it.
type BatchPanic struct{ *PanicError }
