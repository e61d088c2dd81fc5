package redisstore_test

import (
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/store/redisstore"
)

// A cluster that is not known yet would have to be asked who has what, and may not answer.
func TestShardAsksNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{l.Addr().String()}, ReadTimeout: 100 * time.Millisecond, MaxRedirects: -1})
	defer client.Close()
	if got := redisstore.New(client, nil).Shard("k"); got != "" {
		t.Errorf("Shard = %q, want none", got)
	}
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if conn, err := l.Accept(); err == nil {
		conn.Close()
		t.Error("Shard has connected to the cluster")
	}
}
