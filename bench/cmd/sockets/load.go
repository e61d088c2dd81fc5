package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load asks address for / over so many connections for as long as d, and returns how
// many responses came per second. Every connection has one request under way.
//
// net/http's client would take longer to ask than the server takes to answer.
func load(address string, connections int, d time.Duration) (perSecond float64, err error) {
	var (
		answered atomic.Int64
		wg       sync.WaitGroup
		errs     = make([]error, connections)
		began    = time.Now()
		end      = began.Add(d)
	)
	for i := range connections {
		wg.Go(func() {
			var n int64
			n, errs[i] = ask(address, end)
			answered.Add(n)
		})
	}
	wg.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// ask sends requests over one connection until end, and counts the responses.
func ask(address string, end time.Time) (answered int64, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	request := fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: sockets\r\n\r\n", address)
	r := bufio.NewReaderSize(conn, 8<<10)
	for time.Now().Before(end) {
		if _, err := conn.Write(request); err != nil {
			return answered, err
		}
		if err := readResponse(r); err != nil {
			return answered, err
		}
		answered++
	}
	return answered, nil
}

var errNotServed = errors.New("not the response that was expected")

// readResponse reads one response with status 200 that has the whole body.
func readResponse(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("%w: %q", errNotServed, line)
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == len("\r\n") {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	if length != len(body) {
		return fmt.Errorf("%w: the body has %d bytes, not %d", errNotServed, length, len(body))
	}
	_, err = r.Discard(length)
	return err
}
