package testserver

import (
	"strings"
	"testing"
)

func TestRedisAnswersUntilItIsKilled(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...string) *RedisServer{"unix": Redis, "tcp": RedisTCP} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "--maxmemory", "12mb")
			if got, err := r.Do("INFO", "memory"); err != nil || !strings.Contains(got, "maxmemory:12582912") {
				t.Errorf("INFO memory = %q, %v, without the maxmemory asked for", got, err)
			}
			if got, err := r.Do("NONSENSE"); err == nil {
				t.Errorf("NONSENSE = %q, want an error", got)
			}
			r.Kill()
			if got, err := r.Do("PING"); err == nil {
				t.Errorf("PING of a killed server = %q, want an error", got)
			}
		})
	}
}

func TestRedisClusterServesEverySlot(t *testing.T) {
	nodes := RedisCluster(t)
	for _, node := range nodes {
		info := node.must(t, "CLUSTER", "INFO")
		if !strings.Contains(info, "cluster_slots_ok:16384") {
			t.Errorf("%s says %s, want all slots", node.Addr, info)
		}
	}
}

func TestRedisSentinelsAgreeOnTheMaster(t *testing.T) {
	s := NewRedisSentinel(t)
	if got := len(s.Addrs()); got != 3 {
		t.Errorf("%d sentinels, want 3", got)
	}
	if got := s.Replica.must(t, "INFO", "replication"); !strings.Contains(got, "role:slave") {
		t.Errorf("the replica says %s", got)
	}
}
