package testserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A CommandProxy is a [Proxy] that knows the commands of its server, and so can
// answer in its place.
type CommandProxy struct{ *Proxy }

// A Script returns the reply to a command, line ends included, or "" to let the server
// answer. The command is in words, as it is spelt, without the value of a memcached
// command. A Script is called concurrently.
type Script func(command []string) (reply string)

// NewRedisProxy starts a proxy of a server. Commands must come as clients send them,
// in arrays and not in line, and not wait for anything (MONITOR, BLPOP).
func NewRedisProxy(t testing.TB, r *RedisServer) CommandProxy {
	t.Helper()
	return CommandProxy{newProxy(t, r.Network, r.Addr, &redisProtocol)}
}

// NewMemcachedProxy starts a proxy of a server. Commands must not say noreply.
func NewMemcachedProxy(t testing.TB, m *MemcachedServer) CommandProxy {
	t.Helper()
	return CommandProxy{newProxy(t, m.Network, m.Addr, &memcachedProtocol)}
}

// Answer makes script answer commands from now on. A nil script ends that.
// Connections stay as they are, and replies come in the order of the commands, whoever
// answers.
func (p CommandProxy) Answer(script Script) {
	if script == nil {
		p.script.Store(nil)
		return
	}
	p.script.Store(&script)
}

// RedisOOM answers as a server does that is full and evicts nothing.
func RedisOOM(command []string) string {
	if redisReads(command) || is(command, "DEL", "UNLINK", "PEXPIRE", "EXPIRE", "PUBLISH") {
		return ""
	}
	return "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
}

// RedisReadOnly answers as a replica does.
func RedisReadOnly(command []string) string {
	if redisReads(command) || is(command, "PUBLISH") {
		return ""
	}
	return "-READONLY You can't write against a read only replica.\r\n"
}

// RedisLoading answers as a server does that has just been started.
func RedisLoading(command []string) string {
	if is(command, "HELLO", "AUTH", "CLIENT", "SUBSCRIBE", "UNSUBSCRIBE") {
		return ""
	}
	return "-LOADING Redis is loading the dataset in memory\r\n"
}

// MemcachedFull answers as a server does that was started with -M and is full.
func MemcachedFull(command []string) string {
	if memcachedStores(command) {
		return "SERVER_ERROR out of memory storing object\r\n"
	}
	return ""
}

func redisReads(command []string) bool {
	return is(command, "HELLO", "AUTH", "CLIENT", "SELECT", "PING", "ECHO", "INFO", "COMMAND", "SUBSCRIBE", "UNSUBSCRIBE",
		"GET", "MGET", "GETRANGE", "STRLEN", "EXISTS", "TTL", "PTTL", "SCRIPT", "MULTI", "EXEC", "WATCH")
}

func memcachedStores(command []string) bool {
	return is(command, "SET", "ADD", "REPLACE", "APPEND", "PREPEND", "CAS")
}

func is(command []string, names ...string) bool {
	return slices.Contains(names, strings.ToUpper(command[0]))
}

// A protocol knows where commands and replies end.
type protocol struct {
	command func(*frame) (words []string, err error)
	// reply also tells replies from what a server sends unasked.
	reply func(*frame) (unasked bool, err error)
}

// commands passes on what the client sends, and answers what the script answers.
func (l *link) commands(client *bufio.Reader) {
	for {
		f := frame{r: client}
		words, err := l.proxy.protocol.command(&f)
		if err != nil || len(words) == 0 {
			return
		}
		if script := l.proxy.script.Load(); script != nil {
			if reply := (*script)(words); reply != "" {
				if !l.pending.none() || !l.reply([]byte(reply)) {
					return
				}
				continue
			}
		}
		if !is(words, "SUBSCRIBE", "UNSUBSCRIBE") { // whose replies count as unasked
			l.pending.add()
		}
		if _, err := l.server.Write(f.bytes); err != nil {
			return
		}
	}
}

