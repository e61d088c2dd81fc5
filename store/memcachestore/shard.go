package memcachestore

import (
	"errors"
	"net"
	"reflect"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-0226adef/memo/store"
)

// Shard implements [store.Sharder]: it is the address of the server that the client picks
// for key, and empty where the client has one server.
func (s *Store) Shard(key string) string {
	if s.selector == nil || !several(s.selector) {
		return ""
	}
	server, err := s.selector.PickServer(key)
	if err != nil {
		return ""
	}
	return server.String()
}

// selectorOf returns what client asks for the server of a key. Clients tell nobody, and
// memcache.New makes one that nobody else has, so it is read from the field. It is nil if a
// version of the client has no such field; the store is then one shard.
func selectorOf(client *memcache.Client) memcache.ServerSelector {
	field := reflect.ValueOf(client).Elem().FieldByName("selector")
	if !field.IsValid() || field.Type() != reflect.TypeFor[memcache.ServerSelector]() {
		return nil
	}
	return *(*memcache.ServerSelector)(field.Addr().UnsafePointer())
}

var errEnough = errors.New("memo: memcachestore: that is enough")

// several reports whether there is more than one server.
func several(servers memcache.ServerSelector) bool {
	n := 0
	_ = servers.Each(func(net.Addr) error {
		if n++; n > 1 {
			return errEnough
		}
		return nil
	})
	return n > 1
}

var _ store.Sharder = (*Store)(nil)
