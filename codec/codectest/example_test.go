package codectest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"testing"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/codec/codectest"
)

// labelled is a codec made from another: it puts a label in front, say to move
// to another version of the payload later. What it does not do itself it
// leaves to the codec below, Check included.
type labelled struct{ codec.Codec }

var label = []byte("v2:")

func (c labelled) Name() string { return c.Codec.Name() + "/v2" }

func (c labelled) Append(dst []byte, v any) ([]byte, error) {
	out, err := c.Codec.Append(append(dst, label...), v)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func (c labelled) Decode(data []byte, v any) error {
	payload, ok := bytes.CutPrefix(data, label)
	if !ok {
		return fmt.Errorf("%s: the data does not begin with %q", c.Name(), label)
	}
	return c.Codec.Decode(payload, v)
}

func (c labelled) Check(t reflect.Type) error { return codec.Check(c.Codec, t) }

func ExampleRun() {
	// In a file that ends in _test.go:
	test := func(t *testing.T) { codectest.Run(t, labelled{codec.JSON}) }

	_ = test
	fmt.Println(labelled{codec.JSON}.Name())
	// Output: json/v2
}

// A suite that nothing fails proves nothing. The test binary runs itself, to
// fail where this test does not.
func TestRunReportsWhatBreaksTheContract(t *testing.T) {
	if os.Getenv("CODECTEST_CARELESS") != "" {
		codectest.Run(t, careless{})
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRunReportsWhatBreaksTheContract$")
	cmd.Env = append(os.Environ(), "CODECTEST_CARELESS=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("a careless codec passes")
	}
	for _, sentence := range []string{
		"Name is stable: 1 to 16 bytes of printable ASCII without spaces",
		"Append leaves the bytes already in dst as they are",
		"When dst has the capacity, the result of Append shares its memory",
		"Append and Decode return an error for a v that is not a non-nil pointer",
		"A panic of a method of the value is an error of Append",
		"Bytes left over after the value are an error of Decode",
		"A value that does not come back as it was is refused",
	} {
		if !bytes.Contains(out, []byte(sentence)) {
			t.Errorf("nothing is reported as breaking: %s", sentence)
		}
	}
}

func TestLabelledKeepsTheContract(t *testing.T) { codectest.Run(t, labelled{codec.JSON}) }

// careless is what one writes first. It breaks most of the contract.
type careless struct{}

func (careless) Name() string { return "my codec" }

func (careless) Append(dst []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(data, dst...), nil
}

func (careless) Decode(data []byte, v any) error {
	return json.NewDecoder(bytes.NewReader(data)).Decode(v)
}