// framed passes on what the server sends, reply by reply.
func (l *link) framed(server *bufio.Reader) {
	for {
		f := frame{r: server}
		unasked, err := l.proxy.protocol.reply(&f)
		if err != nil {
			_ = l.reply(f.bytes) // what there was
			return
		}
		if !l.reply(f.bytes) {
			return
		}
		if !unasked {
			l.pending.done()
		}
	}
}

// pending counts the commands that the server has yet to answer.
type pending struct {
	mu    sync.Mutex
	fewer sync.Cond
	n     int
	ended bool
}

func (p *pending) add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
}

func (p *pending) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n = max(p.n-1, 0)
	p.fewer.Broadcast()
}

// end makes none return.
func (p *pending) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.fewer.Broadcast()
}

// none waits until nothing is pending. It returns false if that will not come.
func (p *pending) none() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.n > 0 && !p.ended {
		p.fewer.Wait()
	}
	return !p.ended
}

// A frame keeps the bytes of a command or a reply while they are looked at.
type frame struct {
	r     *bufio.Reader
	bytes []byte
}

// line reads a line and returns it without its end.
func (f *frame) line() (string, error) {
	line, err := f.r.ReadBytes('\n')
	f.bytes = append(f.bytes, line...)
	return string(bytes.TrimRight(line, "\r\n")), err
}

// data reads n bytes and the end of their line.
func (f *frame) data(n int) (string, error) {
	start := len(f.bytes)
	f.bytes = append(f.bytes, make([]byte, n+len("\r\n"))...)
	read, err := io.ReadFull(f.r, f.bytes[start:])
	f.bytes = f.bytes[:start+read]
	return string(f.bytes[start : start+min(n, read)]), err
}

var errNotUnderstood = errors.New("testserver: that is no command and no reply")

var redisProtocol = protocol{
	command: func(f *frame) (words []string, err error) {
		line, err := f.line()
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(strings.TrimPrefix(line, "*"))
		for range n {
			if line, err = f.line(); err != nil {
				return nil, err
			}
			length, err := strconv.Atoi(strings.TrimPrefix(line, "$"))
			if err != nil {
				return nil, err
			}
			word, err := f.data(length)
			if err != nil {
				return nil, err
			}
			words = append(words, word)
		}
		return words, err
	},
	reply: func(f *frame) (unasked bool, err error) {
		err = redisReply(f)
		return len(f.bytes) > 0 && f.bytes[0] == '>', err // a push of RESP3
	},
}

func redisReply(f *frame) error {
	line, err := f.line()
	if err != nil {
		return err
	}
	if line == "" {
		return errNotUnderstood
	}
	n := 0
	switch line[0] {
	case '$', '=', '!', '*', '~', '>', '%':
		if n, err = strconv.Atoi(line[1:]); err != nil || n < 0 { // which is null
			return err
		}
	}
	switch line[0] {
	case '$', '=', '!':
		_, err := f.data(n)
		return err
	case '%': // pairs
		n *= 2
	}
	for range n {
		if err := redisReply(f); err != nil {
			return err
		}
	}
	return nil
}

var memcachedProtocol = protocol{
	command: func(f *frame) ([]string, error) {
		line, err := f.line()
		if err != nil {
			return nil, err
		}
		words := strings.Fields(line)
		if len(words) > 4 && memcachedStores(words) {
			n, err := strconv.Atoi(words[4])
			if err != nil {
				return nil, err
			}
			_, err = f.data(n)
			return words, err
		}
		return words, nil
	},
	reply: func(f *frame) (unasked bool, err error) {
		for {
			line, err := f.line()
			if err != nil {
				return false, err
			}
			words := strings.Fields(line)
			switch {
			case len(words) > 3 && words[0] == "VALUE": // of get and gets; more follows
				n, err := strconv.Atoi(words[3])
				if err != nil {
					return false, err
				}
				if _, err := f.data(n); err != nil {
					return false, err
				}
			case len(words) > 0 && words[0] == "STAT":
			default:
				return false, nil
			}
		}
	},
}
